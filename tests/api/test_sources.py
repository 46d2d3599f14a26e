"""How the live sources are, as the API tells what the feed of the store wrote down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashapp.ingest.health import SourceHealth, write_health
from dashapp.model.time import US_PER_SECOND
from dashapp.store.store import Store
from tests.api.client import Api, api_over
from tests.api.conftest import NOW
from tests.stores import open_store

PATH = "/api/v2/sources"


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("sources") / "store")
    yield opened
    opened.close()


@pytest.fixture
def api(store: Store) -> Iterator[Api]:
    with api_over(store, NOW) as made:
        yield made


def test_where_no_feed_ever_ran_there_are_no_sources(api: Api) -> None:
    assert api.json(PATH) == {"timestamp": "2024-03-02T15:30:20.500000Z", "sources": []}


def test_each_source_is_told_as_the_feed_wrote_it_down(api: Api, store: Store) -> None:
    tiingo = SourceHealth(
        "tiingo",
        last_poll_us=NOW - 30 * US_PER_SECOND,
        last_success_us=NOW - 90 * US_PER_SECOND,
        last_item_us=NOW - 100 * US_PER_SECOND,
        lag_s=12.5,
        consecutive_failures=2,
        failures=3,
        last_error="tiingo answered 502.",
        last_error_us=NOW - 30 * US_PER_SECOND,
        calls=40,
        accepted=31,
        duplicates=5,
        rejected=2,
        ignored=1,
        next_poll_us=NOW + 4 * US_PER_SECOND,
        waiting_for="failure",
    )
    write_health(store.data_dir, [tiingo, SourceHealth("rss:example.com")])
    told, fresh = api.json(PATH)["sources"]
    assert told == {
        "name": "tiingo",
        "is_failing": True,
        "is_overdue": False,
        "last_poll": "2024-03-02T15:29:50.500000Z",
        "last_success": "2024-03-02T15:28:50.500000Z",
        "last_item": "2024-03-02T15:28:40.500000Z",
        "lag_s": 12.5,
        "last_error": "tiingo answered 502.",
        "last_error_at": "2024-03-02T15:29:50.500000Z",
        "consecutive_errors": 2,
        "errors": 3,
        "calls": 40,
        "items": 31,
        "duplicates": 5,
        "rejected": 2,
        "ignored": 1,
        "next_poll": "2024-03-02T15:30:24.500000Z",
        "waiting_for": "failure",
    }
    assert {name for name, value in fresh.items() if value is None} == {
        "last_poll", "last_success", "last_item", "lag_s", "last_error", "last_error_at", "next_poll",
    }  # fmt: skip


@pytest.mark.parametrize(("late_s", "is_overdue"), [(-60, False), (170, False), (190, True)])
def test_a_poll_that_nobody_makes_is_told(api: Api, store: Store, late_s: int, is_overdue: bool) -> None:
    write_health(store.data_dir, [SourceHealth("rss", next_poll_us=NOW - late_s * US_PER_SECOND)])
    (told,) = api.json(PATH)["sources"]
    assert told["is_overdue"] is is_overdue


def test_a_misspelt_question_is_refused(api: Api) -> None:
    assert api.get(f"{PATH}?name=tiingo").status_code == 400
