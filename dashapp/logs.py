"""Log lines: for people, or one JSON object each; with the request they belong to and the revision that answered it.

A log line may hold what clients sent, so neither form lets a line break or a control character of theirs through.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(slots=True)
class Request:
    """What log lines say of the request they belong to."""

    id: str
    revision: int | None = None


_request: ContextVar[Request | None] = ContextVar("request", default=None)


@contextmanager
def request(given_id: str | None) -> Iterator[Request]:
    """Make lines logged inside, also in threads that were handed this context, belong to one request: of the id that a
    proxy gave it where that is one, or of a new one."""
    known = given_id is not None and _REQUEST_ID.fullmatch(given_id)
    begun = Request(given_id if given_id is not None and known else secrets.token_hex(8))
    token = _request.set(begun)
    try:
        yield begun
    finally:
        _request.reset(token)


def note_revision(revision: int) -> None:
    """The request is answered from this revision of the store."""
    current = _request.get()
    if current is not None:
        current.revision = revision


def set_up(level: str, form: str) -> None:
    """Log to stderr from here on, in the form `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class TextLines(logging.Formatter):
    """`WARNING dashapp.x: message [request=... revision=...]`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        text = f"{record.levelname} {record.name}: {_harmless(record.getMessage())}"
        current = _request.get()
        if current is not None:
            revision = "" if current.revision is None else f" revision={current.revision}"
            text += f" [request={current.id}{revision}]"
        return f"{text}\n{_without_controls(self.formatException(record.exc_info))}" if record.exc_info else text


class JsonLines(logging.Formatter):
    """An object in each line: time, level, logger, message; request_id, revision and exception where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        current = _request.get()
        if current is not None:
            line["request_id"] = current.id
            if current.revision is not None:
                line["revision"] = current.revision
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _harmless(text: str) -> str:
    return _without_controls(text).replace("\n", "\\n")


def _without_controls(text: str) -> str:
    """A text of several lines, such as a traceback, with nothing in it that moves a terminal's cursor."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
