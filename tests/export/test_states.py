"""A store as it was at any of its revisions: the same rows and the same bytes, whatever has been done to it since."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from dashapp.errors import BadRange, RevisionGone
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.score import revision_of
from dashapp.model.time import from_datetime
from dashapp.query.export import Export, Question, export
from dashapp.query.series import SeriesReader
from dashapp.rollup.job import rollup
from dashapp.store import states
from dashapp.store.compact import compact
from dashapp.store.store import Store
from tests import oracle
from tests.stores import HOUR_US, MINUTE_US, append, open_store, same_day_scores, series_reader, stored_scores

DAY = 1_709_164_800_000_000  # 2024-02-29
SAME = ("high_e6", "low_e6", "sum_e6", "count", "positive", "neutral", "negative")
Life = tuple[Store, dict[int, dict[tuple[str | None, str], bytes]]]


def made(reader: SeriesReader, name: str | None, **asked: Any) -> Export:
    what = "buckets" if name else "scores"
    return export(reader, Question(what, None if name is None else parse_resolution(name), **asked))


def rows_of(each: Export) -> list[dict[str, Any]]:
    return [row for table in each.tables() for row in table.to_pylist()]


def bytes_of(each: Export, form: str) -> bytes:
    return b"".join(each.pieces(form))


def lived(folder: Path, seed: int) -> Life:
    """A store after appends, rollups and compactions in any order, and what it said at each of its revisions."""
    store = open_store(folder)
    randomly = random.Random(seed)
    scores = same_day_scores(400, day_us=DAY)
    randomly.shuffle(scores)
    said: dict[int, dict[tuple[str | None, str], bytes]] = {}
    done = 0
    while done < len(scores):
        more = randomly.choice((1, 3, 20, 60))
        append(store, scores[done : done + more], accepted_us=DAY + (done + more) * 3 * MINUTE_US)
        done += more
        if randomly.random() < 0.4:
            rollup(store)
        if randomly.random() < 0.3:
            compact(store)
        reader = series_reader(store)
        said[made(reader, "1m").revision] = {
            (name, form): bytes_of(made(reader, name), form)
            for name, form in ((None, "parquet"), ("1m", "parquet"), ("1h", "arrow"), ("24h", "csv"))
        }
    return store, said


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return lived(tmp_path_factory.mktemp("states") / "store", 1)


def check_that_it_says_the_same(store: Store, said: dict[int, dict[tuple[str | None, str], bytes]]) -> None:
    reader = series_reader(store)
    for revision, files in said.items():
        for (name, form), whole in files.items():
            again = made(reader, name, revision=revision)
            assert again.revision == revision
            assert bytes_of(again, form) == whole, (revision, name, form)


def test_a_revision_gives_the_same_bytes_for_ever(
    life: Life,
) -> None:
    store, said = life
    assert len(said) > 5
    check_that_it_says_the_same(store, said)
    rollup(store)
    compact(store)
    rollup(store, full=True)
    check_that_it_says_the_same(store, said)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_any_life_of_a_store_keeps_its_revisions(tmp_path: Path, seed: int) -> None:
    check_that_it_says_the_same(*lived(tmp_path / "store", seed))


def test_buckets_of_a_revision_are_those_of_the_scores_that_had_come(
    life: Life,
) -> None:
    store, said = life
    reader = series_reader(store)
    scores = stored_scores(store)
    for revision in [*said][::4]:
        come = [row for row in scores if revision_of(row["position"]) <= revision]
        expected = oracle.buckets(come, [each.name for each in RESOLUTIONS])
        for name in ("1m", "3h", "24h"):
            rows = rows_of(made(reader, name, revision=revision))
            found = {(row["ticker"], row["scorer"], name, from_datetime(row["timestamp"])): row for row in rows}
            mine = {key: value for key, value in expected.items() if key[1] == "test@1" and key[2] == name}
            assert found.keys() == mine.keys()
            for key, row in found.items():
                right = mine[key]
                assert (row["open_e6"], row["close_e6"]) == (right["open"][2], right["close"][2])
                assert (row["high_e6"], row["low_e6"], row["sum_e6"]) == tuple(
                    right[n] for n in ("high_e6", "low_e6", "sum_e6")
                )
                assert row["avg"] == right["sum_e6"] / (right["count"] * 1e6)
                assert [row[each] for each in SAME] == [right[each] for each in SAME]
                assert tuple(row["sources"]) == right["sources"]
                assert row["revision"] == revision_of(right["last_position"])


@pytest.mark.parametrize("name", ["1m", "1h", "24h"])
def test_a_revision_and_all_that_changed_since_make_the_newest(life: Life, name: str) -> None:
    store, said = life
    reader = series_reader(store)
    steps = [*said][::3]
    held: dict[tuple[str, Any], dict[str, Any]] = {}
    since = None
    for revision in [*steps, max(said)]:
        changed = rows_of(made(reader, name, since=since, revision=revision))
        for row in changed:
            key = (row["ticker"], row["timestamp"])
            assert held.get(key) != row, "what is the same is no news"
            held[key] = row
        since = revision
        now = rows_of(made(reader, name, revision=revision))
        assert sorted(held.values(), key=lambda row: (row["timestamp"], row["ticker"])) == now


def test_scores_since_a_revision_are_those_that_came_after_it(
    life: Life,
) -> None:
    reader = series_reader(life[0])
    middle = [*life[1]][len(life[1]) // 2]
    first, second = (rows_of(made(reader, None, **asked)) for asked in ({"revision": middle}, {"since": middle}))
    assert first
    assert second
    assert len(first) + len(second) == len(rows_of(made(reader, None)))
    assert max(row["position"] for row in first) < min(row["position"] for row in second)


def test_a_bucket_is_partial_until_a_revision_is_accepted_after_its_end(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    first, later = same_day_scores(2, day_us=DAY)
    first = type(first)(first.item_id, "AAPL", "test@1", DAY + HOUR_US, 1, "wire")
    append(store, [first], accepted_us=DAY + HOUR_US + 1)
    reader = series_reader(store)
    assert [row["is_partial"] for row in rows_of(made(reader, "1h"))] == [True]
    later = type(first)("later", "AAPL", "test@1", DAY + 3 * HOUR_US, 1, "wire")
    append(store, [later], accepted_us=DAY + 3 * HOUR_US)
    assert [row["is_partial"] for row in rows_of(made(reader, "1h"))] == [False, True]
    assert [row["is_partial"] for row in rows_of(made(reader, "1h", since=1))] == [False, True]
    assert [row["is_partial"] for row in rows_of(made(reader, "1h", revision=1))] == [True]


def test_a_revision_that_cannot_be_told_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "store")
    scores = same_day_scores(60, day_us=DAY)
    append(store, scores[:30])
    append(store, scores[30:])
    rollup(store)
    reader = series_reader(store)
    for revision in (-1, 3):
        with pytest.raises(BadRange):
            made(reader, "1h", revision=revision)
    assert rows_of(made(reader, "1h", revision=0)) == []
    # As where retention has dropped raw scores: the buckets still count them.
    monkeypatch.setattr(states, "_COUNT_SQL", states._COUNT_SQL.replace("count(*)", "count(*) - 1"))
    with pytest.raises(RevisionGone, match="raw scores"):
        rows_of(made(reader, "24h", revision=1))
