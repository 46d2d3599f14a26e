"""The page in a browser: switches, ticks, scrolling, first paint and an hour of live news, beside lightweight-charts.

Debian's Chromium without a graphics card, driven by Playwright, over the real command. What is compared is interleaved
in one run. A switch is timed from the click to the frame that shows it; medians and p95 in milliseconds. The peer,
TradingView's lightweight-charts from npm, draws the same candles, counts and averages in a page of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bench.harness import STORES, percentile, save, versions

PEER = Path(__file__).parent / "peer"
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
TICKERS = tuple(f"TK{number:02d}" for number in range(10))
TEN = ",".join(TICKERS)
WINDOW = {"width": 1600, "height": 950}
PATIENCE_MS = 60_000
DAYS = 3
SCORE_EVERY_S = 20
# Of one chart cached and not, of ten cached, of a live tick per chart, of ten charts for a new visitor and the first
# chart for one who comes back, and of a frame while scrolling.
BUDGETS_MS = {
    "switch_cached": 50,
    "switch_not_cached": 150,
    "switch_ten": 100,
    "tick": 4,
    "first_visit": 1_500,
    "returning_visit": 500,
    "scroll_frame": 100,
}

# From an act to the frame that shows it.
PAINTED = """
    window.painted = () => new Promise((resolve) => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => resolve(performance.now());
        channel.port2.postMessage(0);
    }));
