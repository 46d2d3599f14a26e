"""The laws of buckets: fold is what the judge says, and merge gives it in any order, any batching, any steps."""

from __future__ import annotations

import random
from datetime import datetime
from functools import reduce
from itertools import pairwise
from typing import Any

import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.bucket import Bucket, bucket_of, coarsen, fold, merge, merge_all
from dashapp.model.resolution import FINEST, RESOLUTIONS, Resolution, parse_resolution
from dashapp.model.score import POSITION_BITS, SCORE_SCALE, Score, ScoreE6
from dashapp.model.time import MAX_US, MIN_US, EpochUs, from_datetime

Row = dict[str, Any]

# Moments around which buckets open and close at many resolutions at once, and where calendars are odd.
ANCHORS_US = tuple(
    from_datetime(datetime.fromisoformat(iso))
    for iso in (
        "1929-10-29T15:00:00Z",
        "1970-01-01T00:00:00Z",
        "2000-02-29T12:00:00Z",
        "2016-10-07T09:00:00Z",
        "2023-12-31T23:50:00Z",
        "2024-01-01T00:00:00Z",
        "2024-02-29T06:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-10T07:00:00Z",
        "2024-03-31T01:00:00Z",
        "2024-10-27T01:00:00Z",
        "2024-11-03T06:00:00Z",
    )
)
# A microsecond, a second, a minute ... a day before and after, so that examples fall on both sides of every boundary.
STEPS_US = tuple(sign * step for step in (0, 1, 10**6, *(at.width_us for at in RESOLUTIONS)) for sign in (-1, 1))

published_us = st.one_of(
    st.builds(
        lambda anchor, step, shift: anchor + step + shift,
        st.sampled_from(ANCHORS_US),
        st.sampled_from(STEPS_US),
        st.sampled_from((-1, 0, 1)),
    ),
    st.builds(lambda anchor, shift: anchor + shift, st.sampled_from(ANCHORS_US), st.integers(0, 90 * 10**6)),
    st.integers(MIN_US, MAX_US),
)
# Few ids, so that duplicates are common; with prefixes, blanks, upper case and letters past UTF-16's first plane,
# because ties are decided by comparing them.
item_ids = st.sampled_from(("1", "10", "2", "a", "B", "a b", "ä", "Ω", "\uffee", "\U0001f680", "a\u0301"))
scores_e6 = st.one_of(
    st.sampled_from((-SCORE_SCALE, -50_001, -50_000, -49_999, -1, 0, 1, 49_999, 50_000, 50_001, SCORE_SCALE)),
    st.integers(-SCORE_SCALE, SCORE_SCALE),
)


@st.composite
def accepted_rows(draw: st.DrawFn, *, max_size: int = 40) -> list[Row]:
    """Score dicts with positions of their own, duplicates among them, in no order."""
    row = st.fixed_dictionaries(
        {
            "item_id": item_ids,
            "ticker": st.sampled_from(("AAPL", "BRK-A")),
            "scorer": st.sampled_from(("vader@1", "vader@1", "given@1")),
            "published_us": published_us,
            "score_e6": scores_e6,
            "source": st.sampled_from(("rss", "Tiingo", "push", "é")),
        }
    )
    rows = draw(st.lists(row, min_size=1, max_size=max_size))
    positions = draw(st.lists(st.integers(0, 5 << POSITION_BITS), min_size=len(rows), max_size=len(rows), unique=True))
    return [{**row, "position": position} for row, position in zip(rows, positions, strict=True)]


def counted(rows: list[Row]) -> list[tuple[Score, int]]:
    """The scores that count, as the product holds them, each with its position; the store refuses the duplicates."""
    return [
        (
            Score(
                row["item_id"],
                row["ticker"],
                row["scorer"],
                EpochUs(row["published_us"]),
                ScoreE6(row["score_e6"]),
                row["source"],
            ),
            row["position"],
        )
        for row in oracle.accepted(rows)
    ]


def plain(buckets: dict[Any, Bucket]) -> dict[Any, Any]:
    made = {}
    for (ticker, scorer, start_us), bucket in buckets.items():
        made[ticker, scorer, bucket.resolution.name, start_us] = oracle.plain(bucket)
    return made


@given(accepted_rows(), st.randoms(use_true_random=False))
def test_fold_is_what_the_judge_says_in_any_order_at_all_eight_resolutions(
    rows: list[Row], shuffle: random.Random
) -> None:
    scores = counted(rows)
    shuffle.shuffle(scores)
    folded: dict[Any, Any] = {}
    for at in RESOLUTIONS:
        folded |= plain(fold(scores, at))
    assert folded == oracle.buckets(rows)


