"""Scripts and styles of the page, compressed once and kept in memory.

Dash compresses each file anew, on the event loop, for every browser that has none yet, and gives some files no cache
headers. This stands in front of it: the first request of a file is answered as it is while a thread compresses it,
later ones get Brotli or gzip from memory; a URL that names a version may be kept for a year, any other is asked for
again with its tag.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import brotli  # type: ignore[import-untyped]
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIXES = ("/_dash-component-suites/", "/assets/")
COMPRESSIBLE = ("text/", "application/javascript", "application/json", "image/svg+xml")
# Dash's own files carry version and modification time in the path (.v4_4_1m1700000000.), assets have theirs in ?m=.
_FINGERPRINT_PATH = re.compile(r"\.v[\w.-]*m\d+\.")
_FINGERPRINT_QUERY = re.compile(rb"(^|&)m=")
# Past this level Brotli takes many times as long for a few hundredths of the size.
BROTLI_QUALITY = 9
# A service worker answers for its own folder and those below, unless this says more.
_SERVICE_WORKER = "/assets/service-worker.mjs"
SMALLEST_BYTES = 512  # below it a header costs more than compression saves
# All scripts of the page are about 8 MB; URLs beyond this are answered, but not kept.
MOST_FILES = 200


@dataclass
class _File:
    """One answer as the inner application gave it, and its compressed forms as they come."""

    source_tag: str
    body: bytes
    content_type: str
    etag: str
    encoded: dict[str, bytes] = field(default_factory=dict)


class PrecompressedStatic:
    """ASGI middleware that keeps answers below PREFIXES; anything else, streams too, passes through untouched."""

    def __init__(self, app: ASGIApp, *, worker_scope: str) -> None:
        """`worker_scope` is the path that the service worker may answer for: that of the page."""
        self._app = app
        self._worker_scope = worker_scope
        self._files: dict[str, _File] = {}
        self._compressing: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PREFIXES):
            await self._app(scope, receive, send)
            return
        path, query = scope["path"], scope["query_string"]
        lasting = bool(_FINGERPRINT_PATH.search(path) or _FINGERPRINT_QUERY.search(query))
        key = f"{path}?{query.decode('latin-1')}"
        held = self._files.get(key)
        # What is in a package does not change while the server runs; a file of ours without fingerprint may.
        if held is None or (path.startswith("/assets/") and not lasting):
            held = await self._fetch(key, scope, send)
        if held is not None:
            more = {"service-worker-allowed": self._worker_scope} if path == _SERVICE_WORKER else {}
            await self._answer(held, Headers(scope=scope), send, more, lasting=lasting)

    async def _fetch(self, key: str, scope: Scope, send: Send) -> _File | None:
        """The answer of the inner application; None when it was no plain 200 and has been passed on."""
        start: Message | None = None
        chunks: list[bytes] = []
        passed_on = False
        asked = False

        # Whoever asks may leave, but the answer is kept for all: the inner application, which would break off, hears of
        # nobody's leaving.
        async def receive() -> Message:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def collect(message: Message) -> None:
            nonlocal start, passed_on
            if message["type"] == "http.response.start":
                start = message
                passed_on = message["status"] != 200
            if passed_on:
                await send(message)
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        await self._app(_unconditional(scope), receive, collect)
        if passed_on or start is None:
            return None
        headers = Headers(raw=start["headers"])
        body = b"".join(chunks)
        if len(body) != int(headers.get("content-length", len(body))):
            await _send(send, 502, MutableHeaders({"cache-control": "no-store"}), b"")
            return None
        source_tag = headers.get("etag") or hashlib.blake2b(body, digest_size=8).hexdigest()
        held = self._files.get(key)
        if held is not None and held.source_tag == source_tag:
            return held
        etag = hashlib.blake2b(body, digest_size=12).hexdigest()
        made = _File(source_tag, body, headers.get("content-type", "application/octet-stream"), etag)
        if key in self._files or len(self._files) < MOST_FILES:
            self._files[key] = made
            if len(body) >= SMALLEST_BYTES and made.content_type.startswith(COMPRESSIBLE):
                task = asyncio.create_task(_compress(made))
                self._compressing.add(task)
                task.add_done_callback(self._compressing.discard)
        return made

    async def _answer(self, held: _File, asked: Headers, send: Send, more: dict[str, str], *, lasting: bool) -> None:
        accepted = {part.split(";")[0].strip() for part in asked.get("accept-encoding", "").split(",")}
        coding = next((each for each in ("br", "gzip") if each in accepted and each in held.encoded), None)
        body = held.encoded[coding] if coding else held.body
        etag = f'"{held.etag}-{coding or "plain"}"'
        headers = MutableHeaders(more)
        headers["cache-control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        headers["etag"] = etag
        headers["vary"] = "Accept-Encoding"
        if _names(asked.get("if-none-match", ""), held.etag):
            await _send(send, 304, headers, b"")
            return
        headers["content-type"] = held.content_type
        headers["content-length"] = str(len(body))
        if coding:
            headers["content-encoding"] = coding
        await _send(send, 200, headers, body)


async def _compress(file: _File) -> None:
    # gzip first: it is ready in a tenth of the time, and better than nothing meanwhile.
    file.encoded["gzip"] = await asyncio.to_thread(gzip.compress, file.body, 6, mtime=0)
    file.encoded["br"] = await asyncio.to_thread(brotli.compress, file.body, quality=BROTLI_QUALITY)


def _names(if_none_match: str, etag: str) -> bool:
    """Whether the browser holds this file, in whatever coding."""
    return any(
        part.strip().removeprefix("W/").strip('"').rpartition("-")[0] == etag for part in if_none_match.split(",")
    )


def _unconditional(scope: Scope) -> Scope:
    """The request without what would make the inner application answer less than the whole file as it is."""
    dropped = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
    # A server may send a file by its path; here its bytes are wanted.
    extensions = {
        name: value for name, value in scope.get("extensions", {}).items() if name != "http.response.pathsend"
    }
    headers = [(name, value) for name, value in scope["headers"] if name.lower() not in dropped]
    return {**scope, "headers": headers, "extensions": extensions}


async def _send(send: Send, status: int, headers: MutableHeaders, body: bytes) -> None:
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers.raw}
    await send(start)
    await send({"type": "http.response.body", "body": body})
