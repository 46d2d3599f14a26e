"""The disk: what is flushed beside the work is flushed before a commit names it, or there is no commit."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from dashapp.errors import StoreNotWritable
from dashapp.rollup.job import rollup
from dashapp.store.disk import Disk
from dashapp.store.storage import Unwritten
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    open_store,
    path_of,
    same_day_scores,
    shown_buckets,
    verification,
    without_tail,
)

FSYNC = os.fsync
ROWS = pa.table({"position": pa.array([1], pa.int64())})


def broken_flush(name: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), name)


@pytest.mark.parametrize("full", [False, True])
def test_all_files_of_a_rollup_are_flushed_before_its_commit_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    store = open_store(tmp_path)
    append(store, [*same_day_scores(40), *same_day_scores(40, start=100, day_us=16_400 * DAY_US)])
    flushed: set[Path] = set()
    named: list[set[Path]] = []
    log = tmp_path / "buckets" / "_delta_log"

    def slow(descriptor: int) -> None:
        path = path_of(descriptor)
        time.sleep(0.02)
        FSYNC(descriptor)
        flushed.add(path)

    commit = store.buckets.table.commit

    def watched(*args: object, **kwargs: object) -> int:
        flush_log = store.buckets.table._flush_log

        def looked(version: int) -> None:
            if (log / f"{version:020d}.json").exists() and version > before:
                named.append(set(flushed))
            flush_log(version)

        monkeypatch.setattr(store.buckets.table, "_flush_log", looked)
        return commit(*args, **kwargs)  # type: ignore[arg-type]

    before = store.buckets.table.version
    monkeypatch.setattr(os, "fsync", slow)
    monkeypatch.setattr(store.buckets.table, "commit", watched)

    rollup(store, full=full)

    files = {Path(file.path) for file in store.buckets.table.files()}
    assert len(files) > 8
    assert named[0] >= files
    assert named[0] >= {file.parent for file in files}


def test_a_flush_that_fails_ends_the_rollup_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    append(store, same_day_scores(40))
    rollup(store)
    before = store.buckets.table.version, store.buckets.seen
    append(store, same_day_scores(10, start=100))
    broken = [1]

    def fsync(descriptor: int) -> None:
        if "resolution=5m" in str(path_of(descriptor)) and broken.pop() if broken else False:
            broken_flush(str(path_of(descriptor)))
        FSYNC(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreNotWritable, match="Input/output error"):
        rollup(store)

    assert not broken
    assert (store.buckets.table.refresh(), store.buckets.seen) == before
    assert shown_buckets(store) == expected_buckets(store)
    rollup(store)
    assert without_tail(store) == expected_buckets(store)
    assert verification(store).differ == 0


def test_who_commits_other_files_hears_nothing_of_a_flush_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path)

    def fsync(descriptor: int) -> None:
        if path_of(descriptor).name == "bad":
            broken_flush("bad")
        FSYNC(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("bad", "good"):
        disk.write([Unwritten(name, ROWS)], compression="none", settled=False)
    disk.settle(["good", "never written"])
    disk.write([Unwritten("later", ROWS)], compression="none", settled=False)

    for names in (["later", "bad"], ["bad", "good"], ["bad"]):  # each time
        with pytest.raises(StoreNotWritable, match="bad"):
            disk.settle(names)
