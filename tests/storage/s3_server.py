"""A server of the S3 interface on a free port: moto's, in a process of its own, with troubles on demand.

Real stores decide a conditional write in one step. moto looks and then writes, so requests are let in one at a time.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BUCKET = "tickertone"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
# What /trouble/NAME asks for: to ignore the condition of writes, as stores do that do not know it; to write the next
# log entry and lose the answer; to answer nothing but errors.
TROUBLES = ("unconditional", "lost answer", "down")

Environ = dict[str, Any]
Start = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class S3:
    """A running server."""

    endpoint: str

    def trouble(self, name: str = "") -> None:
        """Begin with a trouble, or end it."""
        self._ask(f"trouble/{name.replace(' ', '-')}")

    def requests(self) -> dict[str, int]:
        """How many requests of each method there were since the last question; lists are counted apart."""
        counted: dict[str, int] = json.loads(self._ask("requests"))
        return counted

    def _ask(self, what: str) -> bytes:
        with urllib.request.urlopen(f"{self.endpoint}/-/{what}", timeout=10) as answer:
            content: bytes = answer.read()
        return content


@contextmanager
def s3_server() -> Iterator[S3]:
    """Start one with an empty bucket, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.s3_server"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=30).close()
        yield S3(endpoint)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Troubled:
    """moto's application, one request at a time, counted, with troubles."""

    def __init__(self, application: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._trouble = ""
        self._requests: Counter[str] = Counter()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        with self._lock:
            if path.startswith("/-/"):
                return self._told(path.removeprefix("/-/"), start)
            is_list = "list-type" in environ["QUERY_STRING"]
            self._requests["LIST" if is_list else environ["REQUEST_METHOD"]] += 1
            if self._trouble == "down":
                return self._failed(start)
            if self._trouble == "unconditional":
                environ.pop("HTTP_IF_NONE_MATCH", None)
            said: list[Any] = []
            answer = list(self._application(environ, lambda *head: said.append(head)))
            is_entry = environ["REQUEST_METHOD"] == "PUT" and "/_delta_log/0" in path and path.endswith(".json")
            if self._trouble == "lost-answer" and is_entry:
                self._trouble = ""
                return self._failed(start)
            start(*said[0])
            return answer

    def _told(self, what: str, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "application/json")])
        if what.startswith("trouble/"):
            self._trouble = what.removeprefix("trouble/")
            return [b"{}"]
        counted, self._requests = self._requests, Counter()
        return [json.dumps(counted).encode()]

    @staticmethod
    def _failed(start: Start) -> Iterable[bytes]:
        start("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"busy"]


def main() -> None:
    """Serve until killed; the port is printed first."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    MotoRequestHandler.protocol_version = "HTTP/1.1"  # connections stay open, as they do with real stores
    application = Troubled(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
