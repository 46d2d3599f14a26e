"""What a failure of a source, of the store or of a file does to the feed, and what the next poll finds."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import StoreNotWritable
from dashapp.ingest.feed import Feed
from dashapp.ingest.health import SourceHealth, read_health
from dashapp.ingest.sources.poll import Page
from dashapp.model.time import US_PER_SECOND
from tests.sources.feeds import KEY, entry, once, rss, running, until
from tests.sources.newsstand import Newsstand, Reply


def health(settings: Settings) -> dict[str, SourceHealth]:
    return {source.name: source for source in read_health(settings.data_dir)}


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
    real_sleep = asyncio.sleep

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

    def full(*_: object, **__: object) -> None:
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

        def watched(*asked: Any, run: Any = run, **how: Any) -> Any:
            before = etag()
            summary = run(*asked, **how)
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
