"""The processes of the Procfile under honcho, over one store: what is pushed is rolled up, and all end at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_honcho_runs_the_four_over_one_store_and_ends_them_at_once(tmp_path: Path, free_port: int) -> None:
    text = (REPOSITORY / "Procfile").read_text("utf-8")
    assert "--every 30s" in text
    (tmp_path / "Procfile").write_text(text.replace("--every 30s", "--every 1s"))
    url = f"http://127.0.0.1:{free_port}"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TICKERTONE_DATA_DIR": str(tmp_path / "store"),
        "TICKERTONE_PORT": str(free_port),
        "TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes",
    }
    log = (tmp_path / "log").open("wb")
    manager = subprocess.Popen(
        [sys.executable, "-m", "honcho", "start"], cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        _until(lambda: bool(_read(f"{url}/readyz")))
        item = {"id": "a", "ts": "2026-01-05T10:00:00Z", "ticker": "AAPL", "text": "up", "score": 0.5}
        request = urllib.request.Request(f"{url}/api/v2/items", json.dumps(item).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=10).close()
        _until(lambda: (_jobs(url)["rollup"]["did"] or {}).get("revision") == 1)
        assert {"compaction", "vacuum"} <= {name for name, job in _jobs(url).items() if job["last_run"]}
        (bucket,) = json.loads(_read(f"{url}/api/v2/timeseries/AAPL?start=2026-01-05&end=2026-01-06"))["buckets"]
        assert (bucket["count"], bucket["close"]) == (1, 0.5)
    finally:
        began_s = time.monotonic()
        manager.send_signal(signal.SIGTERM)
        manager.wait(20)
        log.close()
    assert time.monotonic() - began_s < 5
    told = (tmp_path / "log").read_text("utf-8")
    assert "Traceback" not in told
    assert "SIGKILL" not in told


def _jobs(url: str) -> dict[str, dict[str, Any]]:
    return {job["name"]: job for job in json.loads(_read(f"{url}/api/v2/jobs"))["jobs"]}


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def _until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            if holds():
                return
        time.sleep(0.1)
    pytest.fail("not within a minute")
