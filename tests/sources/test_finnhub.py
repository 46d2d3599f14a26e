"""Finnhub company news, in the shape of its public types: symbols in turn, days in slices."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from dashapp.errors import SourceGarbled, SourceLimited
from dashapp.ingest.sources.finnhub import Finnhub
from dashapp.ingest.sources.poll import Page
from dashapp.model.time import US_PER_SECOND
from tests.sources import polling
from tests.sources.newsstand import Call, Newsstand, Reply
from tests.sources.polling import DAY_US, NOW, items, rejections, tickers

PATH = "/company-news"
NOW_S = NOW // US_PER_SECOND


def poll(
    stand: Newsstand,
    *symbols: str,
    times: int = 1,
    position: dict[str, Any] | None = None,
    now_us: int = NOW,
    days: float = 1,
) -> list[Page]:
    def make(http: Any) -> Finnhub:
        return Finnhub(
            polling.access(http, stand.url, "finnhub", *symbols, now_us=now_us, lookback_us=int(days * DAY_US))
        )

    return polling.poll(make, position, times=times)


def article(number: int, **more: Any) -> dict[str, Any]:
    return {
        "category": "company",
        "datetime": NOW_S - number,
        "headline": f"Headline {number}",
        "id": number,
        "image": "",
        "related": "AAPL",
        "source": "Yahoo",
        "summary": "What the article says.",
        "url": f"https://finnhub.io/api/news?id={number}",
        **more,
    }


def test_an_article_becomes_an_item(stand: Newsstand) -> None:
    stand.at(PATH, Reply([article(7)]))
    (page,) = poll(stand, "AAPL")
    (item,) = items(page)
    assert item.id == "finnhub:7"
    assert item.published_us == (NOW_S - 7) * US_PER_SECOND
    assert item.text == "Headline 7\nWhat the article says."
    assert tickers(item) == ["AAPL"]
    assert (item.source, item.url) == ("Yahoo", "https://finnhub.io/api/news?id=7")
    assert stand.calls[0].params == {"symbol": "AAPL", "from": "2022-09-13", "to": "2022-09-14"}
    assert stand.calls[0].headers["x-finnhub-token"] == "s3cret"


def test_an_article_is_about_the_symbol_it_was_asked_for_whatever_it_is_related_to(stand: Newsstand) -> None:
    stand.at(PATH, Reply([article(1, related=""), article(2, related="MSFT,GOOG"), article(3, related=None)]))
    (page,) = poll(stand, "AAPL")
    assert [tickers(item) for item in items(page)] == [["AAPL"], ["AAPL", "MSFT", "GOOG"], ["AAPL"]]


def test_symbols_take_turns_and_a_round_asks_each_once(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    pages = poll(stand, "AAPL", "MSFT", "GOOG", times=4)
    assert [call.params["symbol"] for call in stand.calls] == ["AAPL", "MSFT", "GOOG", "AAPL"]
    assert [page.next_poll_s for page in pages] == [0, 0, None, 0]


def test_a_restart_goes_on_with_the_symbol_whose_turn_it_was(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    (page,) = poll(stand, "AAPL", "MSFT", "GOOG")
    poll(stand, "AAPL", "MSFT", "GOOG", times=2, position=dict(page.position))
    assert [call.params["symbol"] for call in stand.calls] == ["AAPL", "MSFT", "GOOG"]


def test_symbols_may_come_and_go_between_restarts(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    (page,) = poll(stand, "AAPL", "MSFT", "GOOG")
    second = poll(stand, "GOOG", "TSLA", times=2, position=dict(page.position))
    assert [call.params["symbol"] for call in stand.calls[1:]] == ["GOOG", "GOOG"]
    poll(stand, "GOOG", "TSLA", position=dict(second[-1].position))
    assert stand.calls[-1].params["symbol"] == "TSLA", "a new one has its turn in the next round"


def test_a_symbol_that_fails_does_not_hold_up_the_others(stand: Newsstand) -> None:
    def serve(call: Call) -> Reply:
        return Reply("<html>", 500) if call.params["symbol"] == "MSFT" else Reply([article(1)])

    stand.at(PATH, serve)
    pages = poll(stand, "AAPL", "MSFT", "GOOG", times=3)
    assert [len(items(page)) for page in pages] == [1, 0, 1]
    assert [page.error is None for page in pages] == [True, False, True]
    assert pages[1].next_poll_s == 0
    assert "answered 500" in str(pages[1].error)


def test_a_limit_is_handed_on_with_its_pause(stand: Newsstand) -> None:
    stand.at(PATH, Reply({"error": "API limit reached."}, 429, {"Retry-After": "30"}))
    (page,) = poll(stand, "AAPL")
    assert isinstance(page.error, SourceLimited)
    assert page.error.retry_after_s == 30


def test_after_days_away_each_day_is_asked_for(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    pages = poll(stand, "AAPL", times=5, days=3)
    ranges = [(call.params["from"], call.params["to"]) for call in stand.calls]
    assert ranges == [
        ("2022-09-11", "2022-09-12"),
        ("2022-09-12", "2022-09-13"),
        ("2022-09-13", "2022-09-14"),
        ("2022-09-13", "2022-09-14"),
        ("2022-09-13", "2022-09-14"),
    ]
    assert [page.next_poll_s for page in pages] == [0, 0, None, None, None]


def test_no_day_is_left_out_at_midnight(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    position: dict[str, Any] = {}
    for hour in range(0, 72, 7):
        (page,) = poll(stand, "AAPL", position=position, now_us=NOW + hour * 3_600 * US_PER_SECOND)
        position = dict(page.position)
    asked = [(date.fromisoformat(call.params["from"]), date.fromisoformat(call.params["to"])) for call in stand.calls]
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(asked))
    assert asked[-1] == (date(2022, 9, 16), date(2022, 9, 17))


def test_a_clock_set_back_asks_for_no_reversed_range(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    (page,) = poll(stand, "AAPL")
    poll(stand, "AAPL", position=dict(page.position), now_us=NOW - 9 * DAY_US)
    assert stand.calls[1].params["from"] <= stand.calls[1].params["to"] == "2022-09-05"


def test_an_unchanged_answer_is_not_sent_again(stand: Newsstand) -> None:
    stand.at(PATH, [Reply([article(1)], headers={"ETag": '"a"'}), Reply(status=304)])
    _, second = poll(stand, "AAPL", times=2)
    assert stand.calls[1].headers["if-none-match"] == '"a"'
    assert list(second.rows) == []


def test_bad_rows_are_rejected_with_reasons_and_the_others_taken(stand: Newsstand) -> None:
    rows = [article(1), [], article(2, datetime=0), article(3, datetime="soon"), article(4, headline="", summary=None)]
    stand.at(PATH, Reply([*rows, article(5, id=None), article(6, id=[])]))
    (page,) = poll(stand, "AAPL")
    assert [item.id.partition(":")[2][:2] for item in items(page)] == ["1", "h:"]
    assert rejections(page) == {
        "finnhub:[1]": "not_an_object",
        "finnhub:[2]": "missing_time",
        "finnhub:[3]": "bad_time",
        "finnhub:[4]": "missing_text",
        "finnhub:[6]": "bad_id",
    }


@pytest.mark.parametrize("body", ['{"error": "odd"}', "null"])
def test_json_that_is_no_list_is_an_error(stand: Newsstand, body: str) -> None:
    stand.at(PATH, Reply(body))
    (page,) = poll(stand, "AAPL")
    assert isinstance(page.error, SourceGarbled)
