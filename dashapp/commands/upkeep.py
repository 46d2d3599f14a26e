"""`tickertone maintain`: the jobs that keep a store in order, once or again and again; and how jobs are told of."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from dashapp.clock import now_us
from dashapp.commands.output import emit
from dashapp.commands.signals import stopped_by_signal
from dashapp.config import Settings
from dashapp.errors import TickertoneError, UsageError
from dashapp.rollup.jobs import JOBS, TOGETHER, UPKEEP, Did, keep_up, run_job
from dashapp.store.store import Store

DONE, FAILED = 0, 1

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def add_upkeep_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `maintain` to the parser."""
    sub = command("maintain", maintain, "Keep the store in order: compaction, retention, vacuum and log clean-up.")
    about = ", ".join(f"{job.name} ({job.about})" for job in JOBS.values())
    sub.add_argument("jobs", nargs="*", metavar="JOB", help=f"only these: {about}")
    sub.add_argument(
        "--every",
        nargs="?",
        type=duration,
        const=0.0,
        metavar="5m",
        help="again and again until stopped, with this pause; without one, each job with the pause the settings say",
    )
    sub.add_argument(
        "--no-wait", action="store_true", help="fail where somebody else is doing the job, not wait for it"
    )


def duration(text: str) -> float:
    """Seconds of `30s`, `500ms`, `5m`, `2h` or a bare number of seconds; for argparse."""
    for unit, seconds in _UNITS_S.items():
        if text.endswith(unit) and text.removesuffix(unit).replace(".", "", 1).isdigit():
            return float(text.removesuffix(unit)) * seconds
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 30s, 5m or 500ms") from None


def maintain(asked: argparse.Namespace, settings: Settings) -> int:
    """Do jobs once, one after the other, or until a signal; 1 when any of those done once failed."""
    unknown = [name for name in asked.jobs if name not in JOBS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not a job. Jobs: {', '.join(JOBS)}.")
    names = asked.jobs or UPKEEP
    if asked.every is not None:
        _keep_up(asked, settings, names)
        return DONE
    store = Store(settings)
    began_s = time.perf_counter()
    done: dict[str, Did] = {}
    errors: dict[str, str] = {}
    for name in names:
        try:
            wait_until = None if asked.no_wait else threading.Event()
            done[name] = run_job(store, settings, JOBS[name], now_us, wait_until=wait_until)
        except UsageError:
            raise
        except TickertoneError as error:  # the others may be well, and are as needed
            errors[name] = str(error)
    lines = [_line(name, did) for name, did in done.items()]
    lines += [f"{name:12} failed: {error}" for name, error in errors.items()]
    body = {**done, **({"errors": errors} if errors else {}), "seconds": round(time.perf_counter() - began_s, 6)}
    emit(asked, body, "\n".join(lines))
    return FAILED if errors else DONE


def job_lines(told: Sequence[dict[str, Any]]) -> list[str]:
    """Jobs as a table of text."""
    lines = [f"{'job':12} {'last run':28} {'took':>9} {'late':>8}  {'next run':28} what it did"]
    for job in told:
        took = "-" if job["seconds"] is None else f"{job['seconds']:.2f} s"
        late = "-" if job["lag_s"] is None else f"{job['lag_s']:.0f} s"
        did = f"failed: {job['last_error']}" if job["consecutive_errors"] else _words(job["did"])
        did = f"running ({job['holder']})" if job["is_running"] else did
        last, following = job["last_run"] or "never", job["next_run"] or "-"
        lines.append(f"{job['name']:12} {last:28} {took:>9} {late:>8}  {following:28} {did}")
    return lines


def _keep_up(asked: argparse.Namespace, settings: Settings, names: Sequence[str]) -> None:
    """Do jobs until a signal, those that may take long each in a thread of their own."""
    stop = stopped_by_signal()
    failed: list[BaseException] = []

    def work(group: Sequence[str]) -> None:
        try:
            keep_up(settings, group, stop, now_us, every_s=asked.every or None, report=report)
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread of the command
            failed.append(error)
            stop.set()

    def report(name: str, did: Did) -> None:
        emit(asked, {"job": name, **did}, _line(name, did))

    groups = [[name for name in group if name in names] for group in TOGETHER]
    threads = [threading.Thread(target=work, args=(group,), name=group[0]) for group in groups if group]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _line(name: str, did: Did) -> str:
    return f"{name:12} {_words(did)}"


def _words(did: Did) -> str:
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in did.items()
    )
