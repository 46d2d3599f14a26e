"""Tries: so many at once, then one at a time, and no memory that grows."""

from __future__ import annotations

import pytest

from dashapp.access.tries import MOST_KEPT, Tries
from dashapp.errors import RateLimited


def test_so_many_at_once_and_then_one_at_a_time() -> None:
    tries = Tries(at_once=3, every_s=10)
    for _ in range(3):
        tries.begin("ann", 100)
    with pytest.raises(RateLimited) as refused:
        tries.begin("ann", 101)
    assert refused.value.retry_after_s == 9
    tries.begin("bob", 101)
    with pytest.raises(RateLimited):  # a refused try counts for nothing, neither for longer
        tries.begin("ann", 109)
    tries.begin("ann", 110)
    with pytest.raises(RateLimited):
        tries.begin("ann", 111)


def test_a_good_try_makes_up_for_the_bad_ones() -> None:
    tries = Tries(at_once=1, every_s=10)
    tries.begin("ann", 0)
    tries.forgive("ann")
    tries.begin("ann", 0)


def test_all_tries_are_there_again_after_a_while() -> None:
    tries = Tries(at_once=2, every_s=10)
    for moment_s in (0, 0, 1_000, 1_000):
        tries.begin("ann", moment_s)
    with pytest.raises(RateLimited):
        tries.begin("ann", 1_000)


def test_a_million_names_do_not_fill_the_memory() -> None:
    tries = Tries(at_once=1, every_s=1e9)
    for number in range(MOST_KEPT + 10):
        tries.begin(str(number), 0)
    tries.begin("0", 0)  # forgotten
    with pytest.raises(RateLimited):
        tries.begin(str(MOST_KEPT), 0)