"""
CLICK = """async (name) => {
    const label = [...document.querySelectorAll("#resolution label")].find((each) => each.textContent.trim() === name);
    const charts = () => [...document.querySelectorAll(".js-plotly-plot")];
    const began = performance.now();
    label.click();
    while (!charts().every((each) => each.layout.meta.resolution === name)) await painted();
    return await painted() - began;
}"""
QUIET = """() => { const asked = performance.getEntriesByType("resource").filter((each) =>
    each.name.includes("/api/v2/timeseries"));
    return asked.length && performance.now() - Math.max(...asked.map((each) => each.responseEnd)) > 1500; }"""
ROWS = """(at) => {
    const { x, open, high, low, close, customdata } = document.querySelectorAll(".js-plotly-plot")[at].data[0];
    return x.map((each, row) => ({
        time: each / 1000, open: open[row], high: high[row], low: low[row], close: close[row],
        count: customdata[row][1], avg: customdata[row][0] })); }"""
PEER_SWITCH = """async ([count, sets, turn, visible]) => {
    const began = performance.now();
    for (let at = 0; at < count; at += 1) put(at, window[sets][turn % 2], visible);
    return await painted() - began;
}"""


def main() -> None:
    """Measure; `python -m bench.browser brief` shows in a minute that it works."""
    brief = sys.argv[1:] == ["brief"]
    store = _store()
    with _server("serve", store) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("TICKERTONE_CHROMIUM") or shutil.which("chromium"), args=list(FLAGS)
        )
        repeats = 6 if brief else 40
        figures: dict[str, Any] = {"budgets_ms": BUDGETS_MS}
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "one_chart": lambda: _switches(browser, url, "TK00", repeats, visible=300),
            "ten_charts": lambda: _switches(browser, url, TEN, repeats, visible=240),
            "not_cached": lambda: _not_cached(browser, url, repeats // 2),
            "visits": lambda: _visits(browser, url, 2 if brief else 8),
            "scroll": lambda: _scroll(browser, url),
            "live": lambda: _live(browser, 20 if brief else 120),
        }
        for name, measure in parts.items():
            figures[name] = measure()
            sys.stderr.write(f"{name}: {json.dumps(figures[name])}\n")
        browser.close()
    result = {
        **figures,
        "versions": {**versions("dash", "plotly", "playwright"), "lightweight-charts": _peer_version()},
    }
    if brief:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        save("browser", result)


def _switches(browser: Browser, url: str, tickers: str, repeats: int, *, visible: int) -> dict[str, Any]:
    """Resolution switches between 1m and 5m, all data in the browser, in turns with the peer and its two data sets."""
    count = tickers.count(",") + 1
    context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
    page = _opened(context, f"{url}/?tickers={tickers}&resolution=1m&{_range(visible)}", count)
    peer = _peer(context, url)
    peer.evaluate("(count) => make(count)", count)
    sets = []
    for name in ("5m", "1m"):
        page.bring_to_front()
        page.evaluate(CLICK, name)
        page.wait_for_function(QUIET, timeout=PATIENCE_MS, polling=200)
        page.wait_for_timeout(300)
        sets.append(page.evaluate(ROWS, 0))
    peer.evaluate("(sets) => { window.sets = sets; }", sets)
    ours, theirs = [], []
    for turn in range(repeats + 2):
        page.bring_to_front()
        page.wait_for_timeout(120)
        took = page.evaluate(CLICK, ("5m", "1m")[turn % 2])
        peer.bring_to_front()
        peer.wait_for_timeout(120)
        beside = peer.evaluate(PEER_SWITCH, [count, "sets", turn, visible])
        if turn >= 2:  # the first of each compile their code
            ours.append(took)
            theirs.append(beside)
    ticks, peer_ticks = _ticks(page, count), _peer_ticks(peer, count)
    context.close()
    return {
        "charts": count,
        "candles_loaded": [len(each) for each in sets],
        "switch_ms": _spread(ours),
        "peer_switch_ms": _spread(theirs),
        "switch_to_peer": round(statistics.median(ours) / statistics.median(theirs), 2),
        "tick_ms_per_chart": _spread(ticks),
        "peer_tick_ms_per_chart": _spread(peer_ticks),
        "tick_to_peer": round(statistics.median(ticks) / statistics.median(peer_ticks), 2),
    }


def _ticks(page: Page, count: int) -> list[float]:
    """Main-thread time of one live change of the newest candle, per chart: script, style, layout and paint."""
    page.bring_to_front()
    return _main_thread(
        page,
        """async () => {
        const { board } = window.tickertone;
        window.counts ??= {};
        const rows = [...document.querySelectorAll(".js-plotly-plot")].map(({ data, layout }) => {
            const { x, customdata } = data[0];
            const at = x.length - 1;
            const { ticker, resolution } = layout.meta;
            const count = customdata[at][1] + 1;
            const score = ((count * 37) % 99) / 100 + 0.005; // its text is as long as the one before
            return { ticker, resolution, timestamp: new Date(x[at]).toISOString(), open: 0.1, high: 0.9, low: -0.9,
                close: score, avg: score / 2, count, sources: ["bench"], revision: 1,
                label_counts: { positive: 1, neutral: 0, negative: count - 1 } };
        });
        board.put(rows);
    }""",
        count,
    )


def _peer_ticks(peer: Page, count: int) -> list[float]:
    peer.bring_to_front()
    return _main_thread(
        peer,
        """async (count) => {
        window.ticked = (window.ticked ?? 0) + 1;
        const last = window.sets[1].at(-1);
        const score = ((window.ticked * 37) % 100) / 100 - 0.5;
        for (let at = 0; at < count; at += 1) tick(at, { ...last, high: 0.9, low: -0.9, close: score, avg: score / 2,
            count: last.count + window.ticked });
    }""",
        count,
    )


def _main_thread(page: Page, act: str, count: int, repeats: int = 20) -> list[float]:
    """How long the main thread is busy with an act and all that follows from it, per chart, by Chromium's own count."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy_s() -> float:
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    page.wait_for_timeout(1_000)
    idle = []
    for _ in range(3):
        before = busy_s()
        page.evaluate("async () => {}")
        page.wait_for_timeout(400)
        idle.append(busy_s() - before)
    took = []
    for _ in range(repeats):
        before = busy_s()
        page.evaluate(act, count)
        page.wait_for_timeout(400)
        took.append(max(0.0, busy_s() - before - statistics.median(idle)) * 1e3 / count)
    session.detach()
    return took[2:]


def _not_cached(browser: Browser, url: str, repeats: int) -> dict[str, Any]:
    """A switch to a resolution the browser does not hold and the server does."""
    took = []
    for _ in range(repeats):
        context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
        page = _opened(context, f"{url}/?tickers=TK00&resolution=1m&{_range(300)}", 1)
        page.evaluate("() => window.tickertone.cache.forget('5m')")
        took.append(page.evaluate(CLICK, "5m"))
        context.close()
    return {"switch_ms": _spread(took)}


