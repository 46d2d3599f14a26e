"""The health of the sources: what a feed tells of them, to other processes and after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.ingest.feed import Feed
from dashapp.ingest.health import SourceHealth, read_health
from dashapp.ingest.sources.rss import source_name
from dashapp.model.time import US_PER_SECOND, to_iso
from tests.conftest import Tickertone
from tests.sources.feeds import entry, once, rss
from tests.sources.newsstand import Newsstand, Reply


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
