"""Backup: one moment of a store that is in use, whole or not at all, and back again."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashapp.clock import now_us
from dashapp.errors import BackupDamaged, StoreNotWritable, StoreTooNew, UsageError
from dashapp.model.time import EpochUs
from dashapp.rollup.job import rollup
from dashapp.rollup.retention import Rules, retain
from dashapp.store import backup as backup_module
from dashapp.store import migrations
from dashapp.store.backup import MANIFEST, UNFINISHED, back_up, restore
from dashapp.store.compact import compact
from dashapp.store.store import Store
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    open_store,
    same_day_scores,
    shown_buckets,
    stored_scores,
    verification,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone

HERE = Path(__file__).parent


def filled(folder: Path) -> Store:
    store = open_store(folder)
    for number in range(12):
        append(store, same_day_scores(6, start=number * 6, day_us=number % 3 * DAY_US))
        if number == 8:
            rollup(store)
    return store


def test_what_is_restored_is_the_store_as_it_was(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    (tmp_path / "store" / "feed").mkdir()
    (tmp_path / "store" / "feed" / "rss.position.json").write_text("{}")
    (tmp_path / "store" / "api_keys.json").write_text("[]")
    (tmp_path / "store" / "api_keys.json").chmod(0o600)
    before = shown_buckets(store)

    done = back_up(store, tmp_path / "backup", now_us)

    assert (done.revision, done.rolled_up_to, done.copied_files) == (12, 9, done.files)
    append(store, same_day_scores(5, start=500))
    rollup(store)
    back = restore(tmp_path / "backup", tmp_path / "other")
    assert (back.revision, back.files, back.bytes) == (12, done.files, done.bytes)
    other = open_store(tmp_path / "other")
    assert shown_buckets(other) == before == expected_buckets(other)
    assert (tmp_path / "other" / "api_keys.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "other" / "feed" / "rss.position.json").read_text() == "{}"
    assert all(append(other, same_day_scores(72)))
    append(other, same_day_scores(5, start=500))
    rollup(other)
    assert shown_buckets(other) == shown_buckets(store)
    assert verification(other).differ == 0


def test_a_second_backup_copies_what_is_new_and_forgets_what_was_replaced(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    first = back_up(store, tmp_path / "backup", now_us)
    assert back_up(store, tmp_path / "backup", now_us).copied_files == 0
    compact(store)
    rollup(store)
    second = back_up(store, tmp_path / "backup", now_us)
    assert second.copied_files < second.files
    assert second.files != first.files
    kept = {str(path.relative_to(tmp_path / "backup")) for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    assert kept == {*json.loads((tmp_path / "backup" / MANIFEST).read_bytes())["files"], MANIFEST}
    restore(tmp_path / "backup", tmp_path / "other")
    assert shown_buckets(open_store(tmp_path / "other")) == shown_buckets(store)


def test_sealed_buckets_and_what_is_known_of_their_scores_go_along(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    retain(store, Rules(1, {}), EpochUs(3 * DAY_US))
    before = shown_buckets(store)
    back_up(store, tmp_path / "backup", now_us)
    restore(tmp_path / "backup", tmp_path / "other")
    other = open_store(tmp_path / "other")
    assert shown_buckets(other) == before
    assert other.scores.sealed_us == 2 * DAY_US
    assert all(append(other, [dataclasses.replace(each, published_us=EpochUs(5 * DAY_US))
                              for each in same_day_scores(72)]))  # fmt: skip


def test_every_backup_taken_beside_ingest_rollup_and_upkeep_is_one_moment(tmp_path: Path) -> None:
    open_store(tmp_path / "store").close()
    over = threading.Event()

    def busy() -> None:
        store = open_store(tmp_path / "store")
        number = 0
        while not over.is_set():
            append(store, same_day_scores(3, start=number * 3))
            number += 1
            if number % 5 == 0:
                rollup(store)
            if number % 12 == 0:
                compact(store)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        store = open_store(tmp_path / "store")
        revisions = []
        for number in range(2):
            revisions.append(back_up(store, tmp_path / "backup", now_us).revision)
            restore(tmp_path / "backup", tmp_path / f"other{number}")
            other = open_store(tmp_path / f"other{number}")
            assert other.scores.version == revisions[-1]
            assert shown_buckets(other) == expected_buckets(other)
            other.close()
    finally:
        over.set()
        thread.join()
    assert revisions == sorted(revisions)
    assert revisions[-1] > revisions[0]


def test_a_backup_that_was_cut_short_leaves_the_one_before_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "store")
    real, calls = backup_module._copied, [0]

    def full(source: Path, target: Path) -> tuple[int, str]:
        calls[0] += 1
        if calls[0] == 5:
            raise OSError(28, "No space left on device", str(target))
        return real(source, target)

    monkeypatch.setattr(backup_module, "_copied", full)
    with pytest.raises(StoreNotWritable, match="No space left"):
        back_up(store, tmp_path / "backup", now_us)
    with pytest.raises(UsageError, match="no backup at"):
        restore(tmp_path / "backup", tmp_path / "other")
    assert (tmp_path / "backup" / UNFINISHED).exists()
    back_up(store, tmp_path / "backup", now_us)
    assert not (tmp_path / "backup" / UNFINISHED).exists()
    before = shown_buckets(store)
    append(store, same_day_scores(40, start=900))
    rollup(store)
    calls[0] = 0
    with pytest.raises(StoreNotWritable):
        back_up(store, tmp_path / "backup", now_us)
    restore(tmp_path / "backup", tmp_path / "other")
    assert shown_buckets(open_store(tmp_path / "other")) == before


def test_what_cannot_be_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty and holds no backup"):
        back_up(store, full, now_us)
    back_up(store, tmp_path / "backup", now_us)
    with pytest.raises(UsageError, match="not empty"):
        restore(tmp_path / "backup", full)
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="another store"):
        back_up(open_store(tmp_path / "another"), tmp_path / "backup", now_us)
    path = tmp_path / "backup" / MANIFEST
    manifest = json.loads(path.read_bytes())
    name = next(name for name in manifest["files"] if name.startswith("scores/date="))
    damaged = tmp_path / "backup" / name
    bits = bytearray(damaged.read_bytes())
    bits[40] ^= 1
    damaged.write_bytes(bits)
    with pytest.raises(BackupDamaged, match=damaged.name):
        restore(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".*"))
    path.write_text(json.dumps({**manifest, "format": migrations.FORMAT + 1}))
    with pytest.raises(StoreTooNew, match="Install that version"):
        restore(tmp_path / "backup", tmp_path / "other")


def test_the_commands_copy_and_bring_back(tickertone: Tickertone, tmp_path: Path) -> None:
    filled(tickertone.data_dir)
    assert tickertone.json("backup", tmp_path / "backup")["revision"] == 12
    assert "copied now" in tickertone("backup", tmp_path / "backup").stdout
    other = tmp_path / "other"
    assert tickertone.json("restore", tmp_path / "backup", data_dir=other)["revision"] == 12
    assert "not empty" in tickertone("restore", tmp_path / "backup", data_dir=other, code=2).stderr
    assert tickertone.json("verify", data_dir=other)["differ"] == 0


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """A store as the first format had it, made by the version of then."""
    with tarfile.open(HERE / "format-1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "store"


def test_a_store_of_the_first_format_is_read_and_written_by_this_version(old_store: Path) -> None:
    store = open_store(old_store)
    assert len(stored_scores(store)) == 20
    assert shown_buckets(store) == expected_buckets(store)
    assert verification(store).differ == 0
    assert all(append(store, same_day_scores(20)))
    append(store, same_day_scores(5, start=20))
    rollup(store)
    compact(store)
    assert shown_buckets(store) == expected_buckets(store)


def test_a_store_of_a_newer_format_is_refused(tmp_path: Path, tickertone: Tickertone) -> None:
    store = open_store(tickertone.data_dir)
    store.scores.table.commit([], transactions={"format": migrations.FORMAT + 1})
    with pytest.raises(StoreTooNew, match=f"is of format {migrations.FORMAT + 1}.*Install the version"):
        open_store(tickertone.data_dir)
    assert "is of format" in tickertone("status", code=1).stderr


def test_an_older_store_is_migrated_step_by_step_and_a_killed_migration_is_done_again(
    old_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def first(store: Store) -> None:
        done.append(1)

    def second(store: Store) -> None:
        done.append(2)
        if done.count(2) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "FORMAT", 3)
    monkeypatch.setattr(migrations, "MIGRATIONS", {1: first, 2: second})
    with pytest.raises(KeyboardInterrupt):
        open_store(old_store)
    store = open_store(old_store)
    assert done == [1, 2, 2]
    assert open_store(old_store).scores.table.transaction_version("format") == 3
    assert done == [1, 2, 2]
    assert shown_buckets(store) == expected_buckets(store)
    copy = old_store.with_name("copy")
    shutil.copytree(old_store, copy)
    monkeypatch.setattr(migrations, "FORMAT", 2)
    with pytest.raises(StoreTooNew):
        open_store(copy)