@given(accepted_rows(), st.integers(1, 6), st.randoms(use_true_random=False), st.sampled_from(RESOLUTIONS))
def test_batches_of_any_cut_merged_in_any_order_give_what_one_fold_gives(
    rows: list[Row], batch_count: int, shuffle: random.Random, at: Resolution
) -> None:
    scores = counted(rows)
    shuffle.shuffle(scores)
    batches: list[list[tuple[Score, int]]] = [[] for _ in range(batch_count)]
    for score in scores:
        shuffle.choice(batches).append(score)
    folded = [bucket for batch in batches if batch for bucket in fold(batch, at).values()]
    shuffle.shuffle(folded)
    assert merge_all(folded) == fold(scores, at)


@given(accepted_rows(max_size=12), st.sampled_from(RESOLUTIONS))
def test_merge_is_commutative_and_associative(rows: list[Row], at: Resolution) -> None:
    # One time for all puts all scores of a ticker and scorer into one bucket, with ties everywhere.
    together = [{**row, "published_us": rows[0]["published_us"]} for row in rows]
    alike: dict[Any, list[Bucket]] = {}
    for score, position in counted(together):
        alike.setdefault((score.ticker, score.scorer), []).append(bucket_of(score, position, at))
    for buckets in alike.values():
        leftwards = reduce(merge, buckets)
        rightwards = reduce(lambda right, left: merge(left, right), reversed(buckets))
        assert leftwards == rightwards
        for a, b in pairwise(buckets):
            assert merge(a, b) == merge(b, a)


def test_merging_with_nothing_changes_nothing() -> None:
    bucket = one("i", 0, 100)
    assert merge_all([]) == {}
    assert merge_all([bucket]) == {("AAPL", "vader@1", 0): bucket}


@given(accepted_rows(), st.data())
def test_a_coarser_bucket_is_the_merge_of_the_finer_ones_by_any_route(rows: list[Row], data: st.DataObject) -> None:
    scores = counted(rows)
    at = FINEST
    stepwise = fold(scores, at)
    while at != RESOLUTIONS[-1]:
        coarser = [r for r in RESOLUTIONS if r.seconds > at.seconds and r.seconds % at.seconds == 0]
        at = data.draw(st.sampled_from(coarser), label="next resolution")
        stepwise = merge_all(coarsen(bucket, at) for bucket in stepwise.values())
        assert stepwise == fold(scores, at)


@given(accepted_rows())
def test_all_seven_steps_from_1m_to_24h_equal_the_direct_fold(rows: list[Row]) -> None:
    scores = counted(rows)
    stepwise = fold(scores, FINEST)
    for at in RESOLUTIONS[1:]:
        stepwise = merge_all(coarsen(bucket, at) for bucket in stepwise.values())
        assert plain(stepwise) == oracle.buckets(rows, [at.name])


@given(accepted_rows(), st.integers(0, 40), st.sampled_from(RESOLUTIONS))
def test_stored_buckets_and_a_tail_of_late_scores_give_what_one_fold_gives(
    rows: list[Row], cut: int, at: Resolution
) -> None:
    scores = counted(rows)
    stored, tail = scores[:cut], scores[cut:]
    halves = [bucket for half in (stored, tail) if half for bucket in fold(half, at).values()]
    assert merge_all(halves) == fold(scores, at)


@given(accepted_rows(), st.sampled_from(RESOLUTIONS))
def test_what_every_bucket_must_satisfy_whatever_it_holds(rows: list[Row], at: Resolution) -> None:
    for bucket in fold(counted(rows), at).values():
        assert bucket.count >= 1
        assert bucket.positive + bucket.neutral + bucket.negative == bucket.count
        assert -SCORE_SCALE <= bucket.low_e6 <= bucket.open.score_e6 <= bucket.high_e6 <= SCORE_SCALE
        assert bucket.low_e6 <= bucket.close.score_e6 <= bucket.high_e6
        assert bucket.low_e6 * bucket.count <= bucket.sum_e6 <= bucket.high_e6 * bucket.count
        assert bucket.sum_e6**2 <= bucket.count * bucket.sumsq_e12
        assert bucket.start_us <= bucket.open.published_us <= bucket.close.published_us
        assert bucket.close.published_us < bucket.start_us + at.width_us
        assert 1 <= len(bucket.sources) <= bucket.count
        assert bucket.first_position <= bucket.last_position


def one(item_id: str, published_us: int, score_e6: int, *, position: int = 0, source: str = "rss") -> Bucket:
    score = Score(item_id, "AAPL", "vader@1", EpochUs(published_us), ScoreE6(score_e6), source)
    return bucket_of(score, position, FINEST)


