"""Candles over the API: the same numbers in every form, of one ticker or several, in pages, also while data arrives."""

from __future__ import annotations

import csv
import io
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.model.resolution import RESOLUTIONS, parse_resolution, progress_pct
from dashapp.model.time import MAX_US, MIN_US, parse_iso, to_iso
from dashapp.query import answer
from dashapp.rollup.job import rollup
from dashapp.store.store import Store
from tests.api.client import Api, api_over
from tests.api.conftest import FIRST, NOW, TICKERS, made_score
from tests.stores import DAY_US, MINUTE_US, append, expected_buckets, open_store, score, series_reader

EVER = "start=2024-02-28&end=2024-03-04"


def of_json(response: httpx.Response) -> list[dict[str, Any]]:
    """The buckets of an answer as rows of what all forms have, those of the answer with one ticker or with several."""
    body = response.json()
    rows = []
    for part in body.get("series", [body]):
        buckets = [*part["buckets"], *([part["partial_bucket"]] if part["partial_bucket"] else [])]
        for bucket in sorted(buckets, key=lambda each: each["timestamp"]):
            flat = {**bucket, **bucket["label_counts"]}
            rows.append({name: flat[name] for name in answer.CSV_COLUMNS})
    return rows


def of_columns(response: httpx.Response) -> list[dict[str, Any]]:
    body = response.json()
    rows = []
    for part in body.get("series", [body]):
        for row, start_ms in enumerate(part["start_ms"]):
            rows.append(
                {
                    "ticker": part["ticker"],
                    "resolution": body["resolution"],
                    "timestamp": to_iso(start_ms * 1_000),
                    **{name: part[name][row] for name in ("open", "high", "low", "close", "count", "sum", "avg")},
                    **{name: part[name][row] for name in ("positive", "neutral", "negative")},
                    "sources": part["source_sets"][part["sources"][row]],
                    "is_partial": row >= part["closed"],
                }
            )
    return rows


