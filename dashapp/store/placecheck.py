"""Checking the data folder: the disk, rights, and the small files beside the tables. Nothing is written, no lock taken.

What is derived may be set aside at any time; keys and users of the service may not.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dashapp.errors import StoreDamaged
from dashapp.model.time import US_PER_SECOND, to_iso
from dashapp.store.apikeys import FILE_NAME as API_KEYS
from dashapp.store.apikeys import ApiKeys
from dashapp.store.ended import FILE_NAME as ENDED_SESSIONS
from dashapp.store.findings import LEAST_FREE_BYTES, Finding, Mend, Severity
from dashapp.store.lease import EXPIRES_AFTER_S, read_record
from dashapp.store.secretfile import SESSION_SECRET
from dashapp.store.users import FILE_NAME as USERS
from dashapp.store.users import Users

# Where what a repair has moved out of the way lies, by the time of the repair.
SET_ASIDE = "set-aside"
# What belongs into a data folder; data/README.md says what each is.
_KNOWN = {
    "scores", "buckets", "rejected", "counts", "feed", "files", "keys", "jobs", "cache", "spill", "locks", "SIMULATED",
    API_KEYS, USERS, SESSION_SECRET, ENDED_SESSIONS, SET_ASIDE,
}  # fmt: skip
_SECRETS = (API_KEYS, USERS, SESSION_SECRET, ENDED_SESSIONS)
_LEAST_FREE_INODES = 1_000
# Nobody has written for so long to what bears this name: its writer was killed.
_ABANDONED_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder, looked at now."""

    data_dir: Path
    now_us: int

    def findings(self) -> Iterator[Finding]:
        """Everything that is found."""
        yield from self._disk()
        yield from self._rights()
        if not os.access(self.data_dir, os.R_OK | os.X_OK, effective_ids=True):
            return
        yield from self._secrets()
        yield from self._records()
        yield from self._positions()
        yield from self._cache()
        yield from self._rest()

    def _disk(self) -> Iterator[Finding]:
        status = os.statvfs(self.data_dir)
        if status.f_flag & os.ST_RDONLY:
            yield self._finding(
                "disk_read_only",
                Severity.DAMAGE,
                self.data_dir,
                "The disk of the data folder is mounted read-only.",
                "What is there can be shown. Nothing can be ingested, rolled up or kept in order.",
                "The kernel does that to a disk that fails: look into its log (dmesg), check the disk, and mount it "
                "writable again. Running servers go on by themselves.",
            )
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes < LEAST_FREE_BYTES:
            yield self._finding(
                "disk_nearly_full",
                Severity.WARNING,
                self.data_dir,
                f"The disk of the data folder has {free_bytes / 1e6:,.0f} MB left.",
                "A rollup or compaction may fail, and pushes be refused. What was acknowledged stays.",
                "Make room. `tickertone maintain` deletes what was replaced; the settings retention_scores_days and "
                "retention_buckets_days bound what is kept.",
            )
        if status.f_files and status.f_favail < _LEAST_FREE_INODES:
            yield self._finding(
                "disk_nearly_full",
                Severity.WARNING,
                self.data_dir,
                f"The disk of the data folder has room for {status.f_favail:,} more files.",
                "Each commit makes some; without room for them nothing can be stored.",
                "Delete files elsewhere on that disk, or move the data folder.",
            )

    def _rights(self) -> Iterator[Finding]:
        user = os.geteuid()
        owner = self.data_dir.stat().st_uid
        foreign: list[Path] = []
        for path in (self.data_dir, *self._all()):
            needed = os.R_OK | (os.W_OK | os.X_OK if path.is_dir() else 0)
            if path.is_symlink() or not path.exists():
                continue
            if not os.access(path, needed, effective_ids=True):
                yield self._finding(
                    "no_permission",
                    Severity.DAMAGE,
                    path,
                    f"This user ({user}) may not {'read and write' if path.is_dir() else 'read'} {path.name}.",
                    "Whatever needs it fails with an error that names it.",
                    f"Give it to the user of the service: chown -R USER {self.data_dir}",
                )
            elif path.lstat().st_uid != owner:
                foreign.append(path)
        if foreign:
            yield self._finding(
                "other_owner",
                Severity.WARNING,
                foreign[0],
                f"{len(foreign):,} files belong to another user than the data folder does (user {owner}), such as "
                f"{foreign[0].name} (user {foreign[0].lstat().st_uid}).",
                "A command was run as another user, such as root; the service may not be able to change them.",
                f"chown -R --reference={self.data_dir} {self.data_dir}",
            )

    def _secrets(self) -> Iterator[Finding]:
        for name in _SECRETS:
            path = self.data_dir / name
            if path.is_file() and path.stat().st_mode & 0o077:
                yield self._too_open(path, 0o600)
        cache = self.data_dir / "cache"
        if cache.is_dir() and cache.stat().st_mode & 0o077:
            yield self._too_open(cache, 0o700)
        for name, read in ((API_KEYS, ApiKeys(self.data_dir).all), (USERS, Users(self.data_dir).all)):
            try:
                if os.access(self.data_dir / name, os.R_OK):
                    read()
            except StoreDamaged as error:
                yield self._finding(
                    "secret_file_damaged",
                    Severity.DAMAGE,
                    self.data_dir / name,
                    f"The file cannot be read: {error}",
                    "Nobody it names is let in until it can be read.",
                    "Put it back from a backup (`tickertone doctor --repair --from BACKUP`), or remove it and make its "
                    "keys or users anew.",
                    Mend.BACKUP,
                )

    def _records(self) -> Iterator[Finding]:
        for path in sorted((self.data_dir / "jobs").glob("*.json")):
            if not _is_json_object(path):
                yield self._derived(path, "record_damaged", "the record of a job", "Nothing depends on it.")
                continue
            record = read_record(self.data_dir, path.stem)
            if record.expires_us is not None and record.expires_us > self.now_us + 2 * EXPIRES_AFTER_S * US_PER_SECOND:
                here = record.holder is not None and record.holder.partition(":")[0] == socket.gethostname()
                yield self._finding(
                    "lease_in_the_future",
                    Severity.WARNING,
                    path,
                    f"The record says that {record.holder} does the {path.stem} until {to_iso(record.expires_us)}, "
                    f"{(record.expires_us - self.now_us) / US_PER_SECOND / 60:,.0f} minutes from now. One is usual.",
                    "A clock was ahead when it was written. "
                    + ("On this machine the kernel knows better: no job waits for it." if here else "The job waits."),
                    "Set the clocks. `tickertone doctor --repair` sets the record aside; where another machine's job "
                    "changes tables it does not: make sure that the job is over, and delete the record.",
                    Mend.ASIDE,
                )

    def _positions(self) -> Iterator[Finding]:
        for path in sorted((self.data_dir / "feed").glob("*.json")):
            if not _is_json_object(path):
                what = "how live sources are" if path.name == "health.json" else "where a live source was read up to"
                yield self._derived(
                    path, "position_damaged", what, "The source is read from its beginning again; nothing counts twice."
                )

    def _cache(self) -> Iterator[Finding]:
        path = self.data_dir / "cache" / "cache.db"
        if not path.is_file() or not os.access(path, os.R_OK):
            return
        # Where nobody has it open, looking must not make files beside it.
        is_open = path.with_name("cache.db-shm").exists()
        try:
            with sqlite3.connect(f"file:{path}?{'mode=ro' if is_open else 'immutable=1'}", uri=True) as connection:
                (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.close()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return
            told = str(error)
        except sqlite3.Error as error:
            told = str(error)
        if told != "ok":
            yield self._finding(
                "cache_damaged",
                Severity.WARNING,
                path.parent,
                f"The server cache is damaged: {told}.",
                "It holds answers that can be made again; servers throw a damaged one away by themselves.",
                "`tickertone doctor --repair` sets it aside.",
                Mend.ASIDE,
            )

    def _rest(self) -> Iterator[Finding]:
        now_s = self.now_us / US_PER_SECOND
        left = [
            path
            for path in self._all()
            if path.name.endswith(".partial") and now_s - path.lstat().st_mtime > _ABANDONED_S
        ]
        left += [path for path in (self.data_dir / "spill").glob("*") if now_s - path.lstat().st_mtime > _ABANDONED_S]
        if left:
            yield self._finding(
                "leftovers",
                Severity.NOTE,
                left[0],
                f"{len(left):,} files were not finished by processes that were killed, such as {left[0].name}.",
                "Nobody reads them: they are harmless.",
                "They may be deleted.",
            )
        for path in sorted(self.data_dir.iterdir()):
            if path.name not in _KNOWN and not path.name.endswith(".partial"):
                yield self._finding(
                    "unknown_file",
                    Severity.NOTE,
                    path,
                    "Nothing of Tickertone has this name.",
                    "Nobody reads it: it is harmless.",
                    "Nothing has to be done.",
                )
        aside = self.data_dir / SET_ASIDE
        if aside.is_dir():
            size_bytes = sum(path.lstat().st_size for path in aside.rglob("*"))
            yield self._finding(
                "set_aside",
                Severity.NOTE,
                aside,
                f"{size_bytes / 1e6:,.1f} MB were set aside by repairs.",
                "Nobody reads them.",
                "They may be deleted once nobody wants to look into them.",
            )

    def _all(self) -> Iterator[Path]:
        """What is in the folder, but for what repairs have set aside."""
        for folder, folders, files in os.walk(self.data_dir):
            here = Path(folder)
            if here == self.data_dir and SET_ASIDE in folders:
                folders.remove(SET_ASIDE)
            yield from (here / name for name in (*folders, *files))

    def _derived(self, path: Path, kind: str, what: str, meaning: str) -> Finding:
        return self._finding(
            kind,
            Severity.WARNING,
            path,
            f"The file that tells {what} cannot be read.",
            meaning,
            "`tickertone doctor --repair` sets it aside.",
            Mend.ASIDE,
        )

    def _too_open(self, path: Path, mode: int) -> Finding:
        return self._finding(
            "too_open",
            Severity.WARNING,
            path,
            f"Others on this machine may look into {path.name} (mode {path.stat().st_mode & 0o777:04o}).",
            "It holds what only the service may know or write.",
            f"`tickertone doctor --repair` gives it the mode {mode:04o}.",
            Mend.RIGHTS,
        )

    def _finding(
        self,
        kind: str,
        severity: Severity,
        path: Path,
        what: str,
        meaning: str,
        remedy: str,
        mend: Mend = Mend.BY_HAND,
    ) -> Finding:
        name = "" if path == self.data_dir else str(path.relative_to(self.data_dir))
        return Finding(kind, severity, str(path), what, meaning, remedy, mend, name)


def _is_json_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except PermissionError:  # told as such
        return True
    except (OSError, ValueError):
        return False
