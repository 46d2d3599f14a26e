"""Pools: a bound on what waits, an end to waiting, and who goes first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dashapp.api.pool import BoundedPool, give_way
from dashapp.errors import Overloaded


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """What the work of a test waits for; it is let go in the end."""
    event = threading.Event()
    yield event
    event.set()


def wait_until(what: object, timeout_s: float = 10) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_so_many_wait_and_one_more_is_told_when_to_come_back(go: threading.Event) -> None:
    with BoundedPool(2, name="test", most_waiting=3) as pool:
        futures = [pool.submit(go.wait, 10) for _ in range(5)]
        with pytest.raises(Overloaded, match="5 requests are waiting") as refused:
            pool.submit(go.wait, 10)
        assert refused.value.retry_after_s > 0
        assert (pool.held, pool.refused) == (5, 1)
        go.set()
        assert [each.result(10) for each in futures] == [True] * 5
        wait_until(lambda: pool.held == 0)
        assert pool.submit(int, "7").result(10) == 7


def test_what_nobody_waits_for_any_more_makes_room(go: threading.Event) -> None:
    with BoundedPool(1, name="test", most_waiting=1) as pool:
        pool.submit(go.wait, 10)
        assert pool.submit(go.wait, 10).cancel()
        pool.submit(go.wait, 10)
        assert pool.held == 2
        go.set()


def test_what_has_waited_too_long_is_not_done(go: threading.Event) -> None:
    done: list[int] = []
    with BoundedPool(1, name="test", most_waiting=5, longest_wait_s=0.05) as pool:
        pool.submit(go.wait, 10)
        late = pool.submit(done.append, 1)
        time.sleep(0.1)
        go.set()
        with pytest.raises(Overloaded, match=r"waited for 0\.05 s"):
            late.result(10)
    assert done == []


def test_errors_of_the_work_are_its_own() -> None:
    with BoundedPool(1, name="test", most_waiting=1) as pool:
        with pytest.raises(ValueError, match="invalid literal"):
            pool.submit(int, "x").result(10)
        assert pool.submit(int, "1").result(10) == 1


def test_while_something_is_urgent_one_thing_is_done_at_a_time(go: threading.Event) -> None:
    urgent = threading.Event()
    urgent.set()
    running: set[int] = set()

    def work(number: int) -> None:
        running.add(number)
        go.wait(10)

    with BoundedPool(3, name="test", most_waiting=5, is_urgent=urgent.is_set) as pool:
        for number in range(3):
            pool.submit(work, number)
        wait_until(lambda: running)
        time.sleep(0.1)
        assert len(running) == 1
        urgent.clear()
        wait_until(lambda: len(running) == 3)
        go.set()


def test_what_gives_way_does_not_for_ever() -> None:
    began_s = time.monotonic()
    give_way(lambda: True, 0.1)
    assert 0.1 <= time.monotonic() - began_s < 5
    began_s = time.monotonic()
    give_way(lambda: False, 60)
    assert time.monotonic() - began_s < 5
