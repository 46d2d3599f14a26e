"""Requests that the OpenAPI document allows, and such that it does not: never a failure, always what it promises.

Made by schemathesis, against the whole server on a real port. The stream is left out: its answers do not end.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import fill
from tests.conftest import Server, ServerFactory
from tests.stores import open_store

MAX_S = 10
# Every check but two. Not all that the document allows has a good answer: it cannot say that a start has to come before
# an end. And a push says of each item whether it is taken, so a batch with bad items in it is a good request.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false

[[operations]]
include-path = "/api/v2/items"
include-method = "POST"
checks.negative_data_rejection.enabled = false
"""
KNOWN = """
[parameters]
"path.ticker" = "BTC/USD"
"query.ticker" = "AAPL"
tickers = "AAPL,BRK-A,MSFT"
scorer = "test@1"
"""


@pytest.fixture(scope="module")
def served(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A filled store, which takes pushes without a key: they are fuzzed as well."""
    folder = tmp_path_factory.mktemp("fuzzed") / "store"
    store = open_store(folder)
    fill(store)
    store.close()
    return server(
        "serve", data_dir=folder, env={"TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes", "TICKERTONE_SCORER": "test@1"}
    )


def fuzz(served: Server, folder: Path, config: str, *options: str) -> str:
    """What a run of schemathesis prints; fails the test when it found anything."""
    (folder / "schemathesis.toml").write_text(config, "utf-8")
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml",
        "run", f"{served.url}/api/openapi.json", "--exclude-path", "/api/v2/stream",
        "--max-time", str(MAX_S), "--generation-deterministic", "--no-color", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=MAX_S + 30)
    # The requests it shows can be long.
    shown = "\n".join(line[:300] for line in done.stdout.splitlines()[-150:])
    assert done.returncode == 0, shown + done.stderr[-2_000:]
    return done.stdout


def test_no_request_makes_the_server_fail_or_break_its_promises(served: Server, tmp_path: Path) -> None:
    told = fuzz(served, tmp_path, CONFIG, "--phases", "examples,coverage,fuzzing", "--max-examples", "8")
    assert "Operations:" in told
    assert "Traceback" not in served.log
    assert httpx.get(f"{served.url}/readyz").status_code == 200


def test_nor_does_any_about_tickers_that_are_there(served: Server, tmp_path: Path) -> None:
    fuzz(served, tmp_path, CONFIG + KNOWN, "--phases", "fuzzing", "--max-examples", "10", "--include-method", "GET")
    assert "Traceback" not in served.log
    told = httpx.get(f"{served.url}/metrics").text
    for route in ("timeseries/{ticker:path}", "timeseries", "items", "tickers", "export"):
        assert f'method="GET",route="/api/v2/{route}",status="200"' in told, route
