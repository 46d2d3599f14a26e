"""Much of one kind: ten thousand tickers, a text of ten megabytes, very many items with one and the same timestamp."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from dashapp import cli
from dashapp.model.time import parse_iso
from dashapp.rollup.job import rollup
from dashapp.store.reader import Reader
from dashapp.store.schema import SCORE_INPUT_SCHEMA
from dashapp.store.store import Store
from tests.api.client import Api, api_over
from tests.stores import append, open_store, score, verification

TICKERS = 10_000
MOMENT = parse_iso("2024-05-01T10:00:00Z")


def rows(ids: list[str], tickers: list[str], scores_e6: list[int]) -> pa.Table:
    """Scores of one moment."""
    values = {"item_id": ids, "ticker": tickers, "score_e6": scores_e6}
    same = {"scorer": "test@1", "published_us": MOMENT, "source": "wire", "text": ""}
    return pa.table(
        [
            pa.array(values.get(field.name, [same.get(field.name)] * len(ids)), type=field.type)
            for field in SCORE_INPUT_SCHEMA
        ],
        schema=SCORE_INPUT_SCHEMA,
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Api]]:
    """A store of ten thousand tickers, a third of whose scores no rollup has counted yet."""
    store = open_store(tmp_path_factory.mktemp("many"))
    names = [f"T{number:05}" for number in range(TICKERS)]
    store.scores.append(rows([f"a{name}" for name in names], names, list(range(TICKERS))), accepted_us=0)
    store.scores.append(
        rows([f"b{name}" for name in names], names, [-number for number in range(TICKERS)]), accepted_us=0
    )
    rollup(store)
    store.scores.append(rows([f"c{name}" for name in names], names, [0] * TICKERS), accepted_us=0)
    with api_over(store, MOMENT + 1_000_000) as api:
        yield store, api
    store.close()


def test_ten_thousand_tickers_are_counted_right(many: tuple[Store, Api]) -> None:
    store, _ = many
    found = verification(store)
    assert (found.differ, found.checked) == (0, 8 * TICKERS)


def test_one_of_ten_thousand_tickers_is_found_as_it_is_typed_and_all_can_be_paged_through(
    many: tuple[Store, Api],
) -> None:
    _, api = many
    for typed, names in (("T0123", [f"T0123{digit}" for digit in range(10)]), ("t09999", ["T09999"]), ("X", [])):
        body = api.json(f"/api/v2/tickers?q={typed}&limit=12")
        assert [each["ticker"] for each in body["tickers"]] == names
        assert all(each["count"] == 3 for each in body["tickers"])
    seen: list[str] = []
    cursor = ""
    while True:
        body = api.json(f"/api/v2/tickers?limit=4000{cursor}")
        seen += [each["ticker"] for each in body["tickers"]]
        if not body["has_more"]:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert seen == [f"T{number:05}" for number in range(TICKERS)]


def test_any_of_ten_thousand_tickers_is_shown_with_its_tail(many: tuple[Store, Api]) -> None:
    _, api = many
    asked = [0, 4_999, 9_999]
    names = ",".join(f"T{number:05}" for number in asked)
    body = api.json(f"/api/v2/timeseries?tickers={names}&resolution=1h&start=2024-05-01&end=2024-05-02")
    for number, series in zip(asked, body["series"], strict=True):
        bucket = series["partial_bucket"]
        assert (bucket["count"], bucket["open"], bucket["close"]) == (3, number / 1e6, 0.0)


def test_a_text_of_ten_megabytes_is_rejected_by_name_and_its_neighbours_are_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["good", "good " * 2_000_000, "bad"]
    lines = [
        json.dumps({"id": str(number), "ts": "2024-05-01T10:00:00Z", "ticker": "AAPL", "text": text})
        for number, text in enumerate(texts)
    ]
    (tmp_path / "news.jsonl").write_text("\n".join(lines))
    assert cli.main(["ingest", str(tmp_path / "news.jsonl"), "--data-dir", str(tmp_path / "store"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["accepted"], summary["rejected"]) == (2, 1)
    assert set(summary["rejected_by_reason"]) <= {"text_too_long", "row_too_long"}
    (kept,) = Path(summary["rejected_file"]).read_text().splitlines()
    assert "longer" in json.loads(kept)["message"] or "more than" in json.loads(kept)["message"]
    assert Path(summary["rejected_file"]).stat().st_size < 1_000_000


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_items_with_one_timestamp_are_all_counted_and_their_ids_decide(tmp_path: Path, count: int) -> None:
    store = open_store(tmp_path)
    order = list(range(count))
    random.Random(7).shuffle(order)
    width = len(str(count))
    for first in range(0, count, 50_000):
        chosen = order[first : first + 50_000]
        ids = [f"i{number:0{width}}" for number in chosen]
        store.scores.append(
            rows(ids, ["AAPL"] * len(ids), [number % 2_001 - 1_000 for number in chosen]), accepted_us=0
        )
        if first == 0:
            rollup(store)
    append(store, [score("i", MOMENT, 111_111), score("j", MOMENT, 222_222)])  # the first and the last of all ids
    found = verification(store)
    assert (found.differ, found.checked) == (0, 8)
    with api_over(store, MOMENT + 1) as api:
        for resolution in ("1m", "24h"):
            path = f"/api/v2/timeseries/AAPL?resolution={resolution}&start=2024-05-01&end=2024-05-02"
            bucket = api.json(path)["partial_bucket"]
            assert (bucket["count"], bucket["open"], bucket["close"]) == (count + 2, 0.111111, 0.222222)
        # The texts behind it, page by page, in the order that ids give and none twice.
        path = "/api/v2/items?ticker=AAPL&start=2024-05-01&end=2024-05-02&limit=500"
        pages = [api.json(path)]
        for _ in range(2):
            pages.append(api.json(f"{path}&cursor={pages[-1]['next_cursor']}"))
        shown = [each["id"] for page in pages for each in page["items"]]
        assert shown == ["j", *(f"i{number:0{width}}" for number in range(count - 1, count - 1_500, -1))]
    reader = Reader(store, timeout_ms=60_000)
    assert reader.scores(reader.view(), MOMENT, MOMENT + 1).num_rows == count + 2
    store.close()