def of_table(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return [{**row, "timestamp": row["timestamp"].isoformat().replace("+00:00", "Z")} for row in rows]


def of_arrow(response: httpx.Response) -> list[dict[str, Any]]:
    return of_table(pa.ipc.open_stream(response.content).read_all())


def of_parquet(response: httpx.Response) -> list[dict[str, Any]]:
    return of_table(pq.read_table(io.BytesIO(response.content)))


def of_csv(response: httpx.Response) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in csv.DictReader(io.StringIO(response.text)):
        numbers = {name: float(row[name]) for name in ("open", "high", "low", "close", "sum", "avg")}
        counts = {name: int(row[name]) for name in ("count", "positive", "neutral", "negative")}
        rest = {"sources": row["sources"].split(";"), "is_partial": row["is_partial"] == "true"}
        rows.append({**row, **numbers, **counts, **rest})
    return rows


READERS: dict[str, Callable[[httpx.Response], list[dict[str, Any]]]] = {
    "json": of_json,
    "columns": of_columns,
    "csv": of_csv,
    "arrow": of_arrow,
    "parquet": of_parquet,
}


def stored_rows(store: Store, tickers: list[str], resolution: str) -> list[dict[str, Any]]:
    """The rows that the reader of series gives, which other tests hold to the oracle."""
    rows = []
    for series in series_reader(store).series(tickers, parse_resolution(resolution), MIN_US, MAX_US + 1):
        for bucket in answer.buckets(series, NOW):
            flat = {**bucket, **bucket["label_counts"]}
            rows.append({name: flat[name] for name in answer.CSV_COLUMNS})
    return rows


@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("resolution", [each.name for each in RESOLUTIONS])
def test_every_form_has_the_same_values_to_the_last_digit(api: Api, store: Store, form: str, resolution: str) -> None:
    one = api.get(f"/api/v2/timeseries/AAPL?resolution={resolution}&{EVER}&format={form}")
    assert READERS[form](one) == stored_rows(store, ["AAPL"], resolution)
    names = ["MSFT", "BTC/USD", "AAPL"]
    many = api.get(f"/api/v2/timeseries?tickers={','.join(names)}&resolution={resolution}&{EVER}&format={form}")
    assert READERS[form](many) == stored_rows(store, names, resolution)
    again = api.get(f"/api/v2/timeseries/AAPL?resolution={resolution}&{EVER}&format={form}")
    assert again.headers["tickertone-cache"] == "hit"
    assert READERS[form](again) == READERS[form](one)


def test_the_rows_are_those_of_the_oracle(api: Api, store: Store) -> None:
    expected = {
        (key[0], key[2], key[3]): bucket for key, bucket in expected_buckets(store).items() if key[1] == "test@1"
    }
    shown = {}
    for resolution in RESOLUTIONS:
        query = f"tickers={','.join(TICKERS)}&resolution={resolution.name}&{EVER}"
        for part in api.json(f"/api/v2/timeseries?{query}")["series"]:
            for bucket in [*part["buckets"], part["partial_bucket"]]:
                shown[bucket["ticker"], resolution.name, parse_iso(bucket["timestamp"])] = bucket
    assert shown.keys() == expected.keys()
    for key, bucket in shown.items():
        wanted = expected[key]
        assert bucket["open"] == wanted["open"][2] / 1e6
        assert bucket["close"] == wanted["close"][2] / 1e6
        assert (bucket["high"], bucket["low"]) == (wanted["high_e6"] / 1e6, wanted["low_e6"] / 1e6)
        assert (bucket["sum"], bucket["avg"]) == (wanted["sum_e6"] / 1e6, wanted["sum_e6"] / (wanted["count"] * 1e6))
        assert bucket["label_counts"] == {name: wanted[name] for name in ("positive", "neutral", "negative")}
        assert bucket["revision"] == wanted["last_position"] >> 20
        assert tuple(bucket["sources"]) == wanted["sources"]


def test_csv_is_byte_for_byte_that_of_the_command_line(api: Api, store: Store) -> None:
    (series,) = series_reader(store).series(["AAPL"], RESOLUTIONS[3], MIN_US, MAX_US + 1)
    shown = api.get(f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}", {"Accept": "text/csv"})
    assert shown.text == answer.to_csv(series, NOW)
    assert shown.headers["content-type"] == "text/csv; charset=utf-8"


def test_the_open_bucket_stands_apart_with_its_progress_which_moves_without_new_scores(api: Api) -> None:
    path = f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}"
    try:
        for seconds in (0, 61, 1_779):
            api.clock.now_us = parse_iso(to_iso(NOW + seconds * 1_000_000))
            body = api.json(path)
            partial = body["partial_bucket"]
            assert partial["timestamp"] == "2024-03-02T15:00:00Z"
            assert partial["is_partial"]
            assert partial["next_update_at"] == "2024-03-02T16:00:00Z"
            assert partial["progress_pct"] == progress_pct(
                parse_iso(partial["timestamp"]), RESOLUTIONS[3], api.clock.now_us
            )
            assert not any(bucket["is_partial"] for bucket in body["buckets"])
            assert partial["timestamp"] not in {bucket["timestamp"] for bucket in body["buckets"]}
        api.clock.now_us = parse_iso("2024-03-02T16:00:00Z")
        body = api.json(path)
        assert body["partial_bucket"] is None
        assert body["buckets"][-1]["timestamp"] == "2024-03-02T15:00:00Z"
        assert not body["buckets"][-1]["is_partial"]
    finally:
        api.clock.now_us = NOW


def test_the_default_range_fills_a_screen_and_ends_now(api: Api) -> None:
    body = api.json("/api/v2/timeseries/AAPL")
    assert (body["resolution"], body["start"], body["end"]) == ("1m", "2024-03-02T10:31:00Z", "2024-03-02T15:31:00Z")
    assert body["partial_bucket"]["timestamp"] == "2024-03-02T15:30:00Z"
    assert body["scorer"] == "test@1"
    assert (body["has_more"], body["next_cursor"]) == (False, None)


