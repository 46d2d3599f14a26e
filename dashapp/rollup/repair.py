"""Repairing a store: what can be repaired without losing anything.

What is derived can be made anew: buckets from the scores, indexes from both. Scores cannot; a backup has them, or they
are given up by somebody who says so. What is damaged is moved out of the way, never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from dashapp.config import Settings
from dashapp.errors import StoreNotWritable
from dashapp.model.time import MIN_US, US_PER_SECOND, EpochUs, to_iso
from dashapp.rollup.doctor import examine
from dashapp.rollup.job import rollup
from dashapp.rollup.jobs import JOBS, run_job
from dashapp.store import durable
from dashapp.store.backup import put_back
from dashapp.store.duck import Duck
from dashapp.store.findings import Finding, Findings, Mend
from dashapp.store.lease import leased
from dashapp.store.logcheck import check_log
from dashapp.store.placecheck import SET_ASIDE
from dashapp.store.presence import alone
from dashapp.store.scores import ScoresTable
from dashapp.store.storage import LAST_CHECKPOINT
from dashapp.store.store import Store, storages

# The jobs that change tables besides the rollup.
_CHANGING = ("compaction", "retention", "vacuum", "logs")


def repair(
    settings: Settings,
    found: Findings,
    now_us: Callable[[], EpochUs],
    *,
    backup: Path | None = None,
    accept_loss: bool = False,
) -> list[str]:
    """Repair what was found, and say in a line each what was done.

    `backup` is where files that only a backup has are put back from; `accept_loss` gives up the scores of files that
    are damaged all the same. Raises JobRunning and StoreInUse where others are at work that this would disturb,
    UsageError for a backup of something else, StoreNotWritable.
    """
    return _Repair(settings, found, now_us, backup, accept_loss).done()


class _Repair:
    """One repair of a store."""

    def __init__(
        self,
        settings: Settings,
        found: Findings,
        now_us: Callable[[], EpochUs],
        backup: Path | None,
        accept_loss: bool,
    ) -> None:
        self._settings = settings
        self._found = found
        self._now_us = now_us
        self._backup = backup
        self._accept_loss = accept_loss
        self._data_dir = settings.data_dir.absolute()
        stamp = to_iso(now_us() // US_PER_SECOND * US_PER_SECOND).replace(":", "").replace("-", "")
        self._aside = self._data_dir / SET_ASIDE / stamp
        self._is_table_lost = bool(found.of(Mend.ASIDE_TABLE))
        self._put: set[str] = set()  # names of files that came back from the backup
        self._has_given_up = False
        self._done: list[str] = []

    def done(self) -> list[str]:
        """Do it."""
        if self._settings.store_url and self._lost("scores_damaged", "buckets_damaged"):
            with alone(self._data_dir):
                self._move(self._data_dir / "files", "the copies of objects")
            self._found = examine(self._settings, self._now_us())
        lost = self._lost("scores_damaged")
        moves_files = self._moves_files(lost)
        if not self._is_understood() or not (moves_files or self._found.of(Mend.REBUILD)):
            return []
        with ExitStack() as held:
            for name in _CHANGING:
                held.enter_context(leased(self._data_dir, name, self._now_us, wait_until=None))
            if moves_files:
                with alone(self._data_dir):
                    lost = self._move_files(lost)
            # Buckets may be all there is of what an entry brought that is empty now.
            emptied = [each for each in self._lost("log_entry_empty") if each.name not in self._put]
            if self._needs_rebuild(lost) and (self._accept_loss or not emptied):
                self._rebuild()
        return self._done

    def _lost(self, *kinds: str) -> list[Finding]:
        return [finding for finding in self._found.found if finding.kind in kinds]

    def _is_understood(self) -> bool:
        """Whether this version knows what it would change."""
        return not self._lost("store_too_new", "protocol_too_new", "cannot_look")

    def _moves_files(self, lost: Sequence[Finding]) -> bool:
        mends = [Mend.ASIDE, Mend.ASIDE_TABLE, Mend.RIGHTS]
        return bool(
            self._found.of(*mends)
            or (self._backup is not None and self._found.of(Mend.BACKUP))
            or (lost and self._accept_loss)
        )

    def _move_files(self, lost: Sequence[Finding]) -> list[Finding]:
        """What needs the store alone; returns the damaged files of scores that are left."""
        put = self._put = set(self._put_back())
        lost = [finding for finding in lost if finding.name not in put]
        tables = [finding for finding in self._found.of(Mend.ASIDE_TABLE) if finding.name not in put]
        self._is_table_lost = bool(tables)
        for finding in self._found.of(Mend.RIGHTS):
            self._take_rights(Path(finding.place))
        for finding in self._found.of(Mend.ASIDE):
            goes_whole = self._is_table_lost and finding.name.startswith("buckets/")
            if self._is_here(finding) and finding.name not in put and not goes_whole:
                self._set_aside_what(finding)
        if lost and self._accept_loss:
            self._give_up(lost)
            lost = []
        if tables and self._can_be_made_anew(lost):
            self._move(self._data_dir / "buckets", "the table of buckets, to make it anew")
        return list(lost)

    def _is_here(self, finding: Finding) -> bool:
        """Whether the file lies in the data folder."""
        is_of_table = finding.name.startswith(("scores/", "buckets/"))
        return bool(finding.name) and not (self._settings.store_url and is_of_table)

    def _put_back(self) -> list[str]:
        """Put back from the backup what only that has."""
        names = {finding.name for finding in self._found.of(Mend.BACKUP, Mend.ASIDE_TABLE) if self._is_here(finding)}
        names |= {finding.name for finding in self._found.of(Mend.ASIDE) if finding.kind == "log_entry_damaged"}
        if not names or self._backup is None:
            return []
        put = put_back(self._backup.absolute(), self._data_dir, names, aside=self._move_quietly)
        self._done += [f"put back from the backup: {name}" for name in put]
        return put

    def _set_aside_what(self, finding: Finding) -> None:
        if finding.kind == "log_entry_damaged":
            self._begin_log_later(finding.name)
        elif finding.kind == "cache_damaged":
            self._move(self._data_dir / finding.name, "the server cache")
        elif finding.kind == "keys_damaged":
            # Those of later versions are good for nothing without it.
            self._move((self._data_dir / finding.name).parent, "the index of keys")
        elif finding.kind.startswith("checkpoint_"):
            # What names the newest checkpoint may name this one, and the table not open by it.
            self._move_quietly((self._data_dir / finding.name).with_name(Path(LAST_CHECKPOINT).name))
            self._move(self._data_dir / finding.name, finding.name)
        else:
            self._move(self._data_dir / finding.name, finding.name)

    def _begin_log_later(self, name: str) -> None:
        """Set aside the entries that the newest checkpoint repeats: a log has no gap but at its beginning."""
        folder = (self._data_dir / name).parent
        newest = max(path.name for path in folder.glob("*.checkpoint.parquet") if durable.is_parquet(path))
        for path in sorted(folder.glob("*.json")):
            if path.name < newest.replace(".checkpoint.parquet", ".json"):
                self._move_quietly(path)
        self._say(f"set aside the entries of {folder.relative_to(self._data_dir)} before {newest}, which repeats them")

    def _give_up(self, lost: Sequence[Finding]) -> None:
        duck = Duck(threads=1, memory_bytes=self._settings.duckdb_memory_bytes, spill_dir=self._data_dir / "spill")
        storage = storages(self._settings, self._data_dir)("scores")
        scores = ScoresTable(storage, self._data_dir, duck, create=False)
        rows = scores.give_up({finding.name.removeprefix("scores/") for finding in lost})
        duck.close()
        self._has_given_up = True
        self._say(f"gave up {rows:,} scores in {len(lost):,} damaged files")
        for finding in lost:
            if self._is_here(finding):
                self._move(self._data_dir / finding.name, finding.name)
        # It knows the scores that were lost, so they could not come again.
        self._move(self._data_dir / "keys", "the index of keys")

    def _can_be_made_anew(self, lost: Sequence[Finding]) -> bool:
        """Whether all buckets can be made of the scores that are there."""
        log = check_log(storages(self._settings, self._data_dir)("scores"), "scores")
        return not lost and log.state is not None and log.state.sealed_us == MIN_US and not self._settings.store_url

    def _needs_rebuild(self, lost: Sequence[Finding]) -> bool:
        if lost or check_log(storages(self._settings, self._data_dir)("scores"), "scores").state is None:
            return False
        if check_log(storages(self._settings, self._data_dir)("buckets"), "buckets").state is None:
            return not (self._data_dir / "buckets").exists()
        return bool(self._has_given_up or self._is_table_lost or self._found.of(Mend.REBUILD))

    def _rebuild(self) -> None:
        """Make all buckets anew from the scores, as the job it is."""
        job = replace(JOBS["rollup"], work=lambda store, *_: asdict(rollup(store, full=True)))
        store = Store(self._settings, create=True)
        try:
            did = run_job(store, self._settings, job, self._now_us, wait_until=None)
        finally:
            store.close()
        self._say(f"made {did['buckets_changed']:,} buckets anew from the scores, in {did['seconds']:.1f} s")

    def _take_rights(self, path: Path) -> None:
        try:
            path.chmod(0o700 if path.is_dir() else 0o600)
        except OSError as error:
            raise StoreNotWritable(f"The mode of {path} cannot be changed: {error.strerror}.") from error
        self._say(f"nobody else may look into {path.name} any more")

    def _move(self, path: Path, what: str) -> None:
        if path.exists():
            self._move_quietly(path)
            self._say(f"set aside: {what}")

    def _move_quietly(self, path: Path) -> None:
        """Move a file or folder out of the way, durable on return."""
        if not path.exists():
            return
        target = self._aside / path.relative_to(self._data_dir)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            durable.sync_folder(path.parent)
            durable.sync_folder(target.parent)
        except OSError as error:
            raise StoreNotWritable(f"{path} cannot be moved to {target}: {error.strerror}.") from error

    def _say(self, what: str) -> None:
        self._done.append(what)
