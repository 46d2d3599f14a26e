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
from dashapp.query.export import Question, export
from dashapp.rollup.job import rollup
from dashapp.store import extracts
from dashapp.store.store import Store
from tests.api.client import Api
from tests.api.conftest import NOW, SOURCES, TICKERS, made_score
from tests.stores import DAY_US, append, open_store, score, series_reader

SCORES = [made_score(number) for number in range(2_000)]


def of_csv(body: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(body.decode())))


def of_table(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as CSV shows them."""

    def shown(value: Any) -> str:
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


@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("resolution", [each.name for each in RESOLUTIONS])
@pytest.mark.parametrize("rows", [7, 50_000])
def test_exported_buckets_are_those_of_the_series(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: str, resolution: str, rows: int
) -> None:
    monkeypatch.setattr(extracts, "EXPORT_ROWS", rows)
    query = f"resolution={resolution}&tickers=AAPL,BTC/USD" if rows == 7 else f"resolution={resolution}"
    names = ["AAPL", "BTC/USD"] if rows == 7 else list(TICKERS)
    shown = exported(api, query, form)
    expected = of_csv(
        api.get(
            f"/api/v2/timeseries?tickers={','.join(names)}&resolution={resolution}"
            "&start=2024-02-28&end=2024-03-04&format=csv"
        ).content
    )
    assert shown == sorted(expected, key=lambda row: (row["timestamp"], row["ticker"]))


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

    def begun(resolution: str | None) -> tuple[Any, bytes]:
        question = Question(None if resolution is None else parse_resolution(resolution))
        made = export(series_reader(store), question, "csv", EpochUs(NOW))
        return made, next(made.pieces)

    resolutions: list[str | None] = [None, "1m", "1h", "24h"]
    under_way = [begun(each) for each in resolutions]
    expected = [first + b"".join(begun(each)[0].pieces) for each, (_, first) in zip(resolutions, under_way, strict=True)]
    expected = [b"".join(export(series_reader(store), Question(None if each is None else parse_resolution(each)), "csv", EpochUs(NOW)).pieces) for each in resolutions]

    append(store, [score(f"k{number}", start + number * DAY_US // 40, -number) for number in range(150)])
    rollup(store)

    for (made, first), whole in zip(under_way, expected, strict=True):
        assert made.revision == 2
        assert first + b"".join(made.pieces) == whole


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
