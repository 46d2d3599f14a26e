"""The keys the scores table has seen, so that one (item, ticker, scorer) counts once, ever, whatever date it comes
with.

A key is 64 bits of the MD5 of the three. Keys lie in sorted runs, each for a range of table versions: long ones in
files (mapped, not read), short ones in memory. A look-up is a binary search in each run, about 20 of them and one for
each 4 to 8 million keys; 1,000 keys among 100 million take about a millisecond. A hit is only a suspicion:
`ScoresTable` asks the table itself before it calls a row a duplicate.

All of it is derived from the table: what is missing is caught up from there, and the folder can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import StoreNotWritable
from dashapp.store import durable

Keys = NDArray[np.uint64]

# Below this a run lives in memory only and is read again from the table after a restart.
FILE_RUN_KEYS = 100_000
# Runs are not put together beyond this: merging all of 100 million would hold 1.6 GB for seconds, in the middle of a
# commit, to save a few binary searches.
MOST_RUN_KEYS = 8_000_000

# first version, last version, keys; and, while it is written, a name that nobody else gives
_NAME = re.compile(r"[0-9]+-[0-9]+-[0-9]+(\.u64|\.[0-9a-f-]+\.partial)")


@dataclass(frozen=True, slots=True)
class _Run:
    first_version: int
    last_version: int
    keys: Keys
    path: Path | None


def key_of(item_id: str, ticker: str, scorer: str) -> int:
    """The key of an identity: the second half of its MD5, as a little-endian number."""
    digest = hashlib.md5(f"{item_id}\x1f{ticker}\x1f{scorer}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file of keys of the versions `first` to `last`, as its name tells; for checking it."""

    path: Path
    first: int
    last: int
    count: int

    def holds(self, stored: Keys, dropped: Keys) -> bool:
        """Whether it has all keys of the scores that are stored, and none but those and those that were dropped."""
        keys = _mapped(self.path)
        if len(keys) != self.count or (keys[1:] < keys[:-1]).any():
            return False
        known = np.union1d(stored, dropped)
        return bool(np.isin(stored, keys).all() and np.isin(keys, known).all())


def run_files(folder: Path) -> list[RunFile]:
    """The files of keys in a folder, which is left as it is."""
    names = [path for path in folder.glob("*.u64") if _NAME.fullmatch(path.name)]
    return [RunFile(path, *(int(part) for part in path.stem.split("-"))) for path in sorted(names)]


class KeyIndex:
    """The keys of the scores table up to `version`; used under the lock of that table's writers."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreNotWritable when the folder cannot be made."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreNotWritable(f"{folder} cannot be created: {error.strerror}.") from error
        self._runs = self._load()

    @property
    def version(self) -> int:
        """The last version of the scores table whose keys are in; -1 when there are none."""
        return self._runs[-1].last_version if self._runs else -1

    def emptied(self) -> KeyIndex:
        """An index of nothing in the same folder, whose files are deleted."""
        for path in self._folder.glob("*.u64"):
            path.unlink(missing_ok=True)
        return KeyIndex(self._folder)

    def contains(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of the keys have been seen, probably: a hit can be a collision, a miss cannot be wrong."""
        order = np.argsort(keys)
        wanted = keys[order]  # in order, so that neighbours are looked for in the same pages of a run
        found = np.zeros(len(keys), dtype=np.bool_)
        for run in self._runs:
            if len(run.keys):
                places = np.searchsorted(run.keys, wanted)
                places[places == len(run.keys)] = 0
                found |= run.keys[places] == wanted
        seen = np.empty_like(found)
        seen[order] = found
        return seen

    def add(self, last_version: int, keys: Keys) -> None:
        """Take the keys of all versions after `version` up to and including `last_version`."""
        self._runs.append(_Run(self.version + 1, last_version, np.sort(keys), None))
        # Neighbours of like size become one, so a key is copied about log2(n) times in its life and runs stay few.
        while len(self._runs) > 1 and self._are_alike(self._runs[-2].keys, self._runs[-1].keys):
            newer, older = self._runs.pop(), self._runs.pop()
            keys_of_both = np.sort(np.concatenate([older.keys, newer.keys]), kind="stable")
            self._runs.append(_Run(older.first_version, newer.last_version, keys_of_both, None))
            self._persist_last()
            for run in (older, newer):
                if run.path is not None:
                    run.path.unlink(missing_ok=True)
        self._persist_last()

    @staticmethod
    def _are_alike(older: Keys, newer: Keys) -> bool:
        return len(newer) * 2 >= len(older) and len(older) + len(newer) <= MOST_RUN_KEYS

    def _persist_last(self) -> None:
        run = self._runs[-1]
        covered_by_files = len(self._runs) == 1 or self._runs[-2].path is not None
        if run.path is not None or len(run.keys) < FILE_RUN_KEYS or not covered_by_files:
            return
        path = self._folder / f"{run.first_version}-{run.last_version}-{len(run.keys)}.u64"
        partial = path.with_suffix(f".{uuid.uuid4()}.partial")
        try:
            with partial.open("wb") as file:
                run.keys.tofile(file)
                file.flush()
                os.fsync(file.fileno())
            # Before others see it: where no lock holds, they may merge it and delete it at once. What is mapped stays.
            keys = np.memmap(partial, dtype=np.uint64, mode="r")
            partial.replace(path)
            durable.sync_folder(self._folder)
        except OSError:  # a full disk: the keys' scores are stored, so the run may stay in memory
            partial.unlink(missing_ok=True)
            return
        self._runs[-1] = _Run(run.first_version, run.last_version, keys, path)

    def _load(self) -> list[_Run]:
        """The longest unbroken chain of files from version 0 on; what does not fit is left for the table to tell.

        Other files, which killed processes and those that merged runs side by side leave behind, are deleted.
        """
        found: dict[int, tuple[int, Keys, Path]] = {}
        present = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        for path in present:
            if path.suffix != ".u64":
                continue
            first, last, count = (int(part) for part in path.stem.split("-"))
            keys = _mapped(path)
            if len(keys) == count and last > found.get(first, (-1, keys, path))[0]:
                found[first] = (last, keys, path)
        runs: list[_Run] = []
        following = 0
        while following in found:
            last, keys, path = found[following]
            runs.append(_Run(following, last, keys, path))
            following = last + 1
        for path in {*present} - {run.path for run in runs}:
            path.unlink(missing_ok=True)
        return runs


def _mapped(path: Path) -> Keys:
    """The keys of a file; none when it is gone by now, or holds no whole number of them."""
    try:
        return np.memmap(path, dtype=np.uint64, mode="r")
    except (FileNotFoundError, ValueError):  # ValueError: empty, or broken off
        return np.zeros(0, dtype=np.uint64)
