"""Counts that outlast their process: what was rejected on any way, and which faults were recovered from."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from dashapp import cli
from dashapp.clock import now_us
from dashapp.errors import CommitConflict
from dashapp.ingest.position import PositionFile
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.service import RejectedRows
from dashapp.query.cache import ResponseCache
from dashapp.store import tally
from dashapp.store.faults import FAULTS, recoveries
from dashapp.store.lease import leased
from tests.api.client import api_over
from tests.api.conftest import FIRST, NOW
from tests.api.test_metrics import shown
from tests.stores import append, open_store, score

_ADDS = """
import sys
from pathlib import Path
from dashapp.store import tally
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    tally.add(Path(sys.argv[1]), "rejected", {("file", "bad_json"): 1})
"""

_DIES = """
import os, sys
from pathlib import Path
from dashapp.clock import now_us
from dashapp.errors import CommitConflict
from dashapp.store.lease import leased
with leased(Path(sys.argv[1]), "rollup", now_us, wait_until=None) as lease:
    lease.begin(None)
    os.kill(os.getpid(), 9)
"""


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def test_rows_that_a_command_rejected_are_told_by_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "store")
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id":"a","published":"2014-01-01T00:00:00Z","ticker":"AAPL","score":0.5}\nnonsense\n[]\n')
    monkeypatch.setenv("TICKERTONE_DATA_DIR", str(store.data_dir))
    kept = RejectedRows(store.data_dir, "feed-rss", NOW, way="feed-rss")
    kept.keep(Rejection("row 1", "no_zone", "no zone", "{}"))
    kept.close()
    for times in (1, 2):
        cli.main(["ingest", str(file)])
        for path in (store.data_dir / "rejected").iterdir():
            path.unlink()  # the count does not fall with what is kept
        with api_over(store, NOW) as api:
            told = shown(api)
        name = "tickertone_rejected_items_total"
        assert {labels: count for (each, labels), count in told.items() if each == name} == {
            (("reason", "bad_json"), ("way", "file")): times,
            (("reason", "not_an_object"), ("way", "file")): times,
            (("reason", "no_zone"), ("way", "feed-rss")): 1,
        }


def test_processes_count_at_once_and_a_killed_one_leaves_a_whole_count(tmp_path: Path) -> None:
    adders = [_start(_ADDS, str(tmp_path), "100") for _ in range(2)]
    endless = _start(_ADDS, str(tmp_path), "1000000")
    for each in (*adders, endless):
        assert each.stdout is not None
        each.stdout.readline()
    before = 0
    while any(each.poll() is None for each in adders):
        now = tally.read(tmp_path, tally.REJECTED).get(("file", "bad_json"), 0)
        assert now >= before
        before = now
    endless.send_signal(signal.SIGKILL)
    for each in (*adders, endless):
        each.communicate()
    left = tally.read(tmp_path, tally.REJECTED)["file", "bad_json"]
    assert left >= 200
    tally.add(tmp_path, tally.REJECTED, {("file", "bad_json"): 1})
    assert tally.read(tmp_path, tally.REJECTED) == {("file", "bad_json"): left + 1}


def test_recovered_faults_are_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    before = recoveries(store.data_dir)
    _start(_DIES, str(store.data_dir)).communicate()
    with leased(store.data_dir, "rollup", now_us, wait_until=None) as lease:
        lease.begin(None)
        lease.end({})
    position = PositionFile(store.data_dir / "feed", "rss")
    position.path.parent.mkdir(parents=True)
    position.path.write_text("no JSON")
    position.read()
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / "cache.db").write_bytes(b"no database " * 1_000)
    ResponseCache(tmp_path / "cache", 1_000_000).close()
    other = open_store(tmp_path / "store")
    commit = store.scores.table.commit

    def late(*arguments: object, **named: object) -> object:
        """Lets another machine, which has no lock of ours, commit first."""
        store.scores.table.commit = commit  # type: ignore[method-assign]
        with mock.patch("dashapp.store.attempts.exclusive"):
            append(other, [score("b", FIRST, 1)])
        return commit(*arguments, **named)  # type: ignore[arg-type]

    with mock.patch.object(store.scores.table, "commit", late):
        append(store, [score("a", FIRST, 1)])
    with api_over(store, NOW) as api:
        told = shown(api)
    name = "tickertone_recovered_faults_total"
    risen = {fault: told[name, (("fault", fault),)] - before[fault] for fault in FAULTS}
    met = ("job_taken_over", "position_unreadable", "cache_damaged", "commit_conflict")
    assert risen == {fault: int(fault in met) for fault in FAULTS}


def test_a_conflict_that_nothing_came_of_is_no_recovery(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    with (
        mock.patch.object(store.scores.table, "commit", side_effect=CommitConflict("others are always first")),
        pytest.raises(CommitConflict),
    ):
        append(store, [score("a", FIRST, 1)])
    assert recoveries(store.data_dir)["commit_conflict"] == 0


@pytest.mark.parametrize("damage", ['{"file": 1}', "[[1, 2]]", '[["a", "b", Infinity]]', ""])
def test_damaged_counts_begin_again(tmp_path: Path, damage: str) -> None:
    tally.add(tmp_path, tally.REJECTED, {("file", "bad_json"): 7})
    (tmp_path / "counts" / "rejected.json").write_text(damage)
    assert tally.read(tmp_path, tally.REJECTED) == {}
    tally.add(tmp_path, tally.REJECTED, {("file", "bad_json"): 1})
    assert tally.read(tmp_path, tally.REJECTED) == {("file", "bad_json"): 1}


def test_counts_that_cannot_be_read_now_are_told_by_nobody_and_not_lost(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    tally.add(store.data_dir, tally.REJECTED, {("file", "bad_json"): 7})
    with mock.patch.object(Path, "read_bytes", side_effect=PermissionError(13, "Permission denied")):
        tally.add(store.data_dir, tally.REJECTED, {("file", "bad_json"): 1})
        with api_over(store, NOW) as api:
            assert "tickertone_rejected_items" not in api.get("/metrics").text
    assert tally.read(store.data_dir, tally.REJECTED) == {("file", "bad_json"): 7}


def test_the_documentation_says_what_each_fault_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    assert [fault for fault in FAULTS if f"`{fault}`" not in text] == []
