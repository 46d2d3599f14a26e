"""The live page in a real browser, over the real command: charts that move by themselves, and say how live they are."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import WINDOW, Tickertone

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import Server, ServerFactory

pytestmark = pytest.mark.browser

CANDLE = ".js-plotly-plot path.box"
PATIENCE_MS = 30_000
OPEN = {"TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes"}
FIELDS = ("open", "high", "low", "close")

TRACES = """() => Object.fromEntries([...document.querySelectorAll(".js-plotly-plot")].map(({data, layout}) => [
    layout.meta.ticker, data.map(({type, name, x, y, open, high, low, close, customdata}) =>
        ({type, name, x, y, open, high, low, close, customdata}))]))"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two days of scores of AAPL and MSFT that end some minutes ago."""
    now = datetime.now(UTC)
    return [
        json.dumps(
            {
                "id": f"{ticker}{n}",
                "ts": (now - timedelta(minutes=5 + n * step)).isoformat(),
                "ticker": ticker,
                "text": "",
                "score": round((-1) ** n * (n * 0.037 % 1), 6),
            }
        )
        for ticker, step in (("AAPL", 7), ("MSFT", 23))
        for n in range(2_880 // step)
    ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, history: list[str]) -> Path:
    directory = tmp_path_factory.mktemp("live")
    source = directory / "scores.jsonl"
    source.write_text("\n".join(history))
    Tickertone(directory / "store", directory)("ingest", source)
    return directory / "store"


@pytest.fixture(scope="module")
def site(server: ServerFactory, stored: Path) -> Server:
    return server("serve", data_dir=stored, env=OPEN)


class Pusher:
    """Pushes scores as a sender would."""

    def __init__(self) -> None:
        self.pushed = 0

    def __call__(self, site: Server, ticker: str, score: float, at: datetime | None = None) -> None:
        self.pushed += 1
        item = {
            "id": f"pushed-{self.pushed}-{time.time_ns()}",
            "ts": (at or datetime.now(UTC)).isoformat(),
            "ticker": ticker,
            "text": "",
            "score": score,
        }
        request = urllib.request.Request(
            f"{site.url}/api/v2/items", json.dumps(item).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = json.loads(answer.read())
        assert told["accepted"] == 1, told


@pytest.fixture
def push() -> Pusher:
    return Pusher()


def open_live(page: Page, site: Server, query: str) -> None:
    page.goto(f"{site.url}/?{query}")
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    until_live(page)


def until_live(page: Page, timeout_ms: int = PATIENCE_MS) -> None:
    page.wait_for_selector('#feed[data-state="live"]', timeout=timeout_ms)


def a_day() -> str:
    """The part of an address that shows the day up to two hours from now."""
    end = datetime.now(UTC) + timedelta(hours=2)
    return f"start={end - timedelta(days=1):%Y-%m-%dT%H:00:00Z}&end={end:%Y-%m-%dT%H:00:00Z}"


def last_close(score: float, ticker: str = "AAPL") -> str:
    return (
        '() => [...document.querySelectorAll(".js-plotly-plot")].some(({data, layout}) =>'
        f' layout.meta.ticker === "{ticker}" && data[0].close.at(-1) === {score})'
    )


def traces(page: Page) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = page.evaluate(TRACES)
    return found


def assert_as_the_api_says(page: Page, site: Server, tickers: list[str]) -> None:
    """The charts hold what the API answers for the time they span, digit for digit."""
    drawn = traces(page)
    for ticker in tickers:
        candles, counts = drawn[ticker][:2]
        meta = page.evaluate(
            '(ticker) => [...document.querySelectorAll(".js-plotly-plot")]'
            ".find((each) => each.layout.meta.ticker === ticker).layout.meta",
            ticker,
        )
        start = datetime.fromtimestamp(candles["x"][0] / 1000, UTC)
        with urllib.request.urlopen(
            f"{site.url}/api/v2/timeseries/{ticker}?resolution={meta['resolution']}&start={start:%Y-%m-%dT%H:%M:%SZ}"
        ) as answer:
            told = json.loads(answer.read())
        rows = sorted([*told["buckets"], *filter(None, [told["partial_bucket"]])], key=lambda row: row["timestamp"])
        assert [datetime.fromtimestamp(x / 1000, UTC) for x in candles["x"]] == [
            datetime.fromisoformat(row["timestamp"]) for row in rows
        ]
        for field in FIELDS:
            assert candles[field] == [row[field] for row in rows], field
        assert counts["y"] == [row["count"] for row in rows]
        assert [custom[0] for custom in candles["customdata"]] == [row["avg"] for row in rows]


def test_a_pushed_item_appears_in_the_drawn_candle_without_a_reload_and_the_zoom_survives(
    page: Page, site: Server, push: Pusher
) -> None:
    shown = "() => document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range"
    open_live(page, site, f"tickers=AAPL,MSFT&resolution=1h&{a_day()}")
    page.evaluate("window.kept = true")
    page.wait_for_timeout(300)  # Plotly takes hold of the mouse after it has drawn, and does not say when
    first = page.evaluate(shown)
    box = page.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    page.wait_for_function(f"(first) => ({shown})()[0] !== first", arg=first[0])
    page.wait_for_timeout(1_000)  # the other charts and the address follow
    before = page.evaluate(shown)
    waits = []
    for number in range(8):
        score = round(0.9 - number / 7 + 0.000123, 6)
        began = time.monotonic()
        push(site, "AAPL", score)
        page.wait_for_function(last_close(score), timeout=2_000, polling=20)
        waits.append(time.monotonic() - began)
    print("seconds from push to drawn:", [round(each, 3) for each in waits])
    assert page.evaluate(shown) == before
    assert page.evaluate("window.kept") is True
    page.mouse.move(0, 0)
    newest = page.evaluate("() => document.querySelector('.js-plotly-plot').data[0].customdata.at(-1)[1]")
    page.wait_for_selector(f".readout >> text=n{newest}", timeout=2_000)
    assert_as_the_api_says(page, site, ["AAPL", "MSFT"])


def test_the_chart_follows_to_a_bucket_that_nobody_had_written_in_yet(page: Page, site: Server, push: Pusher) -> None:
    open_live(page, site, "tickers=AAPL&resolution=1m&range=fit")
    push(site, "AAPL", 0.543211)
    page.wait_for_function(last_close(0.543211), timeout=2_000, polling=20)
    assert_as_the_api_says(page, site, ["AAPL"])


def test_a_ticker_that_was_never_heard_of_has_its_chart_with_its_first_text(
    page: Page, site: Server, push: Pusher
) -> None:
    open_live(page, site, "tickers=AAPL,NEWCO,NO%20SYMBOL!&resolution=1h&range=fit")
    page.wait_for_selector("text=No score in this store names NEWCO.", timeout=PATIENCE_MS)
    # Right after a minute began: the page asks at each, and would else learn of it in time by chance.
    time.sleep((62 - time.time() % 60) % 60)
    push(site, "NEWCO", 0.321)
    page.wait_for_function(last_close(0.321, "NEWCO"), timeout=10_000)
    assert_as_the_api_says(page, site, ["AAPL", "NEWCO"])


def test_what_comes_late_changes_its_bucket_in_place_and_a_reload_says_the_same(
    page: Page, site: Server, push: Pusher
) -> None:
    open_live(page, site, f"tickers=AAPL,MSFT&resolution=10m&{a_day()}")
    now = datetime.now(UTC)
    for hours, score in ((1, 0.777777), (5, -0.888888), (13, 0.111111), (0, 0.25)):
        for ticker in ("AAPL", "MSFT"):
            push(site, ticker, score, now - timedelta(hours=hours))
    for ticker in ("AAPL", "MSFT"):
        page.wait_for_function(last_close(0.25, ticker), timeout=2_000, polling=20)
    assert_as_the_api_says(page, site, ["AAPL", "MSFT"])
    moved = traces(page)
    page.reload()
    page.wait_for_function(last_close(0.25, "MSFT"), timeout=PATIENCE_MS)
    page.wait_for_function(last_close(0.25, "AAPL"), timeout=PATIENCE_MS)
    deadline = time.monotonic() + 10  # what lies beside the window comes after it
    while (again := traces(page)) != moved and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert again == moved, "every trace, averages, ticks and texts too, is the one a new visitor sees"


def test_a_server_that_comes_back_finds_the_page_live_again_and_without_a_gap(
    page: Page, server: ServerFactory, history: list[str], push: Pusher, tickertone: Tickertone,
    console_errors: list[str],
) -> None:  # fmt: skip
    tickertone("ingest", "-", "--format", "jsonl", stdin="\n".join(history))
    site = server("serve", data_dir=tickertone.data_dir, env=OPEN)
    open_live(page, site, "tickers=AAPL&resolution=1h&range=fit")
    push(site, "AAPL", 0.31)
    page.wait_for_function(last_close(0.31), timeout=2_000, polling=20)
    site.process.kill()
    site.process.wait()
    page.wait_for_selector('#feed:not([data-state="live"])', timeout=5_000)
    missed = datetime.now(UTC)
    line = json.dumps({"id": "missed", "ts": missed.isoformat(), "ticker": "AAPL", "text": "", "score": -0.654321})
    tickertone("ingest", "-", "--format", "jsonl", stdin=line)
    page.wait_for_timeout(4_000)  # the time between tries has grown by now
    again = server("serve", data_dir=site.data_dir, port=site.port, env=OPEN)
    answered = time.monotonic()
    until_live(page, 5_000)
    print("seconds until live again:", round(time.monotonic() - answered, 2))
    page.wait_for_function(last_close(-0.654321), timeout=2_000)
    assert_as_the_api_says(page, again, ["AAPL"])
    push(again, "AAPL", 0.13)
    page.wait_for_function(last_close(0.13), timeout=2_000, polling=20)
    assert_as_the_api_says(page, again, ["AAPL"])
    page.goto("about:blank")
    refused = re.compile(r"net::ERR_|fetching the script|the server did not respond|Failed to fetch")
    assert [each for each in console_errors if not refused.search(each)] == []
    console_errors.clear()
    again.stop()


def test_all_tabs_share_one_connection_and_each_shows_its_own(browser: Browser, site: Server, push: Pusher) -> None:
    context = browser.new_context(viewport=WINDOW, locale="en-GB", timezone_id="UTC")
    # More than the six connections a browser opens to a server; a seventh page with a stream of its own would not load.
    tabs = [context.new_page() for _ in range(9)]
    views = ("tickers=AAPL&resolution=1h", "tickers=MSFT&resolution=10m", "tickers=AAPL,MSFT&resolution=3h")
    for tab, view in zip(tabs, views * 3, strict=True):
        open_live(tab, site, view)
    push(site, "AAPL", 0.4321)
    push(site, "MSFT", -0.4321)
    for tab, view in zip(tabs, views * 3, strict=True):
        for ticker, close in (("AAPL", 0.4321), ("MSFT", -0.4321)):
            if ticker in view:
                tab.wait_for_function(last_close(close, ticker), timeout=3_000, polling=20)
    with urllib.request.urlopen(f"{site.url}/metrics") as answer:
        clients = [line for line in answer.read().decode().splitlines() if re.match(r"\w*stream_clients\b", line)]
    assert [float(line.split()[-1]) for line in clients] == [1.0], clients
    context.close()


def test_a_hidden_tab_pauses_and_catches_up_on_return(page: Page, site: Server, push: Pusher) -> None:
    open_live(page, site, "tickers=AAPL&resolution=1h")
    hide = """(state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        Object.defineProperty(document, "hidden", { value: state === "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, "hidden")
    page.wait_for_timeout(500)
    push(site, "AAPL", 0.246)
    page.wait_for_timeout(1_500)
    assert not page.evaluate(last_close(0.246)), "nobody looks"
    page.evaluate(hide, "visible")
    page.wait_for_function(last_close(0.246), timeout=2_000, polling=20)
    until_live(page, 3_000)
    assert_as_the_api_says(page, site, ["AAPL"])


def test_a_page_without_a_stream_polls_and_says_so(
    page: Page, site: Server, push: Pusher, console_errors: list[str]
) -> None:
    page.add_init_script("delete window.SharedWorker")
    page.route("**/api/v2/stream*", lambda route: route.fulfill(status=503, headers={"Retry-After": "5"}))
    page.goto(f"{site.url}/?tickers=AAPL&resolution=1h")
    page.wait_for_selector('#feed[data-state="polling"]', timeout=PATIENCE_MS)
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    push(site, "AAPL", 0.357)
    page.wait_for_function(last_close(0.357), timeout=4_000)
    assert re.fullmatch(r"polling · \d+ s", page.locator("#feed").inner_text())
    page.unroute_all(behavior="ignoreErrors")
    until_live(page, 6_000)
    assert all("503" in each for each in console_errors)
    console_errors.clear()
