"""The index of keys says what a plain set says, whatever became of its files; and a hit is only a suspicion."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.store import compact as compact_module
from dashapp.store import keys as keys_module
from dashapp.store import scores as scores_module
from dashapp.store.keys import KeyIndex, Keys
from tests.stores import (
    DAY_US,
    append,
    examples,
    expected_buckets,
    open_store,
    same_day_scores,
    score,
    shown_buckets,
    stored_scores,
)

UNIVERSE = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, *range(100, 140)], dtype=np.uint64)

batches = st.lists(st.sampled_from(range(len(UNIVERSE))), max_size=12)
steps = st.lists(
    st.one_of(
        batches,
        st.sampled_from(["catch up", "other process", "reopen", "delete a file", "cut a file", "killed while writing"]),
    ),
    max_size=25,
)


class History:
    """What the table is to the index: the keys of each version, from 0 on."""

    def __init__(self) -> None:
        self.versions: list[Keys] = []

    def caught_up(self, index: KeyIndex) -> KeyIndex:
        missed = self.versions[index.version + 1 :]
        if missed:
            index.add(len(self.versions) - 1, np.concatenate(missed))
        return index


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "FILE_RUN_KEYS", 4)


@examples(100)
@given(steps, st.integers(0, 1_000))
def test_the_index_equals_a_set_whatever_happens_to_its_files(taken: list[list[int] | str], choice: int) -> None:
    with tempfile.TemporaryDirectory() as name, mock.patch.object(keys_module, "MOST_RUN_KEYS", 20):
        folder = Path(name) / "keys"
        history = History()
        mine, other = KeyIndex(folder), KeyIndex(folder)
        for step in taken:
            files = sorted(folder.glob("*.u64"))
            match step:
                case list():
                    history.caught_up(mine)  # as a writer does before it commits
                    history.versions.append(UNIVERSE[np.array(step, dtype=np.int64)])
                    mine.add(len(history.versions) - 1, history.versions[-1])
                case "catch up":
                    history.caught_up(mine)
                case "other process":
                    mine, other = other, mine
                case "reopen":
                    mine = KeyIndex(folder)
                case "delete a file" if files:
                    files[choice % len(files)].unlink()
                case "cut a file" if files:
                    path = files[choice % len(files)]
                    path.unlink()  # a mapped file does not shrink: what is torn is what a power cut left
                    path.write_bytes(b"\1" * 7)
                case "killed while writing":
                    (folder / f"0-3-9.{choice}.partial").write_bytes(b"\1" * 7)
            history.caught_up(mine)
            assert mine.version == len(history.versions) - 1
            seen = np.unique(np.concatenate([np.zeros(0, dtype=np.uint64), *history.versions]))
            assert mine.contains(UNIVERSE).tolist() == np.isin(UNIVERSE, seen).tolist()


def test_files_stay_few_and_hold_everything_after_many_commits(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    history = History()
    index = KeyIndex(tmp_path)
    for version in range(300):
        history.versions.append(rng.integers(0, 2**64, size=int(rng.integers(0, 9)), dtype=np.uint64))
        index.add(version, history.versions[-1])
    everything = np.concatenate(history.versions)

    assert len(list(tmp_path.iterdir())) <= np.log2(len(everything)) + 1
    again = KeyIndex(tmp_path)
    assert again.version >= 250  # only the newest short runs are to be read from the table again
    assert history.caught_up(again).contains(everything).all()
    assert not again.contains(rng.integers(0, 2**64, size=1_000, dtype=np.uint64)).any()


def test_what_killed_processes_leave_behind_does_not_pile_up(tmp_path: Path) -> None:
    history = History()
    for version in range(60):
        index = history.caught_up(KeyIndex(tmp_path))
        history.versions.append(np.arange(version * 10, version * 10 + 6, dtype=np.uint64))
        index.add(version, history.versions[-1])
        (tmp_path / f"0-{version}-6.{version + 1}.partial").write_bytes(b"torn")
        # One that merged the same versions in other portions, beside the rest.
        np.arange(6, dtype=np.uint64).tofile(tmp_path / f"{version}-{version}-6.u64")
    KeyIndex(tmp_path)
    assert len(list(tmp_path.iterdir())) <= 10


def test_a_full_disk_costs_the_index_its_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(28, "No space left on device")

    index = KeyIndex(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(keys_module.os, "fsync", broken)
        index.add(0, np.arange(50, dtype=np.uint64))
    assert list(tmp_path.iterdir()) == []
    assert index.contains(np.arange(60, dtype=np.uint64)).tolist() == [True] * 50 + [False] * 10
    index.add(1, np.arange(50, 60, dtype=np.uint64))
    assert index.contains(np.arange(60, dtype=np.uint64)).all()
    assert KeyIndex(tmp_path).version in (-1, 1)


@pytest.mark.parametrize("sql", ["SELECT 7::UBIGINT AS key FROM ", "SELECT (ascii(item_id) % 3)::UBIGINT AS key FROM "])
def test_different_items_with_the_same_key_all_count_and_repeats_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(scores_module, "_KEYS_SQL", sql)
    monkeypatch.setattr(scores_module, "_FEW_ROWS", 0)
    store = open_store(tmp_path)
    scores = same_day_scores(12) + same_day_scores(12, start=100, day_us=40 * DAY_US)
    known: set[str] = set()
    order = [*scores, *scores[5:9], *reversed(scores), *scores[:3]]
    for number, batch in enumerate(order[start : start + 7] for start in range(0, len(order), 7)):
        expected = []
        for each in batch:
            expected.append(each.item_id in known)
            known.add(each.item_id)
        assert append(store, list(batch)) == expected
        if number == 3:
            store = open_store(tmp_path)
    assert sorted(row["item_id"] for row in stored_scores(store)) == sorted(each.item_id for each in scores)
    assert shown_buckets(store) == expected_buckets(store)


def test_the_same_id_with_another_date_score_or_source_is_a_duplicate_and_the_first_one_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 5 * DAY_US, 100, source="wire")])

    assert append(store, [score("a", 9 * DAY_US, -900, source="posts"), score("a", 5 * DAY_US, 7)]) == [True, True]
    again = open_store(tmp_path)
    assert append(again, [score("b", 0, 1), score("a", -700 * DAY_US, 1), score("b", 400 * DAY_US, 2)]) == [
        False,
        True,
        True,
    ]

    rows = {row["item_id"]: (row["published_us"], row["score_e6"], row["source"]) for row in stored_scores(again)}
    assert rows == {"a": (5 * DAY_US, 100, "wire"), "b": (0, 1, "wire")}


def test_ticker_and_scorer_are_part_of_the_identity(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    scores = [
        score("a", 0, 1),
        score("a", 0, 1, ticker="MSFT"),
        score("a", 0, 1, scorer="other@2"),
        score("aA", 0, 1, ticker="APL"),
        score("aAA", 0, 1, ticker="PL"),
    ]
    assert append(store, scores) == [False] * 5
    assert append(open_store(tmp_path), scores) == [True] * 5
    assert len(stored_scores(store)) == 5


def test_two_writers_that_take_turns_each_know_what_the_other_stored(tmp_path: Path) -> None:
    first, second = open_store(tmp_path), open_store(tmp_path)
    scores = same_day_scores(60)
    for number in range(0, 60, 5):
        writer, other = (first, second) if number % 10 else (second, first)
        assert append(writer, scores[number : number + 5]) == [False] * 5
        assert append(other, scores[: number + 5]) == [True] * (number + 5)
    assert len(stored_scores(first)) == 60


@pytest.mark.parametrize("rows", [3, 1_000, 1_001])
def test_few_rows_and_many_get_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    # Few are hashed in Python, many in DuckDB; what one stored the other must know.
    scores = [
        score(f"ü😀{number}", number, 0, ticker=f"T{number % 7}", scorer=f"s@{number % 3}") for number in range(rows)
    ]
    assert append(open_store(tmp_path), scores) == [False] * rows
    for few_rows in (0, 10_000):
        monkeypatch.setattr(scores_module, "_FEW_ROWS", few_rows)
        assert append(open_store(tmp_path), scores) == [True] * rows
    assert len(stored_scores(open_store(tmp_path))) == rows


def test_a_lost_index_is_caught_up_with_some_versions_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores_module, "_CATCH_UP_ROWS", 7)
    monkeypatch.setattr(compact_module, "FEWEST_FILES", 3)
    store = open_store(tmp_path)
    scores = same_day_scores(40)
    for number in range(0, 30, 3):
        append(store, scores[number : number + 3])
    compact_module.compact(store)  # the rows of ten versions in one file
    for number in range(30, 40, 5):
        append(store, scores[number : number + 5])
    shutil.rmtree(tmp_path / "keys")

    again = open_store(tmp_path)

    assert append(again, [*scores, score("new", 0, 1)]) == [True] * 40 + [False]
    assert len(stored_scores(again)) == 41


def test_long_runs_are_not_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MOST_RUN_KEYS", 20)
    index = KeyIndex(tmp_path)
    for version in range(20):
        index.add(version, np.arange(version * 10, version * 10 + 10, dtype=np.uint64))
    assert max(int(path.stem.split("-")[2]) for path in tmp_path.glob("*.u64")) <= 20
    assert KeyIndex(tmp_path).version == 19
    assert index.contains(np.arange(220, dtype=np.uint64)).tolist() == [True] * 200 + [False] * 20


def test_indexes_that_share_a_folder_without_a_lock_never_meet_a_vanished_file(tmp_path: Path) -> None:
    """As on a disk that several machines mount: each merges, deletes and tidies up beside the others."""
    versions = [UNIVERSE[version % 40 : version % 40 + 3] for version in range(60)]

    def work(_: int) -> None:
        for _ in range(8):
            index = KeyIndex(tmp_path)
            while index.version < 59:
                index.add(index.version + 1, versions[index.version + 1])
                told = np.concatenate(versions[: index.version + 1])
                assert index.contains(UNIVERSE).tolist() == np.isin(UNIVERSE, told).tolist()
            for path in tmp_path.glob("0-*.u64"):
                path.unlink(missing_ok=True)  # so that the next round starts from nothing, beside those still at it

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
