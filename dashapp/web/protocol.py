"""HTTP/1.1 on a connection: uvicorn's, with bounds on what a client can hold up or fill that does not play fair.

uvicorn waits for ever for the end of a request's head, takes one of any length, and keeps what a client does not read
for as long as it stays connected. A few thousand such clients would take all connections, or all memory, of a server
that answers everybody else at once.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Any network carries a head in less; a client that takes longer does so on purpose, or is gone.
HEAD_TIMEOUT_S = 15.0
# What of a request is no body: fifty tickers, a session and what proxies add are about 5 kB.
MAX_HEAD_BYTES = 65_536
# A body in pieces of one byte each comes with five bytes around each of them.
_MOST_AROUND = 16
# Whoever takes less than this in that time takes it for nobody. A stream is gone on with by its last event.
STALL_TIMEOUT_S = 60.0
_LEAST_TAKEN_BYTES = 60_000
# A body nobody waits for any more may still come, so that its sender reads the answer that says why.
LEFTOVER_TIMEOUT_S = 10.0
_RETRY_AFTER_S = 5


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `limit_concurrency` of uvicorn bounds how many there are: one more is told to come back."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._messages = 0
        self._is_within = False  # a request has begun and not ended
        self._is_in_head = False
        self._body_bytes = 0
        self._around_bytes = 0
        self._patience: TimerHandle | None = None
        self._stall: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._refuse(503, f"Service Unavailable\r\nretry-after: {_RETRY_AFTER_S}", "Too many connections.")
        else:
            self._wait(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._wait(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent, unless there is no end to what is no body."""
        if self.transport.is_closing():
            return
        number, body_bytes = self._messages, self._body_bytes
        super().data_received(data)
        if self.transport.is_closing():
            return
        is_answered = self.cycle is None or self.cycle.response_complete
        if number == self._messages and self._is_within:
            self._around_bytes += max(0, len(data) - _MOST_AROUND * (self._body_bytes - body_bytes))
        if self._around_bytes > MAX_HEAD_BYTES:
            if is_answered or not self.cycle.response_started:
                self._refuse(431, "Request Header Fields Too Large", f"The head is over {MAX_HEAD_BYTES} bytes.")
            else:
                self.transport.abort()
        elif self._patience is None and (is_answered or self._is_in_head):
            self._wait(HEAD_TIMEOUT_S)

    def on_message_begin(self) -> None:
        """Tell what is inside who really is connected, whatever the headers of a proxy say."""
        super().on_message_begin()
        self._messages += 1
        self._is_within = self._is_in_head = True
        self._around_bytes = 0
        self.scope["state"]["peer"] = self.client

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._is_in_head = False
        self._wait(None)
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; one that comes behind a body is of no use here."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take in a piece of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._is_within = False
        self._wait(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait a little for the rest of a request that is answered before its end."""
        super().on_response_complete()
        if self._is_within:
            self._wait(LEFTOVER_TIMEOUT_S)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        if self._stall is None:
            self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It takes more."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _watch(self, size_bytes: int) -> None:
        self._stall = self.loop.call_later(STALL_TIMEOUT_S, self._look, size_bytes)

    def _look(self, before_bytes: int) -> None:
        size_bytes = self.transport.get_write_buffer_size()
        if before_bytes - size_bytes < _LEAST_TAKEN_BYTES:
            self._stall = None
            self.transport.abort()
        else:
            self._watch(size_bytes)

    def _wait(self, patience_s: float | None) -> None:
        """Wait so long for what has to come; None for nothing."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if patience_s is None else self.loop.call_later(patience_s, self.transport.abort)

    def _refuse(self, status: int, line: str, message: str) -> None:
        self._wait(None)
        head = f"HTTP/1.1 {status} {line}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(message)}\r\n\r\n{message}".encode())
        self.transport.close()
