"""The errors of Tickertone, one class per cause.

TickertoneError
├── UsageError                 what was asked for cannot be done: exit code 2, HTTP 400
│   ├── UnknownResolution      not one of the eight
│   ├── UnknownVariant         not one of the choices of texts
│   ├── BadTime                a time that cannot be understood without guessing
│   ├── BadRange               start after end, or a limit out of bounds
│   ├── BadCursor              not the next_cursor of an answer to the same question
│   ├── BadEventId             not the id of an event of the stream
│   ├── BadParameter           a parameter that is unknown, given twice, too long, or holds control characters
│   ├── UnknownFormat          a format the answer does not exist in
│   ├── NotAcceptable          no format the answer exists in is one the client takes (HTTP 406)
│   ├── BadTicker              not a ticker symbol
│   ├── BadSetting             a setting with a value it cannot have
│   ├── BadLabels              labelled texts that cannot be trained on or compared with
│   ├── BadModel               a file that is not a scorer's model
│   ├── BadMapping             --map, or a file without the columns that are needed
│   ├── UnreadableInput        a file that is missing or not of the format it claims
│   ├── UnknownEncoding        a Content-Encoding that is not read: HTTP 415
│   ├── TooLarge               more in one request than is taken: HTTP 413
│   ├── BadKeyName             a name that no API key can have, or that one has already
│   ├── BadUserName            a name that no user can have
│   ├── BadPassword            a password that is too short or too long to be taken
│   ├── RevisionGone           a revision that the store cannot show any more: HTTP 410
│   ├── OutputExists           a file or folder that would have to be overwritten
│   └── BadExport              a folder, manifest or state file of another export than it is used for
├── Unauthorized               no login or API key, or one that is not valid here: HTTP 401
├── Forbidden                  whoever asks may not have this, or not from there: HTTP 403
├── NotFound                   HTTP 404
│   ├── UnknownTicker          a ticker no score ever named
│   ├── UnknownScorer          a scorer that is not installed, or has no scores here
│   ├── UnknownKey             an API key that does not exist
│   └── UnknownUser            a user that does not exist
├── RowRejected                one row of input; carries the reason its sender is told
├── TryLater                   what was asked for is fine, but not now; says when to ask again
│   ├── RateLimited            this sender is faster than it may be: HTTP 429
│   ├── Overloaded             more is waiting than is kept: HTTP 503
│   └── TooManyStreams         no room for one more listener: HTTP 503
├── SourceError                a live source gave nothing to use; it is asked again later
│   ├── SourceUnreachable      no answer, one that was cut off, or a failure of its server
│   ├── SourceRefused          the key, the plan or the question is not accepted
│   ├── SourceLimited          too many calls
│   └── SourceGarbled          an answer that cannot be read
├── FeedRunning                another process polls for this store: exit code 1
├── JobRunning                 somebody else does this job of the store: exit code 1
├── ClusterFailed              a cluster that gives no answer or no result: exit code 1
├── OutputNotWritable          standard output or a file takes no more: exit code 1
└── StoreError                 the store cannot do it now: exit code 1, HTTP 503
    ├── StoreMissing           no store at that place
    ├── StoreUnreachable       an object store that gives no answer, or a folder that may not be read
    ├── StoreNotWritable       permission, disk full
    ├── StoreDamaged           a file of the store that cannot be read
    ├── StoreInUse             a repair is under way, or has to wait until nobody has the store open
    ├── StoreTooNew            a store of a format that a later version made
    ├── BackupDamaged          a file of a backup that is not what its manifest says
    ├── BucketsDiffer          buckets that are not what their scores say
    ├── SealedBucketsLost      a commit that would take from buckets whose scores were dropped; nothing was written
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


class UnknownVariant(UsageError):
    """A variant that does not exist."""

    code = "UNKNOWN_VARIANT"


class BadTime(UsageError):
    """A time that cannot be understood without guessing."""

    code = "BAD_TIME"


class BadRange(UsageError):
    """A range that ends before it starts, or a limit out of bounds."""

    code = "BAD_RANGE"


class RevisionGone(UsageError):
    """A revision that the store cannot show any more: raw scores that came since then are not kept."""

    code = "REVISION_GONE"
    http_status = 410


class OutputExists(UsageError):
    """A file or folder that would have to be overwritten."""


class BadExport(UsageError):
    """A folder, manifest or state file that is not of the export it is used for."""

    code = "BAD_EXPORT"


class BadCursor(UsageError):
    """A cursor that no answer to the same question gave."""

    code = "BAD_CURSOR"


class BadEventId(UsageError):
    """A text that is not the id of an event of the stream."""

    code = "BAD_EVENT_ID"


class BadParameter(UsageError):
    """A parameter that is unknown, given twice, too long, or holds control characters."""

    code = "BAD_PARAMETER"


class UnknownFormat(UsageError):
    """A format the answer does not exist in."""

    code = "UNKNOWN_FORMAT"


class NotAcceptable(UsageError):
    """A client that takes none of the formats the answer exists in."""

    code = "NOT_ACCEPTABLE"
    http_status = 406


class BadTicker(UsageError):
    """A text that cannot be a ticker symbol."""

    code = "BAD_TICKER"


class BadSetting(UsageError):
    """A setting that has a value it cannot have."""

    code = "BAD_SETTING"


class BadLabels(UsageError):
    """Labelled texts that cannot be trained on or compared with."""

    code = "BAD_LABELS"


class BadModel(UsageError):
    """A file that is not a scorer's model."""

    code = "BAD_MODEL"


