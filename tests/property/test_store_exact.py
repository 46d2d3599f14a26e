"""Whatever came late, twice or out of order, and whenever rollups ran: what readers are shown is what the oracle says."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dashapp.model.score import Score
from dashapp.rollup.job import rollup
from dashapp.rollup.verify import verify
from dashapp.store.reader import Reader
from tests.stores import append, expected_buckets, open_store, score, shown_buckets, stored_scores

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
moments = st.one_of(
    st.builds(lambda edge, offset: edge + abs(offset) if edge < -DAY else edge + offset, st.sampled_from(EDGES),
              st.sampled_from([-1, 0, 1, -MINUTE, MINUTE - 1, MINUTE, 5 * MINUTE, 600 * MINUTE])),
    st.integers(1_400_000_000_000_000, 1_400_000_000_000_000 + 3 * DAY),
)  # fmt: skip
scores = st.builds(
    score,
    item_id=st.sampled_from([f"i{number}" for number in range(30)] + ["ä", "Z", "z", "😀", "10", "9"]),
    published_us=moments,
    score_e6=st.one_of(
        st.sampled_from([-1_000_000, 1_000_000, 0, 49_999, 50_000, -50_000]), st.integers(-(10**6), 10**6)
    ),
    ticker=st.sampled_from(["AAPL", "BRK-A", "MSFT"]),
    scorer=st.sampled_from(["test@1", "test@1", "other@2"]),
    source=st.sampled_from(["wire", "posts", "desk"]),
)
steps = st.lists(
    st.one_of(
        st.lists(scores, min_size=1, max_size=12), st.just("rollup"), st.just("rollup --full"), st.just("reopen")
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40)
@given(steps)
def test_stored_and_tail_equal_the_oracle_after_every_step(taken: list[list[Score] | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        first: dict[tuple[str, str, str], Score] = {}
        for step in taken:
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


@settings(max_examples=15)
@given(
    st.lists(scores, min_size=1, max_size=40, unique_by=lambda each: (each.item_id, each.ticker, each.scorer)),
    st.randoms(),
)
def test_any_order_and_any_batching_give_the_same_buckets(each_once: list[Score], random: object) -> None:
    def buckets_of(batches: list[list[Score]], *, rolled_up: bool) -> dict[object, object]:
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

    shuffled = list(each_once)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    middle = len(shuffled) // 2
    halves = [half for half in (shuffled[:middle], shuffled[middle:]) if half]
    assert buckets_of([each_once], rolled_up=True) == buckets_of(halves, rolled_up=True)
    assert buckets_of([each_once], rolled_up=True) == buckets_of(halves, rolled_up=False)
