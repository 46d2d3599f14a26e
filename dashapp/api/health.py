"""Whether the process is alive, and whether it can read the store."""

from __future__ import annotations

from fastapi import APIRouter

from dashapp.api.bodies import Health, Readiness
from dashapp.api.desk import Desk, get


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Adds the routes of health."""

    @get(router, "/healthz", tags=["health"])
    async def is_alive() -> Health:
        """The process is alive."""
        return Health(status="ok")

    @get(router, "/readyz", tags=["health"])
    async def is_ready() -> Readiness:
        """The store can be read; 503 when not."""
        return Readiness(status="ok", revision=await desk.call(desk.reader.refresh))
