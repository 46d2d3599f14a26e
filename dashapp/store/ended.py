"""Sessions that were ended before their time, by logging out; in `ended_sessions.json` of the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dashapp.store.secretfile import SecretFile

FILE_NAME = "ended_sessions.json"


class EndedSessions:
    """Which sessions of a data folder are over; safe for use by several threads and processes."""

    def __init__(self, data_dir: Path) -> None:
        self._file = SecretFile(
            data_dir.absolute() / FILE_NAME,
            parse=_parse,
            document=lambda ended: {"version": 1, "sessions": ended},
            remedy="Remove it: who logged out in the last hours could then come back with a session that was kept.",
        )

    def end(self, session_id: str, *, until_s: int, now_s: int) -> None:
        """End one that would last `until_s` (seconds of the epoch); raises StoreNotWritable, StoreDamaged."""
        with self._file.changing() as ended:
            for each in [each for each, end_s in ended.items() if end_s < now_s]:
                del ended[each]
            ended[session_id] = until_s

    def has(self, session_id: str) -> bool:
        """Whether one has been ended, as of half a second ago; raises StoreDamaged."""
        return self._file.known(session_id) is not None


def _parse(document: Any) -> dict[str, int]:
    if document["version"] != 1:
        raise ValueError(f"its version is {document['version']!r}, not 1")
    return {str(name): int(until_s) for name, until_s in document["sessions"].items()}
