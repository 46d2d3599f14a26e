"""Exports: all there is, of one state of the store, in pieces of bounded size."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.time import EpochUs, parse_iso
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


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "csv": of_csv,
    "arrow": lambda body: of_table(pa.ipc.open_stream(body).read_all()),
    "parquet": lambda body: of_table(pq.read_table(io.BytesIO(body))),
}


def exported(api: Api, query: str, form: str) -> list[dict[str, Any]]:
    response: httpx.Response = api.get(f"/api/v2/export?{query}&format={form}")
    assert response.status_code == 200, response.text
    return READERS[form](response.content)


def expected_buckets(api: Api, tickers: tuple[str, ...], resolution: str) -> list[dict[str, Any]]:
    named = ",".join(tickers)
    span = "start=2024-02-28&end=2024-03-04"
    rows = of_csv(api.get(f"/api/v2/timeseries?tickers={named}&resolution={resolution}&{span}&format=csv").content)
    return sorted(rows, key=lambda row: (row["timestamp"], row["ticker"]))


@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("resolution", [each.name for each in RESOLUTIONS])
def test_exported_buckets_are_those_of_the_series(api: Api, form: str, resolution: str) -> None:
    assert exported(api, f"resolution={resolution}", form) == expected_buckets(api, TICKERS, resolution)


@pytest.mark.parametrize(("form", "resolution"), [("csv", "1m"), ("parquet", "5m"), ("arrow", "1h"), ("csv", "24h")])
def test_exported_buckets_are_the_same_in_small_pieces(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: str, resolution: str
) -> None:
    monkeypatch.setattr(extracts, "EXPORT_ROWS", 60)
    shown = exported(api, f"resolution={resolution}&tickers=AAPL,BTC/USD", form)
    assert shown == expected_buckets(api, ("AAPL", "BTC/USD"), resolution)


@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("rows", [7, 50_000])
def test_exported_scores_are_those_that_were_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: str, rows: int
) -> None:
    monkeypatch.setattr(extracts, "EXPORT_ROWS", rows)
    query = "table=scores&scorer=other@2" + ("&start=2024-03-01&end=2024-03-01T06:00:00Z" if rows == 7 else "")
    shown = exported(api, query, form)
    first, last = (parse_iso("2024-03-01"), parse_iso("2024-03-01T06:00:00Z")) if rows == 7 else (0, NOW)
    mine = [each for each in SCORES if each.scorer == "other@2" and first <= each.published_us < last]
    mine.sort(key=lambda each: (each.published_us, each.ticker, each.item_id))
    assert [(row["id"], row["ticker"], row["source"], row["text"], row["url"]) for row in shown] == [
        (each.item_id, each.ticker, each.source, each.text, each.url or "") for each in mine
    ]
    assert [float(row["score"]) for row in shown] == [each.score_e6 / 1e6 for each in mine]
    assert {row["source"] for row in shown} == set(SOURCES)


def test_an_export_begun_before_a_change_shows_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracts, "EXPORT_ROWS", 20)
    store = open_store(tmp_path / "store")
    start = parse_iso("2024-02-28")
    append(store, [score(f"i{number}", start + number * DAY_US // 40, number) for number in range(200)])
    rollup(store)
    append(store, [score(f"j{number}", start + number * DAY_US // 40, number) for number in range(100)])

    def begin(resolution: str | None) -> Export:
        question = Question(None if resolution is None else parse_resolution(resolution))
        return export(series_reader(store), question, "csv", EpochUs(NOW))

    resolutions = (None, "1m", "1h", "24h")
    expected = [b"".join(begin(each).pieces) for each in resolutions]
    under_way = [begin(each) for each in resolutions]
    firsts = [next(made.pieces) for made in under_way]

    append(store, [score(f"k{number}", start + number * DAY_US // 40, -number) for number in range(150)])
    rollup(store)

    for made, first, whole in zip(under_way, firsts, expected, strict=True):
        assert made.revision == 2
        assert first + b"".join(made.pieces) == whole
    assert [b"".join(begin(each).pieces) for each in resolutions] != expected


def test_pieces_are_of_bounded_size_however_much_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracts, "EXPORT_ROWS", 100)
    store = open_store(tmp_path / "store")
    start = parse_iso("2024-02-28")
    # One day holds nearly all, as a busy one does.
    append(store, [score(f"i{number}", start + number * DAY_US // 4_000, 1) for number in range(4_100)])
    rollup(store)
    append(store, [score(f"j{number}", start + number * DAY_US // 400, 1) for number in range(400)])
    for resolution, rows_in_all in ((None, 4_500), ("1m", 1_476)):
        question = Question(None if resolution is None else parse_resolution(resolution))
        made = export(series_reader(store), question, "csv", EpochUs(NOW))
        sizes = [piece.count(b"\n") for piece in made.pieces]
        assert sum(sizes) == rows_in_all + 1
        assert max(sizes) <= 201


def test_an_export_says_what_it_is(api: Api) -> None:
    response = api.get("/api/v2/export?resolution=3h")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    assert response.headers["content-disposition"] == 'attachment; filename="tickertone-buckets-3h.parquet"'
    assert response.headers["tickertone-revision"] == "3"
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
    assert exported(api, "table=scores&end=2000-01-01", "parquet") == []
