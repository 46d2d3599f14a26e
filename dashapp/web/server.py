"""The web server process: uvicorn around the application, until a signal ends it."""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from dashapp.config import Settings
from dashapp.web.protocol import BoundedProtocol

# Connections beside those of streams: of pages, of pushes, of those who wait for an answer.
_OTHER_CONNECTIONS = 1_000
# Files and connections of the process itself: tables, caches, threads.
_OWN_FILES = 500
# How long open connections may hold up the end of the server.
GRACEFUL_SHUTDOWN_S = 3


def free_port(host: str) -> int:
    """A port of this host that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def most_connections(streams: int) -> int:
    """How many connections there may be at one time, so that each has a file of its own and the store too."""
    wanted = streams + _OTHER_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + _OWN_FILES:
        soft = min(wanted + _OWN_FILES, hard) if hard != resource.RLIM_INFINITY else wanted + _OWN_FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(wanted, max(soft - _OWN_FILES, soft // 2))


def serve_until_signal(server: FastAPI, settings: Settings, *, port: int, started: Callable[[], None]) -> bool:
    """Serve until a signal ends it; `started` is called once requests are answered.

    Returns False when it could not listen on that port.
    """
    web = uvicorn.Server(
        uvicorn.Config(
            server,
            host=settings.host,
            port=port,
            log_level=settings.log_level,
            log_config=None,  # its lines go the way of all others
            access_log=False,
            http=BoundedProtocol,
            ws="none",
            limit_concurrency=most_connections(settings.live_max_connections),
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
    )

    def announce() -> None:
        while not web.started and not web.should_exit:
            time.sleep(0.02)
        if web.started:
            started()

    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends gracefully on these and then raises them again, which would end the process before its feeds.
        signal.signal(number, lambda *_: None)
    threading.Thread(target=announce, name="announce", daemon=True).start()
    try:
        web.run()
    except SystemExit:  # uvicorn exits the process where it cannot listen
        return False
    return web.started
