"""The live page through trouble: a server that is killed, stopped or has forgotten, and what the charts show after."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.browser.test_live import Pusher, assert_as_the_api_says, last_close, open_live, until_live
from tests.live.campaign import Writing
from tests.live.conftest import OPEN, now_us
from tests.stores import append, open_store, score, verification

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.conftest import Server, ServerFactory

pytestmark = pytest.mark.browser

REFUSED = re.compile(r"fetching the script|net::ERR_|the server did not respond|Failed to fetch|503")
PATIENCE_MS = 30_000
# The client waits 12.5 s for a server that says nothing.
SILENCE_MS = 20_000


@pytest.fixture
def troubled(page: Page, console_errors: list[str]) -> Iterator[Page]:
    """A page that may complain of a server that is not there, and of nothing else."""
    yield page
    assert [each for each in console_errors if not REFUSED.search(each)] == []
    console_errors.clear()


def fill(data_dir: Path) -> None:
    """Two days of scores that end a while ago."""
    store = open_store(data_dir)
    now = now_us()
    tickers = ("AAPL", "MSFT")
    scores = [
        score(f"old-{n}", now - n * 700_000_000, (n * 37_003) % 1_999_999 - 999_999, ticker=tickers[n % 2])
        for n in range(1, 240)
    ]
    append(store, scores, accepted_us=now)
    store.close()


def metric(site: Server, name: str) -> float:
    """The value of a sample of /metrics, 0 where there is none."""
    with urllib.request.urlopen(f"{site.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def eventually(check: Callable[[], None], page: Page) -> None:
    """A check that may fail at first."""
    for _ in range(PATIENCE_MS // 250):
        with contextlib.suppress(AssertionError):
            return check()
        page.wait_for_timeout(250)
    return check()


def test_a_page_that_missed_too_much_is_told_to_load_anew_and_shows_it_all(
    troubled: Page, server: ServerFactory
) -> None:
    page, data_dir = troubled, server.directory / "forgets"
    fill(data_dir)
    env = {**OPEN, "TICKERTONE_LIVE_REPLAY_MAX_ROWS": "5"}
    site = server("serve", data_dir=data_dir, env=env)
    open_live(page, site, "tickers=AAPL,MSFT&resolution=1h&range=fit")
    page.evaluate("window.kept = true")
    site.process.kill()
    site.process.wait()
    store, at_us = open_store(data_dir), now_us()
    for number in range(4):
        append(
            store,
            [
                score(f"m{number}-{n}", at_us - n * 1_000_000, n * 1_000, ticker=("AAPL", "MSFT")[n % 2])
                for n in range(10)
            ],
            accepted_us=now_us(),
        )
        at_us -= 3_600_000_000 * 5
    store.close()
    again = server("serve", data_dir=data_dir, port=site.port, env=env)
    until_live(page)
    page.wait_for_function(last_close(0.0, "AAPL"), timeout=PATIENCE_MS)
    page.wait_for_function(last_close(0.001, "MSFT"), timeout=PATIENCE_MS)
    assert metric(again, 'tickertone_stream_events_total{event="resync"}') >= 1
    # What is older comes in an answer of its own.
    eventually(lambda: assert_as_the_api_says(page, again, ["AAPL", "MSFT"]), page)
    Pusher()(again, "AAPL", 0.777)
    page.wait_for_timeout(500)
    assert page.evaluate("window.kept") is True, "the page itself was not loaded anew"
    page.goto("about:blank")
    again.stop()


def test_a_server_that_hangs_is_noticed_and_the_page_is_live_again_by_itself(
    troubled: Page, server: ServerFactory
) -> None:
    page, data_dir = troubled, server.directory / "hangs"
    fill(data_dir)
    site = server("serve", data_dir=data_dir, env=OPEN)
    open_live(page, site, "tickers=AAPL&resolution=1h&range=fit")
    os.kill(site.process.pid, signal.SIGSTOP)
    try:
        store = open_store(data_dir)
        append(store, [score("meanwhile", now_us(), -123_456, ticker="AAPL")], accepted_us=now_us())
        store.close()
        page.wait_for_selector('#feed:not([data-state="live"])', timeout=SILENCE_MS)
        assert re.match(r"(polling|offline)\b", page.locator("#feed").inner_text())
        assert page.locator(".js-plotly-plot").count() == 1, "what was loaded stays"
    finally:
        os.kill(site.process.pid, signal.SIGCONT)
    until_live(page, 5_000)
    page.wait_for_function(last_close(-0.123456), timeout=5_000)
    assert_as_the_api_says(page, site, ["AAPL"])
    page.goto("about:blank")


@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_page_ends_with_the_buckets_of_verify_though_servers_are_killed_while_items_stream_in(
    troubled: Page, server: ServerFactory, kills: int
) -> None:
    page, data_dir = troubled, server.directory / f"killed{kills}"
    fill(data_dir)
    site = server("serve", data_dir=data_dir, env=OPEN)
    begin = datetime.now(UTC) - timedelta(days=11)
    day = f"start={begin:%Y-%m-%dT%H:00:00Z}&end={begin + timedelta(days=12):%Y-%m-%dT%H:00:00Z}"
    open_live(page, site, f"tickers=AAPL,MSFT,NVDA&resolution=1h&{day}")
    writing = Writing(data_dir, now_us, every_s=0.05)
    for _ in range(kills):
        page.wait_for_timeout(2_000)
        os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait()
        page.wait_for_selector('#feed:not([data-state="live"])', timeout=5_000)
        site = server("serve", data_dir=data_dir, port=site.port, env=OPEN)
        answered = time.monotonic()
        until_live(page, 5_000)
        print("seconds until live again:", round(time.monotonic() - answered, 2))
    version = writing.stop()
    page.wait_for_timeout(1_000)
    with urllib.request.urlopen(f"{site.url}/readyz", timeout=10) as answer:
        assert json.load(answer)["revision"] >= version
    assert_as_the_api_says(page, site, ["AAPL", "MSFT", "NVDA"])
    page.goto("about:blank")
    assert site.stop() == 0
    store = open_store(data_dir)
    assert verification(store).differ == 0
    store.close()
