"""`tickertone doctor`: what is wrong with a store, what it means and what to do; and doing it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from dashapp.clock import now_us
from dashapp.commands.output import emit
from dashapp.config import Settings
from dashapp.errors import UsageError
from dashapp.rollup.doctor import examine
from dashapp.rollup.repair import repair
from dashapp.store.findings import Finding, Findings

DONE, FAILED = 0, 1


def add_doctor_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `doctor` to the parser."""
    sub = command("doctor", doctor, "Look for damage of the store and explain it; nothing is changed but by --repair.")
    sub.add_argument("--repair", action="store_true", help="repair what can be repaired without losing anything")
    sub.add_argument(
        "--from",
        dest="backup",
        metavar="BACKUP",
        help="with --repair: put damaged files back from this backup of the store",
    )
    sub.add_argument(
        "--accept-loss",
        action="store_true",
        help="with --repair: give up the scores in files that are still damaged, so that the rest is right",
    )


def doctor(asked: argparse.Namespace, settings: Settings) -> int:
    """Examine, and with --repair mend and examine again; 1 where anything is left to be done."""
    if (asked.backup is not None or asked.accept_loss) and not asked.repair:
        raise UsageError("--from and --accept-loss change the store: they need --repair.")
    done: list[str] = []
    with Console(stderr=True).status("looking") as line:

        def progress(what: str) -> None:
            line.update(f"looking at {what}")

        found = examine(settings, now_us(), progress)
        if asked.repair and not found.is_healthy:
            line.update("repairing")
            backup = None if asked.backup is None else Path(asked.backup)
            done = repair(settings, found, now_us, backup=backup, accept_loss=asked.accept_loss)
            found = examine(settings, now_us(), progress)
    emit(asked, _body(found, done), "\n".join(_lines(found, done)))
    return DONE if found.is_healthy else FAILED


def _body(found: Findings, done: list[str]) -> dict[str, Any]:
    return {
        "healthy": found.is_healthy,
        "repaired": done,
        "findings": [asdict(finding) for finding in found.found],
        "data_files": found.data_files,
        "log_files": found.log_files,
        "checked": found.buckets,
        "differ": found.differ,
    }


def _lines(found: Findings, done: list[str]) -> list[str]:
    lines = [f"repaired: {what}" for what in done]
    for finding in found.found:
        lines += _paragraph(finding)
    compared = f"{found.differ} of {found.buckets:,} buckets differ from their scores"
    if found.differ is None:
        compared = "buckets and scores could not be compared"
    looked = f"{found.data_files:,} data files and {found.log_files:,} files of the logs read; {compared}."
    left = sum(1 for finding in found.found if finding.severity != "note")
    return [*lines, looked, "Healthy." if found.is_healthy else f"{left:,} things to be done about."]


def _paragraph(finding: Finding) -> list[str]:
    return [
        f"{finding.severity}: {finding.place}",
        f"  {finding.what}",
        f"  {finding.meaning}",
        f"  -> {finding.remedy}",
        "",
    ]