class BadMapping(UsageError):
    """A column mapping that does not fit the input."""

    code = "BAD_MAPPING"


class UnreadableInput(UsageError):
    """An input file that is missing or not of the format it claims."""

    code = "UNREADABLE_INPUT"
    exit_code = 1


class UnknownEncoding(UsageError):
    """A body packed in a way that is not read."""

    code = "UNKNOWN_ENCODING"
    http_status = 415


class TooLarge(UsageError):
    """More in one request than is taken."""

    code = "TOO_LARGE"
    http_status = 413


class BadKeyName(UsageError):
    """A name that no API key can have, or that one has already."""

    code = "BAD_KEY_NAME"


class BadUserName(UsageError):
    """A name that no user can have."""

    code = "BAD_USER_NAME"


class BadPassword(UsageError):
    """A password that is too short or too long to be taken."""

    code = "BAD_PASSWORD"


class Forbidden(TickertoneError):
    """Whoever asks may not have this, or not from there."""

    code = "FORBIDDEN"
    http_status = 403


class Unauthorized(TickertoneError):
    """No API key, or one that is not valid here."""

    code = "UNAUTHORIZED"
    http_status = 401


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


class UnknownKey(NotFound):
    """An API key that does not exist."""

    code = "UNKNOWN_KEY"


class UnknownUser(NotFound):
    """A user that does not exist."""

    code = "UNKNOWN_USER"


class RowRejected(TickertoneError):
    """One row of input that cannot be taken.

    `reason` is a short fixed word for counting (see `dashapp.ingest.rejects`), the message says which value and why.
    """

    code = "ROW_REJECTED"
    http_status = 400

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


class SourceError(TickertoneError):
    """A live source gave nothing to use; its position stays where it was and it is asked again later.

    `retry_after_s` is how long the source wants to be left alone, 0 where it did not say.
    """

    code = "SOURCE_FAILED"
    http_status = 503

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SourceUnreachable(SourceError):
    """No answer came, or it was cut off, or the server failed (5xx)."""

    code = "SOURCE_UNREACHABLE"


class SourceRefused(SourceError):
    """The source does not accept the key, the plan behind it, or what was asked (4xx)."""

    code = "SOURCE_REFUSED"


class SourceLimited(SourceError):
    """The source was called more often than it allows (429)."""

    code = "SOURCE_LIMITED"


class SourceGarbled(SourceError):
    """The answer is not what the source's interface says: not JSON, not a feed, too large."""

    code = "SOURCE_GARBLED"


class FeedRunning(TickertoneError):
    """Another process polls the live sources for this store already."""

    code = "FEED_RUNNING"
    http_status = 503


class JobRunning(TickertoneError):
    """Somebody else does this job of the store at this moment."""

    code = "JOB_RUNNING"
    http_status = 503


class ClusterFailed(TickertoneError):
    """A Dask cluster that cannot be reached, has no worker or gives no result; nothing was changed."""

    code = "CLUSTER_FAILED"


class TryLater(TickertoneError):
    """What was asked for is fine, but not now: it may be asked for again after `retry_after_s` whole seconds."""

    code = "TRY_LATER"
    http_status = 503

    def __init__(self, message: str, *, retry_after_s: int, **details: object) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **details)
        self.retry_after_s = retry_after_s


class RateLimited(TryLater):
    """This sender is faster than it may be."""

    code = "RATE_LIMITED"
    http_status = 429


class Overloaded(TryLater):
    """More is waiting than is kept."""

    code = "OVERLOADED"


class TooManyStreams(TryLater):
    """No room for one more listener to the stream."""

    code = "TOO_MANY_STREAMS"


class OutputNotWritable(TickertoneError):
    """Standard output or a file takes no more: permission, disk full."""


class StoreError(TickertoneError):
    """The store cannot do it now."""

    code = "STORE_UNAVAILABLE"
    http_status = 503


class StoreMissing(StoreError):
    """There is no store at the place that was named."""

    code = "STORE_MISSING"


class StoreUnreachable(StoreError):
    """The place that holds the tables gives no answer, or refuses to."""

    code = "STORE_UNREACHABLE"


class StoreNotWritable(StoreError):
    """The store cannot be written: permission, read-only disk, disk full."""

    code = "STORE_NOT_WRITABLE"


class StoreDamaged(StoreError):
    """A file of the store cannot be read."""

    code = "STORE_DAMAGED"


class StoreInUse(StoreError):
    """A store that is being repaired, or that others have open while it is to be."""

    code = "STORE_IN_USE"


class StoreTooNew(StoreError):
    """A store, or the backup of one, of a format that a later version made."""

    code = "STORE_TOO_NEW"


class BackupDamaged(StoreError):
    """A file of a backup that is not what its manifest says."""

    code = "BACKUP_DAMAGED"


class BucketsDiffer(StoreError):
    """Buckets that are not what their scores say."""

    code = "BUCKETS_DIFFER"


class SealedBucketsLost(StoreError):
    """A commit that would take something from buckets whose scores were dropped; nothing was written."""

    code = "SEALED_BUCKETS_LOST"


class CommitConflict(StoreError):
    """Other writers kept committing first; nothing was written."""

    code = "COMMIT_CONFLICT"
