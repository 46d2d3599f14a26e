"""Threads with a bounded queue: what comes when too much waits is told to come back, and so is what waited too long.

All threads of a process share one interpreter, and the kernel cannot tell it which of them matters: a thread of less
priority that holds it keeps the others waiting all the longer. So work gives way by itself, before it begins.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from dashapp.errors import Overloaded

T = TypeVar("T")

# A full queue is worked off in about that time.
_RETRY_AFTER_S = 2
# How often what gives way looks whether it still has to.
_LOOK_EVERY_S = 0.01


def nothing_is_urgent() -> bool:
    """Of work that gives way to nothing."""
    return False


class BoundedPool(ThreadPoolExecutor):
    """Threads for work that may be asked for faster than it can be done.

    Who asked may have left meanwhile, so what has waited longer than `longest_wait_s` is not done any more: after a
    rush the server answers at once those who are still there. While `is_urgent` says that something else is under way
    that goes first, they do one thing at a time.
    """

    def __init__(
        self,
        threads: int,
        *,
        name: str,
        most_waiting: int,
        longest_wait_s: float = 10.0,
        is_urgent: Callable[[], bool] = nothing_is_urgent,
    ) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self.name = name
        self.refused = 0
        self._most = threads + most_waiting
        self._longest_wait_s = longest_wait_s
        self._is_urgent = is_urgent
        self._held = 0
        self._running = 0
        self._counting = threading.Condition()

    @property
    def held(self) -> int:
        """How much is being done or waits."""
        return self._held

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Queue a call; raises Overloaded, and so does the future of a call that has waited too long."""
        asked_s = time.monotonic()
        with self._counting:
            if self._held >= self._most:
                raise self._refusal(f"{self._held} requests are waiting already.")
            self._held += 1

        def do() -> T:
            if time.monotonic() - asked_s > self._longest_wait_s:
                with self._counting:
                    refusal = self._refusal(f"This request has waited for {self._longest_wait_s:g} s.")
                raise refusal
            with self._counting:
                while self._running and self._is_urgent():
                    self._counting.wait(_LOOK_EVERY_S)
                self._running += 1
            try:
                return function(*arguments, **named)
            finally:
                with self._counting:
                    self._running -= 1
                    self._counting.notify()

        try:
            # With the context of who asked: what is logged in the thread belongs to the same request.
            future = super().submit(contextvars.copy_context().run, do)
        except BaseException:
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        with self._counting:
            self._held -= 1

    def _refusal(self, why: str) -> Overloaded:
        self.refused += 1
        return Overloaded(
            f"The server is asked for more than it can do: {why} Ask again in a moment.", retry_after_s=_RETRY_AFTER_S
        )


def give_way(is_urgent: Callable[[], bool], longest_s: float) -> None:
    """Wait while something is urgent, but not for ever."""
    until_s = time.monotonic() + longest_s
    while is_urgent() and time.monotonic() < until_s:
        time.sleep(_LOOK_EVERY_S)
