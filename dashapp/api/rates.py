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
        # Tokens, the time at which it was so many, and the amount that was taken last.
        self._held: dict[str, tuple[float, float, int]] = {}
        self._lock = threading.Lock()

    def check(self, sender: str, now_s: float) -> None:
        """Raise RateLimited when not even one token is there; it says when as many as last time will be."""
        with self._lock:
            tokens, last = self._now(sender, now_s)
            if tokens < 1:
                raise self._refusal(last - tokens)

    def take(self, sender: str, amount: int, now_s: float) -> None:
        """Take tokens, at a time of a clock that never goes back; raises RateLimited, and then takes none."""
        with self._lock:
            tokens, _ = self._now(sender, now_s)
            missing = min(amount, self._burst) - tokens
            if missing > 0:
                raise self._refusal(missing)
            self._held[sender] = (tokens - amount, now_s, min(amount, self._burst))

    def _now(self, sender: str, now_s: float) -> tuple[float, int]:
        tokens, since_s, last = self._held.get(sender, (float(self._burst), now_s, 1))
        return min(float(self._burst), tokens + (now_s - since_s) * self._per_s), last

    def _refusal(self, missing: float) -> RateLimited:
        wait_s = math.ceil(missing / self._per_s)
        return RateLimited(
            f"This key may push {self._per_s:g} items a second, {self._burst} at once after a pause. "
            f"Send these again in {wait_s} s.",
            retry_after_s=wait_s,
            items_per_s=self._per_s,
            burst_items=self._burst,
        )
