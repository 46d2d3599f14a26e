"""The page in a real browser, over the real command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import Server, ServerFactory, Tickertone

pytestmark = pytest.mark.browser

FIRST = datetime(2014, 6, 3, tzinfo=UTC)
RANGE = "start=2014-06-03T00:00:00Z&end=2014-06-04T00:00:00Z"
CANDLE = ".js-plotly-plot path.box"
PATIENCE_MS = 30_000  # the first page of a process on a busy machine parses five megabytes of Plotly

DRAWN_TWICE = '() => document.querySelectorAll(".js-plotly-plot:has(.main-svg)").length === 2'
# The candles in view of each chart on the page; a chart holds more, to both sides.
CHARTS = """() => [...document.querySelectorAll(".js-plotly-plot")].map(({data, layout}) => {
    const width = layout.meta.width_ms;
    const [start, end] = layout.xaxis.range.map((each) => Date.parse(each.replace(" ", "T") + "Z"));
    const seen = data[0].x.map((each) => each > start - width && each < end);
    const of = (column) => column.filter((_, at) => seen[at]);
    return {
        ticker: layout.meta.ticker, resolution: layout.meta.resolution, range: layout.xaxis.range,
        x: of(data[0].x), open: of(data[0].open), high: of(data[0].high), low: of(data[0].low),
        close: of(data[0].close), custom: of(data[0].customdata), counts: of(data[1].y),
    };
})"""


def scored(number: int, ticker: str, published: datetime, score: float) -> str:
    return json.dumps(
        {"id": f"{ticker}{number}", "ts": published.isoformat(), "ticker": ticker, "text": "", "score": score}
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with scores of AAPL and BRK.B on 3 June 2014, and of AAPL alone a year later."""
    from tests.conftest import Tickertone

    directory = tmp_path_factory.mktemp("page")
    lines = [
        scored(n, ticker, FIRST + timedelta(seconds=n * step), round((-1) ** n * (n * 0.037 % 1), 6))
        for ticker, step in (("AAPL", 241), ("BRK.B", 1_009))
        for n in range(85_000 // step)
    ]
    lines += [scored(9_000 + n, "AAPL", FIRST + timedelta(days=365, minutes=n), 0.5) for n in range(30)]
    source = directory / "scores.jsonl"
    source.write_text("\n".join(lines))
    Tickertone(directory / "store", directory)("ingest", source)
    return directory / "store"


@pytest.fixture(scope="module")
def site(server: ServerFactory, store: Path) -> Server:
    return server("serve", data_dir=store)


@pytest.fixture
def see(page: Page, site: Server) -> Callable[[str], Page]:
    """Opens the page with a query string and waits for its candles."""

    def open_page(query: str, wait_for: str = CANDLE) -> Page:
        page.goto(f"{site.url}/?{query}")
        page.wait_for_selector(wait_for, state="attached", timeout=PATIENCE_MS)
        return page

    return open_page


def charts(page: Page) -> dict[str, dict[str, Any]]:
    return {each["ticker"]: each for each in page.evaluate(CHARTS)}


def until(page: Page, condition: str, timeout_ms: int = PATIENCE_MS) -> None:
    page.wait_for_function(condition, timeout=timeout_ms)


def shows(resolution: str) -> str:
    """The condition that every chart shows this resolution."""
    return (
        '() => { const all = [...document.querySelectorAll(".js-plotly-plot")];'
        f' return all.length && all.every((one) => one.layout.meta.resolution === "{resolution}"); }}'
    )


def chosen(page: Page) -> list[str]:
    return page.locator(".segments .selected").all_inner_texts()


def test_the_page_shows_the_candles_that_query_prints(
    see: Callable[[str], Page], store: Path, tickertone: Tickertone
) -> None:
    ends = ("2014-06-03T00:00:00Z", "2014-06-04T00:00:00Z")
    for resolution in ("1m", "1h", "24h"):
        page = see(f"tickers=AAPL,BRK.B&resolution={resolution}&start={ends[0]}&end={ends[1]}")
        until(page, DRAWN_TWICE)
        shown = charts(page)
        for ticker in ("AAPL", "BRK.B"):
            printed = tickertone.json(
                "query", ticker, "--resolution", resolution, "--start", ends[0], "--end", ends[1], data_dir=store
            )["buckets"]
            assert printed
            chart = shown[ticker]
            moments = [datetime.fromtimestamp(each / 1000, UTC) for each in chart["x"]]
            assert [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in moments] == [bucket["timestamp"] for bucket in printed]
            for field in ("open", "high", "low", "close"):
                assert chart[field] == [bucket[field] for bucket in printed], field
            assert chart["counts"] == [bucket["count"] for bucket in printed]
            assert [custom[0] for custom in chart["custom"]] == [bucket["avg"] for bucket in printed]
            assert [custom[1:5] for custom in chart["custom"]] == [
                [bucket["count"], *(bucket["label_counts"][name] for name in ("positive", "neutral", "negative"))]
                for bucket in printed
            ]


def test_pointing_at_a_candle_tells_its_bucket(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    box = page.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] * 12.5 / 24
    page.mouse.move(middle - 2, box["y"] + box["height"] / 2)
    page.mouse.move(middle, box["y"] + box["height"] / 2)
    page.wait_for_selector(".hoverlayer .hovertext", timeout=PATIENCE_MS)
    label = page.locator(".hoverlayer .hovertext").first.text_content() or ""
    first = charts(page)["AAPL"]
    assert "2014-06-03 12:00 – 13:00 UTC" in label
    for word in ("open", "high", "low", "close", "avg", "count", "positive", "neutral", "negative", "scores"):
        assert word in label, label
    readout = page.locator(".readout").inner_text()
    assert f"{abs(first['close'][12]):.3f}" in readout


def test_a_resolution_is_chosen_by_click_by_key_and_by_arrow(see: Callable[[str], Page]) -> None:
    page = see("tickers=AAPL&resolution=1h")
    page.get_by_text("5m", exact=True).click()
    until(page, shows("5m"))
    page.keyboard.press("ArrowRight")
    until(page, shows("10m"))
    page.keyboard.press("8")
    until(page, shows("24h"))
    assert chosen(page)[0] == "24h"
    assert "resolution=24h" in page.evaluate("location.search")


def test_switching_keeps_the_chart_and_never_shows_a_skeleton_again(see: Callable[[str], Page]) -> None:
    page = see("tickers=AAPL&resolution=1h")
    page.evaluate("""() => {
        window.held = document.querySelector(".js-plotly-plot");
        window.flashes = 0;
        new MutationObserver(() => {
            const seen = [...document.querySelectorAll(".skeleton")].some((each) => each.checkVisibility());
            if (seen || !document.querySelector(".main-svg")) window.flashes += 1;
        }).observe(document.body, { childList: true, subtree: true });
    }""")
    for key, name in (("1", "1m"), ("5", "3h"), ("4", "1h")):
        page.keyboard.press(key)
        until(page, shows(name))
    assert page.evaluate("window.held === document.querySelector('.js-plotly-plot')")
    assert page.evaluate("window.flashes") == 0


def test_an_address_brings_its_view_back_and_back_and_forward_go_through_views(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=BRK.B,AAPL&resolution=10m&{RANGE}")
    assert page.locator(".card h2").all_inner_texts() == ["BRK.B", "AAPL"]
    assert chosen(page) == ["10m"]
    assert page.locator("#span-text").inner_text() == "2014-06-03 00:00 – 2014-06-04 00:00 UTC"
    page.keyboard.press("4")
    until(page, shows("1h"))
    page.locator(".card", has_text="BRK.B").hover()
    page.get_by_label("Remove BRK.B").click()
    until(page, '() => document.querySelectorAll(".card").length === 1')
    assert "tickers=AAPL&resolution=1h" in page.evaluate("location.search")
    page.go_back()
    until(page, DRAWN_TWICE)
    assert page.locator(".card h2").all_inner_texts() == ["BRK.B", "AAPL"]
    page.go_back()
    until(page, shows("10m"))
    page.go_forward()
    until(page, shows("1h"))


def test_a_ticker_is_found_by_typing(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    page.locator("#tickers").click()
    page.get_by_placeholder("Search tickers").fill("brk")
    page.get_by_role("option", name="BRK.B").click()
    until(page, DRAWN_TWICE)
    assert set(charts(page)) == {"AAPL", "BRK.B"}


def test_a_page_opened_without_a_view_shows_something(see: Callable[[str], Page]) -> None:
    page = see("")
    assert set(charts(page)) <= {"AAPL", "BRK.B"}
    assert page.evaluate("location.search") == "", "the address is the user's until the user changes the view"


def test_an_empty_range_says_so_and_leads_to_one_that_has_scores(see: Callable[[str], Page]) -> None:
    page = see("tickers=AAPL&resolution=1h&start=2012-01-01T00:00:00Z&end=2012-01-02T00:00:00Z", ".empty")
    said = page.locator(".empty").inner_text()
    assert "No scores of AAPL from 2012-01-01 00:00 to 2012-01-02 00:00 UTC." in said
    page.get_by_role("button", name="2014-06-03").click()
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    assert "start=2014-06-03" in page.evaluate("location.search")
    assert sum(charts(page)["AAPL"]["counts"]) == 352


def test_an_address_that_cannot_be_shown_is_explained(see: Callable[..., Page]) -> None:
    for query, said in (
        ("tickers=NOPE", "No score in this store names NOPE."),
        ("tickers=AAPL%3Cimg%20src%3Dx%3E", "is not a ticker symbol"),
        ("tickers=AAPL&resolution=7m", "resolution '7m' is unknown. Use one of: 1m, 5m, 10m, 1h, 3h, 6h, 12h, 24h."),
        ("tickers=AAPL&start=yesterday&end=today", "start 'yesterday' is not an ISO-8601 time"),
        ("tickers=", "Choose a ticker above"),
    ):
        page = see(query, f"text={said}")
        assert page.locator(".skeleton:visible").count() == 0, "nothing seems to be on its way"


def test_a_range_is_typed_in_utc(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    page.locator("#span-text").click()
    page.locator("#from-time").fill("06:00")
    page.locator("#to-time").fill("9 am")
    page.get_by_text("Show this range").click()
    page.wait_for_selector("text=times as HH:MM", timeout=PATIENCE_MS)
    page.locator("#to-time").fill("09:30")
    page.locator("#to-time").press("Enter")
    until(page, '() => location.search.includes("start=2014-06-03T06:00:00Z&end=2014-06-04T09:30:00Z")')
    until(page, f"() => ({CHARTS})()[0].x.length === 18")


def test_a_drag_moves_all_charts_and_the_address_and_a_double_click_comes_back(see: Callable[[str], Page]) -> None:
    page = see("tickers=AAPL,BRK.B&resolution=1h&start=2014-06-03T06:00:00Z&end=2014-06-03T18:00:00Z")
    until(page, DRAWN_TWICE)
    page.wait_for_timeout(300)  # Plotly takes hold of the mouse after it has drawn, and does not say when
    box = page.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + box["width"] / 4, middle[1], steps=5)
    page.mouse.up()
    until(page, '() => location.search.includes("start=2014-06-03T0") && !location.search.includes("T06:00:00Z")')
    until(
        page,
        """() => {
            const axes = [...document.querySelectorAll(".js-plotly-plot")].map((one) => one._fullLayout.xaxis);
            const [first, second] = axes.map((axis) => axis.r2l(axis.range[0]));
            return Math.abs(first - second) < 2000 && first < Date.UTC(2014, 5, 3, 4);
        }""",
    )
    page.wait_for_timeout(600)  # or the click that follows counts with the one that ended the drag
    page.mouse.dblclick(*middle)
    until(page, '() => location.search.includes("range=fit")')


def test_new_scores_appear_by_themselves_within_three_seconds_and_leave_the_zoom_alone(
    see: Callable[[str], Page], store: Path, tickertone: Tickertone
) -> None:
    page = see("tickers=AAPL&resolution=1h&start=2014-06-03T00:00:00Z&end=2014-06-05T00:00:00Z")
    before = charts(page)["AAPL"]
    line = scored(int(time.time() * 1000), "AAPL", FIRST + timedelta(hours=30), 0.123456)
    tickertone("ingest", "-", "--format", "jsonl", stdin=line, data_dir=store)
    until(page, f'() => document.querySelector(".js-plotly-plot").data[0].x.length > {len(before["x"])}', 3_000)
    after = charts(page)["AAPL"]
    assert after["close"][-1] == 0.123456
    assert after["range"] == before["range"]


def test_light_and_dark_follow_the_system_until_the_user_chooses(see: Callable[[str], Page]) -> None:
    page = see("tickers=AAPL&resolution=1h")
    back = "() => document.querySelector('.js-plotly-plot')._fullLayout.paper_bgcolor"
    body = "() => getComputedStyle(document.querySelector('.card')).backgroundColor"
    light = (page.evaluate(back), page.evaluate(body))
    page.emulate_media(color_scheme="dark")
    until(page, f"() => ({back})() !== '{light[0]}'")
    dark = (page.evaluate(back), page.evaluate(body))
    assert dark[1] != light[1]
    page.get_by_label("Light or dark").click()
    until(page, f"() => ({back})() === '{light[0]}'")
    page.reload()
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    assert (page.evaluate(back), page.evaluate(body)) == light, "the choice outlives the page, whatever the system says"


def test_the_line_of_averages_is_hidden_by_a_key_and_stays_hidden(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    line = page.locator(".graph path.js-line")
    assert line.is_visible()
    page.keyboard.press("a")
    line.wait_for(state="hidden")
    page.reload()
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    assert not line.is_visible()
    page.get_by_label("The line of averages").click()
    line.wait_for(state="visible")


def test_the_bar_is_one_row_on_a_laptop(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=AAPL,BRK.B&resolution=1h&{RANGE}")
    for width in (1180, 1280, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        until(page, "() => document.querySelector('.bar').offsetHeight < 50", 3_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_screen_scrolls_sideways(see: Callable[[str], Page]) -> None:
    page = see(f"tickers=AAPL,BRK.B&resolution=1h&{RANGE}")
    page.locator("#span-text").click()
    for width, height in ((390, 844), (320, 568), (768, 1024), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        until(page, f"() => document.documentElement.scrollWidth <= {width}", 3_000)
        for box in [each.bounding_box() for each in page.locator(".graph, .segments, .menu").all()]:
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_a_skeleton_stands_in_for_a_chart_and_nothing_spins(page: Page, site: Server) -> None:
    unanswered: list[Any] = []
    for address in ("**/_dash-update-component*", "**/api/v2/*"):
        page.route(address, lambda route: unanswered.append(route))
    page.goto(f"{site.url}/?tickers=AAPL&resolution=1h")
    page.wait_for_selector(".skeleton", timeout=PATIENCE_MS)
    assert page.locator(".card").count() == 1
    spinning = page.evaluate("""() => [...document.querySelectorAll("*")].filter((each) =>
        /spin|rotate/.test(getComputedStyle(each).animationName) || /spinner/.test(each.className)).length""")
    assert spinning == 0
    assert page.locator("text=Loading").count() == 0
    page.unroute_all(behavior="ignoreErrors")


def test_the_page_opens_no_websocket(page: Page, site: Server) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"{site.url}/?tickers=AAPL")
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    assert sockets == []


def test_a_finger_scrolls_the_page_over_a_chart(browser: Browser, site: Server) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    phone.goto(f"{site.url}/?tickers=AAPL,BRK.B&resolution=1h&{RANGE}")
    phone.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    assert phone.evaluate("document.querySelector('.js-plotly-plot').layout.dragmode") is False
    context.close()


def test_simulated_data_are_labelled_on_the_screen_and_others_are_not(
    see: Callable[[str], Page], server: ServerFactory, tmp_path: Path
) -> None:
    page = see("tickers=AAPL")
    assert page.locator("text=Simulated data >> visible=true").count() == 0
    demo = server("demo", data_dir=tmp_path / "demo", env={"TICKERTONE_DEMO_DAYS": "0.2"})
    page.goto(demo.url)
    page.wait_for_selector("text=Simulated data", timeout=PATIENCE_MS)
    page.wait_for_selector(CANDLE, state="attached", timeout=PATIENCE_MS)
    until(page, r"() => /^\d+ % · (\d+:)?\d\d:\d\d left$/.test(document.querySelector('.progress')?.textContent)")
    # With the label, too, the bar fits every width, and the tickers chosen can be read.
    for width in (1600, 1440, 1400, 1366, 1280, 1024, 800, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.querySelector('.bar .choice').getBoundingClientRect().width") >= 160, width
    page.goto("about:blank")  # or it would ask the demo once more, after its end
    demo.stop()
