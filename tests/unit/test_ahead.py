"""Reading ahead: the same values, made by another thread while those before are used."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from dashapp.store.ahead import read_ahead


def test_the_values_come_in_order_from_another_thread_and_only_so_many_ahead() -> None:
    made: list[int] = []
    threads = set()

    def values() -> Generator[int, None, None]:
        for number in range(1, 20):
            threads.add(threading.current_thread())
            made.append(number)
            yield number

    taken = []
    for value in read_ahead(values(), 3):
        assert len(made) <= value + 3
        taken.append(value)
    assert taken == list(range(1, 20))
    assert threading.current_thread() not in threads


def test_the_next_value_is_made_while_one_is_used() -> None:
    is_made = threading.Event()

    def values() -> Generator[int, None, None]:
        yield 1
        is_made.set()
        yield 2

    for value in read_ahead(values(), 1):
        if value == 1:
            assert is_made.wait(10)


def test_an_error_is_raised_in_its_place_after_the_values_before_it() -> None:
    def values() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("damaged")

    reading = iter(read_ahead(values(), 5))
    assert [next(reading), next(reading)] == [1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(reading)


def test_who_stops_early_leaves_no_thread_and_nothing_open() -> None:
    closed = []

    def values() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    before = threading.active_count()
    with closing(read_ahead(values(), 2)) as reading:
        assert next(reading) == 1
    assert closed == [True]
    assert threading.active_count() == before
