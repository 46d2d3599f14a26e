"""Recorded real files: every row of them becomes what it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashapp.errors import BadMapping
from dashapp.ingest.columns import RowOptions, parse_mapping
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources.file import read_file
from dashapp.model.item import Item
from tests.files.rows import UTC_OPTIONS, Folder


def items(rows: Iterator[Item | Rejection]) -> list[Item]:
    read = list(rows)
    assert [row for row in read if isinstance(row, Rejection)] == []
    return [row for row in read if isinstance(row, Item)]


def test_every_real_tweet_becomes_an_item(real_data: Path) -> None:
    tweets = items(read_file(real_data / "tweets_2014" / "slim_dev_2014.jsonl.gz"))
    assert len(tweets) == 48_894
    assert sum(len(tweet.mentions) for tweet in tweets) == 48_894
    assert len({(tweet.id, tweet.mentions[0].ticker) for tweet in tweets}) == 48_860
    assert len({tweet.mentions[0].ticker for tweet in tweets}) == 86
    assert not any("&amp;" in tweet.text or "&#39;" in tweet.text for tweet in tweets)
    assert {tweet.source for tweet in tweets} == {"slim_dev_2014"}


def test_without_their_ticker_column_real_tweets_count_by_their_cashtags(real_data: Path) -> None:
    options = RowOptions(mapping=parse_mapping("ticker="))
    rows = list(read_file(real_data / "tweets_2014" / "slim_dev_2014.jsonl.gz", options=options))
    found = [row for row in rows if isinstance(row, Item)]
    assert len(rows) == 48_894
    assert {row.reason for row in rows if isinstance(row, Rejection)} == {"no_ticker"}
    assert len(found) > 40_000
    dollars = [{mention.ticker for mention in row.mentions} for row in found if "U$D" in row.text]
    assert len(dollars) == 13
    assert not any("D" in tickers for tickers in dollars)


def test_the_real_alpha_vantage_answer_gives_every_given_score(real_data: Path) -> None:
    file = real_data / "alphavantage" / "mock_news_an_sentiment.json"
    news = items(read_file(file, options=UTC_OPTIONS))
    feed = json.loads(file.read_text())["feed"]
    assert len(news) == 56
    assert sum(len(item.mentions) for item in news) == 1_591
    assert [(mention.ticker, mention.score, mention.relevance) for item in news for mention in item.mentions] == [
        (given["ticker"], float(given["ticker_sentiment_score"]), float(given["relevance_score"]))
        for entry in feed
        for given in entry["ticker_sentiment"]
    ]
    assert {item.scorer for item in news} == {"given@1"}
    assert len({item.id for item in news}) == 56
    assert {row.reason for row in read_file(file) if isinstance(row, Rejection)} == {"no_zone"}


def test_the_real_stocktwits_messages_are_read(real_data: Path) -> None:
    files = sorted((real_data / "stocktwits").glob("*.json"))
    assert len(files) == 10
    for file in files:
        messages = json.loads(file.read_text())
        read = items(read_file(file))
        assert [item.id for item in read] == [str(message["id"]) for message in messages]
        assert [[mention.ticker for mention in item.mentions] for item in read] == [
            [symbol["symbol"] for symbol in message["symbols"]] for message in messages
        ]


def test_the_real_tiingo_answers_are_read_and_a_refusal_is_refused(real_data: Path, folder: Folder) -> None:
    recorded = (real_data / "tiingo" / "news.yaml").read_text()
    (news,) = folder("news.json", recorded.split("body: {string: '")[1].split("'}\n")[0])
    assert isinstance(news, Item)
    assert [mention.ticker for mention in news.mentions] == ["GOOGL", "AAPL", "AMZN", "MSFT", "NFLX", "FB"]
    assert (news.id, news.published_us, news.source) == ("0", 1_452_553_980_000_000, "cnbc.com")
    assert news.text.startswith("Tech giants may be stronger than you think\nTechnology companies could soon rebound")
    refusal = (real_data / "tiingo" / "news_bulk.yaml").read_text()
    with pytest.raises(BadMapping, match="'detail'"):
        folder("refusal.json", refusal.split("body: {string: '")[1].split("'}\n")[0])
