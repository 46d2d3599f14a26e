"""The errors of Tickertone, one class per cause.

TickertoneError
├── UsageError                 what was asked for cannot be done: exit code 2, HTTP 400
│   ├── UnknownResolution      not one of the eight
│   ├── BadTime                a time that cannot be understood without guessing
│   ├── BadRange               start after end, or a limit out of bounds
│   ├── BadTicker              not a ticker symbol
│   ├── BadSetting             a setting with a value it cannot have
│   ├── BadMapping             --map, or a file without the columns that are needed
│   └── UnreadableInput        a file that is missing or not of the format it claims
├── NotFound                   HTTP 404
│   ├── UnknownTicker          a ticker no score ever named
│   └── UnknownScorer          a scorer that is not installed, or has no scores here
├── RowRejected                one row of input; carries the reason its sender is told
└── StoreError                 the store cannot do it now: exit code 1, HTTP 503
    ├── StoreMissing           no store at that place
    ├── StoreNotWritable       permission, disk full
    ├── StoreDamaged           a file of the store that cannot be read
    └── CommitConflict         other writers kept winning; nothing was written
"""

from __future__ import annotations


class TickertoneError(Exception):
    """Base of all errors Tickertone raises on purpose; its text is fit to be shown to a user."""

    code = "ERROR"
    exit_code = 1
    http_status = 500

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


class UsageError(TickertoneError):
    """What was asked for cannot be done as it was asked."""

    code = "BAD_REQUEST"
    exit_code = 2
    http_status = 400


class UnknownResolution(UsageError):
    """A resolution that is not one of the eight."""

    code = "UNKNOWN_RESOLUTION"


class BadTime(UsageError):
    """A time that cannot be understood without guessing."""

    code = "BAD_TIME"


class BadRange(UsageError):
    """A range that ends before it starts, or a limit out of bounds."""

    code = "BAD_RANGE"


class BadTicker(UsageError):
    """A text that cannot be a ticker symbol."""

    code = "BAD_TICKER"


class BadSetting(UsageError):
    """A setting that has a value it cannot have."""

    code = "BAD_SETTING"


class BadMapping(UsageError):
    """A column mapping that does not fit the input."""

    code = "BAD_MAPPING"


class UnreadableInput(UsageError):
    """An input file that is missing or not of the format it claims."""

    code = "UNREADABLE_INPUT"
    exit_code = 1


class NotFound(TickertoneError):
    """Something that was named does not exist."""

    code = "NOT_FOUND"
    http_status = 404


class UnknownTicker(NotFound):
    """A ticker that no score in the store names."""

    code = "UNKNOWN_TICKER"


class UnknownScorer(NotFound):
    """A scorer that is not installed, or that has no scores in the store."""

    code = "UNKNOWN_SCORER"


class RowRejected(TickertoneError):
    """One row of input that cannot be taken.

    `reason` is a short fixed word for counting (see `dashapp.ingest.rejects`), the message says which value and why.
    """

    code = "ROW_REJECTED"
    http_status = 400

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


class StoreError(TickertoneError):
    """The store cannot do it now."""

    code = "STORE_UNAVAILABLE"
    http_status = 503


class StoreMissing(StoreError):
    """There is no store at the place that was named."""

    code = "STORE_MISSING"


class StoreNotWritable(StoreError):
    """The store cannot be written: permission, read-only disk, disk full."""

    code = "STORE_NOT_WRITABLE"


class StoreDamaged(StoreError):
    """A file of the store cannot be read."""

    code = "STORE_DAMAGED"


class CommitConflict(StoreError):
    """Other writers kept committing first; nothing was written."""

    code = "COMMIT_CONFLICT"
