"""`tickertone rollup`: new scores into buckets, once or again and again, here or on a Dask cluster."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace

from dashapp.clock import now_us
from dashapp.commands.output import emit
from dashapp.commands.signals import stopped_by_signal
from dashapp.commands.upkeep import duration
from dashapp.config import Settings
from dashapp.errors import UsageError
from dashapp.rollup.cluster import Cluster
from dashapp.rollup.job import rollup
from dashapp.rollup.jobs import JOBS, Did, keep_up, run_job
from dashapp.store.store import Store

DONE = 0


def add_rollup_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `rollup` to the parser."""
    sub = command("rollup", roll_up, "Fold new scores into the buckets of all eight resolutions.")
    sub.add_argument("--full", action="store_true", help="build all buckets anew from the scores")
    sub.add_argument("--every", type=duration, metavar="30s", help="again and again, with this pause, until stopped")
    sub.add_argument(
        "--engine", choices=["local", "dask"], default="local", help="where to fold: here (the default) or on Dask"
    )
    sub.add_argument(
        "--scheduler", metavar="URL", help="Dask's scheduler, tcp://host:8786; without one, processes of this machine"
    )


def roll_up(asked: argparse.Namespace, settings: Settings) -> int:
    """Roll up once, or until a signal."""

    def report(name: str, did: Did) -> None:
        body = {**did, "seconds": round(did["seconds"], 6)}
        text = f"{did['buckets_changed']:,} buckets changed, revision {did['revision']}, {did['seconds']:.2f} s"
        emit(asked, body, text)

    if asked.scheduler is not None and asked.engine != "dask":
        raise UsageError("--scheduler is for --engine dask.")
    with ExitStack() as running:
        engine = running.enter_context(Cluster(settings, asked.scheduler)) if asked.engine == "dask" else None
        full = asked.full and asked.every is None
        job = replace(JOBS["rollup"], work=lambda store, *_: asdict(rollup(store, full=full, engine=engine)))
        if asked.every is not None:
            stop = stopped_by_signal()
            keep_up(settings, [job.name], stop, now_us, every_s=asked.every, report=report, jobs={job.name: job})
        else:
            report(job.name, run_job(Store(settings), settings, job, now_us, wait_until=threading.Event()))
    return DONE
