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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from bench.harness import RESULTS, STORES, percentile, report_child, save, versions

PEER = Path(__file__).parent / "peer"
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
TICKERS = tuple(f"TK{number:02d}" for number in range(10))
TEN = ",".join(TICKERS)
WINDOW: ViewportSize = {"width": 1600, "height": 950}
PATIENCE_MS = 60_000
DAYS = 3
SCORE_EVERY_S = 20
DAY = datetime(2024, 10, 1, tzinfo=UTC)
# What is asked for. Times in milliseconds are p95; goals are shares of what the peer takes for the same.
BUDGETS = {
    "one_chart": {"switch_ms": 50, "switch_to_peer": 1.5},
    "ten_charts": {"switch_ms": 100, "switch_to_peer": 1.5},
    "ticks": {"tick_ms_per_chart": 4, "tick_to_peer": 1},
    "not_cached": {"switch_ms": 150},
    "visits": {"first_visit_ten_charts_ms": 1_500, "returning_first_chart_ms": 500},
    "scroll": {"longest_ms": 100, "blank_frames": 0},
    "live": {"main_thread_busy": 0.3},
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
IN_VIEW = """(at) => {
    const { data, layout } = document.querySelectorAll(".js-plotly-plot")[at];
    const [start, end] = layout.xaxis.range.map((each) => Date.parse(`${each.replace(" ", "T")}Z`));
    const place = (moment) => data[0].x.filter((each) => each < moment).length;
    return [place(start), place(end)]; }"""
PEER_SWITCH = """async ([count, which]) => {
    const began = performance.now();
    for (let at = 0; at < count; at += 1) put(at, window.sets[which], window.inView[which]);
    return await painted() - began;
}"""
# So many live changes are measured together, so far apart.
TICKS_AT_ONCE = 10
TICK_EVERY_MS = 100
TICKS = f"""async () => {{
    const {{ board }} = window.tickertone;
    for (let nth = 0; nth < {TICKS_AT_ONCE}; nth += 1) {{
        const charts = [...document.querySelectorAll(".js-plotly-plot")];
        const rows = charts.map(({{ data, layout }}) => {{
            const {{ x, customdata }} = data[0];
            const at = x.length - 1;
            const {{ ticker, resolution }} = layout.meta;
            const count = customdata[at][1] + 1;
            const score = ((count * 37) % 99) / 100 + 0.005;
            return {{ ticker, resolution, timestamp: new Date(x[at]).toISOString(), open: 0.1, high: 0.9, low: -0.9,
                close: score, avg: score / 2, count, sources: ["bench"], revision: 1,
                label_counts: {{ positive: 1, neutral: 0, negative: count - 1 }} }};
        }});
        board.put(rows);
        await new Promise((end) => setTimeout(end, {TICK_EVERY_MS}));
        const isDrawn = () => charts.every(({{ data }}, at) => data[0].close.at(-1) === rows[at].close);
        for (let waited = 0; !isDrawn(); waited += 1) {{
            if (waited > 20) throw new Error("a change is not drawn");
            await new Promise((end) => setTimeout(end, {TICK_EVERY_MS}));
        }}
    }}
}}"""
PEER_TICKS = f"""async (count) => {{
    const last = window.sets[0].at(-1);
    for (let nth = 0; nth < {TICKS_AT_ONCE}; nth += 1) {{
        window.ticked = (window.ticked ?? 0) + 1;
        const score = ((window.ticked * 37) % 100) / 100 - 0.5;
        for (let at = 0; at < count; at += 1) tick(at, {{ ...last, high: 0.9, low: -0.9, close: score, avg: score / 2,
            count: last.count + window.ticked }});
        await new Promise((end) => setTimeout(end, {TICK_EVERY_MS}));
    }}
}}"""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is measured: `measure(browser, url, brief)`, over the store or over an empty one that runs."""

    measure: Callable[[Browser, str, bool], dict[str, Any]]
    limit_s: float
    command: str = "serve"


def main() -> None:
    """Measure all parts, or those named; other parts in the result file stay. `brief` shows in a minute that it works.

    Each part runs in a process of its own with a time limit, so that none can hold up the others.
    """
    asked = sys.argv[1:]
    if asked[:1] == ["--child"]:
        report_child(**_measure(PARTS[asked[1]], brief="brief" in asked))
        return
    brief = "brief" in asked
    names = [each for each in asked if each != "brief"] or list(PARTS)
    if strange := [each for each in names if each not in PARTS]:
        raise SystemExit(f"no such part: {', '.join(strange)}; there are {', '.join(PARTS)}")
    _store()
    _peer_folder()
    figures: dict[str, Any] = {}
    for name in names:
        figures[name] = _in_time(name, brief=brief)
        sys.stderr.write(f"{name}: {json.dumps(figures[name])}\n")
    if brief:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    file = RESULTS / "browser.json"
    held = json.loads(file.read_text()) if file.exists() else {}
    parts = {name: figures.get(name, held.get(name)) for name in PARTS if name in figures or name in held}
    used = {**versions("dash", "plotly", "playwright"), "lightweight-charts": _peer_version()}
    save("browser", {"budgets": BUDGETS, **parts, "versions": used})


def _in_time(name: str, *, brief: bool) -> dict[str, Any]:
    """The figures of a part, or that it did not end in time; then all it started is ended."""
    command = [sys.executable, "-m", "bench.browser", "--child", name, *(["brief"] if brief else [])]
    limit_s = PARTS[name].limit_s
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        told, _ = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return {"failed": f"not done after {limit_s:g} s"}
    if child.returncode:
        return {"failed": f"ended with {child.returncode}"}
    answer: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    answer.pop("peak_mb")  # of Python, which says nothing here
    return answer


def _measure(part: Part, *, brief: bool) -> dict[str, Any]:
    chromium = os.environ.get("TICKERTONE_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TICKERTONE_BENCH_DIR")) as folder:
        store = _store() if part.command == "serve" else Path(folder) / "store"
        with _server(part.command, store) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            figures = part.measure(browser, url, brief)
            browser.close()
    return figures


def _one_chart(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
    """One large chart: from 60 candles in view at 5m to 300 at 1m, with 1,500 loaded: two windows to each side."""
    start = DAY + timedelta(hours=30)
    span = f"start={start:%Y-%m-%dT%H:%M:%SZ}&end={start + timedelta(minutes=300):%Y-%m-%dT%H:%M:%SZ}"
    return _switches(browser, f"{url}/?tickers=TK00&resolution=1m&{span}", 1, 6 if brief else 40)


def _ten_charts(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
    """Ten charts of 240 candles at 5m and at 1m, all in sight."""
    return _switches(browser, f"{url}/?tickers={TEN}&resolution=1m&range=fit", 10, 6 if brief else 40)


def _switches(browser: Browser, address: str, count: int, repeats: int) -> dict[str, Any]:
    """Resolution switches from 5m to 1m, all data in the browser, in turns with the peer and the same data."""
    context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
    page = _opened(context, address, count)
    peer = _peer(context, address.split("/?")[0])
    peer.evaluate("(count) => make(count)", count)
    sets, in_view = [], []
    for name in ("5m", "1m"):
        page.bring_to_front()
        page.evaluate(CLICK, name)
        page.wait_for_function(QUIET, timeout=PATIENCE_MS, polling=200)
        page.wait_for_timeout(300)
        sets.append(page.evaluate(ROWS, 0))
        in_view.append(page.evaluate(IN_VIEW, 0))
    peer.evaluate("([sets, inView]) => { window.sets = sets; window.inView = inView; }", [sets, in_view])
    ours, theirs = [], []
    for turn in range(repeats + 2):
        page.bring_to_front()
        for name in ("5m", "1m"):
            page.wait_for_timeout(120)
            took = page.evaluate(CLICK, name)
        peer.bring_to_front()
        for at in (0, 1):
            peer.wait_for_timeout(120)
            beside = peer.evaluate(PEER_SWITCH, [count, at])
        if turn >= 2:  # the first of each compile their code
            ours.append(took)
            theirs.append(beside)
    context.close()
    return {
        "charts": count,
        "candles_on_the_chart": len(sets[1]),
        "candles_in_view": in_view[1][1] - in_view[1][0],
        "switch_ms": _spread(ours),
        "peer_switch_ms": _spread(theirs),
        "switch_to_peer": round(statistics.median(ours) / statistics.median(theirs), 2),
    }


def _ticks(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
    """A live change of the newest candle, on one chart and on ten at once: how long the main thread is busy with it."""
    found = {}
    for name, count in (("one_chart", 1), ("ten_charts", 10)):
        context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
        tickers = ",".join(TICKERS[:count])
        page = _opened(context, f"{url}/?tickers={tickers}&resolution=1m&range=fit", count)
        peer = _peer(context, url)
        peer.evaluate("(count) => make(count)", count)
        sets, in_view = [page.evaluate(ROWS, 0)], [page.evaluate(IN_VIEW, 0)]
        peer.evaluate("([sets, inView]) => { window.sets = sets; window.inView = inView; }", [sets, in_view])
        peer.bring_to_front()
        peer.evaluate(PEER_SWITCH, [count, 0])
        ours, theirs = [], []
        for _ in range(3 if brief else 12):
            page.bring_to_front()
            ours.append(_main_thread_ms(page, TICKS, count))
            peer.bring_to_front()
            theirs.append(_main_thread_ms(peer, PEER_TICKS, count))
        context.close()
        found[name] = {
            "tick_ms_per_chart": _spread(ours[1:]),
            "peer_tick_ms_per_chart": _spread(theirs[1:]),
            "tick_to_peer": round(statistics.median(ours[1:]) / statistics.median(theirs[1:]), 2),
        }
    return found


def _main_thread_ms(page: Page, act: str, count: int) -> float:
    """The main thread's time for one of TICKS and all that follows from it, per chart, by Chromium's own count.

    What the page does anyway in as long a time is taken off.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy_s(script: str) -> float:
        before = _metrics(session)["TaskDuration"]
        page.evaluate(script, count)
        return _metrics(session)["TaskDuration"] - before

    page.wait_for_timeout(700)
    idle_s = busy_s(f"() => new Promise((end) => setTimeout(end, {TICKS_AT_ONCE * TICK_EVERY_MS}))")
    took_s = busy_s(act)
    session.detach()
    return (took_s - idle_s) * 1e3 / TICKS_AT_ONCE / count


def _not_cached(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
    """A switch to a resolution the browser does not hold and the server does."""
    took = []
    context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
    page = _opened(context, f"{url}/?tickers=TK00&resolution=1m&{_range(300)}", 1)
    for _ in range(5 if brief else 25):
        page.evaluate("() => window.tickertone.cache.forget('5m')")
        took.append(page.evaluate(CLICK, "5m"))
        page.wait_for_timeout(300)
        page.evaluate(CLICK, "1m")
        page.wait_for_timeout(300)
    context.close()
    return {"switch_ms": _spread(took)}


def _visits(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
    """From navigation to painted charts: ten of them for a new visitor, the first of them for one who comes back.

    Candles are painted first as sketches, by the page itself; how long it takes until Dash has drawn all charts, which
    then can be pointed at, is told beside.
    """
    script = """() => { if (window.began) return; window.began = true;
        const look = () => {
            const of = (what) => document.querySelectorAll(`${what} path.box.rising.many`).length;
            const [sketches, charts] = [of(".sketch[data-drawn]"), of(".js-plotly-plot")];
            const most = Math.max(sketches, charts);
            if (most >= 1 && !window.firstMs) painted().then((at_ms) => { window.firstMs ??= at_ms; });
            if (most >= 10 && !window.tenMs) painted().then((at_ms) => { window.tenMs ??= at_ms; });
            if (charts >= 10) painted().then((at_ms) => { window.dashMs = at_ms; });
            else requestAnimationFrame(look); };
        look(); }"""
    names = ("firstMs", "tenMs", "dashMs")
    first: list[list[float]] = []
    back: list[list[float]] = []
    for _ in range(2 if brief else 6):
        context = browser.new_context(viewport=WINDOW, timezone_id="UTC")
        context.add_init_script(f"{PAINTED}; ({script})()")
        address = f"{url}/?tickers={TEN}&resolution=1h&range=fit"
        for visits in (first, back, back):
            page = context.new_page()
            page.goto(address)
            page.wait_for_function("() => window.dashMs", timeout=PATIENCE_MS)
            visits.append([page.evaluate(f"window.{name}") for name in names])
            page.wait_for_timeout(6_500 if visits is first else 500)  # what it keeps is written behind
            page.close()
        context.close()
    parts = ("first_chart_ms", "ten_charts_ms", "ten_charts_by_dash_ms")
    return {
        f"{who}_{part}": _spread([visit[at] for visit in visits])
        for who, visits in (("first_visit", first), ("returning", back))
        for at, part in enumerate(parts)
    }


def _scroll(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
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


def _live(browser: Browser, url: str, brief: bool) -> dict[str, Any]:
    """An hour of news squeezed into two minutes, ten charts: heap, nodes, and how busy the main thread is."""
    seconds = 20 if brief else 120
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
    minutes_in = [at / 60 for at, _ in samples]
    return {
        "seconds": seconds,
        "main_thread_busy": round((after["TaskDuration"] - before["TaskDuration"]) / wall, 3),
        "heap_mb": [round(each["JSHeapUsedSize"] / 1e6, 1) for _, each in (samples[0], samples[-1])],
        "heap_mb_per_minute": _slope(minutes_in, [each["JSHeapUsedSize"] / 1e6 for _, each in samples]),
        "nodes": [each["Nodes"] for _, each in (samples[0], samples[-1])],
        "nodes_per_minute": _slope(minutes_in, [each["Nodes"] for _, each in samples]),
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
        start = DAY
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
    end = DAY + timedelta(days=DAYS)
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


PARTS = {
    "one_chart": Part(_one_chart, 100),
    "ten_charts": Part(_ten_charts, 150),
    "ticks": Part(_ticks, 300),
    "not_cached": Part(_not_cached, 60),
    "visits": Part(_visits, 240),
    "scroll": Part(_scroll, 120),
    "live": Part(_live, 240, "run"),
}


if __name__ == "__main__":
    main()
