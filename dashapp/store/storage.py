"""Where the files of a table lie: what a table needs of the place, whether it is a folder or an object store.

Files are named by their path from the table's root, with slashes between. Whoever reads data asks for them on the local
disk, so every reader works the same wherever they lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa

LOG = "_delta_log"
LAST_CHECKPOINT = f"{LOG}/_last_checkpoint"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there, named by a table or not; `modified_s` is in seconds since 1970."""

    name: str
    size_bytes: int
    modified_s: float


class Unwritten(NamedTuple):
    """A Parquet file to be: `row_group_rows` where not the usual number will do, as `durable.encode` has it."""

    name: str
    rows: pa.Table
    row_group_rows: int | None = None


class Storage(Protocol):
    """The files of one Delta table, or of a whole store; safe for use by several threads, but for `flush`.

    Whatever asks raises StoreUnreachable where the place gives no answer, or does not let itself be read.
    """

    @property
    def name(self) -> str:
        """The place, as a person would write it."""

    @property
    def url(self) -> str:
        """The place, as the Delta library is told of it."""

    @property
    def options(self) -> Mapping[str, str] | None:
        """How the Delta library gets there."""

    @property
    def missing(self) -> str:
        """What to tell whoever finds no table here: where there is none, and what to do."""

    def prepare(self) -> None:
        """Make the place ready for a table that is made anew; raises StoreNotWritable."""

    def mend(self) -> bool:
        """Remove what a power cut has torn and the table can do without; returns whether there was any."""

    def has_entry(self, version: int) -> bool:
        """Whether the log has the entry of a version, of which a place far away may know a moment later."""

    def is_gone(self, version: int) -> bool:
        """Whether the log's entry of a version that was there is not there any more, since the log was cleaned; a place
        far away may notice a minute later."""

    def entry(self, version: int) -> bytes | None:
        """The log's entry of a version, None while `has_entry` would be False; raises StoreDamaged."""

    def learn(self, version: int) -> None:
        """Take note that the log has the entry of a version: others know it for certain."""

    def has(self, name: str) -> bool:
        """Whether a file is there."""

    def local(self, names: Sequence[str]) -> list[str]:
        """Paths on this machine's disk to read these files by, in order."""

    def write(self, new: Sequence[Unwritten], *, compression: str, settled: bool = True) -> list[int]:
        """Write files under names that nothing has yet and return their sizes in bytes.

        They are durable on return, or, unless `settled`, when `settle` has returned for them. Raises StoreNotWritable.
        """

    def settle(self, names: Iterable[str]) -> None:
        """Wait until files that this process has written are durable; raises StoreNotWritable when they cannot be."""

    def flush(self, version: int) -> None:
        """Make the log's entry of a version durable, with the checkpoint made after it if there is one.

        What a power cut cannot take is left alone. Raises StoreNotWritable.
        """

    def mark(self, name: str) -> None:
        """Make an empty file; raises StoreNotWritable."""

    def delete(self, names: Sequence[str]) -> None:
        """Remove files, those that are there; raises StoreNotWritable."""

    def data_files(self) -> Iterator[Found]:
        """Every Parquet file outside the log; raises StoreUnreachable."""

    def log_files(self) -> Iterator[Found]:
        """Every file of the log; raises StoreUnreachable."""


def cause(error: Exception) -> str:
    """What an error of the Delta library or of its storage says, in one line, without its stack of addresses."""
    text = _COLOURS.sub("", str(error)).partition("\nDebug source")[0]
    lines = [line.strip(" ↳") for line in text.splitlines()]
    # Below the first line stand the causes, indented and led by arrows, or else addresses of code.
    told = [lines[0], *(line for line, raw in zip(lines[1:], text.splitlines()[1:], strict=True) if "↳" in raw)]
    return ": ".join(told) if lines else type(error).__name__


def entry_name(version: int) -> str:
    """The name of the log's entry of a version."""
    return f"{LOG}/{version:020d}.json"


def checkpoint_name(version: int) -> str:
    """The name of the checkpoint of a version."""
    return f"{LOG}/{version:020d}.checkpoint.parquet"
