"""Token buckets: what a sender may send at once, and in the long run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.api.rates import Rates
from dashapp.errors import RateLimited


def test_a_full_bucket_is_emptied_refused_and_refilled() -> None:
    rates = Rates(per_s=10, burst=50)
    rates.take("a", 30, 0.0)
    rates.take("a", 20, 0.0)
    with pytest.raises(RateLimited, match=r"10 items a second, 50 at once.*Send these again in 1 s") as refused:
        rates.take("a", 1, 0.0)
    assert (refused.value.http_status, refused.value.retry_after_s) == (429, 1)
    with pytest.raises(RateLimited) as refused:
        rates.take("a", 25, 0.5)
    assert refused.value.retry_after_s == 2
    rates.take("a", 25, 2.5)  # what was refused took nothing


def test_an_empty_bucket_is_told_before_the_amount_is_known_and_when_as_much_as_last_time_will_be_there() -> None:
    rates = Rates(per_s=10, burst=50)
    rates.check("a", 0.0)
    rates.take("a", 50, 0.0)
    with pytest.raises(RateLimited) as refused:
        rates.check("a", 0.05)
    assert refused.value.retry_after_s == 5
    rates.check("a", 0.15)


def test_each_sender_has_its_own() -> None:
    rates = Rates(per_s=1, burst=1)
    rates.take("a", 1, 0.0)
    rates.take("b", 1, 0.0)
    with pytest.raises(RateLimited):
        rates.take("a", 1, 0.0)


def test_more_than_a_bucket_holds_goes_through_when_it_is_full_and_is_paid_for_afterwards() -> None:
    rates = Rates(per_s=10, burst=50)
    rates.take("a", 200, 0.0)
    for now_s in (0.0, 14.9):
        with pytest.raises(RateLimited):
            rates.check("a", now_s)
    rates.check("a", 15.2)
    rates.take("a", 1, 15.2)


@given(
    per_s=st.floats(0.1, 1_000),
    burst=st.integers(1, 500),
    asked=st.lists(st.tuples(st.integers(1, 700), st.floats(0, 10)), max_size=60),
)
def test_no_order_of_requests_beats_the_rate_by_more_than_two_bursts(
    per_s: float, burst: int, asked: list[tuple[int, float]]
) -> None:
    rates = Rates(per_s=per_s, burst=burst)
    now_s, taken, largest = 0.0, 0, 0
    for amount, pause_s in asked:
        now_s += pause_s
        try:
            rates.take("a", amount, now_s)
        except RateLimited as refused:
            # It may be tried again after the time it was told, not sooner.
            rates.take("a", amount, now_s + refused.retry_after_s + 1e-6)
            now_s += refused.retry_after_s + 1e-6
        taken, largest = taken + amount, max(largest, amount)
        assert taken <= burst + per_s * now_s + max(largest - burst, 0) + 1e-3
