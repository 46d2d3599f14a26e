"""Counts that outlast the process that made them: a small file of each kind in the data folder, added to under a lock.

Whoever counts may be a command that ends long before Prometheus asks. Each addition replaces the file as a whole, so
kill -9 leaves the count of before or of after. It is not flushed to the disk: a power cut may take the last additions
with it, which Prometheus takes for a restart.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dashapp.errors import StoreNotWritable
from dashapp.store.locks import exclusive

log = logging.getLogger(__name__)

# A kind of counts: of rejected rows, by way and reason.
REJECTED = "rejected"
# What is counted: by two labels, such as way and reason.
Counts = Mapping[tuple[str, str], int]


def add(data_dir: Path, kind: str, counts: Counts) -> None:
    """Add to the counts of a kind; a disk that cannot be written is logged, since the items matter more."""
    path = _file(data_dir, kind)
    partial = path.with_suffix(".partial")
    try:
        with exclusive(data_dir / "locks" / f"counts-{kind}.lock"):
            total = Counter(read(data_dir, kind))
            total.update(counts)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps([[*labels, count] for labels, count in sorted(total.items())]), "utf-8")
            partial.replace(path)
    except (OSError, StoreNotWritable) as error:
        log.warning("%s cannot be written: %s", path, error)


def read(data_dir: Path, kind: str) -> dict[tuple[str, str], int]:
    """The counts of a kind; empty where there are none, or what was written is damaged. Raises OSError as it comes."""
    try:
        rows = json.loads(_file(data_dir, kind).read_bytes())
        return {(str(first), str(second)): int(count) for first, second, count in rows}
    except (FileNotFoundError, ValueError, TypeError, OverflowError):
        return {}


def _file(data_dir: Path, kind: str) -> Path:
    return data_dir / "counts" / f"{kind}.json"
