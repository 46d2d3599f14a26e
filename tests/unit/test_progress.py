"""Progress: how much of a bucket is over, and whether it is partial."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.resolution import FINEST, RESOLUTIONS, Resolution, floor_us, is_partial, progress_pct
from dashapp.model.time import US_PER_DAY
from tests.unit.moments import moments_us, resolutions, us


@pytest.mark.parametrize("at", RESOLUTIONS, ids=lambda at: at.name)
def test_progress_is_0_at_the_start_below_100_until_the_end_and_100_from_then_on(at: Resolution) -> None:
    start_us = us("2024-02-29T00:00:00Z")
    assert progress_pct(start_us, at, start_us) == 0.0
    assert progress_pct(start_us, at, start_us + at.width_us // 4) == 25.0
    assert progress_pct(start_us, at, start_us + at.width_us // 2) == 50.0
    assert progress_pct(start_us, at, start_us + at.width_us - 1_000_000) < 100.0
    assert progress_pct(start_us, at, start_us + at.width_us - 1) == 99.99
    assert progress_pct(start_us, at, start_us + at.width_us) == 100.0
    assert progress_pct(start_us, at, start_us + at.width_us + 1) == 100.0
    assert progress_pct(start_us, at, start_us + 10 * at.width_us) == 100.0


@pytest.mark.parametrize("at", RESOLUTIONS, ids=lambda at: at.name)
def test_a_bucket_is_partial_until_its_end_and_not_at_it(at: Resolution) -> None:
    start_us = us("2024-02-29T00:00:00Z")
    assert is_partial(start_us, at, start_us)
    assert is_partial(start_us, at, start_us + at.width_us - 1)
    assert not is_partial(start_us, at, start_us + at.width_us)


def test_a_bucket_that_has_not_begun_has_no_progress() -> None:
    start_us = us("2024-02-29T00:00:00Z")
    assert progress_pct(start_us, FINEST, start_us - 1) == 0.0
    assert progress_pct(start_us, FINEST, start_us - US_PER_DAY) == 0.0


def test_progress_before_1970_is_progress_too() -> None:
    assert progress_pct(us("1969-12-31T23:59:00Z"), FINEST, us("1969-12-31T23:59:30Z")) == 50.0


@given(moments_us, resolutions, st.lists(st.integers(-1, 86_400 * 10**6 + 1), min_size=2))
def test_progress_never_goes_back_and_is_100_exactly_when_the_bucket_is_over(
    moment_us: int, at: Resolution, offsets_us: list[int]
) -> None:
    start_us = floor_us(moment_us, at)
    seen = [progress_pct(start_us, at, start_us + offset_us) for offset_us in sorted(offsets_us)]
    assert seen == sorted(seen)
    assert min(seen) >= 0.0
    for offset_us, progress in zip(sorted(offsets_us), seen, strict=True):
        assert (progress == 100.0) == (offset_us >= at.width_us)
        assert is_partial(start_us, at, start_us + offset_us) == (progress < 100.0)
