"""How the live sources are: told by the process that polls them, read by any process beside it.

It stands as JSON in the data folder, replaced whole after every poll, so a web server next to a feed can show it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

HEALTH_FILE = Path("feed") / "health.json"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SourceHealth:
    """How one source is; counts are since its process began to poll.

    `lag_s` is how old the newest item of the last page with new ones was when it was stored. `ignored` are rows about
    no ticker, or none that was asked for. `waiting_for` says what the next poll at `next_poll_us` waits for: its turn,
    the limit of calls, or a pause after failures. Messages hold no keys.
    """

    name: str
    last_poll_us: int | None = None
    last_success_us: int | None = None
    last_item_us: int | None = None
    lag_s: float | None = None
    consecutive_failures: int = 0
    failures: int = 0
    last_error: str | None = None
    last_error_us: int | None = None
    calls: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    ignored: int = 0
    next_poll_us: int | None = None
    waiting_for: str = "turn"

    @property
    def is_failing(self) -> bool:
        """Whether the last poll failed."""
        return self.consecutive_failures > 0


def resumed(name: str, before: Iterable[SourceHealth]) -> SourceHealth:
    """How a source is when its process begins to poll: what was last known of it, and counts of nothing."""
    known = next((source for source in before if source.name == name), SourceHealth(name))
    lasting = ("last_poll_us", "last_success_us", "last_item_us", "lag_s", "last_error", "last_error_us")
    return SourceHealth(name, **{each: getattr(known, each) for each in lasting})


def write_health(data_dir: Path, sources: Iterable[SourceHealth]) -> None:
    """Replace what was told before; a disk that cannot be written is logged, since the items matter more."""
    path = data_dir / HEALTH_FILE
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"sources": [asdict(source) for source in sources]}), "utf-8")
        partial.replace(path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror)


def read_health(data_dir: Path) -> list[SourceHealth]:
    """What the feed of a store told last; empty where none ever ran, or what it wrote cannot be read."""
    try:
        written = json.loads((data_dir / HEALTH_FILE).read_bytes())
        return [_source(values) for values in written["sources"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _source(values: dict[str, Any]) -> SourceHealth:
    known = {item.name for item in fields(SourceHealth)}
    return SourceHealth(**{name: value for name, value in values.items() if name in known})
