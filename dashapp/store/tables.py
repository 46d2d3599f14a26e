"""Delta Lake tables of partitioned Parquet: snapshots to read, commits that are atomic, durable and conditional.

A commit names the version it was computed from. Where another writer came first it fails and nothing is written, so
what was checked before a commit (nothing twice, nothing lost) holds when it lands. The order of a commit is: data
files, their folders, log entry, log folder; each durable before the next, so a log entry never names a file that a
power cut can take. Where the files lie, and what makes them durable there, is for the table's storage to know.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from dashapp.errors import CommitConflict, StoreDamaged, StoreMissing, StoreNotWritable, StoreUnreachable
from dashapp.store import history
from dashapp.store.history import KEPT_CHECKPOINT_EVERY
from dashapp.store.remedies import remedy
from dashapp.store.storage import Storage, Unwritten, cause, checkpoint_name

# Opening, refreshing and committing read every log entry since the last checkpoint, so this decides what a commit
# costs. Measured over 1,000 commits of one file each: 24 ms for commit and refresh with a checkpoint every 100, 12 ms
# with one every 10, the time of writing the checkpoints included.
CHECKPOINT_EVERY = 10
# A checkpoint names every file of the table, so keeping all of them would fill the disk. The newest are for those who
# are opening the table right now; every hundredth is for whoever reads an old version, and for cleaning the log.
KEPT_CHECKPOINTS = 3
# When the table has moved on further than this, asking the library anew what was recorded costs less.
_CARRIED_VERSIONS = 20


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a snapshot; `relative` is its name in the table's storage, `bounds` holds (lowest, highest) of
    the columns the table keeps them for."""

    storage: Storage = field(compare=False, repr=False)
    relative: str
    partition: Mapping[str, str]
    rows: int
    size_bytes: int
    bounds: Mapping[str, tuple[int, int]]

    @property
    def path(self) -> str:
        """Where to read it on this machine's disk."""
        return paths([self])[0]


@dataclass(frozen=True, slots=True)
class NewFile:
    """Rows to be written as one file of one partition; the partition columns are not among the rows' columns.

    `row_group_rows` where not the usual number will do, as `durable.encode` has it.
    """

    partition: Mapping[str, str]
    rows: pa.Table
    row_group_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """How many data files that no version names any more were deleted, and their size."""

    files: int
    freed_bytes: int


