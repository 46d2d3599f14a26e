"""Whatever came late, twice or out of order, and whenever rollups ran: readers are shown what the oracle says."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.score import Score
from dashapp.rollup.job import rollup
from dashapp.rollup.verify import verify
from dashapp.store.reader import Reader
from tests import oracle
from tests.stores import (
    append,
    examples,
    expected_buckets,
    nothing_is_few,
    open_store,
    score,
    shown_buckets,
    stored_scores,
)

MINUTE = 60_000_000
DAY = 1_440 * MINUTE
# The edges of minutes, days, months and years, leap days, DST days, before 1970: where alignment goes wrong if it can.
EDGES = [
    -62_135_596_800_000_000,  # 0001-01-01
    -DAY,
    0,
    951_782_400_000_000,  # 2000-02-29
    1_394_344_800_000_000,  # 2014-03-09T06:00Z, New York's clocks go forward
    1_414_287_000_000_000,  # 2014-10-26T01:30Z, Berlin's clocks go back
    1_420_070_400_000_000,  # 2015-01-01
    1_709_164_800_000_000,  # 2024-02-29
]
OFFSETS = [-1, 0, 1, -MINUTE, MINUTE - 1, MINUTE, 5 * MINUTE, 600 * MINUTE]
STEPS = ["rollup", "rollup", "rollup --full", "reopen"]


@st.composite
def scores(draw: st.DrawFn) -> st.SearchStrategy[Score]:
    """Scores around one or two of the edges: each date costs files at eight resolutions, which is what takes time."""
    edges = draw(st.lists(st.sampled_from(EDGES), min_size=1, max_size=2, unique=True))
    near = st.builds(
        lambda edge, offset: edge + (offset if edge > EDGES[0] else abs(offset)),
        st.sampled_from(edges),
        st.one_of(st.sampled_from(OFFSETS), st.integers(0, DAY)),
    )
    return st.builds(
        score,
        item_id=st.sampled_from([*(f"i{number}" for number in range(30)), "ä", "Z", "z", "😀", "\uffee", "10", "9"]),
        published_us=near,
        score_e6=st.one_of(
            st.sampled_from([-1_000_000, 1_000_000, 0, 49_999, 50_000, -49_999, -50_000]),
            st.integers(-1_000_000, 1_000_000),
        ),
        ticker=st.sampled_from(["AAPL", "BRK-A", "MSFT"]),
        scorer=st.sampled_from(["test@1", "test@1", "other@2"]),
        source=st.sampled_from(["wire", "posts", "desk"]),
    )


histories = scores().flatmap(
    lambda each: st.lists(
        st.one_of(st.lists(each, min_size=1, max_size=12), st.sampled_from(STEPS)), min_size=1, max_size=7
    )
)
different_scores = scores().flatmap(
    lambda each: st.lists(each, min_size=1, max_size=40, unique_by=lambda one: (one.item_id, one.ticker, one.scorer))
)


@examples(20)
@given(histories, st.booleans())
def test_stored_and_tail_equal_the_oracle_after_every_step(taken: list[list[Score] | str], few: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, nullcontext() if few else nothing_is_few():
        store = open_store(Path(folder))
        first: dict[tuple[str, str, str], Score] = {}
        for turn, step in enumerate(taken):
            if step == "reopen":
                store.close()
                store = open_store(Path(folder))
            elif isinstance(step, str):
                rollup(store, full=step.endswith("--full"))
            else:
                duplicates = append(store, step)
                known = []
                for each in step:
                    identity = (each.item_id, each.ticker, each.scorer)
                    known.append(identity in first)
                    first.setdefault(identity, each)
                assert duplicates == known
            # Two resolutions at each step, another two at the next; all eight at the end.
            looked_at = [RESOLUTIONS[turn % 8], RESOLUTIONS[(turn + 4) % 8]]
            assert shown_buckets(store, looked_at) == expected_buckets(store, looked_at)
        assert shown_buckets(store) == expected_buckets(store)
        rows = {(row["item_id"], row["ticker"], row["scorer"]): row for row in stored_scores(store)}
        assert len(rows) == len(stored_scores(store))
        assert {key: (row["published_us"], row["score_e6"], row["source"]) for key, row in rows.items()} == {
            key: (each.published_us, each.score_e6, each.source) for key, each in first.items()
        }
        rollup(store)
        assert shown_buckets(store) == expected_buckets(store)
        result = verify(Reader(store, timeout_ms=60_000))
        assert (result.checked, result.differ) == (len(expected_buckets(store)), 0)
        store.close()


@examples(7)
@given(different_scores, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_and_any_batching_give_the_same_buckets(each_once: list[Score], random: Random, parts: int) -> None:
    def buckets_of(batches: list[list[Score]], *, rolled_up: bool) -> dict[oracle.Key, dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder))
            for batch in batches:
                append(store, batch)
                if rolled_up:
                    rollup(store)
            shown = shown_buckets(store)
            store.close()
        # Positions tell the order of acceptance, which is what differs here.
        return {
            key: {name: value for name, value in bucket.items() if not name.endswith("_position")}
            for key, bucket in shown.items()
        }

    shuffled = random.sample(each_once, len(each_once))
    batches = [batch for batch in (shuffled[part::parts] for part in range(parts)) if batch]
    at_once = buckets_of([each_once], rolled_up=True)
    assert buckets_of(batches, rolled_up=True) == at_once
    assert buckets_of(batches, rolled_up=False) == at_once
