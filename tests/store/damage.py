"""Damage done to the files of a store on purpose, and what the doctor and a repair make of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.model.time import EpochUs
from dashapp.rollup.doctor import examine
from dashapp.rollup.repair import repair
from dashapp.store.findings import Finding, Findings, Severity
from dashapp.store.store import Store
from tests.stores import shown_buckets, stored_scores

Damage = Callable[[Path], None]
Truth = tuple[list[str], dict[Any, Any]]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Flip a bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


def last_line_lost(path: Path) -> None:
    """As a log entry is that was cut between two lines."""
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:-1]))


def empty(path: Path) -> None:
    """As a power cut leaves what was not flushed."""
    path.write_bytes(b"")


def scrap(path: Path) -> None:
    path.write_bytes(b"no such thing")


def delete(path: Path) -> None:
    path.unlink()


def entry(folder: Path, table: str, version: int) -> Path:
    return folder / table / "_delta_log" / f"{version:020d}.json"


def data_files(table: str) -> Callable[[Path], Path]:
    """Finds the oldest data file of the newest version of a table: of scores one that the buckets have counted."""

    def find(folder: Path) -> Path:
        store = Store(Settings(data_dir=folder))
        files = (store.scores if table == "scores" else store.buckets).table.files()
        store.close()
        return min((Path(file.path) for file in files), key=lambda path: path.stat().st_mtime_ns)

    return find


def look(folder: Path, at_us: int | None = None) -> Findings:
    return examine(Settings(data_dir=folder), now_us() if at_us is None else EpochUs(at_us))


def mend(folder: Path, found: Findings | None = None, **how: Any) -> list[str]:
    return repair(Settings(data_dir=folder), found or look(folder), now_us, **how)


def bad(found: Findings) -> list[Finding]:
    return [finding for finding in found.found if finding.severity is not Severity.NOTE]


def one(folder: Path) -> Finding:
    """The one finding that is not good to know only."""
    (finding,) = bad(look(folder))
    assert all(len(text) > 10 and text.endswith((".", ")", "`")) for text in (finding.what, finding.meaning)), finding
    assert finding.remedy
    return finding


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its hash and the time it was changed."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def truth(folder: Path) -> Truth:
    """The scores a store has, and the buckets it shows."""
    store = Store(Settings(data_dir=folder))
    told = sorted(map(str, stored_scores(store))), shown_buckets(store)
    store.close()
    return told
