"""What is counted, in a real browser: chosen in the bar, said on the screen, in the address, and live as on reload."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Tickertone

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import Server, ServerFactory

pytestmark = pytest.mark.browser

PATIENCE_MS = 30_000
OPEN = {"TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes"}
# [start in ms, count] of each candle drawn.
DRAWN = """() => { const chart = document.querySelector(".js-plotly-plot"); if (!chart?.data) return null;
    const {x, customdata} = chart.data[0]; return x.map((start, at) => [start, customdata[at][1]]); }"""


def text(number: int) -> str:
    return f"$AAPL profit rose {number} percent and guidance was raised to record {'high ' * (number % 3)}{number}"


@pytest.fixture(scope="module")
def site(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A day of texts by two scorers; every third one is a copy of an earlier one."""
    directory: Path = tmp_path_factory.mktemp("variants")
    now = datetime.now(UTC)
    rows = [
        {"id": f"t{n}", "ts": (now - timedelta(minutes=20 * n + 5)).isoformat(), "text": text(n - n % 3 // 2)}
        for n in range(60)
    ]
    source = directory / "texts.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    tickertone = Tickertone(directory / "store", directory)
    tickertone("ingest", source)
    tickertone("rescore", "--scorer", "vader")
    return server("serve", data_dir=directory / "store", env=OPEN)


def push(site: Server, content: str, at: datetime) -> None:
    row = {"id": f"pushed-{time.time_ns()}", "ts": at.isoformat(), "text": content}
    request = urllib.request.Request(
        f"{site.url}/api/v2/items", json.dumps(row).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.loads(answer.read())["accepted"] == 1


def told(site: Server, variant: str, start: str, end: str) -> list[list[int]]:
    path = f"timeseries/AAPL?resolution=1h&start={start}&end={end}&variant={variant}&format=columns"
    with urllib.request.urlopen(f"{site.url}/api/v2/{path}", timeout=10) as answer:
        body: dict[str, Any] = json.loads(answer.read())
    return [list(each) for each in zip(body["start_ms"], body["count"], strict=True)]


def until_drawn(page: Page, candles: list[list[int]]) -> None:
    page.wait_for_function(
        f"(wanted) => JSON.stringify(({DRAWN})()) === JSON.stringify(wanted)", arg=candles, timeout=PATIENCE_MS
    )


def test_each_story_once_is_chosen_said_and_kept_up_to_date_as_a_reload_shows_it(page: Page, site: Server) -> None:
    now = datetime.now(UTC)
    start, end = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:00:00Z}" for hours in (-30, 3))
    page.goto(f"{site.url}/?tickers=AAPL&resolution=1h&start={start}&end={end}")
    until_drawn(page, told(site, "all", start, end))
    page.wait_for_selector('#feed[data-state="live"]', timeout=PATIENCE_MS)
    summary = page.locator("#counting > summary")
    assert summary.text_content() == "All texts"
    page.wait_for_selector("#reader", state="attached")
    page.wait_for_timeout(1_600)  # menus are filled by modules that come when the page is at rest
    summary.click()
    page.get_by_label("Each story once").check()
    once = told(site, "once", start, end)
    assert once != told(site, "all", start, end)
    until_drawn(page, once)
    assert summary.text_content() == "Each story once"
    page.wait_for_url("**variant=once**")

    at = now - timedelta(minutes=1)
    push(site, text(0), at)  # tells again what was told minutes ago
    push(site, "$AAPL faces lawsuit over batteries", at)
    until_drawn(page, told(site, "once", start, end))
    assert told(site, "once", start, end) != once
    # The first copy of a story comes late: the one that counted until now does no more, hours after it.
    push(site, text(3), now - timedelta(hours=25))
    late = told(site, "once", start, end)
    until_drawn(page, late)
    page.reload()
    until_drawn(page, late)
    assert page.locator("#counting > summary").text_content() == "Each story once"


def test_the_page_shows_another_scorer_and_its_stream(page: Page, site: Server) -> None:
    now = datetime.now(UTC)
    start, end = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:00:00Z}" for hours in (-30, 3))
    page.goto(f"{site.url}/?tickers=AAPL&resolution=1h&start={start}&end={end}")
    page.wait_for_selector('#feed[data-state="live"]', timeout=PATIENCE_MS)
    page.wait_for_timeout(1_600)
    page.locator("#counting > summary").click()
    page.get_by_label("vader@3.3.2").click()
    page.wait_for_url("**scorer=vader@3.3.2**")
    page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot')?.layout?.meta?.scorer === 'vader@3.3.2'", timeout=PATIENCE_MS
    )
    assert page.locator("#counting > summary").text_content() == "All texts · vader@3.3.2"
