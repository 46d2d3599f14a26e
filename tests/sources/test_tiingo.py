"""Tiingo news: recorded answers, walks over many pages, and what is wrong with an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dashapp.errors import SourceGarbled, SourceRefused
from dashapp.ingest.sources.poll import Page
from dashapp.ingest.sources.tiingo import LATE_US, PAGE_ROWS, Tiingo
from dashapp.model.time import parse_iso, to_iso
from tests.sources import polling
from tests.sources.newsstand import Call, Newsstand, Reply
from tests.sources.polling import NOW, items, rejections, tickers

PATH = "/tiingo/news"
SECOND_US = 1_000_000


def recorded(folder: Path, name: str) -> Reply:
    (told,) = yaml.safe_load((folder / "tiingo" / name).read_text("utf-8"))["interactions"]
    response = told["response"]
    return Reply(response["body"]["string"], response["status"]["code"])


def poll(stand: Newsstand, *symbols: str, times: int = 1, position: dict[str, Any] | None = None) -> list[Page]:
    return polling.poll(lambda http: Tiingo(polling.access(http, stand.url, "tiingo", *symbols)), position, times=times)


def article(number: int, crawled_us: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"Headline {number}",
        "description": "And more of it.",
        "publishedDate": to_iso(crawled_us - 60 * SECOND_US),
        "crawlDate": to_iso(crawled_us),
        "source": "example.com",
        "url": f"https://example.com/{number}",
        "tickers": ["aapl"],
        **more,
    }


def test_a_recorded_answer_becomes_items(stand: Newsstand, real_data: Path) -> None:
    stand.at(PATH, recorded(real_data, "news.yaml"))
    (page,) = poll(stand, "AAPL", "GOOGL")
    (item,) = page.rows
    assert items(page) == [item]
    assert item.id == "tiingo:0"
    assert item.published_us == parse_iso("2016-01-11T23:13:00Z")
    assert item.text.split("\n")[0] == "Tech giants may be stronger than you think"
    assert tickers(item) == ["GOOGL", "AAPL", "AMZN", "MSFT", "NFLX", "FB"]
    assert [mention.score for mention in item.mentions] == [None] * 6, "Tiingo does not score"
    assert item.source == "cnbc.com"
    assert item.url == "http://www.cnbc.com/2016/01/11/tech-giants-may-be-stronger-than-you-think.html"
    assert page.next_poll_s is None


def test_the_other_recorded_form_of_time_is_read_as_well(stand: Newsstand, real_data: Path) -> None:
    stand.at(PATH, recorded(real_data, "news_empty_sources.yaml"))
    (page,) = poll(stand)
    (item,) = items(page)
    assert (item.id, item.published_us) == ("tiingo:29484963", parse_iso("2020-10-12T16:45:48Z"))
    assert tickers(item) == ["DEFI", "GOOG", "GOOGL"]


@pytest.mark.parametrize("name", ["news_bulk.yaml", "news_bulk_file_ids.yaml"])
def test_the_recorded_refusal_is_told_in_tiingo_s_words(stand: Newsstand, real_data: Path, name: str) -> None:
    stand.at(PATH, recorded(real_data, name))
    with pytest.raises(SourceRefused, match=r"answered 403: .*You do not have permission to access the News API"):
        poll(stand, "AAPL")


def test_the_question_names_the_tickers_in_small_letters_and_the_key_in_a_header(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    poll(stand, "AAPL", "BRK-B")
    (call,) = stand.calls
    assert call.params == {"sortBy": "crawlDate", "limit": "100", "offset": "0", "tickers": "aapl,brk-b"}
    assert call.headers["authorization"] == "Token s3cret"


def test_without_tickers_all_news_is_asked_for(stand: Newsstand) -> None:
    stand.at(PATH, Reply([]))
    poll(stand)
    assert "tickers" not in stand.calls[0].params


def library(articles: list[dict[str, Any]]) -> Any:
    """Answers as Tiingo does: newest crawled first, in pages by offset."""

    def serve(call: Call) -> Reply:
        newest_first = sorted(articles, key=lambda row: row["crawlDate"], reverse=True)
        offset = int(call.params["offset"])
        return Reply(newest_first[offset : offset + int(call.params["limit"])])

    return serve


def test_more_news_than_a_page_holds_is_read_to_its_end_and_then_only_what_is_new(stand: Newsstand) -> None:
    told = [article(number, NOW - (300 - number) * SECOND_US) for number in range(250)]
    stand.at(PATH, library(told))
    first, second, third, fourth = poll(stand, "AAPL", times=4)
    assert [page.next_poll_s for page in (first, second, third)] == [0, 0, None]
    assert {item.id for page in (first, second, third) for item in items(page)} == {
        f"tiingo:{number}" for number in range(250)
    }
    assert third.position["walk"]["since"] == NOW - 51 * SECOND_US
    # All of it lies within what may come late, so it is looked at again from its newest end.
    assert fourth.position["walk"]["since"] == NOW - 51 * SECOND_US
    assert stand.calls[3].params["offset"] == "0"


def test_what_arrives_during_a_walk_is_found_by_the_next(stand: Newsstand) -> None:
    told = [article(number, NOW - (3_000 - number) * SECOND_US) for number in range(150)]
    stand.at(PATH, library(told))
    (first,) = poll(stand, "AAPL")
    told += [article(number, NOW - (3_000 - number) * SECOND_US) for number in range(150, 170)]
    second, third = poll(stand, "AAPL", times=2, position=dict(first.position))
    met = {item.id for page in (first, second, third) for item in items(page)}
    assert met == {f"tiingo:{number}" for number in range(170)}


def test_an_article_that_is_crawled_late_is_found_however_old_it_is(stand: Newsstand) -> None:
    told = [article(1, NOW - 60 * SECOND_US)]
    stand.at(PATH, library(told))
    (first,) = poll(stand, "AAPL")
    told.append(article(2, NOW - LATE_US // 2, publishedDate="2022-09-04T09:00:00Z"))  # ten days before
    (second,) = poll(stand, "AAPL", position=dict(first.position))
    assert {item.id for item in items(second)} == {"tiingo:1", "tiingo:2"}


def test_the_first_poll_reads_back_over_the_time_asked_for_and_no_further(stand: Newsstand) -> None:
    stand.at(PATH, library([article(number, NOW - number * 3_600 * SECOND_US) for number in range(1_000)]))
    first, _ = poll(stand, "AAPL", times=2)
    assert first.next_poll_s is None, "100 hours are more than a day"
    assert len(stand.calls) == 2


def test_the_same_page_for_ever_is_not_walked_for_ever(stand: Newsstand) -> None:
    stand.at(PATH, Reply([article(number, NOW - number * SECOND_US) for number in range(PAGE_ROWS)]))
    first, second = poll(stand, "AAPL", times=2)
    assert (first.next_poll_s, second.next_poll_s) == (0, None)


def test_an_article_from_the_future_does_not_hide_what_comes(stand: Newsstand) -> None:
    stand.at(PATH, Reply([article(1, NOW, crawlDate="2099-01-01T00:00:00Z")]))
    (page,) = poll(stand, "AAPL")
    assert page.position["walk"]["since"] == NOW


def test_an_unchanged_first_page_is_not_sent_again(stand: Newsstand) -> None:
    stand.at(PATH, [Reply([article(1, NOW)], headers={"ETag": '"a"'}), Reply(status=304)])
    first, second = poll(stand, "AAPL", times=2)
    assert stand.calls[1].headers["if-none-match"] == '"a"'
    assert (list(second.rows), second.position) == ([], first.position)


def test_bad_rows_are_rejected_with_reasons_and_the_others_taken(stand: Newsstand) -> None:
    good = article(7, NOW)
    rows: list[Any] = [
        good,
        "a text",
        None,
        17,
        article(1, NOW, publishedDate=None),
        article(2, NOW, publishedDate="yesterday"),
        article(3, NOW, tickers=["aa pl", "$$"]),
        article(4, NOW, title=["a", "list"]),
        article(5, NOW, id={"x": 1}),
        article(6, NOW, tickers={"a": "b"}),
        article(8, NOW, title=None, description=None),
        article(9, NOW, source=5),
        article(10, NOW, id=True),
    ]
    stand.at(PATH, Reply(rows))
    (page,) = poll(stand, "AAPL")
    assert [item.id for item in items(page)] == ["tiingo:7"]
    assert rejections(page) == {
        "tiingo:[1]": "not_an_object",
        "tiingo:[2]": "not_an_object",
        "tiingo:[3]": "not_an_object",
        "tiingo:[4]": "missing_time",
        "tiingo:[5]": "relative_time",
        "tiingo:[6]": "bad_ticker",
        "tiingo:[7]": "bad_text",
        "tiingo:[8]": "bad_id",
        "tiingo:[9]": "bad_ticker",
        "tiingo:[10]": "missing_text",
        "tiingo:[11]": "bad_source",
        "tiingo:[12]": "bad_id",
    }


def test_a_page_of_bad_rows_does_not_hide_the_good_ones_behind_it(stand: Newsstand) -> None:
    told = [article(number, NOW - number * 600 * SECOND_US) for number in range(110)]
    for row in told[:100]:
        row["tickers"] = ["$$"]
    stand.at(PATH, library(told))
    first, second = poll(stand, "AAPL", times=2)
    assert (len(rejections(first)), first.next_poll_s) == (100, 0)
    assert len(items(second)) == 10
    assert second.position["walk"]["since"] == NOW - 100 * 600 * SECOND_US, "only good rows say what is known"


def test_an_article_without_an_id_gets_one_that_stays_the_same(stand: Newsstand) -> None:
    row = article(1, NOW)
    del row["id"]
    stand.at(PATH, Reply([row]))
    first, second = poll(stand, "AAPL", times=2)
    assert items(first) == items(second)
    assert items(first)[0].id.startswith("tiingo:h:")


def test_news_about_no_ticker_is_ignored(stand: Newsstand) -> None:
    stand.at(PATH, Reply([article(1, NOW, tickers=[]), article(2, NOW)]))
    (page,) = poll(stand)
    assert ([item.id for item in items(page)], page.ignored) == (["tiingo:2"], 1)


@pytest.mark.parametrize("body", ['{"detail": "odd"}', "null", '"text"', "5"])
def test_json_that_is_no_list_is_refused(stand: Newsstand, body: str) -> None:
    stand.at(PATH, Reply(body))
    with pytest.raises(SourceGarbled, match="not a list of articles"):
        poll(stand, "AAPL")


@pytest.mark.parametrize("position", [{"walk": 5}, {"walk": {"since": "x", "rows": -3}}, {"validators": [1]}])
def test_a_position_that_makes_no_sense_begins_anew(stand: Newsstand, position: dict[str, Any]) -> None:
    stand.at(PATH, Reply([article(1, NOW)]))
    (page,) = poll(stand, "AAPL", position=position)
    assert len(items(page)) == 1
