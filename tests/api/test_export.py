"""Exports: all there is, of one state of the store, in pieces of bounded size."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.api import export as api_export
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.time import parse_iso
from dashapp.query import export as export_module
from dashapp.query.export import Export, Question, export
from dashapp.rollup.job import rollup
from dashapp.store import extracts
from tests.api.client import Api
from tests.api.conftest import NOW, SOURCES, TICKERS, made_score
from tests.stores import DAY_US, append, open_store, score, series_reader

SCORES = [made_score(number) for number in range(2_000)]


FLOATS = {"open", "high", "low", "close", "sum", "avg", "score", "confidence", "relevance"}


def of_csv(body: bytes) -> list[dict[str, Any]]:
    """Rows as CSV shows them, numbers with fractions as such."""
    rows = csv.DictReader(io.StringIO(body.decode(), newline=""))
    return [{name: float(text) if name in FLOATS and text else text for name, text in row.items()} for row in rows]


def of_table(table: pa.Table) -> list[dict[str, Any]]:
    """The same of a table."""

    def shown(value: Any) -> Any:
        if isinstance(value, float):
            return value
        if hasattr(value, "isoformat"):
            return str(value.isoformat()).replace("+00:00", "Z")
        if isinstance(value, list):
            return ";".join(value)
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    return [{name: shown(value) for name, value in row.items()} for row in table.to_pylist()]


def of_json(row: dict[str, Any]) -> dict[str, Any]:
    """The same of a line of JSON."""
    return of_table(pa.Table.from_pylist([row]))[0]


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "csv": of_csv,
    "arrow": lambda body: of_table(pa.ipc.open_stream(body).read_all()),
    "parquet": lambda body: of_table(pq.read_table(io.BytesIO(body))),
    "jsonl": lambda body: [of_json(json.loads(line)) for line in body.splitlines()],
}


def exported(api: Api, query: str, form: str) -> list[dict[str, Any]]:
    response: httpx.Response = api.get(f"/api/v2/export?{query}&format={form}")
    assert response.status_code == 200, response.text
    return READERS[form](response.content)


def without_exact(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns that CSV has, after a look at those that it has not."""
    for row in rows:
        for name in ("open", "high", "low", "close", "sum"):
            assert int(row.pop(f"{name}_e6", round(row[name] * 1e6))) / 1e6 == row[name]
        assert row.pop("scorer", "test@1") == "test@1"
        assert int(row.pop("revision", "1")) in (1, 2, 3)
    return rows


def expected_buckets(api: Api, tickers: tuple[str, ...], resolution: str) -> list[dict[str, Any]]:
    named = ",".join(tickers)
    span = "start=2024-02-28&end=2024-03-04"
    rows = of_csv(api.get(f"/api/v2/timeseries?tickers={named}&resolution={resolution}&{span}&format=csv").content)
    return sorted(rows, key=lambda row: (row["timestamp"], row["ticker"]))


@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("resolution", [each.name for each in RESOLUTIONS])
def test_exported_buckets_are_those_of_the_series(api: Api, form: str, resolution: str) -> None:
    shown = without_exact(exported(api, f"resolution={resolution}", form))
    assert shown == expected_buckets(api, TICKERS, resolution)


@pytest.mark.parametrize(("form", "resolution"), [("csv", "1m"), ("parquet", "5m"), ("arrow", "1h"), ("csv", "24h")])
def test_exported_buckets_are_the_same_in_small_pieces(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: str, resolution: str
) -> None:
    monkeypatch.setattr(extracts, "BUCKET_ROWS", 60)
    monkeypatch.setattr(export_module, "BUCKETS_A_BLOCK", 50)
    shown = without_exact(exported(api, f"resolution={resolution}&tickers=AAPL,BTC/USD", form))
    assert shown == expected_buckets(api, ("AAPL", "BTC/USD"), resolution)


@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("rows", [7, 50_000])
def test_exported_scores_are_those_that_were_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: str, rows: int
) -> None:
    monkeypatch.setattr(extracts, "SCORE_ROWS", rows)
    query = "what=scores&scorer=other@2" + ("&start=2024-03-01&end=2024-03-01T06:00:00Z" if rows == 7 else "")
    shown = exported(api, query, form)
    first, last = (parse_iso("2024-03-01"), parse_iso("2024-03-01T06:00:00Z")) if rows == 7 else (0, NOW)
    mine = [each for each in SCORES if each.scorer == "other@2" and first <= each.published_us < last]
    mine.sort(key=lambda each: (each.published_us, each.ticker, each.item_id))
    assert [(row["id"], row["ticker"], row["source"], row["text"], row["url"]) for row in shown] == [
        (each.item_id, each.ticker, each.source, each.text, each.url or "") for each in mine
    ]
    assert [float(row["score"]) for row in shown] == [each.score_e6 / 1e6 for each in mine]
    assert {row["source"] for row in shown} == set(SOURCES)


def small_pieces(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    for name in ("SCORE_ROWS", "BUCKET_ROWS"):
        monkeypatch.setattr(extracts, name, rows)
    for name in ("BUCKETS_A_BLOCK", "TEXTS_A_BLOCK"):
        monkeypatch.setattr(export_module, name, rows)


def question_of(resolution: str | None) -> Question:
    if resolution is None:
        return Question("scores", None)
    return Question("buckets", parse_resolution(resolution))


def test_an_export_begun_before_a_change_shows_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, 20)
    store = open_store(tmp_path / "store")
    start = parse_iso("2024-02-28")
    append(store, [score(f"i{number}", start + number * DAY_US // 40, number) for number in range(200)])
    rollup(store)
    append(store, [score(f"j{number}", start + number * DAY_US // 40, number) for number in range(100)])

    def begin(resolution: str | None) -> Export:
        return export(series_reader(store), question_of(resolution))

    resolutions = (None, "1m", "1h", "24h")
    expected = [b"".join(begin(each).pieces("csv")) for each in resolutions]
    under_way = [begin(each) for each in resolutions]
    pieces = [made.pieces("csv") for made in under_way]
    firsts = [next(each) for each in pieces]

    append(store, [score(f"k{number}", start + number * DAY_US // 40, -number) for number in range(150)])
    rollup(store)

    for made, first, rest, whole in zip(under_way, firsts, pieces, expected, strict=True):
        assert made.revision == 2
        assert first + b"".join(rest) == whole
    assert [b"".join(begin(each).pieces("csv")) for each in resolutions] != expected


def test_pieces_are_of_bounded_size_however_much_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, 100)
    store = open_store(tmp_path / "store")
    start = parse_iso("2024-02-28")
    # One day holds nearly all, as a busy one does.
    append(store, [score(f"i{number}", start + number * DAY_US // 4_000, 1) for number in range(4_100)])
    rollup(store)
    append(store, [score(f"j{number}", start + number * DAY_US // 400, 1) for number in range(400)])
    for resolution, rows_in_all in ((None, 4_500), ("1m", 1_476)):
        made = export(series_reader(store), question_of(resolution))
        sizes = [piece.count(b"\n") for piece in made.pieces("csv")]
        assert sum(sizes) == rows_in_all + 1
        assert max(sizes) <= 201


def test_an_export_says_what_it_is(api: Api) -> None:
    response = api.get("/api/v2/export?resolution=3h")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    assert response.headers["content-disposition"] == 'attachment; filename="tickertone-buckets-3h.parquet"'
    assert response.headers["tickertone-revision"] == "3"
    assert '"what":"buckets"' in pq.read_schema(io.BytesIO(response.content)).metadata[b"tickertone"].decode()
    scores = api.get("/api/v2/export?table=scores", {"Accept": "text/csv"})
    assert scores.headers["content-disposition"] == 'attachment; filename="tickertone-scores.csv"'


def test_what_is_open_is_marked(api: Api) -> None:
    partial = [row for row in exported(api, "resolution=1h", "csv") if row["is_partial"] == "true"]
    assert {row["timestamp"] for row in partial} == {"2024-03-02T15:00:00Z"}
    assert len(partial) == len(TICKERS)
    assert {row["is_partial"] for row in exported(api, "resolution=1h&end=2024-03-02", "csv")} == {"false"}


def test_a_range_of_an_export_begins_with_the_next_bucket_and_ends_before_the_end(api: Api) -> None:
    rows = exported(api, "resolution=1h&start=2024-02-29T10:30:00Z&end=2024-02-29T15:00:00Z&tickers=AAPL", "csv")
    assert [row["timestamp"][11:13] for row in rows] == ["11", "12", "13", "14"]
    assert exported(api, "resolution=1h&start=2030-01-01", "csv") == []
    assert exported(api, "what=scores&end=2000-01-01", "parquet") == []


def test_items_are_texts_to_read_of_the_tickers_asked_for(api: Api) -> None:
    rows = exported(api, "what=items&tickers=AAPL&end=2024-03-01", "jsonl")
    (first, *_), shown = rows, api.json("/api/v2/items?ticker=AAPL&end=2024-03-01&limit=1000")["items"]
    assert list(first) == ["published", "ticker", "score", "label", "source", "text", "url", "id", "story_id", "scorer"]
    assert [row["id"] for row in rows] == [item["id"] for item in reversed(shown)]
    assert [(row["text"], row["score"]) for row in rows] == [(item["text"], item["score"]) for item in reversed(shown)]


def test_texts_come_packed_to_those_who_take_it(api: Api) -> None:
    plain = api.get("/api/v2/export?format=csv", {"Accept-Encoding": "identity"})
    packed = api.get("/api/v2/export?format=csv", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content  # the client unpacks
    assert int(packed.headers.get("content-length", "0")) == 0
    assert "content-encoding" not in api.get("/api/v2/export", {"Accept-Encoding": "gzip"}).headers


def test_an_earlier_revision_and_what_came_since_make_the_newest(api: Api) -> None:
    rows = {row["timestamp"] + row["ticker"]: row for row in exported(api, "resolution=1h&revision=1", "jsonl")}
    news = exported(api, "resolution=1h&since_revision=1", "jsonl")
    rows |= {row["timestamp"] + row["ticker"]: row for row in news}
    assert sorted(rows.values(), key=lambda row: (row["timestamp"], row["ticker"])) == exported(
        api, "resolution=1h", "jsonl"
    )
    for query in ("revision=4", "since_revision=x", "revision=1&since_revision=2", "revision=-1"):
        assert api.get(f"/api/v2/export?{query}").status_code == 400


def test_one_export_too_many_is_told_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_export, "MOST_RUNNING", 1)
    assert [api.get("/api/v2/export").status_code for _ in range(3)] == [200, 200, 200]
    monkeypatch.setattr(api_export, "MOST_RUNNING", 0)
    response = api.get("/api/v2/export")
    assert (response.status_code, response.json()["error"]) == (503, "OVERLOADED")
    assert int(response.headers["retry-after"]) > 0
    assert api.request("HEAD", "/api/v2/export").status_code == 200


def test_a_client_that_goes_away_ends_its_export(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, 10)
    monkeypatch.setattr(api_export, "MOST_RUNNING", 1)
    sizes: list[int] = []

    async def ask() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not sizes:
                await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sizes.append(len(message.get("body", b"")))
            if len(sizes) == 3:
                gone.set()
                await asyncio.sleep(60)  # cancelled, as a write to nobody is

        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "scheme": "http",
            "path": "/api/v2/export", "raw_path": b"/api/v2/export", "query_string": b"format=csv", "root_path": "",
            "headers": [], "http_version": "1.1", "server": ("api", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await api.app(scope, receive, send)

    api.portal.call(ask)
    assert len(sizes) == 3
    # Its place is free again, and the thread as well.
    assert api.get("/api/v2/export?format=csv").status_code == 200
