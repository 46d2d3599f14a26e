"""Whether the process is alive, whether it can read the store, and what is wrong, in words."""

from __future__ import annotations

import html
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Protocol

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from dashapp.api import bodies
from dashapp.api.bodies import Health, Readiness
from dashapp.api.desk import Desk, get
from dashapp.api.findings import Facts, Finding, findings
from dashapp.api.jobs import ReadJobs
from dashapp.api.metrics import WriterCounts
from dashapp.api.pool import BoundedPool
from dashapp.api.sources import ReadHealth
from dashapp.errors import StoreError
from dashapp.model.time import US_PER_SECOND, EpochUs, to_iso
from dashapp.query.series import SeriesReader

PAGE_PATH = "/health"

_HOUR_S = 3_600
# How often what was counted is written down, where somebody looks.
_EVERY_S = 60


class Writing(Protocol):
    """The writer of pushed items, as far as its health goes."""

    @property
    def is_open(self) -> bool: ...

    def counts(self) -> WriterCounts:
        """What it has done since it was started."""


class _Counted(NamedTuple):
    at_s: float
    taken: int
    rejected: int
    refused: int


class Checkup:
    """Looks at everything that tells how the server and its store are; for one thread at a time."""

    def __init__(
        self,
        reader: SeriesReader,
        data_dir: Path,
        now_us: Callable[[], EpochUs],
        *,
        jobs: ReadJobs,
        sources: ReadHealth,
        writer: Writing,
        pools: Sequence[BoundedPool] = (),
    ) -> None:
        self._reader = reader
        self._data_dir = data_dir
        self._now_us = now_us
        self._jobs = jobs
        self._sources = sources
        self._writer = writer
        self._pools = pools
        self._counted: deque[_Counted] = deque([_Counted(time.monotonic(), 0, 0, 0)])
        self._began_us = now_us() - int(time.monotonic() * US_PER_SECOND)

    def findings(self) -> list[Finding]:
        """All that is wrong at this moment, the worst first; reads a few small files."""
        waiting, error = 0, None
        try:
            view = self._reader.view()
            in_files = sum(file.rows for file in view.tail_files)
            waiting = in_files if view.tail_rows is None else view.tail_rows.num_rows
        except StoreError as caught:
            error = caught
        disk = shutil.disk_usage(self._data_dir)
        before, now = self._count()
        now_us = self._now_us()
        return findings(
            Facts(
                now_us=now_us,
                store_error=error,
                waiting_scores=waiting,
                jobs=list(self._jobs()),
                sources=list(self._sources()),
                disk_free_bytes=disk.free,
                disk_total_bytes=disk.total,
                is_writable=os.access(self._data_dir, os.W_OK),
                data_dir=str(self._data_dir),
                taken=now.taken - before.taken,
                rejected=now.rejected - before.rejected,
                refused=now.refused - before.refused,
                is_writing=self._writer.is_open,
                clock_back_s=(self._began_us + int(now.at_s * US_PER_SECOND) - now_us) / US_PER_SECOND,
            )
        )

    def _count(self) -> tuple[_Counted, _Counted]:
        """What was counted an hour ago, or as near to that as somebody looked; and now."""
        counts, refused = self._writer.counts(), sum(pool.refused for pool in self._pools)
        now = _Counted(time.monotonic(), counts.accepted + counts.duplicates, counts.rejected, refused)
        while len(self._counted) > 1 and self._counted[1].at_s < now.at_s - _HOUR_S:
            self._counted.popleft()
        if now.at_s - self._counted[-1].at_s > _EVERY_S:
            self._counted.append(now)
        return self._counted[0], now


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Adds the routes of health that are open to everybody."""

    @get(router, "/healthz", tags=["health"])
    async def is_alive() -> Health:
        """The process is alive."""
        return Health(status="ok")

    @get(router, "/readyz", tags=["health"])
    async def is_ready() -> Readiness:
        """The store can be read; 503 when not."""
        return Readiness(status="ok", revision=await desk.call(desk.reader.refresh))


def add_checkup_routes(router: APIRouter, desk: Desk, checkup: Checkup, at: Callable[[str], str]) -> None:
    """Adds the page that says what is wrong and what to do, and the same as JSON."""

    @get(router, "/api/v2/health", tags=["health"])
    async def find_trouble() -> bodies.Checkup:
        """What is wrong with the server and its store, the worst first, and what to do about it; nothing when all is
        well."""
        found = await desk.call(checkup.findings)
        return bodies.Checkup(
            timestamp=to_iso(desk.now_us()), findings=[bodies.Finding(**asdict(each)) for each in found]
        )

    @get(router, PAGE_PATH, include_in_schema=False)
    async def show_trouble() -> Response:
        moment_us = desk.now_us()
        page = page_html(await desk.call(checkup.findings), to_iso(moment_us - moment_us % US_PER_SECOND), at)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})


def page_html(found: Sequence[Finding], moment: str, at: Callable[[str], str]) -> str:
    """The page, without scripts: it loads itself anew every half minute."""
    items = "".join(
        f'<li class="{each.severity}"><h2>{html.escape(each.about)}</h2><p>{html.escape(each.what)}</p>'
        f"<p><strong>What to do:</strong> {_marked(each.remedy)}</p></li>"
        for each in found
    )
    number = len(found)
    verdict = (
        "All is well." if not number else f"{number} {'thing needs' if number == 1 else 'things need'} looking at."
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="30">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{verdict} – Tickertone</title>"
        f'<link rel="icon" href="{at("/_favicon.ico")}"><style>{_STYLE}</style></head><body><main>'
        f'<p class="back"><a href="{at("/")}">Tickertone</a></p>'
        f'<h1 class="{"some" if number else "none"}">{verdict}</h1>'
        f"<ul>{items}</ul>"
        f'<p class="quiet">Of {moment}, looked at anew every half minute. Looked at: the store, the disk, jobs, '
        f"sources, pushed items, load, and the clock. "
        f'<a href="{at("/api/v2/health")}">As JSON</a></p></main></body></html>'
    )


def _marked(text: str) -> str:
    """A text with what stands between backticks marked as something to type."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; background: light-dark(#f6f7f9, #14171c); color: light-dark(#1c2026, #e7eaef); }
main { max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { margin: .25rem 0 1.25rem; font-size: 1.5rem; } h2 { margin: 0 0 .25rem; font-size: 1rem; }
h1::before { content: "✓ "; color: light-dark(#0f7a55, #4cc38a); }
h1.some::before { content: "! "; color: light-dark(#a3321b, #ff9a80); }
h2::first-letter { text-transform: uppercase; }
p { margin: 0 0 .5rem; overflow-wrap: anywhere; }
.back, .quiet { color: light-dark(#565f6e, #a2acba); font-size: .875rem; }
ul { display: grid; gap: .75rem; margin: 0 0 1.5rem; padding: 0; list-style: none; }
li { padding: .9rem 1rem .5rem; border-radius: .5rem; border-left: 5px solid light-dark(#b7791f, #e5b567);
  background: light-dark(#fff, #1d2128); box-shadow: 0 1px 3px #0002; }
li.bad { border-left-color: light-dark(#a3321b, #ff9a80); }
code { padding: .05em .3em; border-radius: .25em; background: light-dark(#eceff3, #2a303a); font-size: .9em; }
a { color: light-dark(#1f5fbf, #7db2ff); } :focus-visible { outline: 3px solid currentColor; outline-offset: 2px; }
"""
