"""The journal with a clock of the test's: what ends, what progresses, what is merged, and what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashapp.api import journal as journal_module
from dashapp.api.journal import Journal, Told
from dashapp.model.bucket import Bucket, fold
from dashapp.model.change import Change, Place, key_of
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.rollup.live import Step
from dashapp.store.follow import Watch
from tests.stores import DAY_US, MINUTE_US, score

START_US = 20_000 * DAY_US
ALL = Watch(frozenset(resolution.seconds for resolution in RESOLUTIONS), None, "test@1")
MINUTES = Watch(frozenset({60}), None, "test@1")


def bucket(
    minute: int, count: int = 1, *, resolution: str = "1m", ticker: str = "AAPL", scorer: str = "test@1"
) -> Bucket:
    """The bucket of so many scores in a minute after START_US."""
    scores = [
        (score(f"i{number}", START_US + minute * MINUTE_US + number, number, ticker=ticker, scorer=scorer), number)
        for number in range(count)
    ]
    (made,) = fold(scores, parse_resolution(resolution)).values()
    return made


def step(version: int, *buckets: Bucket, anew: bool = False) -> Step:
    changes = tuple(Change(Place(version, nth), each) for nth, each in enumerate(buckets, start=1))
    return Step(Place(version, len(buckets)), changes, (), frozenset(), anew)


def journal(version: int = 0, now_us: int = START_US) -> Journal:
    made = Journal()
    made.advance(now_us)
    made.learn(step(version, anew=True), now_us)
    return made


def events(payload: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """(id, name, data) of each event."""
    found = []
    for block in payload.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def shown(told: Told) -> list[tuple[str, str, int]]:
    """(event, timestamp as hh:mm, count) of each event."""
    return [(name, data["timestamp"][11:16], data["count"]) for _, name, data in events(told.payload)]


def test_several_changes_of_a_bucket_are_told_once_in_its_last_place() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(5)), START_US)
    made.learn(step(2, bucket(0, 2)), START_US)
    made.learn(step(3, bucket(0, 3), bucket(7)), START_US)
    told = made.tell(MINUTES, Place(0, 0), made.ms, made.second)
    ms = START_US // 1_000
    assert [(id_, data["count"]) for id_, _, data in events(told.payload)] == [
        (f"1-2-{ms}", 1), (f"3-1-{ms}", 3), (f"3-2-{ms}", 1),
    ]  # fmt: skip
    assert (told.place, told.ms, told.is_all) == (Place(3, 2), ms, True)


def test_each_place_is_told_what_comes_after_it() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(1), bucket(2)), START_US)
    assert shown(made.tell(MINUTES, Place(1, 2), made.ms, made.second)) == [("partial_bucket", "00:02", 1)]
    assert made.tell(MINUTES, Place(1, 3), made.ms, made.second) == Told(b"", Place(1, 3), made.ms, True)


def test_a_place_that_never_was_is_told_nothing_and_goes_on() -> None:
    made = journal()
    made.learn(step(1, bucket(0)), START_US)
    assert made.covers(Place(1, 99), made.ms)
    assert made.tell(MINUTES, Place(1, 99), made.ms, made.second).payload == b""
    made.learn(step(2, bucket(1)), START_US)
    assert shown(made.tell(MINUTES, Place(1, 99), made.ms, made.second)) == [("partial_bucket", "00:01", 1)]


def test_what_is_not_watched_is_not_told_but_its_place_is_passed() -> None:
    made = journal()
    made.learn(step(1, bucket(0, resolution="5m"), bucket(0, ticker="MSFT"), bucket(0, scorer="other@2")), START_US)
    told = made.tell(Watch(frozenset({60}), frozenset({"AAPL"}), "test@1"), Place(0, 0), made.ms, made.second)
    assert (told.payload, told.place) == (b"", Place(1, 3))


def test_a_bucket_is_told_over_once_its_interval_is() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(0, resolution="5m")), START_US)
    told = made.tell(ALL, Place(0, 0), made.ms, made.second)
    made.advance(START_US + MINUTE_US - 1)
    assert shown(made.tell(ALL, told.place, told.ms, made.second)) == []
    made.advance(START_US + MINUTE_US)
    told = made.tell(ALL, told.place, told.ms, made.second)
    ((id_, name, data),) = events(told.payload)
    assert (name, data["resolution"], data["is_partial"]) == ("bucket_update", "1m", False)
    assert id_ == f"1-2-{made.ms}"
    assert made.tell(ALL, told.place, told.ms, made.second).payload == b""
    made.advance(START_US + 5 * MINUTE_US)
    assert shown(made.tell(ALL, told.place, told.ms, made.second)) == [("bucket_update", "00:00", 1)]


def test_who_is_cut_off_between_two_endings_is_told_both_again() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(0, ticker="MSFT")), START_US)
    before_ms = made.ms
    made.advance(START_US + MINUTE_US)
    told = made.tell(MINUTES, Place(1, 2), before_ms, made.second)
    assert [id_ for id_, _, _ in events(told.payload)] == [f"1-2-{before_ms}", f"1-2-{made.ms}"]
    assert len(shown(made.tell(MINUTES, Place(1, 2), before_ms, made.second))) == 2
    assert len(shown(made.tell(MINUTES, Place(1, 2), made.ms, made.second))) == 0


def test_what_ends_and_changes_together_is_told_once_as_over() -> None:
    made = journal()
    made.learn(step(1, bucket(0)), START_US)
    told = made.tell(MINUTES, Place(0, 0), made.ms, made.second)
    made.learn(step(2, bucket(0, 2)), START_US + MINUTE_US - 1)
    made.advance(START_US + MINUTE_US)
    told = made.tell(MINUTES, told.place, told.ms, made.second)
    assert shown(told) == [("bucket_update", "00:00", 2)]
    assert events(told.payload)[0][0] == f"2-1-{made.ms}"


def test_what_ended_is_told_as_it_is_now_to_who_lags_behind_with_the_time_only() -> None:
    made = journal()
    made.learn(step(1, bucket(0)), START_US)
    made.advance(START_US + MINUTE_US)
    made.learn(step(2, bucket(0, 2)), START_US + MINUTE_US)
    told = made.tell(MINUTES, Place(2, 1), START_US // 1_000, made.second)
    assert shown(told) == [("bucket_update", "00:00", 2)]


def test_progress_is_told_once_a_second_and_only_where_it_moved() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(0, resolution="24h"), bucket(3)), START_US)
    place, second = Place(1, 3), made.second
    resolutions = []
    for tenth in range(1, 101):
        made.advance(START_US + tenth * 100_000)
        told = made.tell(ALL, place, made.ms, second)
        if told.payload:
            assert tenth % 10 == 0
            resolutions += [data["resolution"] for _, _, data in events(told.payload)]
            assert {id_ for id_, _, _ in events(told.payload)} == {f"1-3-{made.ms}"}
        second = made.second
    # A day moves by 0.01 % every 8.64 s; the minute that is yet to come does not move at all.
    assert resolutions.count("1m") == 10
    assert resolutions.count("24h") == 1


def test_progress_is_not_told_beside_a_change() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(0, ticker="MSFT")), START_US)
    made.learn(step(2, bucket(0, 2)), START_US)
    made.advance(START_US + 2_000_000)
    told = made.tell(MINUTES, Place(1, 2), made.ms, made.second - 1)
    assert [(data["ticker"], data["count"]) for _, _, data in events(told.payload)] == [("AAPL", 2), ("MSFT", 1)]


def test_a_bucket_of_the_future_is_present_from_its_start_on() -> None:
    made = journal()
    made.learn(step(1, bucket(2)), START_US)
    assert made.present(MINUTES, Place(1, 1)) == b""
    made.advance(START_US + 2 * MINUTE_US)
    assert [name for _, name, _ in events(made.present(MINUTES, Place(1, 1)))] == ["partial_bucket"]
    made.advance(START_US + 3 * MINUTE_US)
    assert made.present(MINUTES, Place(1, 1)) == b""


def test_a_long_way_is_told_in_pieces_that_go_on_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "EVENTS_AT_ONCE", 4)
    made = journal()
    made.learn(step(1, *(bucket(minute) for minute in range(10))), START_US)
    place, counted = Place(0, 0), []
    for expected_all in (False, False, True):
        told = made.tell(MINUTES, place, made.ms, made.second)
        counted.append(len(events(told.payload)))
        assert told.is_all == expected_all
        place = told.place
    assert counted == [4, 4, 2]
    assert place == Place(1, 10)


def test_beyond_what_is_kept_it_says_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "RECENT_CHANGES", 3)
    made = journal(version=7)
    assert not made.covers(Place(6, 99), made.ms)
    assert made.covers(Place(7, 0), made.ms)
    for version in range(8, 14):
        made.learn(step(version, bucket(version)), START_US)
    assert not made.covers(Place(9, 1), made.ms)
    assert made.covers(Place(10, 1), made.ms)
    assert len(shown(made.tell(MINUTES, Place(10, 1), made.ms, made.second))) == 3
    assert not made.covers(Place(14, 0), made.ms), "another worker may know of a version already"


def test_what_ended_long_ago_is_no_longer_kept() -> None:
    made = journal()
    made.learn(step(1, bucket(0)), START_US)
    for minute in range(1, 13):
        made.advance(START_US + minute * MINUTE_US)
    assert not made.covers(Place(1, 1), START_US // 1_000)
    assert made.covers(Place(1, 1), (START_US + MINUTE_US) // 1_000)
    assert made.tell(MINUTES, Place(1, 1), (START_US + MINUTE_US) // 1_000, made.second).payload == b""


def test_beginning_anew_forgets_and_asks_the_store_for_what_ended_meanwhile() -> None:
    made = journal()
    made.learn(step(1, bucket(0), bucket(1)), START_US)
    before_ms = made.ms
    made.learn(step(5, bucket(1, 4), anew=True), START_US + MINUTE_US + 1)
    assert not made.covers(Place(1, 2), made.ms)
    assert not made.covers(Place(5, 1), before_ms)
    assert made.covers(Place(5, 1), made.ms)
    assert [data["count"] for _, _, data in events(made.present(MINUTES, made.head))] == [4]


def test_a_clock_that_is_set_back_does_not_take_time_back() -> None:
    made = journal()
    made.learn(step(1, bucket(0)), START_US)
    made.advance(START_US + MINUTE_US)
    made.advance(START_US)
    assert made.moment_us == START_US + MINUTE_US
    assert key_of(bucket(0)) == (60, "AAPL", "test@1", START_US)
