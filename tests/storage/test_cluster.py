"""Rollups on a Dask cluster of processes: the buckets of the local rollup, on a disk and on an object store, whatever
happens to the workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.config import Settings
from dashapp.errors import ClusterFailed, CommitConflict, StoreDamaged, UsageError
from dashapp.model.time import EpochUs
from dashapp.rollup import cluster as cluster_module
from dashapp.rollup.cluster import Cluster
from dashapp.rollup.job import rollup
from dashapp.rollup.retention import Rules, retain
from dashapp.store.store import Store
from dashapp.store.tables import Table
from tests.storage.s3_server import CREDENTIALS
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    nothing_is_few,
    open_store,
    path_of,
    same_day_scores,
    shown_buckets,
    verification,
)

if TYPE_CHECKING:
    from distributed import LocalCluster

    from tests.conftest import Tickertone
    from tests.storage.conftest import Site

# Of two years and three months.
DATES = (16_070, 16_071, 16_110, 16_440)


@pytest.fixture(scope="module")
def dask() -> Iterator[LocalCluster]:
    """Two workers, each a process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        env=CREDENTIALS,
        silence_logs=50,
    ) as running:
        yield running


def test_what_a_worker_has_made_is_durable_when_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that commits cannot wait for it: it has not written it."""
    store = open_store(tmp_path)
    append(store, same_day_scores(40))
    flushed: set[Path] = set()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        path = path_of(descriptor)
        time.sleep(0.05)
        fsync(descriptor)
        flushed.add(path)

    monkeypatch.setattr(os, "fsync", slow)
    work = cluster_module._Work(Settings(data_dir=tmp_path), store.buckets.table.version, 0, False, -(2**62))
    files = [cluster_module._told(file) for file in store.scores.files_after(0)]

    part = cluster_module._fold(work, "1970-01", files)
    for period_kind in ("month", "year"):
        part = cluster_module._gather(work, period_kind, [part])
        made = {tmp_path / "buckets" / action.path for written in part.written for action in written.actions}
        assert flushed >= made | {path.parent for path in made}
    assert len(made) == 8


def fill(store: Store, start: int, dates: Sequence[int] = DATES) -> None:
    append(
        store,
        [each for date in dates for each in same_day_scores(20, start=start + date * 100, day_us=date * DAY_US)],
    )


def roll_up(store: Store, settings: Settings, dask: LocalCluster, *, full: bool = False) -> int:
    """A rollup on the cluster, of a fold for nearly each date."""
    with nothing_is_few(), Cluster(settings, dask.scheduler_address) as engine:
        return rollup(store, full=full, engine=engine).buckets_changed


def test_the_buckets_are_those_of_the_local_rollup_merged_and_built_anew(tmp_path: Path, dask: LocalCluster) -> None:
    settings = Settings(data_dir=tmp_path)
    store = open_store(tmp_path)
    for start in (0, 50):
        fill(store, start)
        version = store.buckets.table.refresh()
        assert roll_up(store, settings, dask) > 0
        assert store.buckets.table.refresh() == version + 1, "one commit"
        assert store.buckets.seen == store.scores.version
        assert shown_buckets(store) == expected_buckets(store)
    assert roll_up(store, settings, dask) == 0
    assert store.buckets.table.version == version + 1

    merged = shown_buckets(store)
    assert roll_up(store, settings, dask, full=True) == len(merged)
    assert shown_buckets(store) == merged

    # What has no scores any more is carried over, and a rollup of this process goes on from there.
    retain(store, Rules(1, {}), EpochUs((DATES[-2] + 1) * DAY_US))
    fill(store, 90)
    rollup(store)
    before = shown_buckets(store)
    roll_up(store, settings, dask, full=True)
    assert shown_buckets(store) == before
    assert verification(store).differ == 0


def test_a_worker_killed_in_the_middle_changes_nothing(tmp_path: Path, dask: LocalCluster) -> None:
    from distributed import Client

    store = open_store(tmp_path / "store")
    fill(store, 0)
    rollup(store)
    fill(store, 50)
    with Client(dask.scheduler_address, set_as_default=False) as client:
        workers = set(client.run(os.getpid).values())
        client.run(_die_of_the_third_write, str(tmp_path / "died"))
        roll_up(store, Settings(data_dir=tmp_path / "store"), dask)
        (died,) = (int(name.name) for name in (tmp_path / "died").iterdir())
        assert died in workers
        assert died not in client.run(os.getpid).values()
    named = {file.path for file in store.buckets.table.files()}
    written = {str(path) for path in (tmp_path / "store" / "buckets").rglob("resolution=*/*/*.parquet")}
    assert shown_buckets(store) == expected_buckets(store)
    assert verification(store).differ == 0
    assert named < written, "what the dead one wrote is there, and not part of the table"


def _die_of_the_third_write(died: str) -> None:
    """Let this worker kill itself once it has written some files, unless another did."""
    real = Table.write
    writes = []

    def write(self: Table, *arguments: Any, **options: Any) -> Any:
        written = real(self, *arguments, **options)
        writes.append(1)
        if len(writes) == 3:
            try:
                Path(died).mkdir()
            except FileExistsError:
                return written
            (Path(died) / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    Table.write = write  # type: ignore[method-assign]


def test_tables_on_an_object_store_are_rolled_up_by_workers_that_open_them_by_url(
    site: Site, dask: LocalCluster
) -> None:
    settings = site.settings("a", cache_url="redis://:secret@127.0.0.1:1/0")
    assert "secret" not in repr(cluster_module._for_workers(settings))
    store = site.open("a")
    for start in (0, 50):
        fill(store, start, DATES[-2:])
        roll_up(store, settings, dask)
        assert shown_buckets(store) == expected_buckets(store)
    other = site.open("b", create=False)
    assert other.buckets.seen == store.scores.version
    assert verification(other).differ == 0


def test_what_a_worker_cannot_read_fails_the_rollup_and_changes_nothing(tmp_path: Path, dask: LocalCluster) -> None:
    settings = Settings(data_dir=tmp_path)
    store = open_store(tmp_path)
    fill(store, 0)
    rollup(store)
    fill(store, 50)
    version = store.buckets.table.refresh()
    Path(max(store.scores.table.files(), key=lambda file: file.bounds["position"][0]).path).write_bytes(b"torn")
    with pytest.raises(StoreDamaged, match="cannot be read"):
        roll_up(store, settings, dask)
    assert store.buckets.table.refresh() == version


def test_a_worker_that_sees_other_buckets_folds_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 0)
    rollup(store)
    work = cluster_module._Work(
        Settings(data_dir=tmp_path), store.buckets.table.version - 1, 0, merge=True, sealed_us=0
    )
    with pytest.raises(CommitConflict, match="version 1 of the buckets, not 0"):
        work.job()


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:1", "nonsense://x", "tcp://127.0.0.1:99999"])
def test_a_scheduler_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT_S", 0.3)
    with pytest.raises(ClusterFailed, match=f"The Dask cluster at {scheduler} "), Cluster(Settings(), scheduler):
        pass


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(cluster_module, "_PATIENCE_S", 0.3)
    empty = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    with empty, pytest.raises(ClusterFailed, match="1 workers"), Cluster(Settings(), empty.scheduler_address):
        pass


def test_without_dask_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"tickertone\[dask\]"):
        Cluster(Settings())


def test_the_command_begins_a_cluster_of_this_machine(tickertone: Tickertone) -> None:
    store = open_store(tickertone.data_dir)
    fill(store, 0)
    done = tickertone.json("rollup", "--engine", "dask")
    assert done["revision"] == store.scores.table.refresh() == 1
    assert store.buckets.table.refresh() == 1
    assert done["buckets_changed"] == len(shown_buckets(store))
    assert shown_buckets(store) == expected_buckets(store)
    wrong = tickertone("rollup", "--scheduler", "tcp://127.0.0.1:1", code=2)
    assert "--engine dask" in wrong.stderr
