"""Checking a table's log: every entry and checkpoint read by plain means, beside the Delta library, and compared.

Nothing is opened, mended or written here. An entry cut at the end of a line, and a flipped digit, still read as
something; so what an entry says it brought is compared with what it names, and each checkpoint with the entries it
stands for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from dashapp.errors import StoreDamaged, StoreUnreachable
from dashapp.model.time import MIN_US
from dashapp.store.buckets import ROLLUP
from dashapp.store.durable import CHECKED
from dashapp.store.findings import Finding, Mend, Severity
from dashapp.store.scores import SEALED
from dashapp.store.storage import LAST_CHECKPOINT, LOG, Storage, cause, checkpoint_name, entry_name

_ENTRY = re.compile(rf"{LOG}/(\d{{20}})\.json")
_CHECKPOINT = re.compile(rf"{LOG}/(\d{{20}})\.checkpoint\.parquet")
# What the Delta library writes before it names it an entry, and what a killed process leaves of that.
_UNFINISHED = re.compile(rf"{LOG}/_commit_[0-9a-f-]+\.json\.tmp")
_CHECKPOINT_COLUMNS = [
    "add.path", "add.partitionValues", "add.size", "add.stats", "remove.path", "txn.appId", "txn.version",
    "metaData.id", "protocol.minReaderVersion", "protocol.minWriterVersion",
]  # fmt: skip
# The newest reader and writer that this product is.
PROTOCOL = (1, 2)


@dataclass(frozen=True, slots=True)
class Named:
    """A data file as the log has it; `bounds` are (lowest, highest) of the columns the table keeps them for."""

    partition: Mapping[str, str]
    rows: int
    size_bytes: int
    bounds: Mapping[str, tuple[int, int]]


@dataclass(slots=True)
class State:
    """A table as its log tells it at a version."""

    files: dict[str, Named] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    identity: str | None = None
    protocol: tuple[int, int] = PROTOCOL

    @property
    def seen(self) -> int:
        """Of buckets: the version of the scores table up to which they count."""
        return self.numbers.get(ROLLUP, 0)

    @property
    def sealed_us(self) -> int:
        """Of scores: before when theirs were dropped; MIN_US where none were."""
        return self.numbers.get(SEALED, MIN_US)

    def copy(self) -> State:
        """Another one that says the same."""
        return State(dict(self.files), dict(self.numbers), self.identity, self.protocol)


@dataclass(slots=True)
class Log:
    """What a log says: its newest version (-1: there is none), its state then, None where that cannot be told, and
    every data file it ever named."""

    version: int = -1
    state: State | None = None
    named: set[str] = field(default_factory=set)
    newest_ms: int = 0
    log_files: int = 0
    findings: list[Finding] = field(default_factory=list)


class _Unusable(Exception):
    """Why an entry or a checkpoint cannot be used, as the end of a sentence."""


_Action = dict[str, Any]


def check_log(storage: Storage, table: str) -> Log:
    """Read the whole log of a table, `scores` or `buckets`; raises StoreUnreachable."""
    while True:
        before = _present(storage)
        log = _check_once(storage, table, before)
        # Others may commit and clean up meanwhile: what they did must not look like damage.
        if not log.findings or _present(storage) == before:
            return log


def _present(storage: Storage) -> list[str]:
    try:
        return sorted(found.name for found in storage.log_files())
    except (OSError, StoreUnreachable):
        if storage.options is None and not storage.has(LOG):  # there is no such folder, so there is no table
            return []
        raise


def _check_once(storage: Storage, table: str, present: Collection[str]) -> Log:
    log = Log()
    entries = {int(match[1]) for name in present if (match := _ENTRY.fullmatch(name))}
    checkpoints = {int(match[1]) for name in present if (match := _CHECKPOINT.fullmatch(name))}
    if not entries and not checkpoints:
        return log
    log.version = max(entries | checkpoints)
    log.log_files = len(entries) + len(checkpoints)
    check = _Check(storage, table, log)
    check.read(entries, checkpoints)
    check.replay()
    check.tell()
    if LAST_CHECKPOINT in present and storage.options is None:  # on object stores it is left to the library
        check.hint(checkpoints)
    check.rest(present)
    return log


class _Check:
    """The check of one log."""

    def __init__(self, storage: Storage, table: str, log: Log) -> None:
        self._storage = storage
        self._table = table
        self._log = log
        self._entries: dict[int, list[_Action]] = {}
        self._states: dict[int, State] = {}  # those of checkpoints
        self._broken: dict[int, str] = {}  # entries, and why
        self._broken_checkpoints: dict[int, str] = {}

    def read(self, entries: Collection[int], checkpoints: Collection[int]) -> None:
        """Read everything, and take note of what cannot be used."""
        for version in sorted(entries):
            content = self._bytes(entry_name(version))
            try:
                self._entries[version] = _actions(content, self._table) if content else []
            except _Unusable as error:
                self._broken[version] = str(error)
            if content == b"":
                self._empty(version)
        for version in sorted(checkpoints):
            try:
                (path,) = self._storage.local([checkpoint_name(version)])
                self._states[version], removed = _checkpointed(path)
            except (_Unusable, StoreDamaged) as error:
                self._broken_checkpoints[version] = str(error)
                continue
            self._log.named |= removed | self._states[version].files.keys()
        for action in (action for actions in self._entries.values() for action in actions):
            self._log.named |= {action[each]["path"] for each in ("add", "remove") if each in action}
            if "commitInfo" in action:
                self._log.newest_ms = max(self._log.newest_ms, int(action["commitInfo"].get("timestamp", 0)))

    def replay(self) -> None:
        """Follow the log from its beginning, and compare the checkpoints with it."""
        first = -1 if 0 in self._entries or 0 in self._broken else min(self._states, default=self._log.version)
        state = State() if first < 0 else self._states.get(first)
        state = state and state.copy()
        for version in range(first + 1, self._log.version + 1):
            if version in self._entries and state is not None:
                _apply(state, self._entries[version])
            else:
                state = None
                if version not in self._entries:
                    self._broken.setdefault(version, "it is not there")
            repeated = self._states.get(version)
            if repeated is None:
                continue
            if state is None:
                state = repeated.copy()
            elif (repeated.files, repeated.numbers) != (state.files, state.numbers):
                self._find(
                    "checkpoint_differs",
                    Severity.DAMAGE,
                    checkpoint_name(version),
                    f"The checkpoint of version {version} does not say what the entries of the log up to there say.",
                    "Whoever opens the table believes the checkpoint, and may see other files than were committed.",
                    "`tickertone doctor --repair` sets it aside; the entries say it all.",
                    Mend.ASIDE,
                )
        self._log.state = state

    def tell(self) -> None:
        """Tell of entries and checkpoints that cannot be used, and what comes of it."""
        newest = max(self._states, default=-1)
        is_lost = self._log.state is None
        back = "Put it back from a backup: `tickertone doctor --repair --from BACKUP`."
        if self._table == "buckets":
            back = "`tickertone doctor --repair` sets the table aside and makes all buckets anew from the scores."
        last = Mend.ASIDE_TABLE if self._table == "buckets" else Mend.BACKUP
        for version, reason in sorted(self._broken.items()):
            if version < newest:
                meaning = "A later checkpoint repeats it: the table can be opened, and nothing is lost."
                remedy = "`tickertone doctor --repair` sets aside what that checkpoint repeats."
            elif is_lost:
                meaning = "Which files belong to the table from this version on is not known, so it cannot be opened."
                remedy = back
            else:
                meaning = "The checkpoint of this version repeats it: the table can be opened, and nothing is lost."
                remedy = "Nothing has to be done; a backup may have it: `tickertone doctor --repair --from BACKUP`."
            self._find(
                "log_entry_damaged",
                Severity.DAMAGE,
                entry_name(version),
                f"The entry of version {version} in the log of the {self._table} cannot be used: {reason}.",
                meaning,
                remedy,
                Mend.ASIDE if version < newest else last if is_lost else Mend.BACKUP,
            )
        for version, reason in sorted(self._broken_checkpoints.items()):
            self._find(
                "checkpoint_damaged",
                Severity.DAMAGE,
                checkpoint_name(version),
                f"The checkpoint of version {version} of the {self._table} cannot be used: {reason}.",
                "The log does not say without it which files belong to the table, so it cannot be opened."
                if is_lost
                else "A checkpoint repeats entries of the log, which are whole: nothing is lost.",
                back if is_lost else "`tickertone doctor --repair` sets it aside.",
                last if is_lost else Mend.ASIDE,
            )
        if not is_lost and not self._log.findings:
            self._compare_with_library()

    def hint(self, checkpoints: Collection[int]) -> None:
        """Look whether the file that says which checkpoint is the newest names one."""
        try:
            version = json.loads(self._bytes(LAST_CHECKPOINT))["version"]
            problem = "" if version in checkpoints else f"that of version {version} is not there"
        except (ValueError, KeyError, TypeError):
            problem = "it is no JSON object with a version"
        if problem:
            self._find(
                "checkpoint_hint_damaged",
                Severity.DAMAGE,
                LAST_CHECKPOINT,
                f"The file that says which checkpoint is the newest is damaged: {problem}.",
                "It saves looking for it, no more, but the table may not open by it.",
                "`tickertone doctor --repair` sets it aside.",
                Mend.ASIDE,
            )

    def rest(self, present: Collection[str]) -> None:
        """Tell of what else lies there."""
        for name in sorted(present):
            if not (_ENTRY.fullmatch(name) or _CHECKPOINT.fullmatch(name) or name == LAST_CHECKPOINT):
                self._find(
                    "log_leftover",
                    Severity.NOTE,
                    name,
                    "A process that was killed left an entry that it had not finished."
                    if _UNFINISHED.fullmatch(name)
                    else "No log has a file of this name.",
                    "Nobody reads it: it is harmless.",
                    "Nothing has to be done.",
                )

    def _empty(self, version: int) -> None:
        self._find(
            "log_entry_empty",
            Severity.WARNING,
            entry_name(version),
            f"The entry of version {version} in the log of the {self._table} is empty.",
            "A power cut does that to an entry that was not acknowledged yet, and then nothing is lost: its senders "
            "send again. If there was no power cut, what the entry brought is missing.",
            "After a power cut nothing; it goes when the log is cleaned. Else put it back: "
            "`tickertone doctor --repair --from BACKUP`.",
            Mend.BACKUP,
        )

    def _compare_with_library(self) -> None:
        """What the Delta library makes of the log has to be the same."""
        options = self._storage.options
        try:
            table = DeltaTable(self._storage.url, storage_options=None if options is None else dict(options))
            listed = set(pa.table(table.get_add_actions()).column("path").to_pylist())
            moved = table.version() != self._log.version  # somebody has committed since
            problem = "" if moved or listed == self.state_files() else "it names other files"
        except (DeltaError, OSError) as error:
            problem = cause(error)
        if problem:
            self._find(
                "table_cannot_be_opened",
                Severity.DAMAGE,
                LOG,
                f"Every entry of the log of the {self._table} can be read, but not the table: {problem}.",
                "Nothing can be read from it.",
                "`tickertone doctor --repair` makes buckets anew; scores only come back from a backup: "
                "`tickertone restore`.",
                Mend.ASIDE_TABLE if self._table == "buckets" else Mend.BY_HAND,
            )

    def state_files(self) -> set[str]:
        """The files of the newest version."""
        return set(self._log.state.files) if self._log.state else set()

    def _bytes(self, name: str) -> bytes:
        """What a file of the log holds; something that is no entry where it cannot be read."""
        try:
            (path,) = self._storage.local([name])
            return Path(path).read_bytes()
        except (OSError, StoreDamaged) as error:
            return f"{error}".encode()

    def _find(
        self, kind: str, severity: Severity, name: str, what: str, meaning: str, remedy: str, mend: Mend = Mend.BY_HAND
    ) -> None:
        place = f"{self._storage.name}/{name}"
        self._log.findings.append(Finding(kind, severity, place, what, meaning, remedy, mend, f"{self._table}/{name}"))


def _actions(content: bytes, table: str) -> list[_Action]:
    """The actions of an entry; raises _Unusable where it is not whole."""
    try:
        actions: list[_Action] = [json.loads(line) for line in content.splitlines()]
        brought = State()
        _apply(brought, actions)  # whatever reads them later finds all that it needs
        told: dict[str, Any] = next(action["commitInfo"] for action in actions if "commitInfo" in action)
        int(told.get("timestamp", 0))
        removed = [action["remove"]["path"] for action in actions if "remove" in action]
    except StopIteration:
        raise _Unusable("it was cut short") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Unusable(f"it is damaged ({error})") from error
    # What a commit told that it brings is in the entry, or the entry was cut at the end of a line.
    rows = sum(file.rows for file in brought.files.values())
    if table == "scores" and "accepted" in told and told["accepted"] != str(rows):
        raise _Unusable(f"it was to bring {told['accepted']} scores and names files of {rows}")
    if "compacted" in told and (told["compacted"] != str(len(removed)) or len(brought.files) != 1):
        raise _Unusable(
            f"it was to make one file of {told['compacted']}, and makes {len(brought.files)} of {len(removed)}"
        )
    if "scores_version" in told and told["scores_version"] != str(brought.numbers.get(ROLLUP)):
        raise _Unusable("it was cut short, or what it counts up to is damaged")
    return actions


def _checkpointed(path: str) -> tuple[State, set[str]]:
    """What a checkpoint says, and the names of files that were removed before; raises _Unusable."""
    state, removed = State(), set[str]()
    try:
        rows = pq.ParquetFile(path, **CHECKED).read(columns=_CHECKPOINT_COLUMNS).to_pylist()
        for row in rows:
            if (add := row["add"]) and add["path"]:
                state.files[add["path"]] = _named({**add, "partitionValues": dict(add["partitionValues"])})
            if (gone := row["remove"]) and gone["path"]:
                removed.add(gone["path"])
            if (number := row["txn"]) and number["appId"]:
                state.numbers[number["appId"]] = int(number["version"])
            if (about := row["metaData"]) and about["id"]:
                state.identity = str(about["id"])
            if (needs := row["protocol"]) and needs["minReaderVersion"]:
                state.protocol = (int(needs["minReaderVersion"]), int(needs["minWriterVersion"]))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise _Unusable(cause(error)) from error
    if state.identity is None:
        raise _Unusable("it does not say whose it is")
    return state, removed


def _named(add: Mapping[str, Any]) -> Named:
    stats = json.loads(add["stats"])
    low, high = stats["minValues"], stats["maxValues"]
    bounds = {name: (int(low[name]), int(high[name])) for name in low}
    return Named(dict(add["partitionValues"]), int(stats["numRecords"]), int(add["size"]), bounds)


def _apply(state: State, actions: list[_Action]) -> None:
    for action in actions:
        if "add" in action:
            state.files[action["add"]["path"]] = _named(action["add"])
        elif "remove" in action:
            state.files.pop(action["remove"]["path"], None)
        elif "txn" in action:
            state.numbers[action["txn"]["appId"]] = int(action["txn"]["version"])
        elif "metaData" in action:
            state.identity = str(action["metaData"]["id"])
        elif "protocol" in action:
            needs = action["protocol"]
            state.protocol = (int(needs["minReaderVersion"]), int(needs["minWriterVersion"]))
