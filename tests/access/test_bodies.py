"""What stands in front of everything: nothing of a stranger is read, and of nobody more than is sensible."""

from __future__ import annotations

import json
import socket

import httpx
import pytest

from dashapp.access.limits import MOST_BYTES
from dashapp.store.apikeys import READ, ApiKeys
from tests.conftest import Server, ServerFactory

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def guarded(server: ServerFactory) -> Server:
    return server("serve", env={"TICKERTONE_LOGIN": "password"})


@pytest.fixture(scope="module")
def open_here(server: ServerFactory) -> Server:
    return server("serve")


@pytest.mark.parametrize("path", ["/", "/_dash-update-component", "/_dash-layout", "/api/v2/tickers"])
def test_a_stranger_is_refused_before_the_body_is_there(guarded: Server, path: str) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as stranger:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        stranger.sendall(head.encode() + b"Content-Length: 100000000\r\n\r\n[")
        assert stranger.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("path", ["/", "/_dash-update-component", "/api/v2/tickers"])
def test_nobody_sends_more_than_the_page_does(open_here: Server, path: str) -> None:
    refused = httpx.post(open_here.url + path, content=b" " * (MOST_BYTES + 1), headers=JSON)
    assert (refused.status_code, refused.json()["error"]) == (413, "TOO_LARGE")
    pieces = (b" " * 100_000 for _ in range(MOST_BYTES // 100_000 + 1))
    assert httpx.post(open_here.url + path, content=pieces, headers=JSON).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'"\\ud800"', b"NaN", b"[" * 100_000, b'{"a":' * 50_000,
        b'{"output": "pulse.data...known.data", "outputs": 1, "inputs": 5, "changedPropIds": 7}',
        b'{"output": "../../etc.x", "outputs": {"id": "x", "property": "y"}, "inputs": [], "changedPropIds": []}',
    ],
)  # fmt: skip
def test_a_callback_of_nonsense_is_a_bad_request(open_here: Server, body: bytes) -> None:
    answer = httpx.post(f"{open_here.url}/_dash-update-component", content=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert "Traceback" not in answer.text + open_here.log


@pytest.mark.parametrize("path", ["nothing/x.js", "../api/v2/tickers", "dash/..%2f..%2fetc%2fpasswd", "dash/x.js"])
def test_a_script_that_does_not_exist_is_not_found(guarded: Server, path: str) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as anybody:
        head = f"GET /_dash-component-suites/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        anybody.sendall(head.encode())
        assert anybody.recv(100).startswith(b"HTTP/1.1 404")
    assert "Traceback" not in guarded.log


def test_a_callback_of_the_page_is_answered(open_here: Server) -> None:
    asked = {
        "output": "..pulse.data...known.data...heard.data..",
        "outputs": [{"id": each, "property": "data"} for each in ("pulse", "known", "heard")],
        "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
        "changedPropIds": ["tick.n_intervals"],
        "state": [
            {"id": "pulse", "property": "data"},
            {"id": "known", "property": "data"},
            {"id": "url", "property": "search", "value": ""},
        ],
    }
    answer = httpx.post(f"{open_here.url}/_dash-update-component", content=json.dumps(asked), headers=JSON)
    assert answer.status_code == 200
    assert "revision" in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_page_of_a_name_that_leads_here_reads_nothing(open_here: Server, host: str) -> None:
    for path in ("/", "/api/v2/tickers", "/api/v2/stream", "/metrics"):
        refused = httpx.get(open_here.url + path, headers={"Host": host})
        assert (refused.status_code, refused.json()["error"]) == (403, "FORBIDDEN")
    for ours in ("localhost", f"localhost:{open_here.port}", "127.0.0.1", "[::1]:1"):
        assert httpx.get(f"{open_here.url}/api/v2/tickers", headers={"Host": ours}).status_code == 200


def test_the_proxy_is_who_is_connected_whatever_a_header_says(server: ServerFactory) -> None:
    named = {"X-Forwarded-User": "ann", "X-Forwarded-For": "203.0.113.9"}
    here = server("serve", env={"TICKERTONE_LOGIN": "proxy"})
    assert httpx.get(here.url, headers=named).status_code == 200
    elsewhere = server("serve", env={"TICKERTONE_LOGIN": "proxy", "TICKERTONE_LOGIN_PROXY_ADDRESSES": "192.0.2.7"})
    for claimed in ("192.0.2.7", "192.0.2.7, 127.0.0.1", "127.0.0.1, 192.0.2.7"):
        refused = httpx.get(elsewhere.url, headers={"X-Forwarded-User": "ann", "X-Forwarded-For": claimed})
        assert refused.status_code == 403, claimed
    key, _ = ApiKeys(here.data_dir).add("behind", now_us=0, scopes=(READ,))
    bearer = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "203.0.113.9"}
    assert httpx.get(f"{here.url}/api/v2/tickers", headers=bearer).status_code == 200
