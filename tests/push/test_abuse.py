"""What no honest sender or asker sends: taken for what it is, or refused in words, and the server goes on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import Server, ServerFactory

TS = "2026-03-02T10:00:00Z"
SPAN = "start=2026-03-02T10:00:00Z&end=2026-03-02T11:00:00Z"


@pytest.fixture(scope="module")
def served(server: ServerFactory) -> Server:
    return server("serve", env={"TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes"})


@pytest.fixture(scope="module")
def client(served: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as made:
        yield made
    assert "Traceback" not in served.log


def told(client: httpx.Client, body: bytes, headers: dict[str, str] | None = None) -> Any:
    """What the server says of the one item of a body: its status, and the reason."""
    answer = client.post("/api/v2/items", content=body, headers=headers)
    assert answer.status_code in (200, 400, 413), answer.text[:300]
    body_told = answer.json()
    items = body_told.get("items") or body_told["details"].get("items")
    return (items[0]["status"], items[0]["reason"]) if items else (answer.status_code, body_told["error"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"ts": "%b", "ticker": "T", "score": NaN}', ("rejected", "score_nan")),
        (b'{"ts": "%b", "ticker": "T", "score": 1e400}', ("rejected", "score_infinite")),
        (b'{"ts": "%b", "ticker": "T", "score": "NaN"}', ("rejected", "score_nan")),
        (b'{"ts": "%b", "ticker": "T", "score": "1e400"}', ("rejected", "score_infinite")),
        (b'{"ts": 1e400, "ticker": "T", "score": 0}', ("rejected", "bad_time")),
        (b'{"ts": "%b", "ticker": "T", "text": "\\ud800"}', ("accepted", None)),
        (b'{"ts": "%b", "ticker": "T\\u0000", "text": "a"}', ("rejected", "bad_ticker")),
        (b'{"ts": "%b", "ticker": "../../etc/passwd", "text": "a"}', ("rejected", "bad_ticker")),
        (b'{"ts": "%b", "ticker": "T\'; DROP TABLE scores; --", "text": "a"}', ("rejected", "bad_ticker")),
        (b'{"ts": "%b", "ticker": "T", "id": "twice-1", "id": "twice-2", "text": "a"}', ("accepted", None)),
        (b'{"ts": "%b", "ticker": "T", "id": "../../x", "source": "../../y", "text": "a"}', ("accepted", None)),
        (b'{"ts": "%b", "ticker": "T", "id": "\'; DROP TABLE scores; --", "text": "x\\u0000y"}', ("accepted", None)),
        (b'{"ts": "0001-01-01T00:00:00Z", "ticker": "OLD", "score": 0}', ("accepted", None)),
        (b'{"ts": "9999-12-31T23:59:59Z", "ticker": "FAR", "score": 0}', ("accepted", None)),
        (b'{"a":' * 100_000, ("rejected", "file_damaged")),
        (b"[" * 100_000, ("rejected", "file_damaged")),
        (b'{"ts": "%b", "ticker": "T", "text": ' + b"[" * 900 + b"]" * 900 + b"}", ("rejected", "bad_text")),
        (b'{"ts": "%b", "ticker": "T", "text": "' + b"a" * 10_000_000 + b'"}', (413, "TOO_LARGE")),
    ],
    ids=range(18),
)  # fmt: skip
def test_what_no_honest_sender_sends(client: httpx.Client, body: bytes, expected: tuple[Any, Any]) -> None:
    got = told(client, body.replace(b"%b", TS.encode()))
    print(got)
    assert got == expected


def test_a_small_body_that_unpacks_to_much_is_refused_before_it_does(client: httpx.Client) -> None:
    bomb = gzip.compress(b"[" + b'{"a":1},' * 12_000_000)
    assert len(bomb) < 1_000_000
    assert told(client, bomb, {"Content-Encoding": "gzip"}) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    "ticker", ["T%27%20OR%201=1", "..%2f..%2fetc%2fpasswd", "T%00", "%22", "T;DROP", "%FF", "T%0d%0aX:y"]
)
def test_a_ticker_that_is_none_is_refused_wherever_it_is_asked_for(client: httpx.Client, ticker: str) -> None:
    for path in (
        f"/api/v2/timeseries/{ticker}?{SPAN}",
        f"/api/v2/items?ticker={ticker}",
        f"/api/v2/export?tickers={ticker}",
    ):
        answer = client.get(path)
        assert answer.status_code in (400, 404), (path, answer.text)
        assert "x" not in {name for name in answer.headers if len(name) == 1}


def test_a_range_of_all_time_is_answered_in_pages(client: httpx.Client) -> None:
    told(client, json.dumps({"ts": TS, "ticker": "AGES", "text": "AGES beats"}).encode())
    for resolution in ("1m", "24h"):
        path = f"/api/v2/timeseries/AGES?resolution={resolution}&start=0001-01-01&end=9999-12-31"
        assert len(client.get(path).json()["buckets"]) == 1
    assert client.get(f"/api/v2/timeseries/AGES?{SPAN}&start=1e400").status_code == 400
    assert client.get("/api/v2/timeseries/AGES?start=2026-01-02&end=2026-01-01").json()["error"] == "BAD_RANGE"
    assert client.get(f"/api/v2/tickers?q={'a' * 60_000}").status_code in (400, 431)
