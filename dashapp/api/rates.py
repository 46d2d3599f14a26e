"""How much each sender may send: token buckets, one for each, refilled with time."""

from __future__ import annotations

import math
import threading

from dashapp.errors import RateLimited


class Rates:
    """A token bucket for each sender, full at first; safe for use by several threads.

    A request larger than a full bucket is let through when the bucket is full, and the sender then waits until what it
    took too much is refilled: so no request is too large for ever, and the long-run rate holds all the same.
    """

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._held: dict[str, tuple[float, float]] = {}  # tokens, and the time at which it was so many
        self._lock = threading.Lock()

    def take(self, sender: str, amount: int, now_s: float) -> None:
        """Take tokens at a time of a clock that never goes back; raises RateLimited, and then takes none.

        An amount of 0 asks whether anything could be taken.
        """
        with self._lock:
            tokens, since_s = self._held.get(sender, (float(self._burst), now_s))
            tokens = min(float(self._burst), tokens + (now_s - since_s) * self._per_s)
            missing = min(max(amount, 1), self._burst) - tokens
            if missing > 0:
                wait_s = math.ceil(missing / self._per_s)
                raise RateLimited(
                    f"This key may push {self._per_s:g} items a second, {self._burst} at once after a pause. "
                    f"Send these again in {wait_s} s.",
                    retry_after_s=wait_s,
                    items_per_s=self._per_s,
                    burst_items=self._burst,
                )
            self._held[sender] = (tokens - amount, now_s)
