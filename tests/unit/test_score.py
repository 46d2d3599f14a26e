"""Scores: quantising, labels, positions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.score import (
    LABEL_THRESHOLD_E6,
    MAX_COMMIT_ROWS,
    SCORE_SCALE,
    Score,
    ScoreE6,
    label_of,
    position_of,
    quantise,
    revision_of,
)
from dashapp.model.time import EpochUs


@pytest.mark.parametrize(
    ("score", "score_e6"),
    [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 1_000_000),
        (-1.0, -1_000_000),
        (1, 1_000_000),
        (0.05, 50_000),
        (-0.05, -50_000),
        (0.0499994, 49_999),
        (0.0499996, 50_000),
        (0.123456789, 123_457),
        (-0.123456789, -123_457),
        (0.0000005, 0),  # half way, to even
        (0.0000015, 2),
        (-0.0000005, 0),
        (-0.0000015, -2),
        (0.9999999, 1_000_000),
        (5e-324, 0),
    ],
)
def test_a_score_becomes_millionths(score: float, score_e6: int) -> None:
    assert quantise(score) == score_e6
    assert type(quantise(score)) is int


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="is not a finite number"):
        quantise(score)


@pytest.mark.parametrize(
    "score", [math.nextafter(1.0, 2.0), math.nextafter(-1.0, -2.0), 1.5, -2, 100.0, pytest.param(10**400, id="10**400")]
)
def test_what_is_outside_the_range_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match=r"is outside \[-1, 1\]"):
        quantise(score)


@given(st.integers(-SCORE_SCALE, SCORE_SCALE))
def test_millionths_come_back_from_the_float_they_are_shown_as(score_e6: int) -> None:
    assert quantise(score_e6 / SCORE_SCALE) == score_e6


@given(st.floats(-1, 1))
def test_quantising_moves_a_score_by_half_a_millionth_at_most(score: float) -> None:
    assert abs(quantise(score) - score * SCORE_SCALE) <= 0.5


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_quantising_keeps_the_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert quantise(low) <= quantise(high)


@pytest.mark.parametrize(
    ("score_e6", "label"),
    [
        (1_000_000, "positive"),
        (50_001, "positive"),
        (50_000, "positive"),
        (49_999, "neutral"),
        (1, "neutral"),
        (0, "neutral"),
        (-1, "neutral"),
        (-49_999, "neutral"),
        (-50_000, "negative"),
        (-50_001, "negative"),
        (-1_000_000, "negative"),
    ],
)
def test_the_label_of_a_score(score_e6: int, label: str) -> None:
    assert label_of(score_e6) == label
    assert Score("i", "AAPL", "s@1", EpochUs(0), ScoreE6(score_e6), "test").label == label


def test_the_threshold_is_the_one_the_authors_of_vader_give() -> None:
    assert quantise(0.05) == LABEL_THRESHOLD_E6


@given(st.integers(0, 2**33 - 1), st.integers(0, MAX_COMMIT_ROWS - 1))
def test_a_position_tells_the_version_that_brought_the_row(version: int, row: int) -> None:
    assert revision_of(position_of(version, row)) == version


def test_positions_rise_with_the_row_and_then_with_the_version() -> None:
    assert position_of(3, 0) < position_of(3, 1) < position_of(3, MAX_COMMIT_ROWS - 1) < position_of(4, 0)
    assert position_of(3, MAX_COMMIT_ROWS - 1) + 1 == position_of(4, 0)


def test_the_last_position_is_a_number_javascript_can_hold() -> None:
    assert position_of(2**33 - 1, MAX_COMMIT_ROWS - 1) == 2**53 - 1
