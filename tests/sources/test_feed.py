"""The feed as a whole, against a real server: what is stored, how it ends, and beside whom it runs."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import BadSetting, FeedRunning, UsageError
from dashapp.ingest.feed import Feed
from dashapp.ingest.health import read_health
from dashapp.ingest.sources.rss import source_name
from dashapp.store.store import Store
from tests.conftest import Tickertone
from tests.sources.feeds import KEY, entry, environment, once, rss, running, stored, until
from tests.sources.newsstand import Newsstand, Reply


def serve_recorded(stand: Newsstand, real_data: Path) -> None:
    """All sources with what was recorded of them, and one article of Finnhub's shape."""
    (told,) = yaml.safe_load((real_data / "tiingo" / "news.yaml").read_text("utf-8"))["interactions"]
    stand.at("/tiingo/news", Reply(told["response"]["body"]["string"]))
    stand.at("/query", Reply((real_data / "alphavantage" / "mock_news_an_sentiment.json").read_bytes()))
    stand.at("/streams/symbol/TSLA.json", Reply((real_data / "stocktwits" / "symbol-msgs-all.json").read_bytes()))
    stand.at(
        "/company-news",
        Reply([{"datetime": 1_663_150_000, "headline": "Tesla up", "id": 7, "related": "TSLA", "source": "Wire"}]),
    )
    stand.at("/feed", rss(entry(1), entry(2, "weather"), entry(-3)))


def test_every_source_is_polled_once_stored_and_accounted_for(
    stand: Newsstand, real_data: Path, tickertone: Tickertone
) -> None:
    serve_recorded(stand, real_data)
    stand.at("/streams/symbol/ACCD.json", Reply([]))
    env = environment(stand)
    told = tickertone.json("feed", "--once", env=env)
    rss_name = source_name(f"{stand.url}/feed?token={KEY}")
    assert list(told["sources"]) == ["tiingo", "finnhub", "alphavantage", "stocktwits", rss_name]
    counts = {
        name: tuple(source[each] for each in ("calls", "accepted", "duplicates", "rejected", "ignored", "failures"))
        for name, source in told["sources"].items()
    }
    assert counts == {
        "tiingo": (1, 1, 0, 0, 0, 0),
        "finnhub": (2, 2, 0, 0, 0, 0),  # the article is about the symbol asked for, in both answers
        "alphavantage": (1, 56, 0, 0, 0, 0),
        "stocktwits": (2, 6, 0, 0, 0, 0),
        rss_name: (1, 1, 0, 1, 1, 0),
    }
    assert {name: told[name] for name in ("accepted", "duplicates", "rejected", "ignored")} == {
        "accepted": 66,
        "duplicates": 0,
        "rejected": 1,
        "ignored": 1,
    }
    rows = stored(tickertone.data_dir)
    scorers = Counter(row["scorer"].partition("@")[0] for row in rows)
    assert scorers["alphavantage"] == 1_591
    assert {row["scorer"] for row in rows if row["scorer"].startswith("alpha")} == {"alphavantage@1"}
    (rejected,) = (tickertone.data_dir / "rejected").glob("*-feed-rss*.jsonl")
    assert [json.loads(line)["reason"] for line in rejected.read_text().splitlines()] == ["missing_time"]

    again = tickertone.json("feed", "--once", env=env)
    assert (again["accepted"], again["duplicates"]) == (0, 66)
    assert len(stored(tickertone.data_dir)) == len(rows)


def test_keys_stand_in_no_output_log_or_file(stand: Newsstand, real_data: Path, tickertone: Tickertone) -> None:
    serve_recorded(stand, real_data)
    stand.at("/tiingo/news", Reply(f"wrong key {KEY}", 401))
    stand.at("/query", Reply({"Information": f"We have detected your API key as {KEY}, our rate limit is 25"}))
    done = tickertone("feed", "--once", "--json", "--log-level", "debug", env=environment(stand))
    assert KEY in json.dumps([call.params | call.headers for call in stand.calls]), "they were sent"
    assert KEY not in done.stdout
    assert KEY not in done.stderr
    files = [path for path in tickertone.data_dir.rglob("*") if path.is_file()]
    assert [path.name for path in files if KEY.encode() in path.read_bytes() or KEY in path.name] == []


