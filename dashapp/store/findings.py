"""Findings: what is wrong with a store, said so that whoever reads it knows what it means and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

# What a commit, a compaction and a rollup of a busy store need at once; with less any of them may fail.
LEAST_FREE_BYTES = 256_000_000
# Clocks of machines that are kept in time differ by less.
CLOCK_TOLERANCE_S = 60


class Severity(StrEnum):
    """How bad a finding is: something cannot be read or is wrong; something will go wrong; or good to know."""

    DAMAGE = "damage"
    WARNING = "warning"
    NOTE = "note"


class Mend(StrEnum):
    """What a repair does about a finding, nothing of which loses anything.

    REBUILD makes the buckets anew from the scores, beside whoever else is at work. ASIDE moves a file, and ASIDE_TABLE
    the whole buckets table, out of the way: both can be done without, or are made anew. BACKUP puts a file back that
    only a backup has. RIGHTS takes a file's mode back to what it has to be. BY_HAND is for people.
    """

    REBUILD = "rebuild"
    ASIDE = "set aside"
    ASIDE_TABLE = "set the table aside"
    BACKUP = "from a backup"
    RIGHTS = "mode"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, in whole sentences.

    `kind` is a fixed word for it. `name` is that of the file within the data folder, or within the store where its
    tables lie elsewhere; empty where it is no file. `rows` are the scores or buckets concerned, as far as is known.
    """

    kind: str
    severity: Severity
    place: str
    what: str
    meaning: str
    remedy: str
    mend: Mend = Mend.BY_HAND
    name: str = ""
    rows: int | None = None


@dataclass(slots=True)
class Findings:
    """Findings, and how much was looked at: data files, entries and checkpoints of the logs, buckets compared."""

    found: list[Finding] = field(default_factory=list)
    data_files: int = 0
    log_files: int = 0
    buckets: int = 0
    differ: int | None = None  # None where buckets and scores could not be compared

    @property
    def is_healthy(self) -> bool:
        """Whether there is nothing to be done about."""
        return all(finding.severity is Severity.NOTE for finding in self.found)

    def of(self, *mends: Mend) -> list[Finding]:
        """Those that are mended in one of these ways."""
        return [finding for finding in self.found if finding.mend in mends]
