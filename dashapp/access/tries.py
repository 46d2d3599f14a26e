"""How often a name or an address may try to log in: so often at once, then so often a minute."""

from __future__ import annotations

import math
import threading

from dashapp.errors import RateLimited

# What is kept of so many at most: whoever tries a million names must not fill the memory with them.
MOST_KEPT = 10_000


class Tries:
    """Counts tries that failed; safe for use by several threads."""

    def __init__(self, *, at_once: int, every_s: float) -> None:
        self._at_once = at_once
        self._every_s = every_s
        # When all of its tries will be there again, in seconds of a clock that never goes back.
        self._full_at_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, who: str, now_s: float) -> None:
        """Counts one try as failed, until `forgive`; raises RateLimited, and then counts none."""
        with self._lock:
            full_at_s = max(self._full_at_s.pop(who, now_s), now_s) + self._every_s
            wait_s = full_at_s - now_s - self._at_once * self._every_s
            if wait_s > 0:
                self._full_at_s[who] = full_at_s - self._every_s
                retry_after_s = math.ceil(wait_s)
                raise RateLimited(f"Too many tries. Wait {retry_after_s} s.", retry_after_s=retry_after_s)
            self._full_at_s[who] = full_at_s
            if len(self._full_at_s) > MOST_KEPT:  # the one that tried longest ago
                del self._full_at_s[next(iter(self._full_at_s))]

    def forgive(self, who: str) -> None:
        """The try was a good one: as if there had been none."""
        with self._lock:
            self._full_at_s.pop(who, None)