def test_ties_on_published_time_are_decided_by_the_item_id_not_by_arrival() -> None:
    tied = [one("b", 5, 200, position=1), one("c", 5, 300, position=2), one("a", 5, 100, position=3)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        bucket = reduce(merge, [tied[index] for index in order])
        assert (bucket.open.item_id, bucket.open.score_e6) == ("a", 100)
        assert (bucket.close.item_id, bucket.close.score_e6) == ("c", 300)


def test_item_ids_are_compared_as_text_not_as_numbers() -> None:
    bucket = merge(one("10", 5, 100), one("9", 5, 200))
    assert (bucket.open.item_id, bucket.close.item_id) == ("10", "9")


def test_item_ids_are_compared_by_code_point_as_the_store_does_not_by_utf_16_unit() -> None:
    # In UTF-16 the rocket's first unit is 0xD83D, less than 0xFFEE; by code point and in UTF-8 it comes after.
    bucket = merge(one("\U0001f680", 5, 100), one("\uffee", 5, 200))
    assert (bucket.open.item_id, bucket.close.item_id) == ("\uffee", "\U0001f680")
    assert "\U0001f680".encode() > "\uffee".encode()


def test_an_earlier_score_that_arrives_late_becomes_the_open() -> None:
    bucket = reduce(merge, [one("x", 30, 1), one("y", 40, 2, position=1), one("late", 10, 3, position=2)])
    assert (bucket.open.score_e6, bucket.close.score_e6, bucket.first_position, bucket.last_position) == (3, 2, 0, 2)


def test_a_bucket_written_out_in_full() -> None:
    rows = [
        ("n2", "2024-02-29T10:04:59.999999Z", -400_000, "tiingo", (7 << POSITION_BITS) + 3),
        ("n1", "2024-02-29T10:00:00Z", 50_000, "rss", (9 << POSITION_BITS) + 0),
        ("n3", "2024-02-29T10:02:00Z", 900_000, "rss", (7 << POSITION_BITS) + 4),
        ("n4", "2024-02-29T10:02:00Z", 49_999, "push", (8 << POSITION_BITS) + 0),
    ]
    scores = [
        (
            Score(item_id, "AAPL", "vader@1", from_datetime(datetime.fromisoformat(iso)), ScoreE6(value), source),
            position,
        )
        for item_id, iso, value, source, position in rows
    ]
    (bucket,) = fold(scores, parse_resolution("5m")).values()
    assert oracle.plain(bucket) == {
        "ticker": "AAPL",
        "scorer": "vader@1",
        "resolution": "5m",
        "start_us": 1_709_200_800_000_000,
        "timestamp": "2024-02-29T10:00:00Z",
        "open": (1_709_200_800_000_000, "n1", 50_000),
        "high_e6": 900_000,
        "low_e6": -400_000,
        "close": (1_709_201_099_999_999, "n2", -400_000),
        "count": 4,
        "sum_e6": 599_999,
        "sumsq_e12": 974_999_900_001,
        "avg": 0.14999975,
        "positive": 2,
        "neutral": 1,
        "negative": 1,
        "label_counts": {"positive": 2, "neutral": 1, "negative": 1},
        "sources": ("push", "rss", "tiingo"),
        "first_position": (7 << POSITION_BITS) + 3,
        "last_position": (9 << POSITION_BITS) + 0,
        "revision": 9,
    }


def test_of_a_score_accepted_twice_the_judge_counts_the_first() -> None:
    row = {"item_id": "i", "ticker": "AAPL", "scorer": "s@1", "published_us": 0, "source": "rss"}
    twice = [{**row, "score_e6": 2, "position": 9}, {**row, "score_e6": 1, "position": 3}]
    (bucket,) = oracle.buckets(twice, ["1m"]).values()
    assert (bucket["count"], bucket["sum_e6"], bucket["last_position"]) == (1, 1, 3)


def test_an_empty_list_of_scores_is_an_error_not_a_candle() -> None:
    with pytest.raises(ValueError, match="a bucket without a score does not exist"):
        fold([], FINEST)


@pytest.mark.parametrize(
    "other",
    [
        bucket_of(Score("j", "MSFT", "vader@1", EpochUs(0), ScoreE6(0), "rss"), 1, FINEST),
        bucket_of(Score("j", "AAPL", "vader@2", EpochUs(0), ScoreE6(0), "rss"), 1, FINEST),
        bucket_of(Score("j", "AAPL", "vader@1", EpochUs(60_000_000), ScoreE6(0), "rss"), 1, FINEST),
        bucket_of(Score("j", "AAPL", "vader@1", EpochUs(0), ScoreE6(0), "rss"), 1, RESOLUTIONS[1]),
    ],
    ids=["ticker", "scorer", "start", "resolution"],
)
def test_buckets_that_are_not_of_the_same_interval_do_not_merge(other: Bucket) -> None:
    with pytest.raises(ValueError, match="cannot merge AAPL/vader@1/1m@0 with "):
        merge(one("i", 0, 0), other)


@pytest.mark.parametrize(("fine", "coarse"), [("5m", "1m"), ("24h", "12h"), ("10m", "5m")])
def test_a_bucket_is_not_made_finer(fine: str, coarse: str) -> None:
    bucket = bucket_of(Score("i", "AAPL", "s@1", EpochUs(0), ScoreE6(0), "rss"), 0, parse_resolution(fine))
    with pytest.raises(ValueError, match=f"{coarse} is not a multiple of {fine}"):
        coarsen(bucket, parse_resolution(coarse))