def _visits(browser: Browser, url: str, repeats: int) -> dict[str, Any]:
    """From navigation to painted charts: ten of them for a new visitor, the first of them for one who comes back."""
    script = """() => { if (window.began) return; window.began = true;
        const look = () => {
            const isThere = document.querySelector("path.box") !== null;
            if (isThere && !window.firstMs) requestAnimationFrame(() => { window.firstMs ??= performance.now(); });
            if (document.querySelectorAll(".js-plotly-plot:has(path.box)").length >= 10) {
                requestAnimationFrame(() => { window.tenMs = performance.now(); });
            } else requestAnimationFrame(look); };
        look(); }"""
    first, ten, back, back_ten = [], [], [], []
    for _ in range(repeats):
        context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
        context.add_init_script(f"({script})()")
        address = f"{url}/?tickers={TEN}&resolution=1h&range=fit"
        for times, all_times in ((first, ten), (back, back_ten), (back, back_ten)):
            page = context.new_page()
            page.goto(address)
            page.wait_for_function("() => window.tenMs", timeout=PATIENCE_MS)
            times.append(page.evaluate("window.firstMs"))
            all_times.append(page.evaluate("window.tenMs"))
            page.wait_for_timeout(6_500)  # it is written behind
            page.close()
        context.close()
    return {
        "first_visit_first_chart_ms": _spread(first),
        "first_visit_ten_charts_ms": _spread(ten),
        "returning_first_chart_ms": _spread(back),
        "returning_ten_charts_ms": _spread(back_ten),
    }


def _scroll(browser: Browser, url: str) -> dict[str, Any]:
    """A day of 1m candles dragged through from its end to its start: frame times, and whether any was ever blank."""
    context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
    page = _opened(context, f"{url}/?tickers=TK00&resolution=1m&{_range(240)}", 1)
    page.evaluate("""() => { window.tookMs = []; window.blanks = 0; let last = performance.now();
        const look = (now) => { window.tookMs.push(now - last); last = now;
            const chart = document.querySelector(".js-plotly-plot");
            const axis = chart._fullLayout.xaxis;
            const group = chart.querySelector("g.painted.boxes");
            const [start, end] = axis.range.map((each) => axis.r2l(each));
            const drawn = group.dataset;
            if (Number(drawn.first) > start + 120000 || Number(drawn.last) < end - 240000) window.blanks += 1;
            requestAnimationFrame(look); };
        requestAnimationFrame(look); }""")
    box = page.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    drags = 0
    while drags < 12:
        page.mouse.move(box["x"] + box["width"] * 0.15, middle)
        page.mouse.down()
        for step in range(1, 13):
            page.mouse.move(box["x"] + box["width"] * (0.15 + 0.7 * step / 12), middle)
        page.mouse.up()
        page.wait_for_timeout(150)
        drags += 1
    start, frames, blanks = page.evaluate(
        "[document.querySelector('.js-plotly-plot').layout.xaxis.range[0], window.tookMs, window.blanks]"
    )
    context.close()
    return {"frames_ms": _spread(frames), "longest_ms": round(max(frames), 1), "blank_frames": blanks, "came_to": start}


def _live(browser: Browser, seconds: int) -> dict[str, Any]:
    """An hour of news squeezed into two minutes, ten charts: heap, nodes, and how busy the main thread is."""
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("TICKERTONE_BENCH_DIR")) as folder,
        _server("run", Path(folder) / "store") as url,
    ):
        now = datetime.now(UTC)
        for minutes in range(240, 0, -1):
            _push(url, [(ticker, now - timedelta(minutes=minutes), (minutes % 9) / 10) for ticker in TICKERS])
        context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
        page = _opened(context, f"{url}/?tickers={TEN}&resolution=1m&range=fit", 10)
        page.wait_for_selector('#feed[data-state="live"]', timeout=PATIENCE_MS)
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        stop = threading.Event()
        pusher = threading.Thread(target=_push_on, args=(url, stop))
        pusher.start()
        samples = []
        page.wait_for_timeout(3_000)
        began = time.monotonic()
        before = _metrics(session)
        while time.monotonic() - began < seconds:
            page.wait_for_timeout(min(seconds / 4, 10) * 1_000)
            session.send("HeapProfiler.collectGarbage")
            samples.append((time.monotonic() - began, _metrics(session)))
        stop.set()
        pusher.join()
        after = samples[-1][1]
        wall = samples[-1][0]
        context.close()
    minutes = [at / 60 for at, _ in samples]
    return {
        "seconds": seconds,
        "main_thread_busy": round((after["TaskDuration"] - before["TaskDuration"]) / wall, 3),
        "heap_mb": [round(each["JSHeapUsedSize"] / 1e6, 1) for _, each in (samples[0], samples[-1])],
        "heap_mb_per_minute": _slope(minutes, [each["JSHeapUsedSize"] / 1e6 for _, each in samples]),
        "nodes": [each["Nodes"] for _, each in (samples[0], samples[-1])],
        "nodes_per_minute": _slope(minutes, [each["Nodes"] for _, each in samples]),
    }


def _metrics(session: Any) -> dict[str, float]:
    return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}


