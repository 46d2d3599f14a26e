"""How the live sources are: told by the process that polls them, here or beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from fastapi import APIRouter

from dashapp.api.bodies import Source, Sources
from dashapp.api.desk import Desk, get
from dashapp.model.time import US_PER_SECOND, to_iso

# A poll may wait this long for its answer and for the store; one that is due for longer, nobody makes.
OVERDUE_S = 180


class SourceHealth(Protocol):
    """How a live source is; counts are since its process was started."""

    @property
    def name(self) -> str: ...
    @property
    def is_failing(self) -> bool: ...
    @property
    def last_poll_us(self) -> int | None: ...
    @property
    def last_success_us(self) -> int | None: ...
    @property
    def last_item_us(self) -> int | None: ...
    @property
    def lag_s(self) -> float | None: ...
    @property
    def last_error(self) -> str | None: ...
    @property
    def last_error_us(self) -> int | None: ...
    @property
    def consecutive_failures(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def calls(self) -> int: ...
    @property
    def accepted(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def next_poll_us(self) -> int | None: ...
    @property
    def waiting_for(self) -> str: ...


# What was told of all sources last; reads a small file.
ReadHealth = Callable[[], Iterable[SourceHealth]]


def add_routes(router: APIRouter, desk: Desk, read_health: ReadHealth) -> None:
    """Adds the route of live sources."""

    @get(router, "/api/v2/sources", tags=["health"])
    async def list_sources() -> Sources:
        """How each live source is, as the process that polls them told last; none where none was ever polled."""
        now_us = desk.now_us()
        told = await desk.call(lambda: list(read_health()))
        return Sources(timestamp=to_iso(now_us), sources=[_source(each, now_us) for each in told])


def _source(health: SourceHealth, now_us: int) -> Source:
    due_us = health.next_poll_us
    return Source(
        name=health.name,
        is_failing=health.is_failing,
        is_overdue=due_us is not None and now_us - due_us > OVERDUE_S * US_PER_SECOND,
        last_poll=_iso(health.last_poll_us),
        last_success=_iso(health.last_success_us),
        last_item=_iso(health.last_item_us),
        lag_s=health.lag_s,
        last_error=health.last_error,
        last_error_at=_iso(health.last_error_us),
        consecutive_errors=health.consecutive_failures,
        errors=health.failures,
        calls=health.calls,
        items=health.accepted,
        duplicates=health.duplicates,
        rejected=health.rejected,
        ignored=health.ignored,
        next_poll=_iso(due_us),
        waiting_for=health.waiting_for,
    )


def _iso(moment_us: int | None) -> str | None:
    return None if moment_us is None else to_iso(moment_us)
