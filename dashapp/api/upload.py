"""Request bodies: read up to a size, unpacked up to a size, and in all no more than fits into memory."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request

from dashapp.errors import Overloaded, TooLarge, UnknownEncoding, UsageError

# A sender that has not sent its body by then is slow on purpose, or gone.
READ_TIMEOUT_S = 60

_PIECE_BYTES = 4_096
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PACKINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class BodyMemory:
    """The bytes that bodies, of requests or of answers, may take at one time in this process; safe for use by several
    threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[BodyShare]:
        """What one request holds of it, given back at the end."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self.take(-share.held_bytes)

    def take(self, size_bytes: int) -> None:
        """Take bytes, or give them back; raises Overloaded when there are not that many."""
        with self._lock:
            if size_bytes > self._free_bytes:
                raise Overloaded("The server holds as many bodies as it can. Send this again soon.", retry_after_s=1)
            self._free_bytes -= size_bytes


class BodyShare:
    """What one request holds of the memory for bodies."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.held_bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Hold more; raises Overloaded."""
        self._memory.take(size_bytes)
        self.held_bytes += size_bytes


async def read_body(request: Request, share: BodyShare, *, max_bytes: int) -> bytes:
    """The body as it was sent; raises TooLarge, Overloaded, or an HTTPException (408) when it does not come."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes, "as sent")
    chunks: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise _too_large(max_bytes, "as sent")
                share.grow(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {READ_TIMEOUT_S} s") from None
    return b"".join(chunks)


def packing_of(request: Request) -> str:
    """How the body is packed: empty, gzip or deflate; raises UnknownEncoding."""
    named = request.headers.get("content-encoding", "").strip().lower()
    if named not in _PACKINGS:
        raise UnknownEncoding(f"Content-Encoding {named[:40]!r} is not read. Use gzip, deflate, or none.")
    return _PACKINGS[named]


def unpack(body: bytes, packing: str, share: BodyShare, *, max_bytes: int) -> bytes:
    """The body unpacked; raises TooLarge before more than `max_bytes` are unpacked, UsageError when it is damaged."""
    if not packing:
        if len(body) > max_bytes:
            raise _too_large(max_bytes, "unpacked")
        return body
    try:
        unpacked = _gunzip(body, max_bytes) if packing == "gzip" else _inflate(body, max_bytes)
    except zlib.error as error:
        raise UsageError(f"The body is not {packing} as its Content-Encoding says: {error}.") from error
    share.grow(len(unpacked))
    return unpacked


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """What one gzip member or several hold."""
    parts: list[bytes] = []
    room_bytes = max_bytes
    member = None
    # In short pieces, since at the end of each member what follows in the piece is copied.
    for begin in range(0, len(body), _PIECE_BYTES):
        rest = body[begin : begin + _PIECE_BYTES]
        while rest:
            member = member or zlib.decompressobj(_GZIP_WINDOW)
            parts.append(member.decompress(rest, room_bytes + 1))
            room_bytes -= len(parts[-1])
            if room_bytes < 0:
                raise _too_large(max_bytes, "unpacked")
            rest = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise zlib.error("it ends early")
    return b"".join(parts)


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """What a zlib stream holds, or a bare one, which some senders call deflate as well."""
    try:
        return _stream(body, zlib.MAX_WBITS, max_bytes)
    except zlib.error:
        return _stream(body, -zlib.MAX_WBITS, max_bytes)


def _stream(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    stream = zlib.decompressobj(window_bits)
    unpacked = stream.decompress(body, max_bytes + 1)
    if len(unpacked) > max_bytes:
        raise _too_large(max_bytes, "unpacked")
    if not stream.eof:
        raise zlib.error("it ends early")
    if stream.unused_data:
        raise zlib.error("more follows after its end")
    return unpacked


def _too_large(max_bytes: int, what: str) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes {what}. Send it in several parts.", max_bytes=max_bytes)
