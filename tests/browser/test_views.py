"""What one does with charts in a real browser: read the texts of a candle, arrange, compare, share, hear."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.web.theme import PALETTES
from tests.conftest import REPOSITORY, WINDOW, Tickertone

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import Server, ServerFactory

pytestmark = pytest.mark.browser

PATIENCE_MS = 30_000
FIRST = datetime(2014, 3, 30, tzinfo=UTC)  # the night in which Berlin's clocks go from 02:00 to 03:00
RANGE = "start=2014-03-30T00:00:00Z&end=2014-03-30T12:00:00Z"
TICKERS = ("AAPL", "BRK.B", "CSCO", "DIS")
NASTY = [
    ("javascript:window.hacked=1", '<img src=x onerror="window.hacked=1"> & <script>window.hacked=1</script>'),
    ("https://news.example/story?id=1", "see https://news.example/a. <b>bold</b>"),
    ("https://user@evil.example/", 'javascript:window.hacked=1 "><svg onload=window.hacked=1>'),
    (None, "plain"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a day of texts of four tickers; those of AAPL at 09:00 UTC are meant to do harm."""
    directory = tmp_path_factory.mktemp("views")
    lines = [
        {
            "id": f"{ticker}{n}",
            "ts": (FIRST + timedelta(seconds=n * step)).isoformat(),
            "ticker": ticker,
            "source": "wire" if n % 3 else "posts",
            "text": f"{ticker} text {n}",
            "score": round((-1) ** n * (n * 0.037 % 1), 6),
        }
        for ticker, step in zip(TICKERS, (241, 1_009, 3_603, 7_207), strict=True)
        for n in range(43_000 // step)
    ]
    lines += [
        {
            "id": f"nasty{n}",
            "ts": (FIRST + timedelta(hours=9, minutes=59, seconds=50 + n)).isoformat(),
            "ticker": "AAPL",
            "source": "<i>who</i>",
            "url": url,
            "text": text,
            "score": -0.995 - n / 1000,
        }
        for n, (url, text) in enumerate(NASTY)
    ]
    source = directory / "scores.jsonl"
    source.write_text("\n".join(json.dumps(line) for line in lines))
    Tickertone(directory / "store", directory)("ingest", source)
    return directory / "store"


@pytest.fixture(scope="module")
def site(server: ServerFactory, store: Path) -> Server:
    """Its scripts are as they are, for a test asks one of them; in other tests they are bundled where npm is there."""
    return server("serve", data_dir=store, env={"TICKERTONE_SCRIPTS": "plain"})


def drawn(page: Page, charts: int) -> None:
    page.wait_for_function(
        f"() => document.querySelectorAll('.card .axis span:first-child').length === {charts}", timeout=PATIENCE_MS
    )


@pytest.fixture
def see(page: Page, site: Server) -> Callable[..., Page]:
    """Opens a view and waits until its charts have their time axes."""

    def open_page(query: str, charts: int = 1) -> Page:
        page.goto(f"{site.url}/?{query}")
        drawn(page, charts)
        return page

    return open_page


def texts(page: Page) -> list[dict[str, str]]:
    found: list[dict[str, str]] = page.evaluate(
        """() => [...document.querySelectorAll(".texts li:not(.more)")].map((row) => Object.fromEntries(
            ["time", ".score", ".text", ".from", ".effect", ".roles"].map((part) =>
                [part.replace(".", ""), row.querySelector(part)?.textContent ?? ""])))"""
    )
    return found


def opened(page: Page, when: str) -> None:
    page.wait_for_selector(f".reader .when >> text={when}", timeout=PATIENCE_MS)
    page.wait_for_selector(".texts:not([aria-busy]) li", timeout=PATIENCE_MS)


def candle_at(page: Page, hour: int) -> tuple[float, float]:
    """Where the candle of that hour (UTC) is on the first chart."""
    found: list[float] = page.evaluate(
        """(hour) => {
            const chart = document.querySelector(".js-plotly-plot");
            const { xaxis } = chart._fullLayout;
            const box = chart.getBoundingClientRect();
            const x = xaxis._offset + xaxis.l2p(Date.UTC(2014, 2, 30, hour, 30));
            return [box.left + x, box.top + box.height * 0.4];
        }""",
        hour,
    )
    return found[0], found[1]


def click_candle(page: Page, hour: int) -> None:
    x, y = candle_at(page, hour)
    page.wait_for_timeout(300)  # Plotly takes hold of the mouse after it has drawn, and does not say when
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.wait_for_selector(".hoverlayer .hovertext", timeout=PATIENCE_MS)
    page.mouse.click(x, y)


def api(site: Server, path: str) -> Any:
    with urllib.request.urlopen(f"{site.url}{path}", timeout=20) as answer:
        return json.loads(answer.read())


def test_a_click_on_a_candle_shows_just_its_texts_sorted_by_effect(see: Callable[..., Page], site: Server) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    click_candle(page, 5)
    opened(page, "Sun 30 Mar 2014 05:00 – 06:00 UTC")
    told = api(site, "/api/v2/items?ticker=AAPL&start=2014-03-30T05:00:00Z&end=2014-03-30T06:00:00Z")["items"]
    rows = texts(page)
    assert sorted(row["text"] for row in rows) == sorted(item["text"] for item in told)
    mean = sum(item["score"] for item in told) / len(told)
    by_effect = sorted(told, key=lambda item: abs(item["score"] - mean), reverse=True)
    assert [row["text"] for row in rows] == [item["text"] for item in by_effect]
    first = by_effect[0]
    assert rows[0]["time"] == first["published"][11:19]
    assert rows[0]["score"] == f"{first['score']:+.3f} {first['label']}".replace("-", "−")
    assert {row["text"]: row["roles"] for row in rows}[told[0]["text"]].endswith("close")
    page.get_by_label("Sorted by").select_option("newest")
    assert [row["text"] for row in texts(page)] == [item["text"] for item in told]
    assert "candle=AAPL@2014-03-30T05:00:00Z&sort=newest" in page.evaluate("location.search")


def test_texts_that_mean_harm_are_only_text(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}&candle=AAPL@2014-03-30T09:00:00Z&sort=lowest")
    opened(page, "09:00 – 10:00")
    rows = texts(page)[:4]
    assert [row["text"] for row in rows] == [text for _, text in reversed(NASTY)]
    assert rows[0]["from"] == "<i>who</i>"
    links = page.evaluate("[...document.querySelectorAll('.reader a')].map(a => [a.href, a.rel, a.target])")
    assert sorted({href for href, _, _ in links}) == ["https://news.example/a", "https://news.example/story?id=1"]
    assert {(rel, target) for _, rel, target in links} == {("noopener noreferrer nofollow", "_blank")}
    assert page.evaluate("document.querySelectorAll('.reader img, .reader script, .reader svg, .reader b').length") == 0
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None


def test_arrow_keys_walk_candles_and_say_them_and_enter_opens_their_texts(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL,DIS&resolution=1h&{RANGE}", 2)
    page.wait_for_function("() => document.querySelector('#zone')")  # what listens to keys is there
    page.locator(".stage").first.focus()
    page.keyboard.press("Home")
    said = page.locator("#said")
    assert re.match(r"AAPL 1h, Sun 30 Mar 2014, 00:00 to 01:00 UTC\. rising, open .* of 15 texts: ", said.inner_text())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert "01:00 to 02:00" in said.inner_text()
    assert page.locator(".cross:not([hidden])").count() == 2, "the other chart marks the same time"
    page.keyboard.press("Enter")
    opened(page, "01:00 – 02:00")
    assert page.evaluate("document.activeElement.className") == "texts"
    page.keyboard.press("ArrowRight")
    opened(page, "02:00 – 03:00")
    assert "02:00 to 03:00" in said.inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("#reader", state="hidden")
    assert page.evaluate("document.activeElement.className") == "stage"
    assert "candle=" not in page.evaluate("location.search")


def test_the_texts_follow_to_another_resolution_and_come_back_with_the_address(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}&candle=AAPL@2014-03-30T05:00:00Z")
    opened(page, "05:00 – 06:00")
    page.keyboard.press("5")
    opened(page, "03:00 – 06:00")
    assert "candle=AAPL@2014-03-30T03:00:00Z" in page.evaluate("location.search")
    page.reload()
    opened(page, "03:00 – 06:00")


def test_texts_that_cannot_be_had_are_asked_for_again(see: Callable[..., Page], console_errors: list[str]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    page.route("**/api/v2/items*", lambda route: route.abort())
    click_candle(page, 3)
    page.wait_for_selector("text=The server cannot be reached", timeout=PATIENCE_MS)
    page.unroute_all(behavior="ignoreErrors")
    page.get_by_role("button", name="Try again").click()
    opened(page, "03:00 – 04:00")
    assert all("ERR_FAILED" in each for each in console_errors)
    console_errors.clear()


def test_times_are_told_by_the_clocks_of_the_user_and_buckets_in_utc(browser: Browser, site: Server) -> None:
    context = browser.new_context(viewport=WINDOW, timezone_id="Europe/Berlin")
    page = context.new_page()
    page.goto(f"{site.url}/?tickers=AAPL&resolution=1h&{RANGE}&candle=AAPL@2014-03-30T01:00:00Z")
    drawn(page, 1)
    opened(page, "Sun 30 Mar 2014 03:00 – 04:00 Berlin")
    assert page.locator(".reader .bucket").inner_text() == "Bucket 2014-03-30 01:00 – 02:00 UTC"
    labels = page.locator(".card .axis span:not([hidden])").all_inner_texts()
    assert "02:00" not in labels, "clocks never showed it"
    assert {"03:00", "04:00"} < set(labels)
    assert page.locator("#span-text").inner_text() == "2014-03-30 01:00 – 2014-03-30 14:00 Berlin"
    page.locator("#span-text").click()
    page.get_by_label("Zone").fill("America/New_York")
    page.get_by_label("Zone").press("Enter")
    opened(page, "Sat 29 Mar 2014 21:00 – 22:00 New York")
    page.wait_for_function("() => document.querySelector('#span-text').textContent.endsWith('08:00 New York')")
    assert page.locator(".card .axis span.strong:not([hidden])").all_inner_texts() == ["30 Mar"]
    assert "tz=America/New_York" in page.evaluate("location.search")
    page.goto(f"{site.url}/?tickers=AAPL&resolution=1h&{RANGE}")
    drawn(page, 1)
    assert page.locator("#span-text").inner_text().endswith("New York"), "the browser remembers the zone"
    context.close()


def test_a_range_is_typed_on_the_clocks_of_the_zone(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}&tz=Asia/Kolkata")
    page.locator("#span-text").click()
    page.locator("#from-time").fill("08:30")
    page.locator("#from-time").press("Enter")
    page.wait_for_function("() => location.search.includes('start=2014-03-30T03:00:00Z&end=2014-03-30T12:00:00Z')")


def test_one_chart_is_large_and_the_others_small_beside_it(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL,BRK.B,CSCO&resolution=1h&{RANGE}", 3)
    page.locator(".card", has_text="BRK.B").hover()
    page.get_by_label("BRK.B large").click()
    page.wait_for_selector('.card[data-large][data-ticker="BRK.B"]')
    widths = {card.get_attribute("data-ticker"): card.bounding_box()["width"] for card in page.locator(".card").all()}  # type: ignore[index]
    assert widths["BRK.B"] > 2 * widths["AAPL"]
    assert "focus=BRK.B" in page.evaluate("location.search")
    page.reload()
    page.wait_for_selector('.card[data-large][data-ticker="BRK.B"]', timeout=PATIENCE_MS)
    page.go_back()
    page.wait_for_selector(".card[data-large]", state="detached")


def test_charts_are_put_in_another_order_by_hand_and_by_key_and_are_not_drawn_anew(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL,BRK.B,CSCO&resolution=1h&{RANGE}", 3)
    page.wait_for_function("() => document.querySelector('#zone')")
    page.evaluate("""() => {
        window.plots = [...document.querySelectorAll(".js-plotly-plot")];
        window.held = () => window.plots.every((plot) => plot.isConnected && plot.querySelector(".main-svg"));
    }""")
    heads = [page.locator(f'.card[data-ticker="{ticker}"] h2').bounding_box() for ticker in ("AAPL", "CSCO")]
    assert heads[0]
    assert heads[1]
    page.mouse.move(heads[0]["x"] + 5, heads[0]["y"] + 5)
    page.mouse.down()
    page.mouse.move(heads[1]["x"] + 40, heads[1]["y"] + 60, steps=6)
    page.wait_for_selector('.card.after[data-ticker="CSCO"]')
    page.mouse.up()
    page.wait_for_function("() => location.search.includes('tickers=BRK.B,CSCO,AAPL')")
    order = "[...document.querySelectorAll('.card h2')].map(h => h.textContent)"
    assert page.evaluate(order) == ["BRK.B", "CSCO", "AAPL"]
    page.get_by_role("button", name="Move AAPL: drag").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => location.search.includes('tickers=BRK.B,AAPL,CSCO')")
    assert page.evaluate(order) == ["BRK.B", "AAPL", "CSCO"]
    assert page.locator("#said").inner_text() == "AAPL is now 2 of 3."
    assert page.evaluate("window.held()"), "the charts are the same elements, still drawn"


def test_the_crosshair_is_on_every_chart_and_a_drag_moves_them_all_while_it_lasts(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL,BRK.B,CSCO&resolution=1h&{RANGE}", 3)
    x, y = candle_at(page, 6)
    page.wait_for_timeout(300)
    page.mouse.move(x, y)
    page.wait_for_function("() => document.querySelectorAll('.cross:not([hidden])').length === 3")
    assert page.locator(".cross-time:not([hidden])").all_inner_texts() == ["Sun 30 Mar 2014 06:00 UTC"]
    assert re.match(r"C [+−]?\d\.\d{3}  avg .* n \d", page.locator(".cross-value:not([hidden])").first.inner_text())
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=4)
    page.wait_for_function(
        """() => {
            const starts = [...document.querySelectorAll(".js-plotly-plot")].map(({ _fullLayout }) =>
                _fullLayout.xaxis.r2l(_fullLayout.xaxis.range[0]));
            return starts[0] < Date.UTC(2014, 2, 30) && starts.every((each) => Math.abs(each - starts[0]) < 2);
        }""",
        timeout=5_000,
    )
    page.mouse.up()


def test_a_watchlist_is_kept_in_the_browser_and_named_in_the_address(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL,CSCO&resolution=1h&{RANGE}", 2)
    page.wait_for_function("() => document.querySelector('#zone')")
    page.locator("#lists > summary").click()
    page.get_by_label("Name of the watchlist").fill("My two")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_function("() => location.search.includes('list=My%20two')")
    page.goto(re.sub(r"\?.*", f"?tickers=DIS&resolution=1h&{RANGE}", page.url))
    drawn(page, 1)
    page.wait_for_function("() => document.querySelector('#zone')")
    page.locator("#lists > summary").click()
    page.locator(".lists .list", has_text="My two").click()
    drawn(page, 2)
    assert page.locator(".card h2").all_inner_texts() == ["AAPL", "CSCO"]


def test_tickers_are_added_and_taken_away_by_keyboard_alone(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    page.wait_for_function("() => document.querySelector('[role=radiogroup]')")
    page.keyboard.press("/")
    page.get_by_placeholder("Search tickers").wait_for()
    page.keyboard.type("csc")
    page.get_by_role("option", name="CSCO").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    drawn(page, 2)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove AAPL").focus()
    page.keyboard.press("Enter")
    drawn(page, 1)
    assert page.locator(".card h2").all_inner_texts() == ["CSCO"]


def test_what_is_in_view_is_taken_away_as_files_and_as_an_address(see: Callable[..., Page], site: Server) -> None:
    page = see("tickers=AAPL,CSCO&resolution=1h&start=2014-03-30T02:30:00Z&end=2014-03-30T05:30:00Z&tz=Asia/Tokyo", 2)
    page.wait_for_function("() => document.querySelector('#zone')")
    page.locator("#share > summary").click()
    address = page.get_by_label("Address of this view").input_value()
    assert "start=2014-03-30T02:30:00Z&end=2014-03-30T05:30:00Z&tz=Asia/Tokyo" in address
    links = {
        f"{row.locator('span').inner_text()} {a.inner_text()}": a.get_attribute("href")
        for row in page.locator(".files").all()
        for a in row.locator("a").all()
    }
    with urllib.request.urlopen(f"{site.url}{links['Candles CSV']}") as answer:
        rows = list(csv.DictReader(io.TextIOWrapper(answer)))
    assert {(row["ticker"], row["timestamp"][11:16]) for row in rows if row["ticker"] == "AAPL"} == {
        ("AAPL", f"0{hour}:00") for hour in (2, 3, 4, 5)
    }
    for name in ("Candles Parquet", "Texts Parquet"):
        with urllib.request.urlopen(f"{site.url}{links[name]}") as answer:
            assert answer.read(4) == b"PAR1", name
    with page.expect_download() as download:
        page.locator(".files button", has_text="CSCO").click()
    assert download.value.suggested_filename == "CSCO-1h-20140330T0230Z-20140330T0530Z.png"
    assert Path(download.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_picture_shows_what_the_page_shows(see: Callable[..., Page]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    colours = page.evaluate(
        """async () => {
            const { pictureOf } = await import("/assets/picture.mjs");
            const { blob } = await pictureOf("AAPL", "UTC");
            const image = await createImageBitmap(blob);
            const canvas = new OffscreenCanvas(image.width, image.height);
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, image.width, image.height);
            const counted = {};
            for (let at = 0; at < data.length; at += 4) {
                const colour = [data[at], data[at + 1], data[at + 2]].join(" ");
                counted[colour] = (counted[colour] ?? 0) + 1;
            }
            const box = document.querySelector(".js-plotly-plot").getBoundingClientRect();
            return { counted, width: image.width / box.width };
        }"""
    )
    assert colours["width"] == pytest.approx(2, abs=0.01)
    for colour in (PALETTES["light"].rising, PALETTES["light"].falling):
        candle = " ".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
        assert colours["counted"].get(candle, 0) > 500, candle
    assert max(colours["counted"], key=colours["counted"].get) == "255 255 255"


def test_candles_of_few_texts_look_weaker_than_candles_of_many(see: Callable[..., Page]) -> None:
    page = see("tickers=AAPL,DIS&resolution=1m&start=2014-03-30T00:00:00Z&end=2014-03-30T02:00:00Z", 2)
    drawn = """(selector) => [...document.querySelectorAll(selector)].filter(
        (path) => path.getAttribute("d") !== "M0,0").map((path) => path.style.opacity)"""
    page.wait_for_function(f"() => ({drawn})('.card path.ticks').length", timeout=PATIENCE_MS)
    assert set(page.evaluate(drawn, ".card path.ticks")) == {"0.4"}, "each of these candles is of one text"
    page.keyboard.press("4")
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.meta.resolution === '1h'")
    page.wait_for_function(f"() => ({drawn})('.card :is(path.box, path.ticks)').includes('1')", timeout=PATIENCE_MS)


def test_the_badge_tells_how_the_sources_are(see: Callable[..., Page], console_errors: list[str]) -> None:
    page = see(f"tickers=AAPL&resolution=1h&{RANGE}")
    page.wait_for_function("() => document.querySelector('#zone')")
    answer: dict[str, Any] = {"status": 404, "json": {"error": "NOT_FOUND", "message": "", "details": {}}}
    page.route("**/api/v2/sources", lambda route: route.fulfill(**answer))
    page.locator("#feed").click()
    page.wait_for_selector("text=This server does not tell how its sources are.")
    page.locator("#feed").click()
    ago = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    sources = [
        {"name": "rss", "last_success": ago, "lag_s": 12.4, "errors": 0},
        {"name": "<b>tiingo</b>", "last_success": None, "lag_s": None, "errors": 7, "is_failing": True},
    ]
    answer.update(status=200, json={"sources": sources})
    page.locator("#feed").click()
    page.wait_for_selector(".sources tbody tr >> nth=1")
    rows = [" ".join(row.inner_text().split()) for row in page.locator(".sources tbody tr").all()]
    assert rows == ["rss (well) 5 min ago 12 s 0", "<b>tiingo</b> (failing) never – 7"]
    assert all("404" in each for each in console_errors)
    console_errors.clear()


STATES = {
    "charts": f"tickers=AAPL,BRK.B&resolution=1h&{RANGE}",
    "focus": f"tickers=AAPL,BRK.B,CSCO&resolution=1h&{RANGE}&focus=AAPL",
    "texts": f"tickers=AAPL&resolution=1h&{RANGE}&candle=AAPL@2014-03-30T09:00:00Z",
    "empty": "tickers=AAPL&resolution=1h&start=2012-01-01T00:00:00Z&end=2012-01-02T00:00:00Z",
    "nothing": "tickers=",
}


def test_nobody_is_shut_out(page: Page, site: Server) -> None:
    """Axe finds nothing serious, in any state or menu, light or dark."""
    axe = REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed: run `npm ci`")
    found: list[str] = []
    back = "document.querySelector('.js-plotly-plot')?._fullLayout?.paper_bgcolor"

    def judge(state: str) -> None:
        for theme in ("dark", "light"):
            before = page.evaluate(back)
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.wait_for_function(f"(before) => !before || {back} !== before", arg=before)
            page.evaluate(axe.read_text("utf-8"))  # the page itself lets no script in that is not its server's
            told = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            found.extend(
                f"{state}, {theme}: {each['id']} {node['html'][:120]} {node['failureSummary'][:300]}"
                for each in told["violations"]
                if each["impact"] in ("serious", "critical")
                for node in each["nodes"]
            )

    page.emulate_media(color_scheme="light")
    ready = {"empty": ".empty .act", "nothing": "text=Choose a ticker", "texts": ".texts li"}
    for state, query in STATES.items():
        page.goto(f"{site.url}/?{query}")
        page.wait_for_selector(ready.get(state, ".card .axis span"), timeout=PATIENCE_MS)
        page.wait_for_function("() => document.querySelector('#zone')")
        judge(state)
        if state == "charts":
            for menu in ("lists", "span", "share"):
                page.locator(f"#{menu} > summary").click()
                judge(menu)
    assert found == []
