"""The feed as a whole, against a real server: what is stored, what a failure does, and what a restart finds."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import BadSetting, FeedRunning, StoreNotWritable, UsageError
from dashapp.ingest.feed import Feed
from dashapp.ingest.health import SourceHealth, read_health
from dashapp.ingest.sources.poll import Page
from dashapp.ingest.sources.rss import source_name
from dashapp.model.time import US_PER_SECOND, to_iso
from dashapp.store.store import Store
from tests import stores
from tests.conftest import Tickertone
from tests.sources.newsstand import Call, Newsstand, Reply

FAST = (
    "tiingo=100000/minute,finnhub=100000/minute,alphavantage=100000/minute,stocktwits=100000/minute,rss=100000/minute"
)
KEYS = ("TIINGO", "FINNHUB", "ALPHAVANTAGE", "STOCKTWITS")
KEY = "s3cretkey"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(f"TICKERTONE_{name}_KEY", raising=False)


@pytest.fixture
def settings(stand: Newsstand, tmp_path: Path) -> Callable[..., Settings]:
    """Settings that lead every source to the test's own server."""

    def make(**more: Any) -> Settings:
        urls = {f"{name.lower()}_url": stand.url for name in KEYS}
        paces = {"feed_every_s": 0.05, "feed_limits": FAST, "feed_timeout_s": 5.0}
        return Settings(**{"data_dir": tmp_path / "store", "feed_tickers": "TSLA", **urls, **paces, **more})

    return make


def entry(number: int, title: str = "$TSLA up") -> str:
    return (
        f"<item><guid>https://example.com/{number}</guid><title>{title}</title>"
        f"<pubDate>{'' if number < 0 else 'Wed, 14 Sep 2022 10:00:00 GMT'}</pubDate></item>"
    )


def rss(*entries: str) -> Reply:
    return Reply(f'<?xml version="1.0"?><rss version="2.0"><channel>{"".join(entries)}</channel></rss>')


def once(settings: Settings) -> dict[str, SourceHealth]:
    return {source.name: source for source in Feed(settings, now_us).once()}


