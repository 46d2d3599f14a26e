"""The tickers of a store: counts, first and last, found by prefix, in pages."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.model.time import to_iso
from dashapp.rollup.job import rollup
from tests.api.client import Api, api_over
from tests.api.conftest import FIRST, NOW, TICKERS, made_score
from tests.stores import MINUTE_US, append, open_store, score

SCORES = [made_score(number) for number in range(2_000)]


def test_each_ticker_has_its_count_and_its_first_and_last_time(api: Api) -> None:
    body = api.json("/api/v2/tickers")
    assert (body["scorer"], body["scorers"]) == ("test@1", ["other@2", "test@1"])
    assert [row["ticker"] for row in body["tickers"]] == sorted(TICKERS)
    for row in body["tickers"]:
        mine = [each for each in SCORES if (each.ticker, each.scorer) == (row["ticker"], "test@1")]
        assert row["count"] == len(mine) + 2
        assert row["first"] == to_iso(min(each.published_us for each in mine))
        assert row["last"] == to_iso(NOW - TICKERS.index(row["ticker"]) * 1_000_000)
    theirs = api.json("/api/v2/tickers?scorer=other@2")["tickers"]
    assert sum(row["count"] for row in theirs) == sum(each.scorer == "other@2" for each in SCORES)


def test_a_prefix_in_any_case_finds_tickers(api: Api) -> None:
    def found(prefix: str) -> list[str]:
        return [row["ticker"] for row in api.json(f"/api/v2/tickers?q={prefix}")["tickers"]]

    assert found("b") == ["BRK-A", "BTC/USD"]
    assert found("BT") == ["BTC/USD"]
    assert found("btc/") == ["BTC/USD"]
    assert found("%24aapl") == ["AAPL"]
    assert found("%20msft%20") == ["MSFT"]
    assert found("X") == found("AAPLX") == found("%25") == found("_") == []
    assert found("") == sorted(TICKERS)


def test_pages_hold_every_ticker_once_also_while_tickers_arrive(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    names = [f"T{number:03d}" for number in range(0, 100, 2)]
    append(store, [score("a", FIRST, 1, ticker=name) for name in names])
    with api_over(store, NOW) as api:
        seen: list[str] = []
        cursor, arrived = "", 1
        while True:
            body = api.json(f"/api/v2/tickers?limit=7{cursor}")
            seen += [row["ticker"] for row in body["tickers"]]
            if not body["has_more"]:
                break
            cursor = f"&cursor={body['next_cursor']}"
            append(store, [score("b", FIRST, 1, ticker=f"T{arrived:03d}")])
            arrived += 12
            if arrived % 5 == 0:
                rollup(store)
        assert seen == sorted(set(seen))
        assert set(names) <= set(seen)


def test_counts_follow_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", FIRST, 1)])
    with api_over(store, NOW) as api:
        assert api.json("/api/v2/tickers")["tickers"][0]["count"] == 1
        append(store, [score("b", FIRST + MINUTE_US, 1), score("c", FIRST - MINUTE_US, 1)])
        rollup(store)
        append(store, [score("d", FIRST + 2 * MINUTE_US, 1)])
        assert api.json("/api/v2/tickers")["tickers"] == [
            {
                "ticker": "AAPL",
                "scorer": "test@1",
                "count": 4,
                "first": to_iso(FIRST - MINUTE_US),
                "last": to_iso(FIRST + 2 * MINUTE_US),
            }
        ]


def test_every_form_has_the_same_tickers(api: Api) -> None:
    rows = api.json("/api/v2/tickers")["tickers"]
    arrow = pa.ipc.open_stream(api.get("/api/v2/tickers?format=arrow").content).read_all()
    parquet = pq.read_table(io.BytesIO(api.get("/api/v2/tickers?format=parquet").content))
    for table in (arrow, parquet):
        assert [
            {**row, **{name: row[name].isoformat().replace("+00:00", "Z") for name in ("first", "last")}}
            for row in table.to_pylist()
        ] == rows
    shown = csv.DictReader(io.StringIO(api.get("/api/v2/tickers?format=csv").text))
    assert [{**row, "count": int(row["count"])} for row in shown] == rows
