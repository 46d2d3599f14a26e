"""Signals: how a command that goes on until it is stopped is told to end."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def stopped_by_signal() -> threading.Event:
    """An event that Ctrl-C and a service manager's request to end set."""
    stop = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop
