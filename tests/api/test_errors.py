"""Errors: each has its status and code, in one form, and none of them is a 500 or shows a trace."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from dashapp.errors import StoreDamaged
from tests.api.client import Api, api_over
from tests.api.conftest import NOW
from tests.stores import append, open_store, score

SERIES = "/api/v2/timeseries/AAPL"
MANY = "/api/v2/timeseries?tickers=AAPL"
ITEMS = "/api/v2/items?ticker=AAPL"
TICKERS = "/api/v2/tickers"
EXPORT = "/api/v2/export"
RANGED = (SERIES, MANY, ITEMS, EXPORT)
DATA = (*RANGED, TICKERS)


def asked(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


TIMES = ["NaN", "inf", "now", "2024-13-01", "2024-02-30T00:00:00Z", "2024-02-28T00:00:00", "1709", "", "%20"]
LIMITS = ["0", "-1", "1.5", "NaN", "inf", "1e3", "", "٣", "1_000", "9999999999", "0x10", "%2B1"]
WIDTHS = ["2m", "1M", "60", "", "NaN", "1m,5m", "%F0%9F%92%A9"]
PLACES = ["", "s", "x5", "5", "s1.5", "s--1", "s٣", "sNaN", "s99999999999999999999", "i5", "tAAPL"]
# Among them, packed: [], [1], [1,2], null, [1.5,"a"], [true,"a"].
ITEM_PLACES = [
    "", "i", "i!!!!", "iW10", "iWzFd", "iWzEsMl0", "ibnVsbA", "iWzEuNSwiYSJd", "iW3RydWUsImEiXQ", "s5", "iWzEs",
    "i%E2%82%AC",
]  # fmt: skip
TICKER_PLACES = ["", "t", "taapl", "AAPL", "t%20", "s5", "tA,B"]
SYMBOLS = [
    "A%20B", "A%00", "%F0%9F%92%A9", "A" * 25, "A" * 3_000, "AAPL,MSFT", "a..b", "$", "%24", "A%2F", "ß", "<script>",
]  # fmt: skip
LISTS = ["", ",", "AAPL,", "AAPL,,MSFT", "A%20B", "%F0%9F%92%A9"]
TOO_MANY = ",".join(f"T{number}" for number in range(51))


def every(
    paths: tuple[str, ...], name: str, values: list[str], code: str, status: int = 400
) -> list[tuple[str, int, str]]:
    """A parameter with each of the values, on each of the paths."""
    return [(asked(path, f"{name}={value}"), status, code) for path in paths for value in values]


CASES = [
    *every(RANGED, "start", TIMES, "BAD_TIME"),
    *every(RANGED, "end", TIMES, "BAD_TIME"),
    *every(RANGED, "start=2024-03-02&end", ["2024-03-01", "2024-03-02"], "BAD_RANGE"),
    *every(RANGED, "start=2024-03-02T10:00:40Z&end", ["2024-03-02T10:00:30Z"], "BAD_RANGE"),
    *every(RANGED, "end", ["0001-01-01T00:00:00Z"], "BAD_RANGE"),
    *every((SERIES, MANY, ITEMS, TICKERS), "limit", LIMITS, "BAD_RANGE"),
    *every((SERIES, MANY, EXPORT), "resolution", WIDTHS, "UNKNOWN_RESOLUTION"),
    *every(DATA, "format", ["xml", "", "JSON", "json,csv"], "UNKNOWN_FORMAT"),
    *every((ITEMS, TICKERS, EXPORT), "format", ["columns"], "UNKNOWN_FORMAT"),
    *every(DATA, "scorer", ["nobody@1"], "UNKNOWN_SCORER", 404),
    *every(DATA, "scorer", ["a%00b", "a%0Ab", "a%C2%85b", "a%7Fb", "x" * 200], "BAD_PARAMETER"),
    *every(DATA, "scorer=test@1&scorer", ["test@1"], "BAD_PARAMETER"),
    *((asked(path, f"{name}=1"), 400, "BAD_PARAMETER") for path in DATA for name in ("resoluton", "Limit", "_", "%00")),
    (asked(SERIES, "resolution=1m&resolution=5m"), 400, "BAD_PARAMETER"),
    (asked(MANY, "tickers=MSFT"), 400, "BAD_PARAMETER"),
    (asked(SERIES, f"cursor=s{'1' * 5_000}"), 400, "BAD_PARAMETER"),
    *every((SERIES, MANY), "cursor", PLACES, "BAD_CURSOR"),
    *every((ITEMS,), "cursor", ITEM_PLACES, "BAD_CURSOR"),
    *every((TICKERS,), "cursor", TICKER_PLACES, "BAD_CURSOR"),
    # Cursors of other questions: they lie outside the range.
    *every(
        (SERIES,), "start=2024-03-01&end=2024-03-02&cursor", ["s1709337600000000", "s1709251199999999"], "BAD_CURSOR"
    ),
    *every((ITEMS,), "start=2024-03-01&end=2024-03-02&cursor", ["iWzE3MDkzMzc2MDAwMDAwMDAsImEiXQ"], "BAD_CURSOR"),
    ("/api/v2/timeseries/NEVER", 404, "UNKNOWN_TICKER"),
    ("/api/v2/timeseries?tickers=AAPL,NEVER,NONE", 404, "UNKNOWN_TICKER"),
    ("/api/v2/items?ticker=NEVER", 404, "UNKNOWN_TICKER"),
    ("/api/v2/export?tickers=AAPL,NEVER", 404, "UNKNOWN_TICKER"),
    *((f"/api/v2/timeseries/{symbol}", 400, "BAD_TICKER") for symbol in SYMBOLS),
    *((f"/api/v2/timeseries?tickers={symbols}", 400, "BAD_TICKER") for symbols in LISTS),
    *((f"/api/v2/items?ticker={symbol}", 400, "BAD_TICKER") for symbol in ("", "AAPL,MSFT", "%20")),
    (f"/api/v2/timeseries?tickers={TOO_MANY}", 400, "BAD_RANGE"),
    (f"/api/v2/export?tickers={TOO_MANY}", 400, "BAD_RANGE"),
    ("/api/v2/timeseries", 400, "BAD_REQUEST"),
    ("/api/v2/items", 400, "BAD_REQUEST"),
    ("/api/v2/export?table=secrets", 400, "BAD_PARAMETER"),
    ("/api/v2/export?table=scores&resolution=1h", 400, "BAD_PARAMETER"),
    ("/api/v2/nope", 404, "NOT_FOUND"),
    ("/api/v2", 404, "NOT_FOUND"),
    ("/api/", 404, "NOT_FOUND"),
    ("/api/v2/tickers/", 404, "NOT_FOUND"),
    ("/api/v1/timeseries/AAPL", 404, "NOT_FOUND"),
    ("/api/docs/__init__.py", 404, "NOT_FOUND"),
]


def problem(response: Any, status: int, code: str) -> Any:
    """The body of an error, which has just the members that every error has."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error", "message", "details"]
    assert body["error"] == code, body
    assert isinstance(body["details"], dict)
    assert body["message"]
    assert "Traceback" not in response.text
    assert len(body["message"]) < 1_000
    return body


@pytest.mark.parametrize(("path", "status", "code"), CASES)
def test_what_cannot_be_answered_says_so_in_one_form(api: Api, path: str, status: int, code: str) -> None:
    problem(api.get(path), status, code)
    assert api.request("HEAD", path).status_code == status


def test_errors_say_what_would_be_right(api: Api) -> None:
    assert problem(api.get(f"{SERIES}?resolution=2m"), 400, "UNKNOWN_RESOLUTION")["details"]["valid"] == [
        "1m", "5m", "10m", "1h", "3h", "6h", "12h", "24h",
    ]  # fmt: skip
    assert problem(api.get(f"{SERIES}?format=x"), 400, "UNKNOWN_FORMAT")["details"]["valid"] == [
        "json", "columns", "csv", "arrow", "parquet",
    ]  # fmt: skip
    misspelt = problem(api.get(f"{SERIES}?resoluton=1h"), 400, "BAD_PARAMETER")
    assert "resolution" in misspelt["details"]["valid"]
    unknown = problem(api.get("/api/v2/timeseries?tickers=AAPL,NEVER,NONE"), 404, "UNKNOWN_TICKER")
    assert unknown["details"]["tickers"] == ["NEVER", "NONE"]
    reversed_range = problem(api.get(f"{SERIES}?start=2024-03-02&end=2024-03-01"), 400, "BAD_RANGE")
    assert reversed_range["details"] == {"start": "2024-03-02T00:00:00Z", "end": "2024-03-01T00:00:00Z"}


@pytest.mark.parametrize("path", DATA)
def test_a_client_that_takes_no_form_there_is_gets_406(api: Api, path: str) -> None:
    problem(api.get(path, {"Accept": "image/png"}), 406, "NOT_ACCEPTABLE")
    assert api.get(asked(path, "format=csv"), {"Accept": "image/png"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [*DATA, "/healthz", "/readyz", "/metrics", "/api/docs", "/api/openapi.json"])
def test_another_method_is_not_allowed_and_told_which_are(api: Api, path: str, method: str) -> None:
    response = api.request(method, path)
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_path_that_does_not_exist_does_not_exist_for_any_method(api: Api, method: str) -> None:
    problem(api.request(method, "/api/v2/nope"), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", [*DATA, "/healthz", "/readyz", "/metrics", "/api/docs", "/api/openapi.json"])
def test_head_answers_as_get_does(api: Api, path: str) -> None:
    head, get = api.request("HEAD", path), api.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_store_that_cannot_be_read_is_unavailable_and_says_when_to_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", NOW, 1)])
    with api_over(store, NOW) as api:

        def damaged() -> None:
            raise StoreDamaged("A file of the store cannot be read: it is gone.")

        monkeypatch.setattr(api.reader.reader, "view", damaged)
        for path in (*DATA, "/readyz"):
            response = api.get(path)
            problem(response, 503, "STORE_DAMAGED")
            assert int(response.headers["retry-after"]) > 0
        assert api.get("/healthz").json() == {"status": "ok"}
        assert "tickertone_store_up 0.0" in api.get("/metrics").text


def test_a_failure_nobody_foresaw_is_unavailable_and_shows_nothing_of_the_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_over(open_store(tmp_path / "store"), NOW) as api:

        def broken() -> None:
            raise RuntimeError("the secret of the inside")

        monkeypatch.setattr(api.reader.reader, "view", broken)
        for path in DATA:
            response = api.get(path)
            problem(response, 503, "UNAVAILABLE")
            assert int(response.headers["retry-after"]) > 0
            assert "secret" not in response.text
        monkeypatch.undo()
        assert 'route="/api/v2/tickers",status="503"' in api.get("/metrics").text


def test_an_empty_store_answers(tmp_path: Path) -> None:
    with api_over(open_store(tmp_path / "store"), NOW) as api:
        problem(api.get(SERIES), 404, "UNKNOWN_TICKER")
        problem(api.get(ITEMS), 404, "UNKNOWN_TICKER")
        assert api.json(TICKERS)["tickers"] == []
        assert api.json("/readyz") == {"status": "ok", "revision": 0}
        for table, form in itertools.product(("buckets", "scores"), ("csv", "arrow", "parquet")):
            assert api.get(f"{EXPORT}?table={table}&format={form}").status_code == 200


def test_ranges_at_the_ends_of_time_are_answered(api: Api) -> None:
    for span in ("start=0001-01-01&end=9999-12-31T23:59:59.999999Z", "start=9999-12-31T23:59:59Z", "start=0001-01-01"):
        for path in RANGED:
            assert api.get(asked(path, span)).status_code == 200
