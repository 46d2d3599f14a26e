"""A web server of the test's own, on a real port of this machine: it answers as live sources do, well and badly.

Replies are scripted by path; each call is kept as it came.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Call:
    """One request: its path, its parameters (the last of a name counts) and its headers, names in small letters."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """What is answered: `cut_at` bytes of the body and then a reset, or a byte every `drip_s`, `delay_s` before all."""

    body: bytes | str | list[Any] | dict[str, Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    cut_at: int | None = None
    content_length: bool = True

    @property
    def bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


Responder = Callable[[Call], Reply]


class Newsstand:
    """The server; `at` scripts a path, `calls` says what was asked."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._routes: dict[str, Responder] = {}
        stand = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    stand._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def at(self, path: str, reply: Reply | list[Reply] | Responder) -> None:
        """Answer calls of this path: always so, one after the other (the last for ever), or by a function."""
        if isinstance(reply, Reply):
            self._routes[path] = lambda _: reply
        elif isinstance(reply, list):
            rest = list(reply)
            self._routes[path] = lambda _: rest.pop(0) if len(rest) > 1 else rest[0]
        else:
            self._routes[path] = reply

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        params = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        call = Call(parts.path, params, {name.lower(): value for name, value in handler.headers.items()})
        self.calls.append(call)
        reply = self._routes.get(parts.path, lambda _: Reply("not here", 404))(call)
        time.sleep(reply.delay_s)
        body = reply.bytes
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.content_length:
            handler.send_header("Content-Length", str(len(body)))
        else:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        if reply.cut_at is not None:
            handler.wfile.write(body[: reply.cut_at])
            handler.wfile.flush()
            # No lingering: the connection is reset, not ended.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
        elif reply.drip_s:
            for byte in body:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(reply.drip_s)
        else:
            handler.wfile.write(body)


@contextlib.contextmanager
def newsstand() -> Iterator[Newsstand]:
    """A running one."""
    stand = Newsstand()
    try:
        yield stand
    finally:
        stand.close()