class Table:
    """One Delta table; not safe for use by several threads at once."""

    def __init__(
        self,
        storage: Storage,
        schema: pa.Schema,
        *,
        partition_by: Sequence[str],
        bounded: Sequence[str],
        compression: str,
        create: bool,
        transactions: Mapping[str, int] | None = None,
    ) -> None:
        """`transactions` are what a table that is made now records with its first version."""
        self.storage = storage
        self._partition_by = list(partition_by)
        self._bounded = tuple(bounded)
        self._compression = compression
        self._files: tuple[int, tuple[DataFile, ...]] | None = None
        self._flushed_version = -1  # up to which this process knows the log to be durable
        self._numbers: tuple[int, dict[str, int | None]] = (-1, {})
        self._removals = history.Removals(storage)
        try:
            self._delta = self._open()
        except TableNotFoundError:
            if not create:
                raise StoreMissing(storage.missing) from None
            self._delta = self._create(schema, transactions or {})
            self.flush()
        except DeltaError as error:
            raise StoreDamaged(f"The table at {self.storage.name} cannot be opened: {cause(error)}") from error
        except OSError as error:
            raise StoreUnreachable(f"{self.storage.name} cannot be read: {cause(error)}") from error

    @property
    def version(self) -> int:
        """The version of the snapshot held."""
        version: int = self._delta.version()
        return version

    @property
    def identity(self) -> str:
        """The table's own id, given when it was made."""
        return str(self._delta.metadata().id)

    def refresh(self, *, known: int = 0) -> int:
        """Move on to the newest version and return it; 20 µs when nothing is new, else 1 to 5 ms.

        On a store far away the newest may be learned of a moment late; `known` is a version that is there for certain.
        """
        if known > self.version:
            self.storage.learn(known)
        if self.storage.has_entry(self.version + 1):  # the next entry is the news
            try:
                self._delta.update_incremental()
                return self.version
            except (DeltaError, OSError):
                pass  # an entry on the way may have been cleaned away this moment
        elif not self.storage.is_gone(self.version):  # the newest entry is never cleaned away
            return self.version
        try:
            self._delta = self._delta_table()
        except DeltaError as error:
            raise StoreDamaged(f"The log of {self.storage.name} cannot be read: {cause(error)}") from error
        except OSError as error:
            raise StoreUnreachable(f"{self.storage.name} cannot be read: {cause(error)}") from error
        return self.version

    def transaction_version(self, application: str) -> int | None:
        """What an application last recorded with its commits, None before the first; 0.1 ms for each new version."""
        numbers = self._recorded()
        if application not in numbers:
            numbers[application] = self._delta.transaction_version(application)  # it reads the log: 0.7 ms
        return numbers[application]

    def _recorded(self) -> dict[str, int | None]:
        """What is known to have been recorded up to the snapshot held: as before, and what entries since then say."""
        version, (known, held) = self.version, self._numbers
        numbers = dict(held) if version - _CARRIED_VERSIONS <= known <= version else {}
        for number in range(known + 1, version + 1) if numbers else ():
            entry = self.storage.entry(number)
            if entry is None:
                numbers = {}
                break
            actions = map(json.loads, entry.splitlines()) if b'"txn"' in entry else ()
            numbers |= {each["txn"]["appId"]: each["txn"]["version"] for each in actions if "txn" in each}
        if known != version:
            self._numbers = (version, numbers)
        return self._numbers[1]

    def files(self) -> tuple[DataFile, ...]:
        """The data files of the snapshot held."""
        if self._files is None or self._files[0] != self.version:
            self._files = (self.version, self._list_files())
        return self._files[1]

    def added(self, version: int) -> list[DataFile] | None:
        """The data files that the commit of this version added, None where there is no such entry; 0.1 ms.

        It is read from the log alone, so it needs no refresh, and any thread may ask. An entry that is yet to come and
        one that was cleaned away look the same: `is_cleaned` tells them apart.
        """
        entry = self.storage.entry(version)
        if entry is None:
            return None
        return [self._file_of(action["add"]) for action in map(json.loads, entry.splitlines()) if "add" in action]

    def is_cleaned(self, version: int) -> bool:
        """Whether the entry after this version is missing since it was cleaned away, not since it is yet to come."""
        return self.storage.is_gone(version) and not self.storage.has_entry(version + 1)

    def write(self, new: Sequence[NewFile], *, is_news: bool = True, settled: bool = True) -> list[AddAction]:
        """Write data files, durable, or unless `settled` soon to be, but not yet part of the table; raises
        StoreNotWritable.

        `is_news` is False for rows that the table holds already, in other files. What is never committed stays behind
        as an orphan file, which readers do not see and upkeep removes.
        """
        names = [f"{self._folder(file.partition)}/{uuid.uuid4()}.parquet" for file in new]
        unwritten = [Unwritten(name, file.rows, file.row_group_rows) for name, file in zip(names, new, strict=True)]
        sizes = self.storage.write(unwritten, compression=self._compression, settled=settled)
        return [
            self._action(name, file, size_bytes, is_news=is_news)
            for name, file, size_bytes in zip(names, new, sizes, strict=True)
        ]

    def commit(
        self,
        adds: Sequence[AddAction],
        removes: Sequence[DataFile] = (),
        *,
        is_news: bool = True,
        metadata: Mapping[str, Any] | None = None,
        transactions: Mapping[str, int] | None = None,
    ) -> int:
        """Make written files part of the table in one step and return the new version, durable.

        `transactions` are numbers that belong to what the table holds from then on, by who records them.
        Raises CommitConflict when the table has moved on since `refresh`; nothing is changed then. Raises
        StoreNotWritable when a file cannot be made durable: of data, and nothing is changed; of the log, and the commit
        may have been made.
        """
        self.storage.settle(action.path for action in adds)
        self.flush()
        now_ms = time.time_ns() // 1_000_000
        removals = [
            RemoveAction(
                file.relative,
                data_change=is_news,
                deletion_timestamp=now_ms,
                size=file.size_bytes,
                partition_values=dict(file.partition),
            )
            for file in removes
        ]
        try:
            self._delta.create_write_transaction(
                [*adds, *removals],
                mode="append",
                schema=self._delta.schema(),
                partition_by=self._partition_by,
                commit_properties=CommitProperties(
                    max_commit_retries=0,
                    custom_metadata={key: str(value) for key, value in (metadata or {}).items()},
                    app_transactions=_transactions(transactions or {}),
                ),
                # The log is the history that replay reads; upkeep decides when to clean it, not a commit.
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
        except CommitFailedError as error:
            # Whoever was first, the next version is there. It may be this very commit, when an answer was lost on its
            # way from a store far away and the request was made again.
            self.storage.learn(self.version + 1)
            if adds and adds[0].path in {file.relative for file in self.added(self.version + 1) or ()}:
                return self._committed()
            raise CommitConflict(
                f"{self.storage.name} moved on from version {self.version} meanwhile: {cause(error)}"
            ) from error
        except (DeltaError, OSError) as error:
            raise StoreNotWritable(
                f"The log of {self.storage.name} cannot be written: {cause(error)}.{remedy(error)}"
            ) from error
        return self._committed()

    def _committed(self) -> int:
        committed = self.version + 1
        self._flush_log(committed)
        self.storage.learn(committed)
        self.refresh()
        return committed

    def vacuum(self, *, kept_s: float, now_s: float) -> Vacuumed:
        """Delete data files that no version of the last `kept_s` named and that were written before that.

        They are what compaction and rollups replaced, and what killed processes left. Readers of older snapshots, and
        writers who have yet to commit, must be done within that time. (The Delta library's own vacuum adds two
        versions to the table, and the version is the clock of the system.) Raises StoreNotWritable.
        """
        self.refresh()
        named = {file.relative for file in self.files()} | self._removals.since(self.version, now_s - kept_s)
        old = [
            found
            for found in self.storage.data_files()
            # What begins with a line is not of the table but of those who keep it, as Delta has it.
            if found.name not in named and now_s - found.modified_s > kept_s and not found.name.startswith("_")
        ]
        self.storage.delete([found.name for found in old])
        return Vacuumed(len(old), sum(found.size_bytes for found in old))

    def clean_log(self, *, kept_s: float, now_s: float) -> int:
        """Delete the log's entries that are older than `kept_s` and that a checkpoint repeats; returns how many.

        Who followed the table further back than that is told to begin anew. Raises StoreDamaged when the checkpoint
        does not say what the entries say, and StoreNotWritable.
        """
        self.refresh()
        self.flush()
        return history.clean(self.storage, before_s=now_s - kept_s)

    def flush(self) -> None:
        """Make the snapshot held durable, which it is unless its writer was killed before that; raises
        StoreNotWritable."""
        self._flush_log(self.version)

    def _flush_log(self, version: int) -> None:
        """Flush the entry of a version.

        Those before it are flushed already, since every commit begins with this. A power cut may leave an unflushed
        entry empty, and an empty entry is read as one that changed nothing.
        """
        if version <= self._flushed_version:
            return
        self.storage.flush(version)
        if (version + 1) % CHECKPOINT_EVERY == 0:  # the first one is made at version 9
            self._drop_old_checkpoint(version)
        self._flushed_version = version

    def _drop_old_checkpoint(self, version: int) -> None:
        """Remove the checkpoint that a newer one, at `version`, has made one too many: the log is cleaned up to those
        that are kept."""
        old = version - KEPT_CHECKPOINTS * CHECKPOINT_EVERY
        if (old + 1) % KEPT_CHECKPOINT_EVERY:
            self.storage.delete([checkpoint_name(old)])

    def _open(self) -> DeltaTable:
        try:
            return self._delta_table()
        except TableNotFoundError:
            raise
        except DeltaError:
            if not self.storage.mend():
                raise
        return self._delta_table()

    def _delta_table(self) -> DeltaTable:
        return DeltaTable(self.storage.url, storage_options=self._options())

    def _options(self) -> dict[str, str] | None:
        options = self.storage.options
        return None if options is None else dict(options)

    def _create(self, schema: pa.Schema, transactions: Mapping[str, int]) -> DeltaTable:
        self.storage.prepare()
        try:
            return DeltaTable.create(
                self.storage.url,
                schema=schema,
                mode="ignore",  # another process may be creating it at this moment
                partition_by=self._partition_by,
                storage_options=self._options(),
                commit_properties=CommitProperties(app_transactions=_transactions(transactions)),
                configuration={
                    "delta.checkpointInterval": str(CHECKPOINT_EVERY),
                    "delta.logRetentionDuration": "interval 36500 days",
                    # Each rollup replaces some files. Checkpoints name those that are gone for this long, and every
                    # commit reads the newest checkpoint.
                    "delta.deletedFileRetentionDuration": "interval 1 hours",
                },
            )
        except (DeltaError, OSError) as error:
            raise StoreNotWritable(f"{self.storage.name} cannot be created: {cause(error)}") from error

    def _folder(self, partition: Mapping[str, str]) -> str:
        return "/".join(f"{name}={partition[name]}" for name in self._partition_by)

    def _action(self, name: str, file: NewFile, size_bytes: int, *, is_news: bool) -> AddAction:
        """What makes a written file part of the table."""
        low: dict[str, int] = {}
        high: dict[str, int] = {}
        for column in self._bounded:
            bounds = pc.min_max(file.rows.column(column)).as_py()
            low[column], high[column] = bounds["min"], bounds["max"]
        stats = {"numRecords": file.rows.num_rows, "minValues": low, "maxValues": high, "nullCount": {}}
        return AddAction(
            path=name,
            size=size_bytes,
            partition_values=dict(file.partition),
            modification_time=time.time_ns() // 1_000_000,
            data_change=is_news,
            stats=json.dumps(stats),
        )

    def _file_of(self, add: Mapping[str, Any]) -> DataFile:
        """The file of an add action as the log writes it."""
        stats = json.loads(add["stats"])
        return DataFile(
            storage=self.storage,
            relative=add["path"],
            partition=add["partitionValues"],
            rows=stats["numRecords"],
            size_bytes=add["size"],
            bounds={name: (stats["minValues"][name], stats["maxValues"][name]) for name in self._bounded},
        )

    def _list_files(self) -> tuple[DataFile, ...]:
        listed = pa.table(self._delta.get_add_actions(flatten=True)).to_pydict()
        partitions = [(name, listed.get(f"partition.{name}")) for name in self._partition_by]
        bounds = [(name, listed.get(f"min.{name}"), listed.get(f"max.{name}")) for name in self._bounded]
        return tuple(
            DataFile(
                storage=self.storage,
                relative=relative,
                partition={name: str(values[row]) for name, values in partitions if values},
                rows=listed["num_records"][row],
                size_bytes=listed["size_bytes"][row],
                bounds={name: (low[row], high[row]) for name, low, high in bounds if low and high},
            )
            for row, relative in enumerate(listed["path"])
        )


def paths(files: Sequence[DataFile]) -> list[str]:
    """Where to read files of one table on this machine's disk, in order."""
    return files[0].storage.local([file.relative for file in files]) if files else []


def _transactions(numbers: Mapping[str, int]) -> list[Transaction]:
    return [Transaction(name, number) for name, number in numbers.items()]
