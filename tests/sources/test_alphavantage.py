"""Alpha Vantage NEWS_SENTIMENT: the recorded answer, its scores, walks, and errors told with status 200."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashapp.errors import SourceGarbled, SourceLimited, SourceRefused
from dashapp.ingest.sources.alphavantage import PAGE_ROWS, AlphaVantage
from dashapp.ingest.sources.poll import Page
from dashapp.model.time import parse_iso, to_datetime
from tests.sources import polling
from tests.sources.newsstand import Call, Newsstand, Reply
from tests.sources.polling import NOW, items, rejections, tickers

PATH = "/query"
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


def poll(stand: Newsstand, *symbols: str, times: int = 1, position: dict[str, Any] | None = None) -> list[Page]:
    def make(http: Any) -> AlphaVantage:
        return AlphaVantage(polling.access(http, stand.url, "alphavantage", *symbols))

    return polling.poll(make, position, times=times)


def article(number: int, at_us: int, **more: Any) -> dict[str, Any]:
    return {
        "title": f"Headline {number}",
        "url": f"https://example.com/{number}",
        "time_published": to_datetime(at_us).strftime("%Y%m%dT%H%M%S"),
        "authors": [],
        "summary": "What the article says.",
        "source": "Benzinga",
        "source_domain": "www.benzinga.com",
        "overall_sentiment_score": 0.1,
        "ticker_sentiment": [{"ticker": "AAPL", "relevance_score": "0.5", "ticker_sentiment_score": "0.25"}],
        **more,
    }


def answer(rows: list[Any]) -> Reply:
    return Reply({"items": str(len(rows)), "feed": rows})


@pytest.mark.parametrize("symbols", [(), ("ACCD",), ("ACCD", "MSFT")])
def test_the_recorded_answer_brings_its_own_scores(stand: Newsstand, real_data: Path, symbols: tuple[str, ...]) -> None:
    file = real_data / "alphavantage" / "mock_news_an_sentiment.json"
    stand.at(PATH, Reply(file.read_bytes()))
    (page,) = poll(stand, *symbols)
    found = items(page)
    told = json.loads(file.read_bytes())["feed"]
    assert (len(page.rows), len(found), page.ignored) == (56, 56, 0)
    first = found[0]
    assert first.id == f"alphavantage:{told[0]['url']}"
    assert first.published_us == parse_iso("2022-09-14T14:10:49Z"), "a time without a zone is UTC here"
    assert first.scorer == "alphavantage@1"
    assert first.source == "Benzinga"
    assert {item.scorer for item in found} == {"alphavantage@1"}
    mention = first.mentions[0]
    assert (mention.ticker, mention.score, mention.relevance) == ("ACCD", 0.56613, 0.56217)
    expected = {
        (row["url"], each["ticker"], float(each["ticker_sentiment_score"]))
        for row in told
        for each in row["ticker_sentiment"]
    }
    assert {(item.url, mention.ticker, mention.score) for item in found for mention in item.mentions} == expected
    assert sum(len(item.mentions) for item in found) == len(expected) == 1_591
    assert page.next_poll_s is None


def test_one_ticker_is_asked_for_by_name_several_are_picked_out_of_all_news(stand: Newsstand) -> None:
    other = [{"ticker": "MSFT", "relevance_score": "0.5", "ticker_sentiment_score": "-0.25"}]
    both = [*other, {"ticker": "AAPL", "relevance_score": "0.1", "ticker_sentiment_score": "0.5"}]
    rows = [article(1, NOW), article(2, NOW, ticker_sentiment=other), article(3, NOW, ticker_sentiment=both)]
    stand.at(PATH, answer(rows))
    (named,) = poll(stand, "AAPL")
    (picked,) = poll(stand, "AAPL", "GOOG")
    (everything,) = poll(stand)
    assert [call.params.get("tickers") for call in stand.calls] == ["AAPL", None, None]
    assert [item.id[-1] for item in items(picked)] == ["1", "3"]
    assert tickers(items(picked)[1]) == ["MSFT", "AAPL"], "an item is kept with all it names"
    assert picked.ignored == 1
    assert len(items(everything)) == 3
    assert len(items(named)) == 2


def library(rows: list[dict[str, Any]]) -> Any:
    """Answers as Alpha Vantage does: the latest of a range of minutes, both ends included."""

    def serve(call: Call) -> Reply:
        low, high = call.params["time_from"], call.params.get("time_to", "99991231T2359")
        found = [row for row in rows if low <= row["time_published"][:13] <= high]
        return answer(sorted(found, key=lambda row: row["time_published"], reverse=True)[: int(call.params["limit"])])

    return serve


def test_more_articles_than_a_page_holds_are_read_back_to_what_is_known(stand: Newsstand) -> None:
    count = PAGE_ROWS * 2 + 500
    stand.at(PATH, library([article(number, NOW - number * 20 * SECOND_US) for number in range(count)]))
    pages = poll(stand, "AAPL", times=4)
    assert [page.next_poll_s for page in pages] == [0, 0, None, None]
    assert {item.id for page in pages[:3] for item in items(page)} == {
        f"alphavantage:https://example.com/{number}" for number in range(count)
    }
    assert pages[2].position["walk"]["since"] == NOW
    assert stand.calls[3].params["time_from"] == "20220914T1300", "two hours may come late"
    assert len(items(pages[3])) == 361


def test_an_article_that_is_scored_late_is_found(stand: Newsstand) -> None:
    rows = [article(1, NOW - MINUTE_US)]
    stand.at(PATH, library(rows))
    (first,) = poll(stand, "AAPL")
    rows.append(article(2, NOW - 90 * MINUTE_US))
    (second,) = poll(stand, "AAPL", position=dict(first.position))
    assert {item.id[-1] for item in items(second)} == {"1", "2"}


def test_the_same_full_page_for_ever_is_not_walked_for_ever(stand: Newsstand) -> None:
    stand.at(PATH, answer([article(number, NOW - number * SECOND_US) for number in range(PAGE_ROWS)]))
    first, second = poll(stand, "AAPL", times=2)
    assert (first.next_poll_s, second.next_poll_s) == (0, None)


def test_an_article_from_the_future_does_not_hide_what_comes(stand: Newsstand) -> None:
    stand.at(PATH, answer([article(1, parse_iso("2099-01-01"))]))
    (page,) = poll(stand, "AAPL")
    assert page.position["walk"]["since"] == NOW


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"Note": "Our standard API call frequency is 5 calls per minute and 500 calls per day."}, SourceLimited),
        (
            {"Information": "We have detected your API key as s3cret and our standard API rate limit is 25 requests."},
            SourceLimited,
        ),
        ({"Information": "Please consider spreading out your free API requests more sparingly"}, SourceLimited),
        ({"Information": "The **demo** API key is for demo purposes only."}, SourceRefused),
        ({"Error Message": "the parameter apikey is invalid or missing. s3cret"}, SourceRefused),
        ({"Information": "Invalid inputs."}, SourceRefused),
        ({"feed": None}, SourceGarbled),
        ({"feed": {"a": 1}}, SourceGarbled),
        ({"Information": 5}, SourceGarbled),
        ({}, SourceGarbled),
        ([], SourceGarbled),
        ("null", SourceGarbled),
    ],
)
def test_errors_told_as_a_success_are_errors_and_never_show_the_key(stand: Newsstand, body: Any, cause: Any) -> None:
    stand.at(PATH, Reply(body))
    with pytest.raises(cause) as caught:
        poll(stand, "AAPL")
    assert type(caught.value) is cause
    assert "s3cret" not in str(caught.value)
    assert (caught.value.retry_after_s > 0) == (cause is SourceLimited)


def test_no_articles_is_an_empty_page_in_both_ways_it_is_said(stand: Newsstand) -> None:
    words = {"Information": "No articles found. Please adjust the time range or refer to the API documentation"}
    stand.at(PATH, [answer([]), Reply(words)])
    assert [list(page.rows) for page in poll(stand, "AAPL", times=2)] == [[], []]


def test_bad_rows_are_rejected_with_reasons_and_the_others_taken(stand: Newsstand) -> None:
    def scored(score: Any, ticker: Any = "AAPL") -> list[dict[str, Any]]:
        return [{"ticker": ticker, "relevance_score": "0.5", "ticker_sentiment_score": score}]

    rows: list[Any] = [
        article(1, NOW),
        "text",
        article(2, NOW, time_published="2022-09-14"),
        article(3, NOW, ticker_sentiment=scored("7")),
        article(4, NOW, ticker_sentiment=scored("NaN")),
        article(5, NOW, ticker_sentiment=scored("high")),
        article(6, NOW, ticker_sentiment=scored("0.1", "not a ticker")),
        article(7, NOW, ticker_sentiment=[]),
        article(8, NOW, url=None),
        article(9, NOW, url="https://example.com/" + "x" * 600),
    ]
    stand.at(PATH, answer(rows))
    (page,) = poll(stand, "AAPL")
    found = [item.id for item in items(page)]
    assert found[0] == "alphavantage:https://example.com/1"
    assert [item_id[:15] for item_id in found[1:]] == ["alphavantage:h:", "alphavantage:h:"]
    assert len(set(found)) == 3
    assert rejections(page) == {
        "alphavantage:[1]": "not_an_object",
        "alphavantage:[2]": "date_only",
        "alphavantage:[3]": "score_out_of_range",
        "alphavantage:[4]": "score_nan",
        "alphavantage:[5]": "score_not_a_number",
        "alphavantage:[6]": "bad_ticker",
    }
    assert page.ignored == 1
