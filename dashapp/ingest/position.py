"""Where a source was read up to, kept across restarts: one small JSON file for each source.

It is written after the items of a page are durable, flushed to the disk and put in place of the old one at once. So
after a kill it may be older than the items, never newer, and what is then read twice counts once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashapp.errors import StoreNotWritable
from dashapp.ingest.sources.poll import Position
from dashapp.store import durable
from dashapp.store.faults import recovered

log = logging.getLogger(__name__)

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(slots=True)
class Stored:
    """What is kept of a source: its position, when it was called, and until when it asked to be left alone (s)."""

    position: Position = field(default_factory=dict)
    calls_s: list[float] = field(default_factory=list)
    not_before_s: float = 0.0


class PositionFile:
    """The file of one source."""

    def __init__(self, folder: Path, source: str) -> None:
        name = _NOT_IN_NAMES.sub("-", source)
        if name != source:  # so that two names which differ in these marks only have two files
            name += f"-{hashlib.blake2b(source.encode('utf-8'), digest_size=4).hexdigest()}"
        self.path = folder / f"{name}.position.json"

    def read(self) -> Stored:
        """What was kept; nothing where there is no file, or one that cannot be read, which is logged.

        To begin anew costs calls, not correctness: items count once.
        """
        try:
            return _stored(json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return Stored()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s); the source is read from its beginning again", self.path, error)
            recovered("position_unreadable", self.path.parents[1])
            return Stored()

    def write(self, stored: Stored) -> None:
        """Keep it, durable on return; raises StoreNotWritable."""
        text = json.dumps(
            {"position": dict(stored.position), "calls_s": stored.calls_s, "not_before_s": stored.not_before_s}
        )
        partial = self.path.with_suffix(".partial")
        try:
            if not self.path.parent.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                durable.sync_folder(self.path.parent.parent)
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
            durable.sync_folder(self.path.parent)
        except OSError as error:
            raise StoreNotWritable(f"{self.path} cannot be written: {error.strerror}.") from error


def _stored(values: Any) -> Stored:
    position = values["position"]
    if not isinstance(position, dict):
        raise TypeError("its position is not an object")
    return Stored(position, [float(at) for at in values["calls_s"]], float(values["not_before_s"]))
