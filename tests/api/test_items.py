"""The texts behind candles: just those that a candle counts, newest first, in pages."""

from __future__ import annotations

import csv
import dataclasses
import io
import random
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY, load_scorer
from dashapp.model.score import quantise
from dashapp.model.time import MAX_US, MIN_US, parse_iso, to_iso
from dashapp.query.items import parse_place, place_cursor
from dashapp.rollup.job import rollup
from tests.api.client import Api, api_over
from tests.api.conftest import FIRST, NOW, made_score
from tests.stores import DAY_US, append, open_store, score

EVER = "start=2024-02-28&end=2024-03-04"
SCORES = [made_score(number) for number in range(2_000)]


def pages(api: Api, query: str, limit: int) -> list[dict[str, Any]]:
    """The items of all pages."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        body = api.json(f"/api/v2/items?{query}&limit={limit}{cursor}")
        assert len(body["items"]) <= limit
        found += body["items"]
        if not body["has_more"]:
            assert body["next_cursor"] is None
            return found
        assert len(body["items"]) == limit
        cursor = f"&cursor={body['next_cursor']}"


@pytest.mark.parametrize("resolution", ["1m", "1h", "24h"])
def test_a_candle_is_made_of_just_its_texts(api: Api, resolution: str) -> None:
    body = api.json(f"/api/v2/timeseries/BTC/USD?resolution={resolution}&{EVER}")
    candles = [*body["buckets"], *([body["partial_bucket"]] if body["partial_bucket"] else [])]
    seconds = {"1m": 60, "1h": 3_600, "24h": 86_400}[resolution]
    for candle in random.Random(5).sample(candles, min(12, len(candles))) + candles[-1:]:
        end = to_iso(parse_iso(candle["timestamp"]) + seconds * 1_000_000)
        items = pages(api, f"ticker=BTC/USD&start={candle['timestamp']}&end={end}", 7)
        scores = [item["score"] for item in items]
        assert len(items) == candle["count"]
        assert (scores[-1], max(scores), min(scores), scores[0]) == tuple(
            candle[name] for name in ("open", "high", "low", "close")
        )
        assert round(sum(scores) * 1e6) / 1e6 == candle["sum"]
        assert sorted({item["source"] for item in items}) == candle["sources"]
        labels = [item["label"] for item in items]
        assert {label: labels.count(label) for label in candle["label_counts"]} == candle["label_counts"]
        assert max(item["position"] >> 20 for item in items) == candle["revision"]


@pytest.mark.parametrize("limit", [1, 50, 1_000])
def test_pages_hold_every_text_once_newest_first(api: Api, limit: int) -> None:
    since = "start=2024-02-28" if limit > 1 else "start=2024-03-02"
    items = pages(api, f"ticker=MSFT&{since}", limit)
    mine = [each for each in SCORES if (each.ticker, each.scorer) == ("MSFT", "test@1")]
    mine = [each for each in mine if each.published_us >= parse_iso(since.removeprefix("start="))]
    fresh = [item for item in items if item["id"].startswith("now")]
    assert len(fresh) == 2
    shown = [
        {name: item[name] for name in ("id", "published", "score", "source", "url", "text", "confidence")}
        for item in items
        if item not in fresh
    ]
    expected = [
        {
            "id": each.item_id,
            "published": to_iso(each.published_us),
            "score": each.score_e6 / 1e6,
            "source": each.source,
            "url": each.url,
            "text": each.text,
            "confidence": each.confidence,
        }
        for each in sorted(mine, key=lambda each: (each.published_us, each.item_id), reverse=True)
    ]
    assert shown == expected


def test_texts_of_the_same_moment_are_in_the_order_that_decides_the_close(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    names = ["a", "b", "é", "數", "\U0001f600", "Z", "10", "9"]
    append(store, [score(name, FIRST, place) for place, name in enumerate(names)])
    with api_over(store, NOW) as api:
        items = pages(api, "ticker=AAPL", 1)
        assert [item["id"] for item in items] == sorted(names, reverse=True)
        candle = api.json(f"/api/v2/timeseries/AAPL?resolution=24h&{EVER}")["buckets"][0]
        assert (candle["close"], candle["open"]) == (items[0]["score"], items[-1]["score"])


def test_every_form_has_the_same_texts(api: Api) -> None:
    path = f"/api/v2/items?ticker=AAPL&{EVER}&limit=300"
    items = api.json(path)["items"]
    rows = {
        "arrow": pa.ipc.open_stream(api.get(f"{path}&format=arrow").content).read_all().to_pylist(),
        "parquet": pq.read_table(io.BytesIO(api.get(f"{path}&format=parquet").content)).to_pylist(),
    }
    for found in rows.values():
        for row in found:
            for name in ("published", "accepted"):
                row[name] = row[name].isoformat().replace("+00:00", "Z")
        assert found == items
    shown = list(csv.DictReader(io.StringIO(api.get(f"{path}&format=csv").text, newline="")))
    assert [list(row) for row in shown] == [list(item) for item in items]
    for row, item in zip(shown, items, strict=True):
        for name, value in item.items():
            assert (float(row[name]) if isinstance(value, float) else row[name]) == (
                "" if value is None else value if isinstance(value, float) else str(value).replace("True", "true")
            )
    for response in (api.get(f"{path}&format={form}") for form in rows):
        assert response.headers["tickertone-next-cursor"] == api.json(path)["next_cursor"]


def test_a_page_reads_only_the_days_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score(f"i{day}-{n}", FIRST + day * DAY_US + n, 1) for day in range(30) for n in range(4)])
    rollup(store)
    with api_over(store, NOW) as api:
        files: list[int] = []
        ask = api.reader.reader.table

        def counted(sql: str, params: Any) -> Any:
            if "item_id AS id" in sql:
                files.append(len(params["files"]))
            return ask(sql, params)

        monkeypatch.setattr(api.reader.reader, "table", counted)
        assert len(pages(api, "ticker=AAPL", 10)) == 120
        assert len(files) == 12
        assert max(files) <= 5


def test_paging_beside_an_ingest_neither_skips_nor_repeats(tmp_path: Path) -> None:
    writer, store = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    draw = random.Random(3)

    def some(name: str) -> list[Any]:
        return [score(f"{name}-{each}", FIRST + draw.randrange(2 * DAY_US), each) for each in range(10)]

    append(writer, [each for number in range(20) for each in some(f"old{number}")])
    stop = threading.Event()
    rounds: list[int] = []

    def write() -> None:
        while not stop.wait(0.01) and len(rounds) < 40:
            append(writer, some(f"new{len(rounds)}"))
            rounds.append(1)
            if len(rounds) % 5 == 0:
                rollup(writer)

    with api_over(store, NOW) as api:
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(3):
                items = pages(api, "ticker=AAPL", 30)
                ids = [item["id"] for item in items]
                assert len(ids) == len(set(ids))
                assert sum(name.startswith("old") for name in ids) == 200
                keys = [(item["published"], item["id"]) for item in items]
                assert keys == sorted(keys, key=lambda key: (parse_iso(key[0]), key[1]), reverse=True)
        finally:
            stop.set()
            thread.join()
        assert len(rounds) > 3


@pytest.mark.parametrize("item_id", ["a", "", "x" * 512, "数" * 512, 'quote " and \\', "a\x00b", "\U0001f600"])
@pytest.mark.parametrize("moment_us", [0, -1, MIN_US, MAX_US])
def test_a_cursor_names_any_item(moment_us: int, item_id: str) -> None:
    cursor = place_cursor((moment_us, item_id))
    assert cursor.isascii()
    assert len(cursor) <= 4_300
    assert not set(cursor) & set("&#+%=/ ")
    assert parse_place(cursor, MIN_US, MAX_US + 1) == (moment_us, item_id)


def test_on_request_each_text_says_which_words_moved_its_score(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    text = "Acme beats estimates"
    by_default, by_another = DEFAULT_SCORER_IDENTITY, "finance@0"
    (sentiment,) = load_scorer().score([text])
    value = quantise(sentiment.score)
    append(
        store,
        [
            dataclasses.replace(score(item_id, 0, value, scorer=scorer), text=text)
            for item_id, scorer in (("a", by_default), ("b", by_another))
        ],
    )
    with api_over(store, NOW) as api:
        (item,) = api.json(f"/api/v2/items?ticker=AAPL&explain=true&scorer={by_default}")["items"]
        assert [each["word"] for each in item["words"]] == ["acme", "beats", "estimates"]
        assert sum(each["share"] for each in item["words"]) == pytest.approx(item["score"], abs=1e-5)
        (item,) = api.json(f"/api/v2/items?ticker=AAPL&explain=true&scorer={by_another}")["items"]
        assert item["words"] is None  # of a version that is not installed
        (item,) = api.json(f"/api/v2/items?ticker=AAPL&scorer={by_default}")["items"]
        assert "words" not in item
        assert api.get("/api/v2/items?ticker=AAPL&explain=maybe").status_code == 400