@pytest.mark.parametrize("as_json", [True, False])
def test_once_fails_when_all_sources_failed_and_says_why(
    stand: Newsstand, tickertone: Tickertone, as_json: bool
) -> None:
    stand.at("/tiingo/news", Reply('{"detail":"You do not have permission"}', 403))
    stand.at("/company-news", Reply("<html>", 500))
    env = environment(stand) | {"TICKERTONE_FEED_SOURCES": "tiingo,finnhub"}
    done = tickertone("feed", "--once", *(["--json"] if as_json else []), env=env, code=1)
    assert "You do not have permission" in done.stdout
    if as_json:
        assert {name: source["failures"] for name, source in json.loads(done.stdout)["sources"].items()} == {
            "tiingo": 1,
            "finnhub": 2,
        }


def test_once_succeeds_when_one_source_did(stand: Newsstand, tickertone: Tickertone) -> None:
    stand.at("/tiingo/news", Reply("<html>", 500))
    stand.at("/company-news", Reply([]))
    env = environment(stand) | {"TICKERTONE_FEED_SOURCES": "tiingo,finnhub"}
    assert "answered 500" in tickertone("feed", "--once", env=env).stdout


def test_without_a_source_the_feed_says_how_to_choose_one(tickertone: Tickertone) -> None:
    done = tickertone("feed", code=2)
    assert "No live source is chosen" in done.stderr
    assert "TICKERTONE_FEED_RSS_URLS" in done.stderr
    assert not tickertone.data_dir.exists()


def test_a_feed_ends_at_once_when_it_is_asked_to(stand: Newsstand, tickertone: Tickertone) -> None:
    stand.at("/tiingo/news", Reply([], delay_s=30))
    env = environment(stand) | {"TICKERTONE_FEED_SOURCES": "tiingo"}
    process = tickertone.start("feed", "--json", env=env)
    until(lambda: stand.calls, "a first call")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert json.loads(out)["sources"]["tiingo"]["calls"] == 1


def test_a_second_feed_over_the_same_store_is_refused(stand: Newsstand, settings: Callable[..., Settings]) -> None:
    stand.at("/feed", rss(entry(1)))
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    with running(Feed(chosen, now_us)):
        until(lambda: stand.calls, "a first call")
        with pytest.raises(FeedRunning, match="Another process polls the live sources for the store at"):
            once(chosen)
    once(chosen)


def test_a_feed_that_may_wait_takes_over(stand: Newsstand, settings: Callable[..., Settings]) -> None:
    def feed(path: str) -> Feed:
        stand.at(path, rss(entry(1)))
        return Feed(settings(feed_rss_urls=stand.url + path), now_us)

    def paths() -> list[str]:
        return [call.path for call in stand.calls]

    with ExitStack() as second:
        with running(feed("/first")):
            until(paths, "a first call")
            second.enter_context(running(feed("/second"), wait=True))
            before = len(paths())
            until(lambda: len(paths()) > before + 5, "more calls")
            assert "/second" not in paths()
        until(lambda: "/second" in paths(), "a call of the other")


def test_real_news_does_not_get_into_a_simulated_store(stand: Newsstand, settings: Callable[..., Settings]) -> None:
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    Store(chosen, create=True).mark_simulated()
    with pytest.raises(UsageError, match="holds simulated scores"):
        Feed(chosen, now_us)


def test_run_polls_beside_the_web_server(stand: Newsstand, tickertone: Tickertone, server: Any, tmp_path: Path) -> None:
    stand.at("/feed", rss(entry(1)))
    started = server(
        "run", data_dir=tmp_path / "run", env={"TICKERTONE_FEED_RSS_URLS": f"{stand.url}/feed"}, timeout_s=60
    )
    until(lambda: [source for source in read_health(started.data_dir) if source.accepted], "an item")
    assert started.stop() == 0
    assert [row["item_id"] for row in stored(started.data_dir)] == ["rss:https://example.com/1"]


def test_run_refuses_a_source_that_cannot_be_polled(tickertone: Tickertone) -> None:
    done = tickertone("run", "--port", "0", env={"TICKERTONE_FEED_SOURCES": "tiingo"}, code=2)
    assert "TICKERTONE_TIINGO_KEY" in done.stderr


def test_nothing_is_chosen_nothing_is_made(tmp_path: Path) -> None:
    feed = Feed(Settings(data_dir=tmp_path / "store"), now_us)
    assert feed.names == []
    with pytest.raises(BadSetting):
        feed.require_sources()
    assert not (tmp_path / "store").exists()
