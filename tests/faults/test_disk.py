"""A disk that fills up and one that turns read-only, under a server that goes on: real mounts, real errors."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import Tickertone
from tests.stores import open_store, stored_scores, verification

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

ENV = {
    "TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes",
    "TICKERTONE_ROLLUP_EVERY_S": "0.5",
    "TICKERTONE_COMPACT_EVERY_S": "1",
}


def mounted(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    if os.geteuid():
        pytest.skip("only root may mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted("-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """The disk of a folder without any room."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that is mounted read-only over itself, as a disk is that the kernel no longer trusts.

    (To mount the disk itself anew is refused while files are open for writing.)
    """
    mounted("--bind", str(folder), str(folder))
    try:
        mounted("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_or_turns_read_only_under_a_server_costs_nothing_that_was_acknowledged(
    disk: Path, server: ServerFactory, tmp_path: Path
) -> None:
    folder = disk / "store"
    served = server("run", data_dir=folder, env=ENV)
    acknowledged: set[str] = set()
    troubles: list[tuple[Callable[[Path], Any], Path, str, str]] = [
        (full, disk, "No space left on device", "Make room"),
        (read_only, folder, "Read-only file system", "mount it writable"),
    ]
    with httpx.Client(base_url=served.url, timeout=30) as client:

        def push(item_id: str) -> httpx.Response:
            item = {"id": item_id, "ts": "2024-05-01T10:00:00Z", "text": f"$AAPL beats {item_id}", "ticker": "AAPL"}
            return client.post("/api/v2/items", json=item)

        def accept(item_id: str) -> None:
            """Pushed until it is taken: at once, but for what was under way when there was no room."""
            deadline = time.monotonic() + 20
            while (answer := push(item_id)).status_code == 503 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert answer.status_code == 200, answer.text
            acknowledged.add(item_id)

        for number, (trouble, where, cause, remedy) in enumerate(troubles):
            accept(f"before {number}")
            with trouble(where):
                refused = push(f"during {number}")
                assert (refused.status_code, refused.json()["error"]) == (503, "STORE_NOT_WRITABLE")
                assert cause in refused.json()["message"]
                assert remedy in refused.json()["message"]
                assert "Retry-After" in refused.headers
                # Whoever reads does not notice.
                shown = client.get("/api/v2/timeseries/AAPL?resolution=24h&start=2024-05-01&end=2024-05-02")
                assert shown.json()["buckets"][0]["count"] == len(acknowledged)
                for path in ("/", "/healthz", "/api/v2/tickers", "/metrics"):
                    assert client.get(path).status_code == 200, path
                if trouble is read_only:
                    command = Tickertone(data_dir=folder, directory=tmp_path)
                    told = json.loads(command("doctor", "--json", code=1).stdout)
                    assert "disk_read_only" in [finding["kind"] for finding in told["findings"]]
                    assert told["differ"] == 0
                time.sleep(1)  # the jobs, too, meet it
            accept(f"during {number}")
            accept(f"after {number}")
        deadline = time.monotonic() + 20
        while (job := _rollup_of(client))["consecutive_errors"] or job["lag_s"] is None or job["lag_s"] > 5:
            assert time.monotonic() < deadline, job
            time.sleep(0.2)
    assert served.stop() == 0
    assert "Traceback" not in served.log
    store = open_store(folder)
    assert sorted(row["item_id"] for row in stored_scores(store)) == sorted(acknowledged)
    assert verification(store).differ == 0
    store.close()


def _rollup_of(client: httpx.Client) -> Any:
    return next(job for job in client.get("/api/v2/jobs").json()["jobs"] if job["name"] == "rollup")
