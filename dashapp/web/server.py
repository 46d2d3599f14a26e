"""The web server process: uvicorn around the application, until a signal ends it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from dashapp.config import Settings

# How long open connections may hold up the end of the server.
GRACEFUL_SHUTDOWN_S = 3


def free_port(host: str) -> int:
    """A port of this host that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


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
            access_log=False,
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