@contextmanager
def running(feed: Feed) -> Iterator[list[SourceHealth]]:
    """The feed in a thread; how its sources were stands in the list afterwards."""
    stop = threading.Event()
    told: list[SourceHealth] = []
    thread = threading.Thread(target=lambda: told.extend(feed.run(stop)))
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def until(holds: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


def stored(data_dir: Path) -> list[dict[str, Any]]:
    return stores.stored_scores(Store(Settings(data_dir=data_dir)))


def health(settings: Settings) -> dict[str, SourceHealth]:
    return {source.name: source for source in read_health(settings.data_dir)}


# --- what is stored


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


def recorded_environment(stand: Newsstand) -> dict[str, str]:
    return {
        **{f"TICKERTONE_{name}_KEY": KEY for name in KEYS},
        **{f"TICKERTONE_{name}_URL": stand.url for name in KEYS},
        "TICKERTONE_FEED_TICKERS": "TSLA,ACCD",
        "TICKERTONE_FEED_RSS_URLS": f"{stand.url}/feed?token={KEY}",
    }


def test_every_source_is_polled_once_stored_and_accounted_for(
    stand: Newsstand, real_data: Path, tickertone: Tickertone
) -> None:
    serve_recorded(stand, real_data)
    stand.at("/streams/symbol/ACCD.json", Reply([]))
    env = recorded_environment(stand)
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
    done = tickertone("feed", "--once", "--json", "--log-level", "debug", env=recorded_environment(stand))
    assert KEY in json.dumps([call.params | call.headers for call in stand.calls]), "they were sent"
    assert KEY not in done.stdout
    assert KEY not in done.stderr
    files = [path for path in tickertone.data_dir.rglob("*") if path.is_file()]
    assert [path.name for path in files if KEY.encode() in path.read_bytes() or KEY in path.name] == []


# --- exit codes and usage


@pytest.mark.parametrize("as_json", [True, False])
def test_once_fails_when_all_sources_failed_and_says_why(
    stand: Newsstand, tickertone: Tickertone, as_json: bool
) -> None:
    stand.at("/tiingo/news", Reply('{"detail":"You do not have permission"}', 403))
    stand.at("/company-news", Reply("<html>", 500))
    env = recorded_environment(stand) | {"TICKERTONE_FEED_SOURCES": "tiingo,finnhub"}
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
    env = recorded_environment(stand) | {"TICKERTONE_FEED_SOURCES": "tiingo,finnhub"}
    assert "answered 500" in tickertone("feed", "--once", env=env).stdout


def test_without_a_source_the_feed_says_how_to_choose_one(tickertone: Tickertone) -> None:
    done = tickertone("feed", code=2)
    assert "No live source is chosen" in done.stderr
    assert "TICKERTONE_FEED_RSS_URLS" in done.stderr
    assert not tickertone.data_dir.exists()


def test_a_feed_ends_at_once_when_it_is_asked_to(stand: Newsstand, tickertone: Tickertone) -> None:
    stand.at("/tiingo/news", Reply([], delay_s=30))
    env = recorded_environment(stand) | {"TICKERTONE_FEED_SOURCES": "tiingo"}
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
    stand.at("/feed", rss(entry(1)))
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    stop = threading.Event()
    with running(Feed(chosen, now_us)):
        until(lambda: stand.calls, "a first call")
        waiting = threading.Thread(target=lambda: Feed(chosen, now_us).run(stop, wait=True))
        waiting.start()
    before = len(stand.calls)
    until(lambda: len(stand.calls) > before, "a call of the other")
    stop.set()
    waiting.join(10)


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


# --- failures


def test_a_source_that_fails_does_not_stop_the_others(stand: Newsstand, settings: Callable[..., Settings]) -> None:
    stand.at("/good", rss(entry(1)))
    stand.at("/cut", Reply("x" * 100, cut_at=10))
    stand.at("/slow", Reply("x", delay_s=10))
    stand.at("/html", Reply("<html>Sign in</html>"))
    paths = ("good", "cut", "slow", "html", "missing")
    chosen = settings(feed_rss_urls=" ".join(f"{stand.url}/{path}" for path in paths), feed_timeout_s=0.5)
    with running(Feed(chosen, now_us)) as told:
        until(lambda: sum(call.path == "/good" for call in stand.calls) >= 20, "20 polls of the good one")
    by_path = dict(zip(paths, told, strict=True))
    assert by_path["good"].failures == 0
    assert by_path["good"].accepted == 1
    for path in paths[1:]:
        assert by_path[path].consecutive_failures >= 1, path
        assert by_path[path].last_success_us is None
    assert "cut" in str(by_path["cut"].last_error)
    assert "no whole answer in 0.5 s" in str(by_path["slow"].last_error)
    assert "neither RSS nor Atom" in str(by_path["html"].last_error)
    assert "answered 404" in str(by_path["missing"].last_error)


def test_pauses_grow_after_failures_and_are_forgotten_after_a_success(
    stand: Newsstand, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashapp.ingest.poller.FIRST_PAUSE_S", 0.1)
    stand.at("/feed", [Reply("", 500)] * 3 + [rss(entry(1)), Reply("", 500)])
    pauses: list[float] = []
    real_sleep = __import__("asyncio").sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(seconds)

    monkeypatch.setattr("dashapp.ingest.feed.asyncio.sleep", sleep)
    with running(Feed(settings(feed_rss_urls=f"{stand.url}/feed"), now_us)):
        until(lambda: len(pauses) >= 5, "five polls")
    first, second, third, good, again = pauses[:5]
    assert 0.05 <= first <= 0.1
    assert 0.1 <= second <= 0.2
    assert 0.2 <= third <= 0.4
    assert good == 0.05, "feed_every_s"
    assert 0.05 <= again <= 0.1


def test_retry_after_is_kept_across_restarts(stand: Newsstand, settings: Callable[..., Settings]) -> None:
    stand.at("/feed", [Reply("slow down", 429, {"Retry-After": "2"}), rss(entry(1))])
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    (first,) = once(chosen).values()
    assert first.consecutive_failures == 1
    (second,) = once(chosen).values()
    assert (second.calls, second.waiting_for, second.is_failing) == (0, "limit", False)
    assert len(stand.calls) == 1
    time.sleep(2)
    (third,) = once(chosen).values()
    assert (third.calls, third.accepted) == (1, 1)


def test_calls_are_counted_across_restarts(stand: Newsstand, settings: Callable[..., Settings]) -> None:
    stand.at("/feed", rss(entry(1)))
    chosen = settings(feed_rss_urls=f"{stand.url}/feed", feed_limits="rss=3/hour")
    calls = [next(iter(once(chosen).values())).calls for _ in range(5)]
    assert calls == [1, 1, 1, 0, 0]
    assert len(stand.calls) == 3
    (last,) = health(chosen).values()
    assert last.waiting_for == "limit"
    assert last.next_poll_us is not None
    assert 3_500 < (last.next_poll_us - now_us()) / US_PER_SECOND <= 3_600


def test_rounds_are_spaced_so_that_the_limit_of_the_day_is_not_reached_in_the_morning(
    stand: Newsstand, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKERTONE_ALPHAVANTAGE_KEY", KEY)
    stand.at("/query", Reply({"feed": []}))
    once(chosen := settings(feed_limits=""))
    (source,) = health(chosen).values()
    assert source.next_poll_us is not None
    assert 3_400 < (source.next_poll_us - now_us()) / US_PER_SECOND <= 3_456


def test_a_store_that_cannot_be_written_moves_no_position_and_loses_nothing(
    stand: Newsstand, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.at("/feed", Reply(rss(entry(1)).bytes, headers={"ETag": '"1"'}))
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    feed = Feed(chosen, now_us)

    def full(*_: object) -> None:
        raise StoreNotWritable("the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(feed._ingest, "run", full)
        (source,) = feed.once()
    assert (source.last_error, source.accepted) == ("the disk is full.", 0)
    (source,) = once(chosen).values()
    assert "if-none-match" not in stand.calls[1].headers, "as if it had never been read"
    assert source.accepted == 1


def test_a_position_moves_after_the_items_before_it_are_stored_never_earlier(
    stand: Newsstand, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.at("/feed", [Reply(rss(entry(n)).bytes, headers={"ETag": f'"{n}"'}) for n in (1, 2)])
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    etags: list[tuple[str | None, str | None]] = []

    def etag() -> str | None:
        files = list((chosen.data_dir / "feed").glob("*.position.json"))
        return json.loads(files[0].read_bytes())["position"]["validators"]["etag"] if files else None

    for _ in range(2):
        feed = Feed(chosen, now_us)
        run = feed._ingest.run

        def watched(*asked: Any, run: Any = run) -> Any:
            before = etag()
            summary = run(*asked)
            etags.append((before, etag()))
            return summary

        monkeypatch.setattr(feed._ingest, "run", watched)
        feed.once()
    assert etags == [(None, None), ('"1"', '"1"')], "while the items are being stored the old position stands"
    assert etag() == '"2"'


def test_a_fault_of_our_own_in_one_source_does_not_stop_the_others(
    stand: Newsstand, settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    stand.at("/good", rss(entry(1)))
    chosen = settings(feed_rss_urls=f"{stand.url}/good {stand.url}/bad")

    async def fault(_: object) -> Page:
        raise ZeroDivisionError("a fault")

    for way in ("once", "run"):
        feed = Feed(chosen, now_us)
        feed._sources[1].poll = fault  # type: ignore[method-assign]
        if way == "once":
            good, bad = feed.once()
        else:
            before = len(stand.calls)
            with running(feed) as told:
                until(lambda: len(stand.calls) > before + 5, "polls of the good one")  # noqa: B023
            good, bad = told
        assert (good.failures, bad.last_error) == (0, "a fault")
    assert "a fault in Tickertone stopped this poll" in caplog.text


def test_a_bad_row_that_is_shown_at_every_poll_is_counted_and_kept_once(
    stand: Newsstand, settings: Callable[..., Settings]
) -> None:
    stand.at("/feed", rss(entry(1), entry(-2)))
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    with running(Feed(chosen, now_us)) as told:
        until(lambda: len(stand.calls) >= 5, "five polls")
    assert told[0].rejected == 1
    (file,) = (chosen.data_dir / "rejected").iterdir()
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"position": 5}', b"\xff", b'{"position": {}, "calls_s": 1}'])
def test_a_damaged_position_file_begins_anew_and_counts_nothing_twice(
    stand: Newsstand, settings: Callable[..., Settings], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stand.at("/feed", rss(entry(1)))
    chosen = settings(feed_rss_urls=f"{stand.url}/feed")
    once(chosen)
    (file,) = (chosen.data_dir / "feed").glob("*.position.json")
    file.write_bytes(content)
    (source,) = once(chosen).values()
    assert (source.accepted, source.duplicates) == (0, 1)
    assert "cannot be read" in caplog.text
    assert json.loads(file.read_bytes())["calls_s"]


# --- health


def test_the_health_of_each_source_can_be_read_by_another_process(
    stand: Newsstand, settings: Callable[..., Settings]
) -> None:
    age_s = 90
    at = to_iso(now_us() - age_s * US_PER_SECOND)
    fresh = f"<item><guid>https://e.com/1</guid><title>$TSLA</title><pubDate>{at}</pubDate></item>"
    stand.at("/good", rss(fresh, entry(5, "weather")))
    chosen = settings(feed_rss_urls=f"{stand.url}/good {stand.url}/missing")
    assert read_health(chosen.data_dir) == [], "no feed ever ran"
    began_us = now_us()
    told = Feed(chosen, now_us).once()
    good, bad = read_health(chosen.data_dir)
    assert [good, bad] == told
    assert good.name == source_name(f"{stand.url}/good")
    assert (good.calls, good.accepted, good.ignored, good.failures, good.is_failing) == (1, 1, 1, 0, False)
    assert good.lag_s is not None
    assert age_s <= good.lag_s < age_s + 20
    assert good.last_success_us is not None
    assert began_us <= good.last_success_us <= now_us()
    assert good.waiting_for == "turn"
    assert (bad.failures, bad.is_failing, bad.waiting_for, bad.last_success_us) == (1, True, "failure", None)
    assert bad.last_error == f"{bad.name} at {stand.url}/missing answered 404: not here."


def test_what_was_last_known_of_a_source_outlasts_a_restart(
    stand: Newsstand, settings: Callable[..., Settings]
) -> None:
    stand.at("/feed", [rss(entry(1)), Reply("gone", 500)])
    (good,) = once(settings(feed_rss_urls=f"{stand.url}/feed")).values()
    (again,) = once(settings(feed_rss_urls=f"{stand.url}/feed", feed_limits="rss=1/hour")).values()
    assert (again.calls, again.accepted, again.waiting_for) == (0, 0, "limit")
    lasting = ("last_poll_us", "last_success_us", "last_item_us", "lag_s")
    assert [getattr(again, each) for each in lasting] == [getattr(good, each) for each in lasting]
    (bad,) = once(settings(feed_rss_urls=f"{stand.url}/feed")).values()
    assert bad.last_success_us == good.last_success_us
    assert bad.is_failing


def test_a_web_server_tells_of_the_feed_of_another_process(
    stand: Newsstand, tickertone: Tickertone, server: Any
) -> None:
    stand.at("/feed", rss(entry(1), entry(2, "weather")))
    web = server("serve", data_dir=tickertone.data_dir)
    address = f"{web.url}/api/v2/sources"
    assert httpx.get(address).json()["sources"] == []
    tickertone("feed", "--once", env={"TICKERTONE_FEED_RSS_URLS": f"{stand.url}/feed"})
    (told,) = httpx.get(address).json()["sources"]
    assert told["name"] == source_name(f"{stand.url}/feed")
    assert (told["items"], told["ignored"], told["errors"], told["is_failing"]) == (1, 1, 0, False)
    assert told["last_success"] <= told["next_poll"]
    assert f'source_items_total{{source="{told["name"]}"}} 1.0' in httpx.get(f"{web.url}/metrics").text


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sources": 5}', '{"sources": [5]}', '{"sources": [{}]}', "null"])
def test_health_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "feed").mkdir()
    (tmp_path / "feed" / "health.json").write_text(content)
    assert read_health(tmp_path) == []


def test_health_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "feed").mkdir()
    (tmp_path / "feed" / "health.json").write_text('{"sources": [{"name": "tiingo", "calls": 3, "mood": "good"}]}')
    assert read_health(tmp_path) == [SourceHealth("tiingo", calls=3)]


def test_nothing_is_chosen_nothing_is_made(tmp_path: Path) -> None:
    feed = Feed(Settings(data_dir=tmp_path / "store"), now_us)
    assert feed.names == []
    with pytest.raises(BadSetting):
        feed.require_sources()
    assert not (tmp_path / "store").exists()


# --- kill -9


class Exchange:
    """News that keeps arriving, served as Tiingo and StockTwits do: each call finds some more."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.published = 0
        self.base_us = now_us() - 7_200 * US_PER_SECOND
        self._lock = threading.Lock()

    def _arrive(self, count: int) -> int:
        with self._lock:
            self.published = min(self.total, self.published + count)
            return self.published

    def at_us(self, number: int) -> int:
        return self.base_us + number * 2 * US_PER_SECOND

    def tiingo(self, call: Call) -> Reply:
        newest = self._arrive(40)
        offset, limit = int(call.params["offset"]), int(call.params["limit"])
        numbers = range(newest - offset, max(0, newest - offset - limit), -1)
        return Reply(
            [
                {
                    "id": number,
                    "title": f"News {number}",
                    "publishedDate": to_iso(self.at_us(number)),
                    "crawlDate": to_iso(self.at_us(number)),
                    "tickers": ["tsla"],
                    "source": "wire",
                }
                for number in numbers
            ]
        )

    def stocktwits(self, call: Call) -> Reply:
        newest = self._arrive(10)
        high = min(newest, int(call.params.get("max", newest)))
        low = int(call.params.get("since", 0))
        numbers = range(high, max(low, high - int(call.params["limit"])), -1)
        return Reply(
            {
                "messages": [
                    {
                        "id": number,
                        "body": f"$TSLA {number}",
                        "created_at": to_iso(self.at_us(number)),
                        "symbols": [{"symbol": "TSLA"}],
                    }
                    for number in numbers
                ],
                "cursor": {"more": bool(numbers) and numbers[-1] > low + 1},
            }
        )


def test_a_feed_that_is_killed_again_and_again_neither_skips_nor_repeats(
    stand: Newsstand, tickertone: Tickertone
) -> None:
    news, posts = Exchange(total=2_000), Exchange(total=600)
    stand.at("/tiingo/news", news.tiingo)
    stand.at("/streams/symbol/TSLA.json", posts.stocktwits)
    env = recorded_environment(stand) | {
        "TICKERTONE_FEED_SOURCES": "tiingo,stocktwits",
        "TICKERTONE_FEED_TICKERS": "TSLA",
        "TICKERTONE_FEED_EVERY_S": "0.05",
        "TICKERTONE_FEED_LIMITS": FAST,
    }
    for kill in range(6):
        process = tickertone.start("feed", env=env)
        before = len(stand.calls)
        # Not at the same moment each time: during a call, between it and its commit, after it.
        until(lambda: len(stand.calls) > before + 3 + kill, "some calls")  # noqa: B023
        time.sleep(0.013 * kill)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    assert 0 < news.published < news.total, "the kills came while news was arriving"
    news.published, posts.published = news.total, posts.total
    # The first may have the end of a broken walk to make, which began before the last of the news.
    for last in [tickertone.json("feed", "--once", env=env) for _ in range(2)]:
        assert [source["failures"] for source in last["sources"].values()] == [0, 0]
    assert Counter(row["item_id"] for row in stored(tickertone.data_dir)) == {
        **{f"tiingo:{number}": 1 for number in range(1, news.total + 1)},
        **{f"stocktwits:{number}": 1 for number in range(1, posts.total + 1)},
    }
