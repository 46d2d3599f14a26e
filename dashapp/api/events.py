"""The events of the stream as they are sent, and their ids.

An id is `VERSION-NTH-MS`: the place of the last change its reader has been told of, and the time in milliseconds up to
which it has been told which buckets closed. Who comes back with an id is told what came after it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from dashapp.errors import BadEventId
from dashapp.model.bucket import Bucket
from dashapp.model.change import Place
from dashapp.model.resolution import end_us, is_partial, progress_pct
from dashapp.model.time import to_iso
from dashapp.query import answer

# How long a browser waits before it comes back.
RETRY = b"retry: 1000\n\n"

_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,8})-([0-9]{1,15})", re.ASCII)


class EventId(NamedTuple):
    """What a reader has been told: all changes up to `place`, all endings of intervals up to `ms`."""

    place: Place
    ms: int


def parse_event_id(text: str) -> EventId:
    """The id of that text; raises BadEventId for what no event ever had."""
    match = _ID.fullmatch(text)
    if match is None:
        raise BadEventId(
            f"{text[:60]!r} is not the id of an event of this stream, which is VERSION-NTH-MS.", last_event_id=text[:60]
        )
    version, nth, ms = map(int, match.groups())
    return EventId(Place(version, nth), ms)


def id_line(place: Place, ms: int) -> bytes:
    """The line that gives an event its id; it comes before the rest of the event."""
    return b"id: %d-%d-%d\n" % (place.version, place.nth, ms)


def bucket_event(bucket: Bucket, now_us: int) -> bytes:
    """A bucket as the API answers it: `partial_bucket` with its progress until its interval is over, then
    `bucket_update`; about 15 us."""
    row = answer.bucket(bucket, now_us)
    if not is_partial(bucket.start_us, bucket.resolution, now_us):
        return event("bucket_update", row)
    row["progress_pct"] = progress_pct(bucket.start_us, bucket.resolution, now_us)
    row["next_update_at"] = to_iso(end_us(bucket.start_us, bucket.resolution))
    return event("partial_bucket", row)


def event(name: str, data: object) -> bytes:
    """An event without its id."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
