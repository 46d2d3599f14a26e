"""How often a source may be called: so many calls in a minute, an hour, a day, in any window of that length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dashapp.errors import BadSetting

WINDOWS_S = {"minute": 60, "hour": 3_600, "day": 86_400}

_LIMIT = re.compile(r"(?P<source>[a-z]+)=(?P<calls>[0-9]{1,9})/(?P<window>minute|hour|day)")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` in any `window_s` seconds."""

    calls: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of a source; they hold together."""

    each: tuple[Limit, ...]

    @property
    def spacing_s(self) -> float:
        """The pause between calls that keeps all limits for ever without ever reaching one."""
        return max((limit.window_s / limit.calls for limit in self.each), default=0.0)

    def wait_s(self, calls_s: Iterable[float], now_s: float) -> float:
        """How long the next call has to wait after these; 0 when it may be made now."""
        past = sorted(at for at in calls_s if at <= now_s)  # the others were made before the clock was set back
        waits = [0.0]
        for limit in self.each:
            within = [at for at in past if at > now_s - limit.window_s]
            if len(within) >= limit.calls:
                waits.append(within[-limit.calls] + limit.window_s - now_s)
        return max(waits)

    def kept(self, calls_s: Iterable[float], now_s: float) -> list[float]:
        """The calls that still count."""
        widest_s = max((limit.window_s for limit in self.each), default=0)
        return [at for at in calls_s if now_s - widest_s < at <= now_s]


def parse_limits(text: str, known: Mapping[str, Limits]) -> dict[str, Limits]:
    """The limits of each source: `known`, but what the text says for a source (`tiingo=5000/hour`) in place of its own.

    Several are separated by commas or blanks. Raises BadSetting.
    """
    given: dict[str, tuple[Limit, ...]] = {}
    for part in text.replace(",", " ").split():
        found = _LIMIT.fullmatch(part)
        if not found or found["source"] not in known or int(found["calls"]) == 0:
            raise BadSetting(
                f"setting feed_limits: {part!r} is not a limit such as tiingo=5000/hour. "
                f"Sources: {', '.join(known)}; windows: {', '.join(WINDOWS_S)}."
            )
        limit = Limit(int(found["calls"]), WINDOWS_S[found["window"]])
        given[found["source"]] = (*given.get(found["source"], ()), limit)
    return {source: Limits(given[source]) if source in given else limits for source, limits in known.items()}