def test_a_ticker_may_be_written_in_any_case_and_hold_a_slash(api: Api) -> None:
    assert api.json(f"/api/v2/timeseries/aapl?{EVER}")["ticker"] == "AAPL"
    assert api.json(f"/api/v2/timeseries/$brk-a?{EVER}")["ticker"] == "BRK-A"
    for written in ("BTC/USD", "BTC%2FUSD", "btc%2fusd"):
        assert api.json(f"/api/v2/timeseries/{written}?{EVER}")["ticker"] == "BTC/USD"
    several = api.json(f"/api/v2/timeseries?tickers=btc/usd,AAPL,aapl&{EVER}")["series"]
    assert [part["ticker"] for part in several] == ["BTC/USD", "AAPL"]


def test_another_scorer_gives_other_candles(api: Api, store: Store) -> None:
    theirs = api.json(f"/api/v2/timeseries/AAPL?resolution=24h&{EVER}&scorer=other@2")
    mine = [made_score(number) for number in range(2_000)]
    expected = sum(each.ticker == "AAPL" and each.scorer == "other@2" for each in mine)
    assert sum(bucket["count"] for bucket in [*theirs["buckets"], theirs["partial_bucket"]]) == expected
    assert theirs["scorer"] == "other@2"


@pytest.mark.parametrize("limit", [1, 2, 7, 10_000])
@pytest.mark.parametrize("resolution", ["10m", "3h", "24h"])
def test_pages_of_one_ticker_follow_each_other_without_gap_or_repeat(
    api: Api, store: Store, resolution: str, limit: int
) -> None:
    query = f"/api/v2/timeseries/MSFT?resolution={resolution}&{EVER}"
    whole = api.json(query)
    rows, pages = [], 0
    cursor = ""
    while True:
        response = api.get(f"{query}&limit={limit}{cursor}")
        body = response.json()
        page = of_json(response)
        assert len(page) <= limit
        assert body["has_more"] == (body["next_cursor"] is not None)
        rows += page
        pages += 1
        if not body["has_more"]:
            break
        assert len(page) == limit
        cursor = f"&cursor={body['next_cursor']}"
        limit = limit if pages < 30 else 10_000  # enough of small pages
    assert rows == stored_rows(store, ["MSFT"], resolution)
    assert rows == of_json(api.get(f"/api/v2/timeseries/MSFT?resolution={resolution}&{EVER}"))
    assert whole["has_more"] is False


@pytest.mark.parametrize("form", list(READERS))
def test_pages_of_several_tickers_end_together_and_go_on_with_one_cursor(api: Api, store: Store, form: str) -> None:
    names = ["AAPL", "MSFT", "BTC/USD"]
    query = f"/api/v2/timeseries?tickers={','.join(names)}&resolution=3h&{EVER}&limit=4&format={form}"
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    cursor, pages = "", 0
    while True:
        response = api.get(query + cursor)
        for row in READERS[form](response):
            seen[row["ticker"]].append(row)
        pages += 1
        following = response.headers.get("tickertone-next-cursor")
        if form in ("json", "columns"):
            assert response.json()["next_cursor"] == following
        if following is None:
            break
        cursor = f"&cursor={following}"
    assert pages > 5
    assert [row for name in names for row in seen[name]] == stored_rows(store, names, "3h")


def test_the_bound_of_the_settings_cuts_an_answer_and_says_so(store: Store) -> None:
    with api_over(store, NOW, max_buckets=12) as bounded:
        one = bounded.json(f"/api/v2/timeseries/AAPL?resolution=1h&{EVER}&limit=1000")
        assert (len(one["buckets"]), one["has_more"]) == (12, True)
        several = bounded.json(f"/api/v2/timeseries?tickers=AAPL,MSFT,BRK-A&resolution=1h&{EVER}")
        assert several["has_more"]
        assert max(len(part["buckets"]) for part in several["series"]) == 4


