"""Variants: whatever came late, twice or out of order, each story counts once and what is hardly relevant does not, as
the oracle says, which compares every text with every other."""

from __future__ import annotations

import random
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.score import Score
from dashapp.model.variant import VARIANTS, parse_variant
from dashapp.rollup.job import rollup
from dashapp.store.store import Store
from dashapp.store.variants import counted_scores
from tests import oracle
from tests.stores import (
    DAY_US,
    MINUTE_US,
    append,
    examples,
    expected_buckets,
    nothing_is_few,
    open_store,
    score,
    series_reader,
    shown_buckets,
    stored_scores,
    verification,
)

FIRST = 19_790 * DAY_US
# Just within a day of each other and just not, at one moment, and over the ends of minutes and days.
MOMENTS = [0, 1, MINUTE_US, DAY_US - 1, DAY_US, DAY_US + 1, 2 * DAY_US - 1, 2 * DAY_US]

scores = st.builds(
    score,
    item_id=st.sampled_from([*(f"i{number}" for number in range(12)), "10", "9", "😀", "\uffee"]),
    published_us=st.sampled_from([FIRST + moment for moment in MOMENTS]),
    score_e6=st.integers(-1_000_000, 1_000_000),
    ticker=st.sampled_from(["AAPL", "AAPL", "MSFT"]),
    scorer=st.sampled_from(["test@1", "test@1", "other@2"]),
    source=st.sampled_from(["wire", "posts"]),
    relevance=st.sampled_from([None, 1.0, 0.2, 0.199, 0.0]),
    story_id=st.sampled_from([None, "s1", "s1", "s2"]),
)


def shown(store: Store, name: str) -> dict[oracle.Key, dict[str, Any]]:
    return shown_buckets(store, (RESOLUTIONS[0], RESOLUTIONS[-1]), parse_variant(name))


def expected(store: Store, name: str) -> dict[oracle.Key, dict[str, Any]]:
    return expected_buckets(store, (RESOLUTIONS[0], RESOLUTIONS[-1]), parse_variant(name))


