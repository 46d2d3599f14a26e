"""How often a source may be called, whatever calls went before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import BadSetting
from dashapp.ingest.sources.limits import Limit, Limits, parse_limits

THREE_A_MINUTE = Limits((Limit(3, 60),))
DAILY = Limits((Limit(5, 60), Limit(25, 86_400)))
KNOWN = {"tiingo": Limits((Limit(50, 3_600),)), "finnhub": Limits((Limit(60, 60),))}


def test_calls_within_the_limit_do_not_wait() -> None:
    assert THREE_A_MINUTE.wait_s([100.0, 110.0], 111.0) == 0.0


def test_the_call_after_the_limit_waits_until_the_first_of_the_window_has_left_it() -> None:
    assert THREE_A_MINUTE.wait_s([100.0, 110.0, 120.0], 130.0) == 30.0
    assert THREE_A_MINUTE.wait_s([100.0, 110.0, 120.0], 160.0) == 0.0


def test_the_strictest_of_several_limits_counts() -> None:
    assert DAILY.wait_s([float(second) for second in range(0, 25 * 100, 100)], 2_500.0) == 86_400.0 - 2_500.0


def test_the_pause_that_never_reaches_a_limit() -> None:
    assert DAILY.spacing_s == 3_456.0
    assert THREE_A_MINUTE.spacing_s == 20.0


def test_calls_that_lie_in_the_future_since_the_clock_was_set_back_do_not_block() -> None:
    assert THREE_A_MINUTE.wait_s([9_000.0, 9_001.0, 9_002.0], 100.0) == 0.0
    assert THREE_A_MINUTE.kept([9_000.0, 99.0], 100.0) == [99.0]


@given(
    arrivals=st.lists(st.integers(0, 120).map(lambda quarters: quarters / 4), min_size=1, max_size=60),
    calls=st.integers(1, 5),
    window_s=st.sampled_from([10, 60]),
)
def test_no_window_ever_holds_more_calls_than_allowed(arrivals: list[float], calls: int, window_s: int) -> None:
    limits = Limits((Limit(calls, window_s),))
    now_s, made = 0.0, []
    for pause_s in arrivals:
        now_s += pause_s
        now_s += limits.wait_s(made, now_s)
        assert limits.wait_s(made, now_s) == 0.0, "who waited as told need not wait again"
        made = [*limits.kept(made, now_s), now_s]
        assert len(made) <= calls, "what still counts is all that has to be kept"


def test_limits_of_the_settings_take_the_place_of_a_source_s_own() -> None:
    limits = parse_limits("tiingo=5000/hour, tiingo=50000/day", KNOWN)
    assert limits["tiingo"] == Limits((Limit(5_000, 3_600), Limit(50_000, 86_400)))
    assert limits["finnhub"] == KNOWN["finnhub"]
    assert parse_limits("", KNOWN) == KNOWN


@pytest.mark.parametrize(
    "text", ["tiingo", "tiingo=5", "tiingo=0/hour", "tiingo=5/week", "other=5/hour", "tiingo=-5/day"]
)
def test_what_is_not_a_limit_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match=r"setting feed_limits: .* is not a limit such as tiingo=5000/hour"):
        parse_limits(text, KNOWN)