def test_several_tickers_are_one_query_and_share_what_is_kept_with_single_ones(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_over(store, NOW) as fresh:
        fresh.cache.clear()
        asked: list[tuple[str, ...]] = []
        query = fresh.reader.reader.series

        def counted(view: Any, tickers: Any, *rest: Any) -> Any:
            asked.append(tuple(tickers))
            return query(view, tickers, *rest)

        monkeypatch.setattr(fresh.reader.reader, "series", counted)
        first = fresh.json(f"/api/v2/timeseries?tickers=AAPL,MSFT,BRK-A&resolution=6h&{EVER}")
        assert asked == [("AAPL", "MSFT", "BRK-A")]
        assert first["cache_hit"] is False
        assert fresh.json(f"/api/v2/timeseries/MSFT?resolution=6h&{EVER}")["cache_hit"] is True
        more = fresh.json(f"/api/v2/timeseries?tickers=BTC/USD,AAPL&resolution=6h&{EVER}")
        assert more["cache_hit"] is False
        assert asked[1:] == [("BTC/USD",)]
        assert fresh.json(f"/api/v2/timeseries?tickers=AAPL,BTC/USD&resolution=6h&{EVER}")["cache_hit"] is True


@pytest.mark.parametrize("several", [False, True])
def test_paging_beside_an_ingest_neither_skips_nor_repeats(tmp_path: Path, several: bool) -> None:
    # Late scores make new buckets before and after the cursor, rollups move them from tail to files. Every bucket that
    # was there when the paging began must come once, and no bucket twice.
    writer, store = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    names = ["AAPL", "MSFT"] if several else ["AAPL"]
    draw = random.Random(11)

    def some(number: int) -> list[Any]:
        return [
            score(
                f"i{number}-{each}",
                FIRST + draw.randrange(DAY_US // MINUTE_US) * MINUTE_US + draw.randrange(MINUTE_US),
                draw.randrange(-1_000_000, 1_000_000),
                ticker=draw.choice(["AAPL", "MSFT"]),
            )
            for each in range(20)
        ]

    append(writer, [each for number in range(20) for each in some(-1 - number)])
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not stop.wait(0.01) and len(written) < 60:
            append(writer, some(len(written)))
            written.append(1)
            if len(written) % 5 == 0:
                rollup(writer)

    with api_over(store, NOW) as api:
        where = f"tickers={','.join(names)}&" if several else ""
        path = "/api/v2/timeseries" if several else "/api/v2/timeseries/AAPL"
        query = f"{path}?{where}resolution=1m&start=2024-02-28&end=2024-02-29"
        before = {(row["ticker"], row["timestamp"]): row["count"] for row in of_json(api.get(query))}
        thread = threading.Thread(target=write)
        thread.start()
        try:
            rounds = 0
            while rounds < 3 or (len(written) <= 3 and thread.is_alive()):  # on a busy machine the writer comes late
                rounds += 1
                seen: list[dict[str, Any]] = []
                cursor = ""
                while True:
                    response = api.get(f"{query}&limit=25{cursor}")
                    assert response.status_code == 200, response.text
                    seen += of_json(response)
                    if not response.json()["has_more"]:
                        break
                    cursor = f"&cursor={response.json()['next_cursor']}"
                keys = [(row["ticker"], row["timestamp"]) for row in seen]
                assert len(keys) == len(set(keys))
                assert before.keys() <= set(keys)
                assert all(row["count"] >= before.get((row["ticker"], row["timestamp"]), 1) for row in seen)
                for name in names:
                    mine = [start for ticker, start in keys if ticker == name]
                    assert mine == sorted(mine)
        finally:
            stop.set()
            thread.join()
        assert len(written) > 3
        assert of_json(api.get(query)) == stored_rows(store, names, "1m")
