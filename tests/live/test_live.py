"""What the follower of the scores table tells, against the oracle: states, places, replays and endings, whatever
commits, rollups and late scores come in between."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.model.change import Change, Key, Place, key_of
from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.score import POSITION_BITS, Score, position_of
from dashapp.model.time import EpochUs
from dashapp.rollup import live as live_module
from dashapp.rollup.job import rollup
from dashapp.rollup.live import Live, Step
from dashapp.store import reader as reader_module
from dashapp.store.follow import Follower, Watch
from dashapp.store.reader import Reader
from dashapp.store.store import Store
from dashapp.store.tables import NewFile
from tests import oracle
from tests.stores import DAY_US, HOUR_US, append, open_store, score, stored_scores

NOW_US = EpochUs(20_000 * DAY_US + 10 * HOUR_US + 17_500_000)
SECONDS = {resolution.name: resolution.seconds for resolution in RESOLUTIONS}
ALL = frozenset(SECONDS.values())
TICKERS = ("AAPL", "BRK-A", "MSFT", "ZM")
# Now, a second late, an hour, ten days, a year, before 1970, and too early.
LATENESS_US = (0, 0, 0, 1_000_000, 1_000_000, HOUR_US, 10 * DAY_US, 365 * DAY_US, 20_100 * DAY_US, -3 * HOUR_US)


class Follow:
    """A follower of a store with a store of its own, as a server has it, and all it has told."""

    def __init__(self, folder: Path, *, replay_max_rows: int = 100_000) -> None:
        self.store = open_store(folder)
        reader = Reader(self.store, timeout_ms=60_000)
        follower = Follower(self.store, reader, timeout_ms=60_000)
        self.live = Live(follower, lambda: NOW_US, poll_ms=5, replay_max_rows=replay_max_rows)
        self.steps: list[Step] = []
        self._told = threading.Condition()
        self.live.start(self._take)

    def _take(self, step: Step) -> None:
        with self._told:
            self.steps.append(step)
            self._told.notify_all()

    def wait_for(self, version: int, timeout_s: float = 20) -> None:
        """Until it has told of a version."""
        with self._told:
            assert self._told.wait_for(lambda: self.steps and self.steps[-1].head.version >= version, timeout_s)

    @property
    def changes(self) -> list[Change]:
        return [change for step in self.steps if not step.anew for change in step.changes]

    def close(self) -> None:
        self.live.stop()
        self.store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def follow(store: Store) -> Iterator[Follow]:
    following = Follow(store.data_dir)
    following.wait_for(0)
    yield following
    following.close()


def batch(draw: random.Random, name: str, most: int = 12) -> list[Score]:
    """Random scores, some of them with the same identity, time or source."""
    return [
        score(
            f"{name}-{draw.randrange(8)}",
            NOW_US - draw.choice(LATENESS_US) - draw.randrange(90_000_000),
            draw.randint(-1_000_000, 1_000_000),
            ticker=draw.choice(TICKERS),
            scorer=draw.choice(("test@1", "test@1", "other@2")),
            source=draw.choice(("wire", "posts")),
        )
        for _ in range(draw.randint(1, most))
    ]


class Judge:
    """What the table says, by the oracle."""

    def __init__(self, store: Store) -> None:
        self.rows = stored_scores(store)
        self.versions = sorted({row["position"] >> POSITION_BITS for row in self.rows})
        self._as_of: dict[int, dict[Key, dict[str, Any]]] = {}
        self._keys: dict[int, list[Key]] = {}

    def as_of(self, version: int) -> dict[Key, dict[str, Any]]:
        """The buckets after a version."""
        if version not in self._as_of:
            counted = [row for row in self.rows if row["position"] < position_of(version + 1, 0)]
            self._as_of[version] = {
                (SECONDS[resolution], ticker, scorer, start_us): bucket
                for (ticker, scorer, resolution, start_us), bucket in oracle.buckets(counted).items()
            }
        return self._as_of[version]

    def keys(self, version: int) -> list[Key]:
        """The buckets that a version changed, in the order of their numbers."""
        if version not in self._keys:
            found = oracle.buckets([row for row in self.rows if row["position"] >> POSITION_BITS == version])
            self._keys[version] = sorted((SECONDS[resolution], *key, start) for (*key, resolution, start) in found)
        return self._keys[version]

    def last_places(self) -> dict[Key, Place]:
        """Where each bucket changed last."""
        return {
            key: Place(version, nth) for version in self.versions for nth, key in enumerate(self.keys(version), start=1)
        }

    def check(self, changes: Iterable[Change]) -> None:
        """Each change has the state and the number that follow from the table."""
        for change in changes:
            version, nth = change.place
            key = key_of(change.bucket)
            assert self.keys(version)[nth - 1] == key
            assert oracle.plain(change.bucket) == self.as_of(version)[key]


def is_open(key: Key) -> bool:
    return key[3] + key[0] * 1_000_000 > NOW_US


@pytest.fixture(params=["tail in memory", "tail in files"])
def _tail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "tail in files":
        monkeypatch.setattr(reader_module, "TAIL_ROWS_IN_MEMORY", 10)


@pytest.mark.usefixtures("_tail")
@pytest.mark.parametrize("seed", range(2))
def test_every_change_told_has_the_state_and_the_place_that_follow_from_the_table(
    store: Store, follow: Follow, seed: int
) -> None:
    draw = random.Random(seed)
    for number in range(25):
        append(store, batch(draw, f"{seed}-{number // 3}"))
        if draw.random() < 0.15:
            rollup(store)
        if draw.random() < 0.5:
            follow.wait_for(store.scores.version)
    follow.wait_for(store.scores.version)
    judge = Judge(store)
    places = [change.place for change in follow.changes]
    assert places == sorted(set(places))
    judge.check(follow.changes)
    told = {key_of(change.bucket): change.place for change in follow.changes}
    assert told == judge.last_places()
    assert follow.steps[-1].head == max(told.values())


def test_what_was_there_before_it_began_is_merged_with_what_comes(store: Store) -> None:
    draw = random.Random(7)
    for number in range(10):
        append(store, batch(draw, f"before-{number}"))
    rollup(store)
    append(store, batch(draw, "tail"))
    following = Follow(store.data_dir)
    following.wait_for(store.scores.version)
    begun = following.steps[0]
    assert begun.anew
    for number in range(5):
        append(store, batch(draw, f"after-{number}"))
    following.wait_for(store.scores.version)
    judge = Judge(store)
    assert begun.head == Place(begun.head.version, len(judge.keys(begun.head.version)))
    open_then = {key: bucket for key, bucket in judge.as_of(begun.head.version).items() if is_open(key)}
    assert {key_of(change.bucket): oracle.plain(change.bucket) for change in begun.changes} == open_then
    assert following.changes
    judge.check(following.changes)
    following.close()


def test_what_is_no_longer_held_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_HELD_BUCKETS", 35)
    following = Follow(store.data_dir)
    draw = random.Random(3)
    for number in range(15):
        append(store, batch(draw, f"{number}", most=4))
        following.wait_for(store.scores.version)
        if number % 5 == 4:
            rollup(store)
    judge = Judge(store)
    assert {key_of(change.bucket): change.place for change in following.changes} == judge.last_places()
    judge.check(following.changes)
    following.close()


@pytest.mark.usefixtures("_tail")
@pytest.mark.parametrize("seed", range(2))
def test_a_replay_tells_the_last_change_of_each_bucket_and_what_ended(store: Store, follow: Follow, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(20):
        append(store, batch(draw, f"{seed}-{number}"))
        if draw.random() < 0.2:
            rollup(store)
    judge = Judge(store)
    places = judge.last_places()
    now = judge.as_of(store.scores.version)
    head = Place(store.scores.version, len(judge.keys(store.scores.version)))
    for _ in range(25):
        after = Place(draw.randint(0, store.scores.version), draw.randint(0, 40))
        watch = Watch(
            frozenset(draw.sample(sorted(ALL), draw.randint(1, 8))),
            None if draw.random() < 0.3 else frozenset(draw.sample(TICKERS, draw.randint(1, 3))),
            draw.choice(("test@1", "other@2")),
        )
        since_us = NOW_US - draw.choice((0, 1, 60_000_000, HOUR_US, 11 * DAY_US))
        replay = follow.live.replay(after, since_us, NOW_US, watch)
        assert replay is not None
        assert replay.head == max(after, head)
        expected = sorted((place, key) for key, place in places.items() if place > after and watch.wants(key))
        assert [(change.place, key_of(change.bucket)) for change in replay.changes] == expected
        assert all(oracle.plain(change.bucket) == now[key_of(change.bucket)] for change in replay.changes)
        ended = {
            key
            for key in now
            if watch.wants(key) and places[key] <= after and since_us < key[3] + key[0] * 1_000_000 <= NOW_US
        }
        assert {key_of(bucket) for bucket in replay.closed} == ended
        assert all(oracle.plain(bucket) == now[key_of(bucket)] for bucket in replay.closed)


def test_a_replay_refuses_what_is_too_far_back_or_ahead(store: Store) -> None:
    following = Follow(store.data_dir, replay_max_rows=10)
    watch = Watch(ALL, None, "test@1")
    for number in range(3):
        append(store, [score(f"{number}-{each}", NOW_US, 0) for each in range(5)])
    assert following.live.replay(Place(1, 0), NOW_US, NOW_US, watch) is None
    assert following.live.replay(Place(2, 0), NOW_US, NOW_US, watch) is not None
    rollup(store)
    assert following.live.replay(Place(1, 0), NOW_US, NOW_US, watch) is None
    assert following.live.replay(Place(2, 0), NOW_US, NOW_US, watch) is not None
    assert following.live.replay(Place(4, 0), NOW_US, NOW_US, watch) is None
    following.close()


def test_a_replay_of_an_empty_store_is_empty(follow: Follow) -> None:
    replay = follow.live.replay(Place(0, 0), 0, NOW_US, Watch(ALL, None, "test@1"))
    assert replay == live_module.Replay(Place(0, 0), (), ())


def test_a_rollup_changes_nothing_that_is_told(store: Store, follow: Follow) -> None:
    append(store, [score("a", NOW_US, 5)])
    follow.wait_for(1)
    rollup(store)
    append(store, [score("b", NOW_US + 1, 7), score("old", NOW_US - 10 * DAY_US, 1)])
    follow.wait_for(2)
    judge = Judge(store)
    judge.check(follow.steps[-1].changes)
    assert [key_of(change.bucket) for change in follow.steps[-1].changes] == judge.keys(2)


def test_files_that_are_put_together_change_nothing_that_is_told(store: Store, follow: Follow) -> None:
    for number in range(4):
        append(store, [score(f"{number}", NOW_US + number, number), score(f"old{number}", NOW_US - DAY_US, 1)])
    follow.wait_for(4)
    steps = len(follow.steps)
    table = store.scores.table
    today = [file for file in table.files() if file.rows and file.bounds["published_us"][1] >= NOW_US]
    rows = pa.concat_tables([pq.ParquetFile(file.path).read() for file in today])
    compacted = table.commit(table.write([NewFile(today[0].partition, rows)]), today)
    append(store, [score("late", NOW_US - 10 * DAY_US, 9), score("next", NOW_US + 5, 9)])
    follow.wait_for(compacted + 1)
    judge = Judge(store)
    told = [change for step in follow.steps[steps:] for change in step.changes]
    judge.check(told)
    assert [key_of(change.bucket) for change in told] == judge.keys(compacted + 1)
    replay = follow.live.replay(Place(2, 0), NOW_US, NOW_US, Watch(ALL, None, "test@1"))
    assert replay is not None
    judge.check(replay.changes)
    assert {key_of(change.bucket) for change in replay.changes} == {
        key for key, place in judge.last_places().items() if place > Place(2, 0)
    }


def test_more_than_can_be_followed_is_begun_anew(store: Store, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "MOST_FOLLOWED_ROWS", 50)
    append(store, [score(f"{each}", NOW_US - each * 1_000_000, 0) for each in range(51)])
    follow.wait_for(1)
    judge = Judge(store)
    step = follow.steps[-1]
    assert step.anew
    assert step.head == Place(1, len(judge.keys(1)))
    assert {key_of(change.bucket) for change in step.changes} == {key for key in judge.as_of(1) if is_open(key)}
    append(store, [score("next", NOW_US - 30_000_000, 9)])
    follow.wait_for(2)
    assert not follow.steps[-1].anew
    judge = Judge(store)
    judge.check(follow.steps[-1].changes)
    assert [key_of(change.bucket) for change in follow.steps[-1].changes] == judge.keys(2)


def test_more_buckets_than_are_held_are_begun_with_anew(
    store: Store, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "_HELD_BUCKETS", 40)
    append(store, [score(f"{each}", NOW_US - each * DAY_US, 0) for each in range(6)])
    follow.wait_for(1)
    assert follow.steps[-1].anew
    append(store, [score("few", NOW_US - 3 * DAY_US, 9)])
    follow.wait_for(2)
    assert not follow.steps[-1].anew
    Judge(store).check(follow.steps[-1].changes)


def test_a_file_that_cannot_be_read_is_logged_once_and_begun_behind(
    store: Store, follow: Follow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_module, "_PAUSE_S", 0.02)
    monkeypatch.setattr(follow.live, "_poll_s", 30)
    with follow.live._lock:  # a turn under way would read the file before it is torn
        append(store, [score("a", NOW_US, 5)])
        (file,) = store.scores.table.files()
        whole = Path(file.path).read_bytes()
        Path(file.path).write_bytes(b"torn")
    follow.live.wake()
    deadline = time.monotonic() + 10
    while "following the store failed" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert caplog.text.count("following the store failed") == 1
    Path(file.path).write_bytes(whole)
    follow.wait_for(1)
    assert follow.steps[-1].anew
    append(store, [score("b", NOW_US, 6)])
    follow.live.wake()
    follow.wait_for(2)
    assert {change.bucket.count for change in follow.steps[-1].changes} == {2}


def test_new_scorers_and_acceptance_times_are_told(store: Store, follow: Follow) -> None:
    append(store, [score("a", NOW_US, 5)], accepted_us=123)
    follow.wait_for(1)
    append(store, [score("a", NOW_US, 5, scorer="other@2"), score("b", NOW_US, 5)], accepted_us=456)
    follow.wait_for(2)
    told = [step for step in follow.steps if not step.anew]
    assert [step.scorers for step in told] == [{"test@1"}, {"other@2"}]
    assert [step.accepted_us for step in told] == [(123,), (456,)]
