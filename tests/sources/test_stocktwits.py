"""StockTwits symbol streams: recorded messages, walks by message id, and what is wrong with an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashapp.errors import SourceGarbled, SourceRefused
from dashapp.ingest.sources.poll import Page
from dashapp.ingest.sources.stocktwits import MAX_PAGES, PAGE_ROWS, StockTwits
from dashapp.model.time import parse_iso, to_iso
from tests.sources import polling
from tests.sources.newsstand import Call, Newsstand, Reply
from tests.sources.polling import NOW, items, rejections, tickers

PATH = "/streams/symbol/{}.json"
SECOND_US = 1_000_000


def poll(stand: Newsstand, *symbols: str, times: int = 1, position: dict[str, Any] | None = None) -> list[Page]:
    def make(http: Any) -> StockTwits:
        return StockTwits(polling.access(http, stand.url, "stocktwits", *symbols))

    return polling.poll(make, position, times=times)


def message(number: int, *symbols: str, at_us: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "body": f"${symbols[0] if symbols else 'TSLA'} message {number}",
        "created_at": to_iso(NOW - 1_000 * SECOND_US + number * SECOND_US if at_us is None else at_us),
        "user": {"id": 1, "username": "someone"},
        "source": {"id": 1149, "title": "StockTwits for iOS", "url": "http://www.stocktwits.com/mobile"},
        "symbols": [{"id": 8660, "symbol": symbol, "title": symbol} for symbol in symbols or ("TSLA",)],
        "entities": {"sentiment": {"basic": "Bullish"}},
        **more,
    }


def stream(messages: list[dict[str, Any]], *, with_cursor: bool = True) -> Any:
    """Answers as StockTwits does: the newest of what `since` (exclusive) and `max` (inclusive) leave."""

    def serve(call: Call) -> Reply:
        since, upto = int(call.params.get("since", 0)), int(call.params.get("max", 1 << 62))
        found = sorted((row for row in messages if since < row["id"] <= upto), key=lambda row: -row["id"])
        page = found[: int(call.params["limit"])]
        cursor = {"more": len(found) > len(page), "since": page[0]["id"], "max": page[-1]["id"]} if page else None
        body = {"response": {"status": 200}, "symbol": {"symbol": "TSLA"}, "messages": page}
        return Reply({**body, "cursor": cursor} if with_cursor else body)

    return serve


@pytest.mark.parametrize("is_bare", [True, False], ids=["as-recorded", "as-the-api-wraps-it"])
def test_recorded_messages_become_items(stand: Newsstand, real_data: Path, is_bare: bool) -> None:
    told = json.loads((real_data / "stocktwits" / "symbol-msgs-all.json").read_text("utf-8"))
    stand.at(PATH.format("TSLA"), Reply(told if is_bare else {"messages": told, "cursor": {"more": False}}))
    (page,) = poll(stand, "TSLA")
    found = items(page)
    assert [item.id for item in found] == [f"stocktwits:{row['id']}" for row in told]
    first = found[0]
    assert first.published_us == parse_iso("2022-04-03T17:05:36Z")
    assert first.text.startswith("$GEVO $TSLA tell that to the Biden administration")
    assert tickers(first) == ["TSLA", "GEVO"]
    assert {item.source for item in found} == {"stocktwits"}
    assert {mention.score for item in found for mention in item.mentions} == {None}, "tags of authors are no scores"
    assert page.position["symbols"]["TSLA"]["walk"]["since"] == max(row["id"] for row in told)


def test_every_recorded_answer_is_read_without_a_rejection(stand: Newsstand, real_data: Path) -> None:
    files = sorted((real_data / "stocktwits").glob("*.json"))
    assert len(files) == 10
    for file in files:
        stand.at(PATH.format("TSLA"), Reply(file.read_bytes()))
        (page,) = poll(stand, "TSLA")
        assert [row.id for row in items(page)] == [f"stocktwits:{row['id']}" for row in json.loads(file.read_bytes())]


def test_only_what_is_newer_is_asked_for(stand: Newsstand) -> None:
    stand.at(PATH.format("TSLA"), stream([message(number) for number in range(1, 11)]))
    poll(stand, "TSLA", times=2)
    assert [call.params for call in stand.calls] == [
        {"limit": "30", "access_token": "s3cret"},
        {"limit": "30", "since": "10", "access_token": "s3cret"},
    ]


@pytest.mark.parametrize("with_cursor", [True, False])
def test_more_messages_than_a_page_holds_are_read_back_to_what_is_known(stand: Newsstand, with_cursor: bool) -> None:
    told = [message(number) for number in range(1, 6)]
    stand.at(PATH.format("TSLA"), stream(told, with_cursor=with_cursor))
    (known,) = poll(stand, "TSLA")
    told += [message(number) for number in range(6, 6 + 3 * PAGE_ROWS)]
    stand.at(PATH.format("TSLA"), stream(told, with_cursor=with_cursor))
    pages = poll(stand, "TSLA", times=5, position=dict(known.position))
    met = [item.id for page in pages for item in items(page)]
    assert set(met) == {f"stocktwits:{number}" for number in range(6, 96)}
    assert pages[-1].position["symbols"]["TSLA"]["walk"]["since"] == 95
    assert pages[-1].next_poll_s is None


def test_busy_and_quiet_symbols_take_turns(stand: Newsstand) -> None:
    stand.at(PATH.format("TSLA"), stream([message(number) for number in range(1, 71)]))
    stand.at(PATH.format("F"), stream([message(1, "F")]))
    pages = poll(stand, "TSLA", "F", times=4)
    assert [call.path.split("/")[-1] for call in stand.calls] == ["TSLA.json", "F.json", "TSLA.json", "TSLA.json"]
    assert [page.next_poll_s for page in pages] == [0, 0, 0, None]


def test_the_first_poll_reads_back_over_the_time_asked_for_and_no_further(stand: Newsstand) -> None:
    hour_us = 3_600 * SECOND_US
    told = [message(number, at_us=NOW - (1_000 - number) * hour_us) for number in range(1, 1_001)]
    stand.at(PATH.format("TSLA"), stream(told))
    pages = poll(stand, "TSLA")
    assert pages[0].next_poll_s is None, "30 hours are more than a day"


def test_a_stream_without_end_is_left_after_as_many_pages_as_stocktwits_gives(stand: Newsstand) -> None:
    stand.at(PATH.format("TSLA"), stream([message(number, at_us=NOW) for number in range(1, 2_000)]))
    pages = poll(stand, "TSLA", times=MAX_PAGES)
    assert [page.next_poll_s for page in pages] == [0] * (MAX_PAGES - 1) + [None]


def test_the_same_page_for_ever_is_not_walked_for_ever(stand: Newsstand) -> None:
    page = {"messages": [message(number) for number in range(1, 31)], "cursor": {"more": True}}
    stand.at(PATH.format("TSLA"), Reply(page))
    first, second = poll(stand, "TSLA", times=2)
    assert (first.next_poll_s, second.next_poll_s) == (0, None)


def test_messages_out_of_order_are_all_taken_and_the_newest_counts(stand: Newsstand) -> None:
    stand.at(PATH.format("TSLA"), Reply([message(2), message(9), message(4)]))
    (page,) = poll(stand, "TSLA")
    assert [item.id for item in items(page)] == ["stocktwits:2", "stocktwits:9", "stocktwits:4"]
    assert page.position["symbols"]["TSLA"]["walk"]["since"] == 9


def test_an_unknown_symbol_is_an_error_of_its_own(stand: Newsstand) -> None:
    stand.at(PATH.format("TSLA"), stream([message(1)]))
    stand.at(
        PATH.format("NOPE"), Reply({"response": {"status": 404}, "errors": [{"message": "Symbol not found"}]}, 404)
    )
    first, second = poll(stand, "NOPE", "TSLA", times=2)
    assert isinstance(first.error, SourceRefused)
    assert "Symbol not found" in str(first.error)
    assert len(items(second)) == 1


def test_a_symbol_with_marks_is_part_of_the_path(stand: Newsstand) -> None:
    poll(stand, "BTC/USD", "BTC.X", times=2)
    assert [call.path for call in stand.calls] == ["/streams/symbol/BTC%2FUSD.json", "/streams/symbol/BTC.X.json"]


def test_bad_rows_are_rejected_with_reasons_and_the_others_taken(stand: Newsstand) -> None:
    rows: list[Any] = [
        message(1),
        5,
        message(2, created_at=None),
        message(3, body=None),
        message(4, symbols=[{"id": 1}]),
        {"created_at": to_iso(NOW), "body": "$F has no id"},
        message(6, symbols=None, body="about nothing"),
    ]
    stand.at(PATH.format("TSLA"), Reply({"messages": rows}))
    (page,) = poll(stand, "TSLA")
    assert [item.id.partition(":")[2][:2] for item in items(page)] == ["1", "h:"]
    assert rejections(page) == {
        "stocktwits:[1]": "not_an_object",
        "stocktwits:[2]": "missing_time",
        "stocktwits:[3]": "missing_text",
        "stocktwits:[4]": "bad_ticker",
    }
    assert page.ignored == 1
    assert page.position["symbols"]["TSLA"]["walk"]["since"] == 1


@pytest.mark.parametrize("body", ['{"messages": null}', '{"response": {"status": 200}}', "null", '"text"'])
def test_json_without_messages_is_an_error(stand: Newsstand, body: str) -> None:
    stand.at(PATH.format("TSLA"), Reply(body))
    (page,) = poll(stand, "TSLA")
    assert isinstance(page.error, SourceGarbled)