def _slope(xs: list[float], ys: list[float]) -> float:
    half = len(xs) // 2  # the first half fills caches
    return round(statistics.linear_regression(xs[half:], ys[half:]).slope, 2)


def _push_on(url: str, stop: threading.Event) -> None:
    """An hour of a busy day in two minutes: thirty times the news, 15 a second over ten tickers."""
    number = 0
    while not stop.wait(0.2):
        number += 1
        now = datetime.now(UTC)
        _push(url, [(TICKERS[(number * 3 + each) % 10], now, ((number + each) % 19) / 10 - 0.9) for each in range(3)])


def _push(url: str, scores: list[tuple[str, datetime, float]]) -> None:
    items = [
        {"id": f"{ticker}-{at.timestamp()}", "ts": at.isoformat(), "ticker": ticker, "text": "", "score": score}
        for ticker, at, score in scores
    ]
    body = json.dumps(items).encode()
    request = urllib.request.Request(f"{url}/api/v2/items", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()


def _opened(context: BrowserContext, address: str, charts: int) -> Page:
    page = context.new_page()
    page.add_init_script(PAINTED)
    page.goto(address)
    page.wait_for_function(
        '(charts) => document.querySelectorAll(".js-plotly-plot:has(g.painted)").length >= charts',
        arg=charts,
        timeout=PATIENCE_MS,
    )
    page.wait_for_function(QUIET, timeout=PATIENCE_MS, polling=200)
    return page


def _peer(context: BrowserContext, url: str) -> Page:
    """The peer's page, on the same origin as the product's so that both are timed alike."""
    page = context.new_page()
    page.add_init_script(PAINTED)
    script = _peer_folder() / "node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.js"
    page.route("**/peer/", lambda route: route.fulfill(content_type="text/html", body=(PEER / "peer.html").read_text()))
    page.route(
        "**/peer/lightweight-charts.js",
        lambda route: route.fulfill(content_type="text/javascript", body=script.read_text()),
    )
    page.goto(f"{url}/peer/")
    return page


def _peer_folder() -> Path:
    """Where npm has put the peer; it is fetched once."""
    folder = STORES / "peer"
    if not (folder / "node_modules/lightweight-charts").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(PEER / "package.json", folder)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
    return folder


def _peer_version() -> str:
    described = json.loads((_peer_folder() / "node_modules/lightweight-charts/package.json").read_text())
    return str(described["version"])


def _store() -> Path:
    """Three days of ten tickers, a score every 20 s for each, made once and kept."""
    folder = STORES / f"browser-{DAYS}-{SCORE_EVERY_S}-busy"
    if not (folder / "COMPLETE").exists():
        start = datetime(2024, 10, 1, tzinfo=UTC)
        lines = [
            json.dumps(
                {
                    "id": f"{ticker}-{n}",
                    "ts": (start + timedelta(seconds=n * SCORE_EVERY_S)).isoformat(),
                    "ticker": ticker,
                    "text": "",
                    "score": round(((n * 7919 + number * 31) % 2_000) / 1_000 - 1, 6),
                }
            )
            for number, ticker in enumerate(TICKERS)
            for n in range(DAYS * 86_400 // SCORE_EVERY_S)
        ]
        # A busy minute before the end: what comes live is not the most there ever was.
        busy = start + timedelta(days=DAYS, minutes=-20)
        lines += [
            json.dumps({"id": f"{ticker}-busy-{n}", "ts": busy.isoformat(), "ticker": ticker, "text": "", "score": 0.2})
            for ticker in TICKERS
            for n in range(200)
        ]
        environment = {**os.environ, "TICKERTONE_DATA_DIR": str(folder)}
        for command, text in ((["ingest", "-", "--format", "jsonl"], "\n".join(lines)), (["rollup"], "")):
            subprocess.run(
                [sys.executable, "-m", "dashapp", *command], input=text, env=environment, check=True, text=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
        (folder / "COMPLETE").touch()
    return folder


def _range(candles: int) -> str:
    """The part of an address that shows so many minutes at the end of the store."""
    end = datetime(2024, 10, 1, tzinfo=UTC) + timedelta(days=DAYS)
    start = end - timedelta(minutes=candles)
    return f"start={start:%Y-%m-%dT%H:%M:%SZ}&end={end:%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def _server(command: str, store: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {
        "TICKERTONE_DATA_DIR": str(store),
        "TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes",
        "TICKERTONE_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "dashapp", command, "--port", str(port)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).read()
                break
            except OSError:
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "p95": round(percentile(values, 0.95), 2)}


if __name__ == "__main__":
    main()
