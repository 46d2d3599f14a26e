"""A process that forks children which do one piece of work on a store and kill themselves at a step to the disk.

`python -m tests.campaign.boundaries TEMPLATE FOLDER WORK EVERY`: first a child 0, which is never killed and counts the
steps, then a child for every EVERY-th step and for the last; child n works on FOLDER/n, a copy of TEMPLATE. Prints n
and the signal that ended it. A step is before and after each flush and each call of the Delta library that writes, and
before Python opens a file to write, makes a folder, renames or removes.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from dashapp.clock import now_us
from dashapp.model.time import EpochUs
from dashapp.rollup.job import rollup
from dashapp.rollup.retention import Rules, retain
from dashapp.store import keys
from dashapp.store.backup import back_up
from dashapp.store.compact import compact
from tests.stores import DAY_US, append, open_store, same_day_scores

# Small runs go to files, so that the index writes some, too.
FILE_RUN_KEYS = 8
OLD, NEW = same_day_scores(12), same_day_scores(12, start=100, day_us=400 * DAY_US)


def work(name: str, folder: Path) -> None:
    """One piece of work; `append` is over two dates, with duplicates."""
    keys.FILE_RUN_KEYS = FILE_RUN_KEYS
    store = open_store(folder)
    if name == "append":
        append(store, [*OLD[:3], *NEW[:6], *same_day_scores(4, start=200)])
    elif name == "retention":
        retain(store, Rules(1, {}), EpochUs(2 * DAY_US))  # OLD goes, NEW stays
    elif name == "compaction":
        compact(store)
    elif name == "logs":
        store.scores.table.clean_log(kept_s=600, now_s=time.time() + 700)
    elif name == "backup":
        back_up(store, folder.with_suffix(".backup"), now_us)
    else:
        rollup(store, full=name == "full")


def _die_at_step(wanted: int, folder: Path) -> Callable[[], int]:
    """Count steps from here on and die at the one wanted; returns how to ask for the count."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    def between_steps(function: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **named: Any) -> Any:
            step()
            result = function(*arguments, **named)
            step()
            return result

        return stepping

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in ("os.mkdir", "os.rename", "os.remove")) and str(arguments[0]).startswith(str(folder)):
            step()

    os.fsync = between_steps(os.fsync)
    DeltaTable.create_write_transaction = between_steps(DeltaTable.create_write_transaction)  # type: ignore[method-assign]
    DeltaTable.create = between_steps(DeltaTable.create)  # type: ignore[method-assign]
    sys.addaudithook(audit)
    return lambda: count


def _child(wanted: int, template: Path, folder: Path, name: str) -> int:
    """Fork one; returns the signal that ended it, 0 when it lived to the end."""
    shutil.copytree(template, folder)
    # Nothing has used threads before, so a fork has all there is.
    child = os.fork()
    if child == 0:
        count = _die_at_step(wanted, folder)
        work(name, folder)
        folder.with_suffix(".count").write_text(str(count()))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def main(template: str, folder: str, name: str, every: str) -> None:
    """Fork them all, one after the other."""
    print(0, _child(0, Path(template), Path(folder) / "0", name), flush=True)
    steps = int((Path(folder) / "0.count").read_text())
    for wanted in sorted({*range(1, steps + 1, int(every)), steps}):
        print(wanted, _child(wanted, Path(template), Path(folder) / str(wanted), name), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
