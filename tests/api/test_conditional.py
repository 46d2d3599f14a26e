"""Entity tags: an answer that is the same is not sent again, and one that changed always is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashapp.model.time import parse_iso
from dashapp.rollup.job import rollup
from tests.api.client import Api, api_over
from tests.api.conftest import FIRST, NOW
from tests.stores import DAY_US, HOUR_US, append, open_store, score

EVER = "start=2024-02-28&end=2024-03-04"
PATHS = [
    f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}",
    f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}&format=columns",
    f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}&format=csv",
    f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}&format=arrow",
    f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}&limit=3",
    f"/api/v2/timeseries/AAPL?resolution=10m&{EVER}",
    f"/api/v2/timeseries/MSFT?resolution=1h&{EVER}",
    f"/api/v2/timeseries?tickers=AAPL&resolution=1h&{EVER}",
    f"/api/v2/timeseries?tickers=AAPL,MSFT&resolution=1h&{EVER}",
    "/api/v2/items?ticker=AAPL",
    "/api/v2/items?ticker=AAPL&limit=3",
    "/api/v2/items?ticker=AAPL&format=csv",
    "/api/v2/tickers",
    "/api/v2/tickers?q=A",
    "/api/v2/tickers?format=parquet",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_the_client_holds_is_not_sent_again(api: Api, path: str) -> None:
    first = api.get(path)
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    assert "Accept" in first.headers["vary"]
    for held in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        again = api.get(path, {"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert api.request("HEAD", path, {"If-None-Match": etag}).status_code == 304
    assert api.get(path, {"If-None-Match": '"other"'}).content[:20] == first.content[:20]


def test_different_answers_have_different_tags(api: Api) -> None:
    assert len({api.get(path).headers["etag"] for path in PATHS}) == len(PATHS)


def test_the_star_does_not_hide_an_error(api: Api) -> None:
    assert api.get("/api/v2/timeseries/NOPE", {"If-None-Match": "*"}).status_code == 404
    assert api.get("/api/v2/timeseries/AAPL?resolution=2m", {"If-None-Match": "*"}).status_code == 400


def test_a_tag_lasts_while_scores_arrive_elsewhere_and_ends_when_one_arrives_here(tmp_path: Path) -> None:
    writer, store = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    day = "resolution=1h&start=2024-02-28&end=2024-02-29"
    append(writer, [score("a", FIRST + HOUR_US, 1), score("b", FIRST + HOUR_US, 2, ticker="MSFT")])
    rollup(writer)
    with api_over(store, NOW) as api:
        path = f"/api/v2/timeseries/AAPL?{day}"

        def tag() -> str:
            return str(api.get(path).headers["etag"])

        held = tag()
        revision = api.json(path)["revision"]
        append(writer, [score("c", FIRST + HOUR_US, 3, ticker="MSFT")])
        assert tag() == held
        append(writer, [score("d", FIRST + 3 * DAY_US, 3)])
        assert tag() == held
        append(writer, [score("e", FIRST + HOUR_US, 3, scorer="other@2")])
        assert tag() == held
        assert api.get(path, {"If-None-Match": held}).status_code == 304
        # What is kept is still known to be of now.
        assert api.json(path)["revision"] == revision + 3
        assert api.json(path)["cache_hit"] is True

        append(writer, [score("f", FIRST + HOUR_US + 5, 4)])
        changed = api.get(path, {"If-None-Match": held})
        assert changed.status_code == 200
        assert changed.json()["buckets"][0]["count"] == 2
        held = changed.headers["etag"]
        rollup(writer)  # which moves scores and changes no number
        assert api.json(path)["buckets"] == changed.json()["buckets"]
        held = tag()
        rollup(writer)
        assert tag() == held


def test_the_end_of_an_interval_ends_the_tag_of_ranges_that_reach_it_and_of_no_other(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", FIRST + HOUR_US, 1), score("b", NOW, 2)])
    with api_over(store, NOW) as api:
        past = "/api/v2/timeseries/AAPL?resolution=1h&start=2024-02-28&end=2024-03-02T15:00:00Z"
        reaching = "/api/v2/timeseries/AAPL?resolution=1h&start=2024-02-28&end=2024-03-02T16:00:00Z"
        tags = api.get(past).headers["etag"], api.get(reaching).headers["etag"]
        api.clock.now_us = parse_iso("2024-03-02T15:59:59Z")
        assert (api.get(past).headers["etag"], api.get(reaching).headers["etag"]) == tags
        api.clock.now_us = parse_iso("2024-03-02T16:00:00Z")
        assert api.get(past, {"If-None-Match": tags[0]}).status_code == 304
        ended = api.get(reaching, {"If-None-Match": tags[1]})
        assert (ended.status_code, ended.json()["partial_bucket"]) == (200, None)


def test_two_processes_that_see_the_same_state_give_the_same_tags(tmp_path: Path) -> None:
    store, other = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    append(store, [score(f"i{number}", FIRST + number * HOUR_US, number) for number in range(30)])
    rollup(store)
    append(store, [score("late", FIRST, 7)])
    with api_over(store, NOW) as one, api_over(other, NOW) as two:
        for path in (
            f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}",
            "/api/v2/items?ticker=AAPL",
            "/api/v2/tickers",
        ):
            etag = one.get(path).headers["etag"]
            assert two.get(path, {"If-None-Match": etag}).status_code == 304
