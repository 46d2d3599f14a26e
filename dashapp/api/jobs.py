"""How the jobs of the store are: told by whoever does them, here or in a process beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import APIRouter

from dashapp.api.bodies import Job, Jobs
from dashapp.api.desk import Desk, get
from dashapp.model.time import to_iso
from dashapp.store.lease import JobRecord

# What was told of all jobs last; reads some small files.
ReadJobs = Callable[[], Iterable[JobRecord]]


def add_routes(router: APIRouter, desk: Desk, read_jobs: ReadJobs) -> None:
    """Adds the route of jobs."""

    @get(router, "/api/v2/jobs", tags=["health"])
    async def list_jobs() -> Jobs:
        """How each job of the store is: rollup, compaction, retention, vacuum, logs and verify."""
        now_us = desk.now_us()
        told = await desk.call(lambda: list(read_jobs()))
        return Jobs(timestamp=to_iso(now_us), jobs=[Job(**record.told(now_us)) for record in told])
