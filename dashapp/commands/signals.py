"""Signals: how a command that goes on until it is stopped is told to end."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue
from types import FrameType


def stopped_by_signal() -> threading.Event:
    """An event that Ctrl-C and a service manager's request to end set.

    A handler runs in the middle of whatever the main thread does, be it a wait for this event, whose lock it then
    holds: setting it there would wait for itself. A queue that may be entered anew tells a thread that can.
    """
    stop = threading.Event()
    asked: SimpleQueue[int] = SimpleQueue()

    def end(number: int, _: FrameType | None) -> None:
        asked.put(number)

    def pass_on() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=pass_on, name="signals", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop
