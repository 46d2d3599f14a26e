"""The history of a table in its log: which files it gave up lately, and how much of the log is still needed.

A reader who opens the table begins at a checkpoint and reads the entries after it. So entries that a checkpoint repeats
are only for those who follow the table commit by commit, and they are kept for as long as such a reader may sleep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.errors import StoreDamaged
from dashapp.store.storage import LOG, Storage, checkpoint_name, entry_name

# Every so many versions a checkpoint is kept until the log is cleaned: cleaning never lays hands on the newest ones.
KEPT_CHECKPOINT_EVERY = 100

_ENTRY = re.compile(rf"{LOG}/(\d{{20}})\.json")
_CHECKPOINT = re.compile(rf"{LOG}/(\d{{20}})\.checkpoint\.parquet")


class Removals:
    """The files that the commits of a table took out of it lately; reads each entry of the log once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known_up_to = -1
        self._removed_s: dict[str, float] = {}

    def since(self, version: int, since_s: float) -> set[str]:
        """The names of the files taken out at this moment, in seconds since 1970, or later; `version` is the newest."""
        for number in range(version, self._known_up_to, -1):
            entry = self._storage.entry(number)
            if entry is None:  # cleaned away, which takes longer than any file is kept
                break
            committed_s = None
            for action in map(json.loads, entry.splitlines()):
                if "remove" in action:
                    self._removed_s[action["remove"]["path"]] = action["remove"]["deletionTimestamp"] / 1_000
                elif "commitInfo" in action:
                    committed_s = action["commitInfo"]["timestamp"] / 1_000
            if committed_s is not None and committed_s < since_s:
                break
        self._known_up_to = version
        self._removed_s = {name: moment_s for name, moment_s in self._removed_s.items() if moment_s >= since_s}
        return set(self._removed_s)


def names_up_to(storage: Storage, version: int) -> list[str]:
    """The files of the log that tell of the versions up to this one."""
    found = (
        (file.name, _ENTRY.fullmatch(file.name) or _CHECKPOINT.fullmatch(file.name)) for file in storage.log_files()
    )
    return [name for name, match in found if match and int(match[1]) <= version]


def clean(storage: Storage, *, before_s: float) -> int:
    """Delete what the newest of the kept checkpoints that were made before a moment has made needless; returns the
    number of entries.

    The checkpoint is compared with the entries it stands for first. The oldest go first, so a process that is killed
    leaves a log that begins later, without a gap. Raises StoreDamaged, StoreNotWritable.
    """
    written_s: dict[int, float] = {}
    checkpoints: list[int] = []
    for found in storage.log_files():
        if match := _ENTRY.fullmatch(found.name):
            written_s[int(match[1])] = found.modified_s
        elif match := _CHECKPOINT.fullmatch(found.name):
            checkpoints.append(int(match[1]))
    kept = sorted(version for version in checkpoints if (version + 1) % KEPT_CHECKPOINT_EVERY == 0)
    base = max((version for version in kept if written_s.get(version, before_s) < before_s), default=-1)
    entries = sorted(version for version in written_s if version < base)
    if not entries:
        return 0
    # The log begins with an entry only where it was never cleaned. Else it begins with the checkpoint that was compared
    # last time, also when that cleaning was killed: older checkpoints are the first to go.
    _compare(storage, None if entries[0] == 0 else kept[0], base)
    storage.delete([checkpoint_name(version) for version in checkpoints if version < base])
    storage.delete([entry_name(version) for version in entries])
    return len(entries)


def _compare(storage: Storage, proven: int | None, base: int) -> None:
    """Raise StoreDamaged unless the checkpoint at `base` says what the log says after the one at `proven`, or from its
    first entry on."""
    files, numbers = (set[str](), dict[str, int]()) if proven is None else _checkpointed(storage, proven)
    for version in range(0 if proven is None else proven + 1, base + 1):
        for action in _actions(storage, version):
            if "add" in action:
                files.add(action["add"]["path"])
            elif "remove" in action:
                files.discard(action["remove"]["path"])
            elif "txn" in action:
                numbers[action["txn"]["appId"]] = action["txn"]["version"]
    if (files, numbers) != _checkpointed(storage, base):
        raise StoreDamaged(
            f"The checkpoint {checkpoint_name(base)} of {storage.name} does not say what the log says up to there. The "
            "log was left as it is. Check the disk and the memory of this machine."
        )


def _checkpointed(storage: Storage, version: int) -> tuple[set[str], dict[str, int]]:
    """What a checkpoint says of a table: the names of its files, and the numbers recorded with its commits."""
    (path,) = storage.local([checkpoint_name(version)])
    try:
        rows = pq.ParquetFile(path).read(columns=["add.path", "txn.appId", "txn.version"]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise StoreDamaged(f"{path} cannot be read: {error}.") from error
    files = {row["add"]["path"] for row in rows if row["add"] and row["add"]["path"]}
    return files, {row["txn"]["appId"]: row["txn"]["version"] for row in rows if row["txn"] and row["txn"]["appId"]}


def _actions(storage: Storage, version: int) -> Iterator[dict[str, Any]]:
    entry = storage.entry(version)
    if entry is None:
        raise StoreDamaged(f"The log of {storage.name} has a gap: {entry_name(version)} is missing.")
    yield from map(json.loads, entry.splitlines())
