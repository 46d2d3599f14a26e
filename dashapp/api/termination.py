"""The end of the server: told at once, so that what would never end by itself does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_termination(end: Callable[[], object]) -> Iterator[None]:
    """Call `end` as soon as a signal asks the process to end, and then whatever handled that signal before.

    A web server first waits for its connections to close and only then tells the application, for whose streams it
    waits. `end` runs in the main thread between two instructions of it: it must only pass the word on.
    """
    if threading.current_thread() is not threading.main_thread():  # where signals cannot be had
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        end()
        if callable(before[number]):
            before[number](number, frame)
        elif before[number] == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in _SIGNALS:
            signal.signal(number, before[number])
