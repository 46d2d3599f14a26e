"""Request ids: every answer has one, and so has what the server logs meanwhile."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.stores import append, open_store, score

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Server, ServerFactory


@pytest.fixture(scope="module")
def running(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder: Path = tmp_path_factory.mktemp("ids") / "store"
    store = open_store(folder)
    append(store, [score("a", 1, 5, ticker="AAPL")])
    store.close()
    return server(data_dir=folder, env={"TICKERTONE_LOG_FORMAT": "json", "TICKERTONE_LOG_LEVEL": "debug"})


def _lines_of(running: Server, request_id: str) -> list[dict[str, Any]]:
    whole = [line for line in running.log.splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")]
    lines = [json.loads(line) for line in whole]
    return [line for line in lines if line.get("request_id") == request_id and "timeseries" in line["message"]]


def test_a_request_is_logged_with_its_id_and_the_revision_it_was_answered_from(running: Server) -> None:
    answer = httpx.get(
        f"{running.url}/api/v2/timeseries/AAPL",
        params={"resolution": "1m", "start": "1970-01-01T00:00:00Z", "end": "1970-01-01T01:00:00Z"},
        headers={"X-Request-ID": "from-a-proxy.1"},
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "from-a-proxy.1")
    deadline = time.monotonic() + 10
    while not (found := _lines_of(running, "from-a-proxy.1")):  # written when the answer has been sent
        assert time.monotonic() < deadline, running.log
    (line,) = found
    assert line["message"].startswith("GET /api/v2/timeseries/AAPL: 200 after ")
    assert (line["level"], line["logger"]) == ("debug", "dashapp.api.metrics")
    assert line["revision"] == answer.json()["revision"]


def test_every_answer_has_an_id_refusals_and_the_page_too(running: Server) -> None:
    answers = [
        httpx.get(running.url + path) for path in ("/", "/healthz", "/api/v2/nothing", "/api/v2/timeseries/AAPL?x=1")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 400]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)


def test_the_log_is_json_from_the_first_line_to_the_last(running: Server) -> None:
    lines = [line for line in running.log.splitlines() if not line.startswith("Tickertone is at")]
    assert all(json.loads(line)["message"] for line in lines)
    assert any("Uvicorn running" in line for line in lines)
