"""Why a row of input is not taken: the one table of reasons, and the record that is kept of a rejected row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dashapp.errors import RowRejected
from dashapp.model.score import Score
from dashapp.model.time import to_iso

MAX_RAW_CHARS = 2_000
_MAX_SHOWN_CHARS = 60

REASONS: dict[str, str] = {
    # the row as such
    "bad_json": "The line is not JSON; write one object per line.",
    "not_an_object": "A row must be an object with named fields.",
    "bad_csv": "The quotes of the row do not fit; double every quote inside a quoted field.",
    "wrong_field_count": "The row has another number of fields than the header; quote fields that hold the separator.",
    "invalid_utf8": "The row is not UTF-8; convert the file.",
    "row_too_long": "The row is longer than is read; shorten its text.",
    "bad_value": "Write the value in a plain type: text, number or timestamp.",
    "file_damaged": "The file ends early or is damaged here, and more rows may be missing; fetch or write it again.",
    # time
    "missing_time": "A row needs the time it was published.",
    "bad_time": "The time is not understood; write ISO-8601 such as 2014-01-01T03:59:03Z.",
    "ambiguous_time": "The time can be read in two ways; write ISO-8601 such as 2014-01-01T03:59:03Z.",
    "relative_time": "A relative time is not guessed; write the point in time.",
    "no_zone": "The time has no zone; add an offset such as Z, or say --tz.",
    "date_only": "A date alone is no time; add the time, or say with --date-only what it means.",
    "time_out_of_range": "The time must lie in the years 1 to 9999, UTC.",
    "sealed_period": "The scores of that time were dropped by retention and its buckets are sealed; "
    "`tickertone ingest --reopen` adds to them.",
    "leap_second": "Second 60 has no place among UTC microseconds; write second 59 or 00.",
    "nonexistent_time": "The clocks of the zone jumped over this time; add the true offset.",
    # identity and text
    "bad_id": "An id is a text or a whole number, without control characters.",
    "id_too_long": "The id is longer than is kept; send a hash of it.",
    "missing_text": "A row needs a text, or a score that was given to it.",
    "bad_text": "The text must be a text.",
    "text_too_long": "The text is longer than is kept; send headline and summary.",
    "bad_source": "The source must be a short text.",
    # tickers and scores
    "no_ticker": "Name one in a column, or as a cashtag such as $AAPL in the text.",
    "bad_ticker": "One wrong ticker rejects the row, so that none is lost unseen; correct or remove it.",
    "score_not_a_number": "The score must be a number from -1 to 1; say --map score= to have the text scored.",
    "score_nan": "The score is NaN; leave it out to have the text scored.",
    "score_infinite": "The score is infinite; it must be from -1 to 1.",
    "score_out_of_range": "The score must be from -1 to 1; rescale it, or say --map score= to have the text scored.",
    "conflicting_scores": "The row gives one ticker two scores; send one.",
    "bad_confidence": "The confidence must be a number from 0 to 1.",
    "bad_relevance": "The relevance must be a finite number.",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not taken: where it stood, why, and what it was.

    `place` is `file.jsonl:17`, `reason` a key of REASONS, `raw` the row as it came, at most MAX_RAW_CHARS
    characters; all are valid Unicode.
    """

    place: str
    reason: str
    message: str
    raw: str


def rejected(reason: str, what: str) -> RowRejected:
    """The error to raise for a row: `what` names field and value, the table adds why and the remedy."""
    return RowRejected(reason, f"{what}. {REASONS[reason]}")


def sealed_rejection(place: str, scores: Sequence[Score], sealed_us: int) -> Rejection:
    """What is kept of an item that is published before the seal, told by its scores; it can be ingested again as it is
    kept."""
    first = scores[0]
    row = {
        "id": first.item_id,
        "ts": to_iso(first.published_us),
        "tickers": [score.ticker for score in scores],
        "source": first.source,
        "text": first.text,
        "url": first.url,
    }
    error = rejected("sealed_period", f"ts {row['ts']} is before {to_iso(sealed_us)}")
    return Rejection(place, error.reason, str(error), raw_of(row))


def shown(value: object) -> str:
    """A value as a message shows it: short, printable, whatever it holds."""
    if isinstance(value, str | bytes):
        cut = value[:_MAX_SHOWN_CHARS]
        return repr(cut) if len(cut) == len(value) else f"{cut!r}..."
    if isinstance(value, list | tuple | dict):  # not its content: repr of deep nesting is no bounded thing
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:_MAX_SHOWN_CHARS]


def raw_of(row: object) -> str:
    """A row as it came (bytes, text, or the values of its columns), as valid Unicode, cut to MAX_RAW_CHARS characters.

    Bytes that are not UTF-8 are written as `\\xNN`.
    """
    if isinstance(row, bytes):
        text = row[: 4 * MAX_RAW_CHARS + 4].decode("utf-8", "backslashreplace")
    elif isinstance(row, str):
        text = row[: MAX_RAW_CHARS + 1]
    else:
        text = json.dumps(row, ensure_ascii=False, default=str)[: MAX_RAW_CHARS + 1]
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_RAW_CHARS else text[: MAX_RAW_CHARS - 1] + "…"
