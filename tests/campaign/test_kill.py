"""kill -9 at any moment: nothing acknowledged is lost, nothing counts twice, verify finds nothing, no hand is needed.

A handful of kills runs always; the campaign of many is marked slow. Compaction runs in between as upkeep would have it,
or every round would read the small files of all before it.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.rollup.job import rollup
from dashapp.store import keys as keys_module
from dashapp.store.backup import restore
from tests.campaign import boundaries
from tests.campaign.appender import batch
from tests.stores import (
    append,
    expected_buckets,
    open_store,
    same_day_scores,
    shown_buckets,
    stored_scores,
    verification,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone

REPOSITORY = Path(__file__).resolve().parents[2]

# A kill and what is checked after it take a few seconds, so many take longer than any one test may.
many = [pytest.mark.slow, pytest.mark.timeout(1_800)]
few_or_many = pytest.mark.parametrize("kills", [2, pytest.param(60, marks=many)])


def start_module(name: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", name, *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> str:
    """kill -9 it, and return what it had printed; fails when it had ended by itself with a complaint."""
    process.send_signal(signal.SIGKILL)
    output, errors = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return output


def wait_for_progress(process: subprocess.Popen[str], log: Path, timeout_s: float = 30) -> None:
    """Until the log of a table has a new entry, or the process has ended."""
    before = _entries(log)
    deadline = time.monotonic() + timeout_s
    while _entries(log) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def _entries(log: Path) -> int:
    return len(list(log.glob("*.json"))) if log.exists() else 0


def assert_sound(folder: Path, acknowledged: Iterable[str]) -> None:
    """What holds after every kill."""
    if not (folder / "scores").exists():  # killed before it made the store
        assert not list(acknowledged)
        return
    store = open_store(folder)
    ids = [row["item_id"] for row in stored_scores(store)]
    assert len(ids) == len(set(ids))
    assert not set(acknowledged) - set(ids)
    assert verification(store).differ == 0
    store.close()


def items(round_number: int, count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"r{round_number}-{number}", "ts": 1_400_000_000 + number * 977, "text": "good", "ticker": "AAPL"}
        for number in range(count)
    ]


@few_or_many
def test_an_ingest_killed_and_run_again_has_stored_everything_once(
    tmp_path: Path, tickertone: Tickertone, kills: int
) -> None:
    moments = random.Random(1)
    file = tmp_path / "items.jsonl"
    log = tickertone.data_dir / "scores" / "_delta_log"
    stored: set[str] = set()
    for number in range(kills):
        rows = [*items(number, 400), *items(number - 1, 50 if number else 0)]
        moments.shuffle(rows)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        process = tickertone.start("ingest", file, "--batch-rows", "20", "--json")
        if number % 5:
            wait_for_progress(process, log)
            time.sleep(moments.uniform(0, 0.4))
        else:
            time.sleep(moments.uniform(0.2, 1.4))
        if kill(process):  # it had come to its end and acknowledged all
            stored |= {row["id"] for row in rows}
        assert_sound(tickertone.data_dir, stored)

        summary = tickertone.json("ingest", file, "--batch-rows", "20")

        stored |= {row["id"] for row in rows}
        assert (summary["accepted"] + summary["duplicates"], summary["rejected"]) == (len(rows), 0)
        assert_sound(tickertone.data_dir, stored)
        if number % 3 == 0:
            tickertone("rollup")
            tickertone("maintain", "compaction")
    store = open_store(tickertone.data_dir)
    assert {row["item_id"] for row in stored_scores(store)} == stored
    assert shown_buckets(store) == expected_buckets(store)


@few_or_many
def test_rollups_killed_beside_an_ingest_leave_right_candles(tickertone: Tickertone, kills: int) -> None:
    moments = random.Random(2)
    store = open_store(tickertone.data_dir)
    acknowledged: set[str] = set()
    append(store, batch("first", 0, 20))
    for number in range(kills):
        arguments = ["--every", "10ms"] if number % 4 else ["--full"]
        process = tickertone.start("rollup", *arguments)
        for turn in range(4):
            if turn == 1:
                wait_for_progress(process, tickertone.data_dir / "buckets" / "_delta_log")
            rows = batch(f"k{number}", turn, 10)
            append(store, rows)
            acknowledged |= {row.item_id for row in rows}
        time.sleep(moments.uniform(0, 0.3))
        kill(process)
        assert_sound(tickertone.data_dir, acknowledged)
        if number % 3 == 0:
            tickertone("maintain", "compaction")
    assert json.loads(tickertone("rollup", "--json").stdout)["revision"] == store.scores.table.refresh()
    store.buckets.table.refresh()
    assert store.buckets.seen == store.scores.table.version
    assert shown_buckets(store) == expected_buckets(store)


@few_or_many
def test_writers_and_a_rollup_killed_together_lose_nothing_they_acknowledged(
    tickertone: Tickertone, kills: int
) -> None:
    moments = random.Random(3)
    folder = tickertone.data_dir
    acknowledged: set[str] = set()
    for number in range(kills):
        processes = {
            name: start_module("tests.campaign.appender", folder, name, "10000", "8")
            for name in (f"a{number}", f"b{number}")
        }
        beside = tickertone.start("rollup", "--every", "10ms")
        wait_for_progress(next(iter(processes.values())), folder / "scores" / "_delta_log")
        time.sleep(moments.uniform(0, 1.0))
        killed = [(name, kill(process)) for name, process in moments.sample(list(processes.items()), 2)]
        kill(beside)
        for name, output in killed:
            lines = output.splitlines(keepends=True)
            numbers = [int(line.split()[1]) for line in lines if line.endswith("\n")]
            assert numbers == list(range(len(numbers)))
            acknowledged |= {row.item_id for turn in numbers for row in batch(name, turn, 8)}
        assert_sound(folder, acknowledged)
        if number % 3 == 0:
            tickertone("maintain", "compaction")
    assert len(acknowledged) > 8 * kills  # otherwise they were killed before they did anything
    rollup(open_store(folder))
    store = open_store(folder)
    assert shown_buckets(store) == expected_buckets(store)


# The work, what it begins with, and one of how many steps is where it is killed.
STEPS = [
    ("append", "nothing", 12),
    ("append", "rolled up", 15),
    ("rollup", "rolled up", 40),
    ("full", "scores", 60),
    *(
        pytest.param(name, start, 1, marks=many)
        for name in ("append", "rollup", "full")
        for start in ("nothing", "scores", "rolled up")
    ),
]


@pytest.mark.parametrize(("name", "start", "every"), STEPS)
def test_a_kill_at_any_step_to_the_disk_leaves_before_or_after_and_the_work_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, start: str, every: int
) -> None:
    monkeypatch.setattr(keys_module, "FILE_RUN_KEYS", boundaries.FILE_RUN_KEYS)
    template = tmp_path / "template"
    template.mkdir()
    if start != "nothing":
        store = open_store(template)
        append(store, boundaries.OLD)
        if start == "rolled up":
            rollup(store)
        append(store, boundaries.NEW[6:])
        store.close()
    process = start_module("tests.campaign.boundaries", template, tmp_path / "killed", name, every)
    output, errors = process.communicate(timeout=1_800)
    assert process.returncode == 0, errors
    endings = dict(tuple(map(int, line.split())) for line in output.splitlines())
    assert endings.pop(0) == 0
    # Threads that meet in a folder flush it once between them, so the last step may be one that does not come again.
    ended = {number for number, code in endings.items() if code != signal.SIGKILL}
    assert ended <= {max(endings)}, errors
    assert all(endings[number] == 0 for number in ended), errors
    assert len(endings) >= 2
    before, after = _state(template), _state(tmp_path / "killed" / "0")
    assert (before == after) == (name != "append")

    for number in endings:
        folder = tmp_path / "killed" / str(number)
        assert _state(folder) in (before, after)
        store = open_store(folder)
        assert verification(store).differ == 0
        boundaries.work(name, folder)
        assert _state(folder) == after
        rollup(store)
        assert store.buckets.seen == store.scores.table.refresh()
        assert shown_buckets(store) == after
        store.close()
        shutil.rmtree(folder)


# The job, how many commits it begins with, and one of how many steps is where it is killed.
UPKEEP = [
    ("retention", 9, 10),
    ("compaction", 9, 8),
    ("logs", 100, 100),
    ("backup", 2, 60),
    *(
        pytest.param(name, commits, 1, marks=pytest.mark.slow)
        for name, commits in (("retention", 9), ("compaction", 9), ("logs", 100), ("backup", 2))
    ),
]


@pytest.mark.parametrize(("name", "commits", "every"), UPKEEP)
def test_upkeep_killed_at_any_step_to_the_disk_changes_no_candle_and_can_be_done_again(
    tmp_path: Path, name: str, commits: int, every: int
) -> None:
    template, old = tmp_path / "template", same_day_scores(commits, start=500)
    store = open_store(template)
    for number in range(commits):
        append(store, old[number : number + 1])
    append(store, boundaries.NEW)
    rollup(store)
    shown, ids = shown_buckets(store), {row["item_id"] for row in stored_scores(store)}
    left = {row.item_id for row in boundaries.NEW} if name == "retention" else ids
    store.close()
    process = start_module("tests.campaign.boundaries", template, tmp_path / "killed", name, every)
    output, errors = process.communicate(timeout=1_800)
    assert process.returncode == 0, errors
    endings = dict(tuple(map(int, line.split())) for line in output.splitlines())
    assert endings.pop(0) == 0
    assert set(endings.values()) <= {signal.SIGKILL}, errors
    assert len(endings) >= 2
    for number in endings:
        folder = tmp_path / "killed" / str(number)
        store = open_store(folder)
        assert shown_buckets(store) == shown
        assert {row["item_id"] for row in stored_scores(store)} in (ids, left)
        assert verification(store).differ == 0
        boundaries.work(name, folder)
        store = open_store(folder)
        assert {row["item_id"] for row in stored_scores(store)} == left
        assert all(append(store, [*old, *boundaries.NEW]))
        rollup(store, full=True)
        assert shown_buckets(store) == shown
        assert verification(store).differ == 0
        if name == "backup":
            restore(folder.with_suffix(".backup"), folder.with_suffix(".restored"))
            assert shown_buckets(open_store(folder.with_suffix(".restored"))) == shown


def _state(folder: Path) -> dict[Any, Any]:
    """What readers of a store are shown; of a store that is not there, what those of an empty one are."""
    if not (folder / "scores").exists():
        return {}
    store = open_store(folder)
    shown = shown_buckets(store)
    assert shown == expected_buckets(store)
    store.close()
    return shown


@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: it makes the kills inside a library"
)
@pytest.mark.parametrize("call", ["linkat", "unlink", "rename"])
def test_a_kill_inside_the_commit_of_the_delta_library_leaves_before_or_after(tmp_path: Path, call: str) -> None:
    """linkat makes an entry part of the log, unlink clears up after it, rename puts a checkpoint in place."""
    folder = tmp_path / "store"
    store = open_store(folder)
    for number in range(97 if call == "rename" else 2):
        append(store, batch("before", number, 2))
    rollup(store)
    store.close()
    traced = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when=1",
         sys.executable, "-m", "tests.campaign.appender", folder, "x", "4", "8"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in traced.stderr:
        pytest.skip(f"strace may not trace here: {traced.stderr.strip()}")
    assert traced.returncode != 0
    done = {row.item_id for line in traced.stdout.split("\n")[:-1] for row in batch("x", int(line.split()[1]), 8)}
    assert_sound(folder, done)

    with contextlib.redirect_stdout(None):
        from tests.campaign import appender

        appender.main(str(folder), "x", "4", "8")

    everything = {row.item_id for number in range(4) for row in batch("x", number, 8)}
    assert_sound(folder, everything)
    store = open_store(folder)
    rollup(store)
    assert shown_buckets(store) == expected_buckets(store)
