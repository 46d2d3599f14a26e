"""Jobs: one at a time, by whoever comes first, and a record of each that survives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import BucketsDiffer, JobRunning, StoreNotWritable, UsageError
from dashapp.model.time import US_PER_SECOND, EpochUs
from dashapp.rollup.jobs import JOBS, TOGETHER, UPKEEP, Job, keep_up, records, run_job
from dashapp.store.lease import EXPIRES_AFTER_S, JobRecord, leased, read_record
from dashapp.store.store import Store
from tests.api.client import api_over
from tests.stores import append, open_store, plant, same_day_scores, verification

if TYPE_CHECKING:
    from tests.conftest import Tickertone

NOW = EpochUs(1_700_000_000_000_000)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.us = NOW

    def __call__(self) -> EpochUs:
        return self.us

    def move(self, seconds: float) -> None:
        self.us = EpochUs(self.us + int(seconds * US_PER_SECOND))


def a_job(work: Any) -> Job:
    return Job("rollup", "", "rollup_every_s", work)


def do(store: Store, work: Any, clock: Any, **how: Any) -> Any:
    return run_job(store, Settings(data_dir=store.data_dir), a_job(work), clock, **{"wait_until": None, **how})


def test_a_run_is_recorded_with_what_it_did_and_when_it_is_due_again(tmp_path: Path) -> None:
    store, clock = open_store(tmp_path), Clock()

    def work(*_: Any) -> dict[str, Any]:
        record = read_record(tmp_path, "rollup")
        assert (record.is_running(clock()), record.holder) == (True, f"{os.uname().nodename}:{os.getpid()}")
        clock.move(2.5)
        return {"rows": 7}

    assert do(store, work, clock, every_s=30) == {"rows": 7}

    record = read_record(tmp_path, "rollup")
    assert record == JobRecord(
        "rollup",
        last_start_us=NOW,
        last_end_us=clock(),
        last_success_us=clock(),
        every_s=30,
        next_run_us=NOW + 30 * US_PER_SECOND,
        runs=1,
        did={"rows": 7},
    )
    assert (record.seconds, record.lag_s(clock()), record.lag_s(NOW + 40 * US_PER_SECOND)) == (2.5, 0.0, 10.0)


def test_a_run_that_fails_says_why_and_keeps_what_was_done_before(tmp_path: Path) -> None:
    store, clock = open_store(tmp_path), Clock()
    do(store, lambda *_: {"rows": 7}, clock)

    def full(*_: Any) -> Any:
        raise StoreNotWritable("the disk is full")

    for _ in range(2):
        with pytest.raises(StoreNotWritable):
            do(store, full, clock)
    record = read_record(tmp_path, "rollup")
    assert (record.runs, record.failures, record.consecutive_failures) == (3, 2, 2)
    assert (record.last_error, record.did, record.is_running(clock())) == ("the disk is full", {"rows": 7}, False)
    do(store, lambda *_: {}, clock)
    assert read_record(tmp_path, "rollup").consecutive_failures == 0


def test_never_two_at_once_and_whoever_waits_comes_next(tmp_path: Path) -> None:
    at_once = most = 0
    lock = threading.Lock()

    def work(*_: Any) -> dict[str, Any]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return {}

    store = open_store(tmp_path)
    threads = [
        threading.Thread(target=do, args=(store, work, now_us), kwargs={"wait_until": threading.Event()})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert read_record(tmp_path, "rollup").runs == 4


def test_another_of_the_kind_is_refused_and_one_of_another_kind_is_not(tmp_path: Path) -> None:
    with leased(tmp_path, "rollup", now_us, wait_until=None) as held:
        held.begin(None)
        with (
            pytest.raises(JobRunning, match=r"rollup .* is being done by .* since"),
            leased(tmp_path, "rollup", now_us, wait_until=None),
        ):
            pass
        with leased(tmp_path, "vacuum", now_us, wait_until=None):
            pass
        held.end({})


def test_a_lease_of_another_machine_holds_until_it_runs_out(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "jobs").mkdir()
    expires_us = NOW + EXPIRES_AFTER_S * US_PER_SECOND
    (tmp_path / "jobs" / "rollup.json").write_text(
        f'{{"name": "rollup", "holder": "elsewhere:7", "started_us": {NOW}, "expires_us": {expires_us}}}'
    )
    with (
        pytest.raises(JobRunning, match="elsewhere:7"),
        leased(tmp_path, "rollup", clock, wait_until=None),
    ):
        pass
    clock.move(EXPIRES_AFTER_S + 1)
    with leased(tmp_path, "rollup", clock, wait_until=None) as mine:
        mine.begin(None)
        mine.end({})
    record = read_record(tmp_path, "rollup")
    assert (record.failures, record.consecutive_failures) == (1, 0)
    assert record.last_error is not None
    assert record.last_error.startswith("elsewhere:7 began at 2023-11-14T22:13:20Z")


def test_kill_9_gives_the_job_back_at_once_and_the_next_run_tells_of_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from dashapp.clock import now_us\n"
        "from dashapp.store.lease import leased\n"
        "with leased(Path(sys.argv[1]), 'rollup', now_us, wait_until=None) as lease:\n"
        "    lease.begin(30.0); print('held', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    store = open_store(tmp_path)
    with pytest.raises(JobRunning, match=f":{process.pid} since"):
        do(store, lambda *_: {}, now_us)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    do(store, lambda *_: {"rows": 1}, now_us)
    record = read_record(tmp_path, "rollup")
    assert (record.runs, record.failures, record.did, record.every_s) == (1, 1, {"rows": 1}, 30.0)
    assert f":{process.pid} began at" in str(record.last_error)


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"runs": 3}'])
def test_a_record_that_a_power_cut_has_torn_is_begun_anew(tmp_path: Path, torn: str) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "rollup.json").write_text(torn)
    assert read_record(tmp_path, "rollup") == JobRecord("rollup")


def test_jobs_are_done_when_they_are_due_and_not_again_when_another_process_did_them(tmp_path: Path) -> None:
    store, stop = open_store(tmp_path), threading.Event()
    append(store, same_day_scores(9))
    settings = Settings(data_dir=tmp_path, rollup_every_s=0.1, compact_every_s=3_600.0)
    seen: list[str] = []

    def report(name: str, did: dict[str, Any]) -> None:
        seen.append(name)
        if seen.count("rollup") % 3 == 0:
            stop.set()

    for _ in range(2):  # the second is another process, as far as it knows
        keep_up(settings, ["rollup", "compaction"], stop, now_us, report=report)
        stop.clear()
    assert seen == ["rollup", "compaction", "rollup", "rollup", "rollup", "rollup", "rollup"]
    assert verification(store).differ == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e30])
def test_a_pause_that_is_none_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(UsageError, match="longer than 0 and finite"):
        keep_up(Settings(data_dir=tmp_path), ["rollup"], threading.Event(), now_us, every_s=seconds)


def test_the_check_of_a_sample_finds_what_is_wrong_in_its_days(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    settings = Settings(data_dir=tmp_path)
    append(store, same_day_scores(20))
    for name in ("rollup", "verify"):
        did = run_job(store, settings, JOBS[name], now_us, wait_until=None)
    assert did["differ"] == 0
    assert did["checked"] > 20
    plant(store, "1h", lambda rows: [{**row, "count": row["count"] + 1} for row in rows])
    with pytest.raises(BucketsDiffer, match=r"buckets differ from their scores, such as .*rollup --full"):
        run_job(store, settings, JOBS["verify"], now_us, wait_until=None)


def test_every_job_is_in_one_thread_and_upkeep_names_jobs() -> None:
    assert sorted(name for group in TOGETHER for name in group) == sorted(JOBS)
    assert set(UPKEEP) < set(JOBS)


def test_the_api_and_the_metrics_tell_of_each_job(tmp_path: Path) -> None:
    store, clock = open_store(tmp_path), Clock()
    do(store, lambda *_: {"rows": 7}, clock, every_s=30)
    with api_over(store, NOW + 45 * US_PER_SECOND) as api:
        told = api.json("/api/v2/jobs")
        metrics = api.get("/metrics").text
    assert [job["name"] for job in told["jobs"]] == list(JOBS)
    assert told["jobs"][0] == {
        "name": "rollup",
        "is_running": False,
        "holder": None,
        "last_run": "2023-11-14T22:13:20Z",
        "last_success": "2023-11-14T22:13:20Z",
        "seconds": 0.0,
        "lag_s": 15.0,
        "next_run": "2023-11-14T22:13:50Z",
        "did": {"rows": 7},
        "last_error": None,
        "last_error_at": None,
        "consecutive_errors": 0,
        "errors": 0,
        "runs": 1,
    }
    assert 'tickertone_job_next_run_timestamp_seconds{job="rollup"} 1.70000003e+09' in metrics
    assert 'tickertone_job_runs_total{job="rollup"} 1.0' in metrics
    assert 'tickertone_job_runs_total{job="verify"} 0.0' in metrics


def test_the_commands_say_how_the_jobs_are(tickertone: Tickertone) -> None:
    store = open_store(tickertone.data_dir)
    append(store, same_day_scores(3))
    tickertone("rollup")
    told = {job["name"]: job for job in tickertone.json("status")["jobs"]}
    assert (told["rollup"]["runs"], told["rollup"]["did"]["buckets_changed"] > 0) == (1, True)
    assert told["verify"]["last_run"] is None
    with leased(tickertone.data_dir, "vacuum", now_us, wait_until=None) as held:
        held.begin(None)
        busy = tickertone("maintain", "vacuum", "compaction", "--no-wait", "--json", code=1)
        held.end({})
    assert "is being done by" in busy.stdout
    assert '"compaction"' in busy.stdout
    process = tickertone.start("maintain", "--every", "20ms")
    deadline = time.monotonic() + 60
    while sum(record.runs for record in records(tickertone.data_dir)) < 30 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert {line.split()[0] for line in output.splitlines()} == set(UPKEEP)
