"""Variants over the API: candles of some of the texts, in every form, and which texts those are."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dashapp.model.time import from_datetime, parse_iso
from dashapp.model.variant import VARIANTS
from dashapp.rollup.job import rollup
from dashapp.store.store import Store
from tests import oracle
from tests.api.client import Api, api_over
from tests.api.test_timeseries import READERS
from tests.stores import DAY_US, MINUTE_US, append, open_store, score, stored_scores

FIRST = parse_iso("2024-02-28T12:00:00Z")
NOW = FIRST + 2 * DAY_US + 30_000_000
RANGE = "start=2024-02-28&end=2024-03-02"
NAMES = [variant.name for variant in VARIANTS]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Stories that are told again within a day and later, some of them hardly relevant; half of them rolled up."""
    filled = open_store(tmp_path_factory.mktemp("variants") / "store")
    rows = [
        score(
            f"i{number}",
            FIRST + number * 7_919_000_017 % (2 * DAY_US),
            number * 123_457 % 2_000_001 - 1_000_000,
            ticker=("AAPL", "MSFT")[number % 2],
            relevance=(None, 1.0, 0.2, 0.1)[number % 4 if number % 5 else 0],
            story_id=None if number % 7 == 0 else f"s{number % 23}",
        )
        for number in range(400)
    ]
    append(filled, rows[::2])
    rollup(filled)
    append(filled, rows[1::2])
    yield filled
    filled.close()


@pytest.fixture(scope="module")
def api(store: Store) -> Iterator[Api]:
    with api_over(store, NOW) as made:
        yield made


@pytest.mark.parametrize("variant", NAMES)
@pytest.mark.parametrize("form", list(READERS))
def test_all_forms_have_the_candles_of_the_texts_that_count(api: Api, store: Store, variant: str, form: str) -> None:
    counted = oracle.counted(stored_scores(store), variant)
    expected = {
        (key[0], bucket["timestamp"]): (bucket["count"], bucket["avg"], bucket["open"][2] / 1e6)
        for key, bucket in oracle.buckets(counted, ["1h"]).items()
    }
    path = f"/api/v2/timeseries?tickers=AAPL,MSFT&resolution=1h&{RANGE}&variant={variant}&format={form}"
    rows = READERS[form](api.get(path))
    found = {(row["ticker"], row["timestamp"]): (row["count"], row["avg"], row["open"]) for row in rows}
    assert found == expected
    assert READERS[form](api.get(path)) == rows  # from the cache
    one = api.json(f"/api/v2/timeseries/AAPL?resolution=1h&{RANGE}&variant={variant}")
    assert (one["variant"], one["complete_from"]) == (variant, None)
    of_aapl = sum(bucket["count"] for bucket in [*one["buckets"], *filter(None, [one["partial_bucket"]])])
    assert of_aapl == sum(row["ticker"] == "AAPL" for row in counted)


def test_each_variant_counts_other_texts(store: Store) -> None:
    assert len({len(oracle.counted(stored_scores(store), name)) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("variant", NAMES)
def test_texts_say_whether_they_count(api: Api, store: Store, variant: str) -> None:
    counted = {row["item_id"] for row in oracle.counted(stored_scores(store), variant) if row["ticker"] == "AAPL"}
    items, cursor = [], ""
    while cursor is not None:
        body = api.json(f"/api/v2/items?ticker=AAPL&limit=70&variant={variant}{cursor and '&cursor=' + cursor}")
        items += body["items"]
        cursor = body["next_cursor"]
    assert body["variant"] == variant
    assert len(items) == 200
    assert {item["id"] for item in items if item["counts"]} == counted
    rows = api.get(f"/api/v2/items?ticker=AAPL&limit=200&variant={variant}&format=csv").text.splitlines()
    assert sum(row.endswith(",true") for row in rows) == len(counted)


def test_tags_differ_by_variant_and_change_with_what_was_told_a_day_before(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", FIRST + DAY_US - MINUTE_US, 1, story_id="s")])
    with api_over(store, NOW) as api:
        path = "/api/v2/timeseries/AAPL?resolution=1m&start=2024-02-29T11:50:00Z&end=2024-02-29T12:00:00Z"
        tags = {name: api.get(f"{path}&variant={name}").headers["ETag"] for name in NAMES}
        assert len(set(tags.values())) == len(NAMES)
        append(store, [score("0", FIRST - MINUTE_US + 1, 1, story_id="s")])
        held = api.get(f"{path}&variant=once", {"If-None-Match": tags["once"]})
        assert (held.status_code, held.json()["buckets"]) == (200, [])
        assert api.get(f"{path}&variant=once", {"If-None-Match": held.headers["ETag"]}).status_code == 304
    store.close()


@pytest.mark.parametrize("variant", NAMES)
def test_exports_have_the_texts_that_count_and_their_candles(api: Api, store: Store, variant: str) -> None:
    counted = oracle.counted(stored_scores(store), variant)
    answer = api.get(f"/api/v2/export?what=buckets&resolution=1h&variant={variant}&format=parquet")
    name = "tickertone-buckets-1h" + ("" if variant == "all" else f"-{variant}")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.parquet"'
    rows = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    expected = oracle.buckets(counted, ["1h"]).values()
    assert sorted(
        (row["ticker"], from_datetime(row["timestamp"]), row["count"], row["sum_e6"]) for row in rows
    ) == sorted((each["ticker"], each["start_us"], each["count"], each["sum_e6"]) for each in expected)
    for what in ("scores", "items"):
        lines = api.get(f"/api/v2/export?what={what}&variant={variant}&format=jsonl").text.splitlines()
        assert sorted(json.loads(line)["id"] for line in lines) == sorted(row["item_id"] for row in counted)


def test_an_export_since_a_revision_of_each_story_once_is_refused(api: Api) -> None:
    answer = api.get("/api/v2/export?what=scores&variant=once&since_revision=1")
    assert (answer.status_code, answer.json()["details"]["parameter"]) == (400, "variant")
    assert api.get("/api/v2/export?what=scores&variant=relevant&since_revision=1").status_code == 200


def test_an_unknown_variant_is_refused_with_those_there_are(api: Api) -> None:
    for path in ("timeseries/AAPL?", "timeseries?tickers=AAPL&", "items?ticker=AAPL&", "export?"):
        answer = api.get(f"/api/v2/{path}variant=twice")
        assert (answer.status_code, answer.json()["error"]) == (400, "UNKNOWN_VARIANT")
        assert answer.json()["details"]["valid"] == NAMES
