"""Walking back from the newest row: nothing is left out, whatever arrives or breaks off in between."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.ingest.sources.walk import LONG_US, Walk

PAGE = 5


def page_of(stream: list[int], walk: Walk) -> list[int]:
    """The newest PAGE keys of a stream, or those up to the oldest one met (which comes again)."""
    older = [key for key in stream if walk.oldest is None or key <= walk.oldest]
    return sorted(older, reverse=True)[:PAGE]


def step(walk: Walk, keys: list[int], max_pages: int = 1_000, now_us: int = 0) -> Walk:
    stuck = walk.oldest is not None and bool(keys) and min(keys) >= walk.oldest
    return walk.step(
        keys,
        lowest=min(keys, default=None),
        rows=len(keys),
        known=walk.since,
        is_last=len(keys) < PAGE or stuck,
        max_pages=max_pages,
        name="test",
        now_us=now_us,
    )


def stored(walk: Walk) -> Walk:
    """The walk as a restart finds it."""
    return Walk.of(json.loads(json.dumps(walk.stored())), 0)


def test_a_page_that_reaches_what_is_known_ends_the_walk() -> None:
    walk = step(Walk(3, 3), [7, 6, 5, 4, 3])
    assert walk == Walk(7, 7)


def test_a_full_page_of_news_goes_on_to_older_ones_before_anything_counts_as_known() -> None:
    walk = step(Walk(3, 3), [19, 18, 17, 16, 15])
    assert (walk.since, walk.newest, walk.oldest, walk.pages) == (3, 19, 15, 1)


def test_a_page_out_of_order_is_read_like_any_other() -> None:
    assert step(Walk(3, 3), [15, 19, 16, 18, 17]) == step(Walk(3, 3), [19, 18, 17, 16, 15])


def test_an_empty_page_changes_nothing() -> None:
    assert step(Walk(3, 3), []) == Walk(3, 3)


def test_the_same_page_for_ever_ends_the_walk() -> None:
    walk, pages = Walk(3, 3), 0
    while (walk := step(walk, [19, 18, 17, 16, 15])).oldest is not None:
        pages += 1
        assert pages < 3
    assert walk == Walk(19, 19)


def test_a_source_without_end_is_left_after_so_many_pages_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    walk = Walk(0, 0)
    for page in range(4):
        walk = step(walk, [key - 5 * page for key in (1_000, 999, 998, 997, 996)], max_pages=4)
    assert walk == Walk(1_000, 1_000)
    assert "more than 4 pages are new; older rows are left out" in caplog.text


def test_a_walk_that_took_long_is_followed_by_the_next_at_once_another_is_not() -> None:
    first = step(Walk(3, 3), [19, 18, 17, 16, 15], now_us=1_000)
    assert first.next_poll_s(1_000) == 0
    for took_us, pause in ((LONG_US, None), (LONG_US + 1, 0)):
        last = step(stored(first), [7, 6, 5, 4, 3], now_us=1_000 + took_us)
        assert (last.since, last.next_poll_s(1_000 + took_us)) == (19, pause)
    assert step(last, [19], now_us=5_000 + LONG_US).next_poll_s(5_000 + LONG_US) is None, "a walk of one page is short"


def test_what_is_known_never_falls() -> None:
    assert step(Walk(50, 50), [9, 8, 7, 6, 5]) == Walk(50, 50)


@pytest.mark.parametrize("junk", [{}, {"since": "x"}, {"since": None, "oldest": []}, {"newest": -5, "pages": True}])
def test_a_stored_walk_that_makes_no_sense_begins_anew(junk: dict[str, object]) -> None:
    assert Walk.of(junk, 42) == Walk(42, 42)


@given(st.data())
def test_every_row_is_met_while_rows_arrive_and_calls_fail_and_the_process_is_killed(data: st.DataObject) -> None:
    stream: list[int] = []
    met: set[int] = set()
    walk = Walk(0, 0)
    key = 0
    for _ in range(data.draw(st.integers(1, 40))):
        for _ in range(data.draw(st.integers(0, 12))):
            key += data.draw(st.integers(1, 3))
            stream.append(key)
        keys = page_of(stream, walk)
        after = step(walk, data.draw(st.permutations(keys)))
        met.update(keys)  # the rows are durable before the walk is stored
        if data.draw(st.booleans()):  # else the process is killed in between
            walk = stored(after)
    for _ in range(len(stream) + 2):
        keys = page_of(stream, walk)
        met.update(keys)
        walk = stored(step(walk, keys))
    assert walk == Walk(key, key)
    assert met == set(stream)
