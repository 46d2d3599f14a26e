"""A store with buckets and a tail, as most tests of the API need it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashapp.model.score import Score, ScoreE6
from dashapp.model.time import EpochUs, parse_iso
from dashapp.rollup.job import rollup
from dashapp.store.store import Store
from tests.api.client import Api, api_over
from tests.stores import DAY_US, HOUR_US, MINUTE_US, append, open_store

# Over a leap day, and over the end of a month.
FIRST = parse_iso("2024-02-28T00:00:00Z")
NOW = parse_iso("2024-03-02T15:30:20.5Z")
TICKERS = ("AAPL", "BRK-A", "BTC/USD", "MSFT")
# Names that CSV has to quote, and such that JSON has to escape.
SOURCES = ("wire", 'the "post", inc.', "börse\\n", '"progress_pct":null')


def made_score(number: int) -> Score:
    """One of many scores, all different: over four tickers, two scorers, four sources, and three days and a half."""
    score_e6 = number * 123_457 % 2_000_001 - 1_000_000
    return Score(
        item_id=f"i{number}",
        ticker=TICKERS[number % 4],
        scorer="other@2" if number % 7 == 0 else "test@1",
        published_us=EpochUs(FIRST + number * 7_919_000_017 % (3 * DAY_US + 15 * HOUR_US + 30 * MINUTE_US)),
        score_e6=ScoreE6(score_e6),
        source=SOURCES[number % 11 % 4],
        text=f'text {number}, with "quotes",\nlines and 数',
        url=None if number % 3 else f"https://example.org/{number}",
        confidence=None if number % 5 else 0.5,
    )


def fill(store: Store) -> None:
    """Scores that are rolled up, scores that are not, and some of the open buckets."""
    append(store, [made_score(number) for number in range(0, 2_000, 2)])
    rollup(store)
    append(store, [made_score(number) for number in range(1, 2_000, 2)])
    fresh = [
        Score(f"now{number}", ticker, "test@1", EpochUs(NOW - number * 1_000_000), ScoreE6(number * 1_001), "wire", "t")
        for number, ticker in enumerate((*TICKERS, *TICKERS))
    ]
    append(store, fresh, accepted_us=NOW)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A filled store; tests must not write to it."""
    filled = open_store(tmp_path_factory.mktemp("api") / "store")
    fill(filled)
    yield filled
    filled.close()


@pytest.fixture(scope="module")
def api(store: Store) -> Iterator[Api]:
    """The API over it, at NOW."""
    with api_over(store, NOW) as made:
        yield made