@examples(8)
@given(st.lists(st.lists(scores, min_size=1, max_size=10), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_readers_are_shown_what_the_oracle_counts(batches: list[list[Score]], rolls: bool, few: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, nullcontext() if few else nothing_is_few():
        store = open_store(Path(folder))
        for batch in batches:
            append(store, batch)
            if rolls:
                rollup(store)
        for variant in VARIANTS:
            assert shown(store, variant.name) == expected(store, variant.name)
        reader = series_reader(store)
        for row in {(row["ticker"], row["scorer"]) for row in stored_scores(store)}:
            for variant in VARIANTS:
                (series,) = reader.series(
                    [row[0]], parse_resolution("1h"), FIRST, FIRST + 3 * DAY_US, scorer=row[1], variant=variant
                )
                mine = oracle.counted(stored_scores(store), variant.name)
                buckets = oracle.buckets(mine, ["1h"]).values()
                wanted = [each for each in buckets if (each["ticker"], each["scorer"]) == row]
                assert list(zip(series.timestamp_us, series.count, series.avg, strict=True)) == sorted(
                    (each["start_us"], each["count"], each["avg"]) for each in wanted
                )
        result = verification(store)
        assert (result.differ, result.checked) == (0, len(expected_buckets(store)))
        assert result.checked_variants == sum(
            len(expected_buckets(store, [parse_resolution("1h")], variant)) for variant in VARIANTS[1:]
        )
        store.close()


@examples(4)
@given(
    st.lists(scores, min_size=1, max_size=25, unique_by=lambda each: (each.item_id, each.ticker, each.scorer)),
    st.randoms(use_true_random=False),
)
def test_any_order_of_arrival_counts_the_same_texts(rows: list[Score], order: random.Random) -> None:
    def counted(batches: list[list[Score]]) -> list[dict[oracle.Key, dict[str, Any]]]:
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder))
            for batch in batches:
                append(store, batch)
            found = [shown(store, variant.name) for variant in VARIANTS]
            store.close()
        # Positions tell the order of acceptance, which is what differs here.
        return [
            {key: {name: each[name] for name in each if "position" not in name} for key, each in one.items()}
            for one in found
        ]

    mixed = order.sample(rows, len(rows))
    assert counted([rows]) == counted([batch for batch in (mixed[::3], mixed[1::3], mixed[2::3]) if batch])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def counts(store: Store, variant: str) -> list[tuple[int, int]]:
    """(minutes since FIRST, count) of each 1m bucket."""
    buckets = shown_buckets(store, RESOLUTIONS[:1], parse_variant(variant))
    return sorted(((key[3] - FIRST) // MINUTE_US, each["count"]) for key, each in buckets.items())


def test_a_copy_within_24_hours_does_not_count_and_a_later_one_does(store: Store) -> None:
    append(store, [score("a", FIRST, 1, story_id="s"), score("b", FIRST + DAY_US - 1, 2, story_id="s")])
    append(store, [score("c", FIRST + 2 * DAY_US - 1, 3, story_id="s")])  # a day after b, which was a copy itself
    assert counts(store, "once") == [(0, 1), (2 * 1_440 - 1, 1)]
    assert counts(store, "all") == [(0, 1), (1_439, 1), (2 * 1_440 - 1, 1)]


def test_an_earlier_text_that_comes_late_takes_the_place_of_the_one_that_counted(store: Store) -> None:
    append(store, [score("b", FIRST + 10 * MINUTE_US, 2, story_id="s")])
    rollup(store)
    assert counts(store, "once") == [(10, 1)]
    append(store, [score("a", FIRST, 1, story_id="s")])
    assert counts(store, "once") == [(0, 1)]
    append(store, [score("0", FIRST, 9, story_id="s")])  # at the same moment the lower id counts
    assert {bucket["open"][1] for bucket in shown(store, "once").values()} == {"0"}


def test_a_story_whose_first_text_is_hardly_relevant_is_told_by_the_next(store: Store) -> None:
    append(store, [score("a", FIRST, 1, story_id="s", relevance=0.05)])
    append(store, [score("b", FIRST + MINUTE_US, 2, story_id="s", relevance=0.9)])
    assert counts(store, "once") == [(0, 1)]
    assert counts(store, "relevant") == [(1, 1)]
    assert counts(store, "once-relevant") == [(1, 1)]


def test_the_same_words_about_another_ticker_or_by_another_scorer_are_no_copy(store: Store) -> None:
    append(store, [score("a", FIRST, 1, story_id="s"), score("a", FIRST, 1, story_id="s", ticker="MSFT")])
    append(store, [score("a", FIRST, 1, story_id="s", scorer="other@2"), score("n1", FIRST, 1), score("n2", FIRST, 1)])
    assert counts(store, "once") == [(0, 1), (0, 1), (0, 3)]


def test_verify_finds_a_variant_that_counts_wrongly(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, [score("a", FIRST, 1, story_id="s"), score("b", FIRST + 1, 2, story_id="s")])
    rollup(store)
    assert verification(store).differ == 0

    def all_of_them(read: Any, variant: Any, *span: int) -> Any:
        return counted_scores(read, VARIANTS[0], *span)

    monkeypatch.setattr("dashapp.store.reader.counted_scores", all_of_them)
    result = verification(store)
    assert (result.differ, result.checked) == (2, 8)
    assert all("AAPL 1h once" in each or "AAPL 1h once-relevant" in each for each in result.worst)


def test_buckets_whose_scores_are_gone_are_left_out_and_the_answer_says_from_when_on_there_are_some(
    store: Store,
) -> None:
    append(store, [score("a", FIRST, 1, story_id="s"), score("b", FIRST + DAY_US, 2, story_id="s")])
    append(store, [score("c", FIRST + 2 * DAY_US, 3)])
    rollup(store)
    reader = series_reader(store)
    hour = parse_resolution("1h")

    def answer(name: str) -> tuple[list[int], int | None]:
        (series,) = reader.series(["AAPL"], hour, FIRST, FIRST + 4 * DAY_US, variant=parse_variant(name))
        return series.timestamp_us, series.complete_from_us

    assert answer("once") == ([FIRST, FIRST + DAY_US, FIRST + 2 * DAY_US], None)
    gone = [file for file in store.scores.table.files() if file.bounds["published_us"][1] < FIRST + DAY_US]
    store.scores.table.commit([], gone)
    assert answer("all") == ([FIRST, FIRST + DAY_US, FIRST + 2 * DAY_US], None)
    assert answer("relevant") == ([FIRST + DAY_US, FIRST + 2 * DAY_US], FIRST + DAY_US)
    # What was told on the day that is gone cannot be known on the next.
    assert answer("once") == ([FIRST + 2 * DAY_US], FIRST + 2 * DAY_US)
