"""Pictures of the main states of the page, for docs/ and for whoever changed how it looks.

`python tools/screenshots.py` starts a demo in a folder of its own and writes docs/page-*.png. With `--url URL` and
`--out DIR` it looks at a server that runs already: every state at every width, light and dark.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).resolve().parents[1] / "docs"
TICKERS = "AAPL,TSLA,NVDA,MSFT,AMZN,META,GOOG,JPM,BAC"
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
PATIENCE_MS = 60_000
DRAWN = "() => [...document.querySelectorAll('.card[data-ticker]')].some(c => c.querySelector('.axis span'))"
SIZES = {"laptop": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}


def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--url", help="a server that runs; without it a demo is started")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder they go to")
    parser.add_argument("--tickers", default=TICKERS)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with contextlib.ExitStack() as stack:
        stop: Callable[[], None] | None = None
        url = asked.url
        if url is None:
            url, stop = stack.enter_context(demo())
        playwright = stack.enter_context(sync_playwright())
        chromium = os.environ.get("TICKERTONE_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        stack.callback(browser.close)
        if asked.url:
            everything(browser, url, asked.out, asked.tickers)
        else:
            for_docs(browser, url, asked.out, asked.tickers, stop)


def for_docs(browser: Browser, url: str, out: Path, tickers: str, stop: Callable[[], None] | None) -> None:
    """One picture of each state the documentation shows."""
    focus = f"tickers={tickers}&resolution=1h&range=fit&focus=AAPL"
    with opened(browser, url, focus) as page:
        hover(page)
        page.screenshot(path=out / "page-focus.png")
    with opened(browser, url, f"tickers={tickers}&resolution=3h&range=1w", theme="dark") as page:
        page.screenshot(path=out / "page-grid-dark.png")
    with opened(browser, url, "tickers=TSLA&resolution=1h&range=fit") as page:
        drill(page)
        page.screenshot(path=out / "page-texts.png")
    with opened(browser, url, f"tickers={tickers}&resolution=1h&range=fit&focus=AAPL", size="phone") as page:
        page.screenshot(path=out / "page-phone.png")
    with opened(browser, url, "tickers=TSLA&resolution=1h&range=fit", size="phone", theme="dark") as page:
        drill(page)
        page.screenshot(path=out / "page-phone-texts-dark.png")
    empty = "tickers=AAPL&resolution=1h&start=2012-01-01T00:00:00Z&end=2012-01-02T00:00:00Z"
    with opened(browser, url, empty, ready="() => document.querySelector('.empty .act')") as page:
        page.screenshot(path=out / "page-empty.png")
    if stop is not None:
        with opened(browser, url, "tickers=AAPL,TSLA&resolution=1h&range=fit") as page:
            stop()
            page.wait_for_selector('#feed[data-state="offline"]', timeout=PATIENCE_MS)
            page.screenshot(path=out / "page-offline.png")


def everything(browser: Browser, url: str, out: Path, tickers: str) -> None:
    """Every state at every size, light and dark."""
    first = tickers.split(",")[0]
    states: dict[str, tuple[str, Callable[[Page], None]]] = {
        "focus": (f"tickers={tickers}&resolution=3h&range=fit&focus={first}", hover),
        "grid": (f"tickers={tickers}&resolution=6h&range=fit", lambda page: None),
        "one": (f"tickers={first}&resolution=1h&range=fit", hover),
        "texts": (f"tickers={tickers}&resolution=24h&range=fit&focus={first}", drill),
        "share": (f"tickers={tickers}&resolution=3h&range=fit", press("#share")),
        "lists": (f"tickers={tickers}&resolution=3h&range=fit", press("#lists")),
        "health": (f"tickers={tickers}&resolution=3h&range=fit", press("#health")),
        "span": (f"tickers={tickers}&resolution=3h&range=fit", press("#span")),
    }
    for size in SIZES:
        for theme in ("light", "dark"):
            for name, (query, act) in states.items():
                with opened(browser, url, query, size=size, theme=theme) as page:
                    act(page)
                    page.wait_for_timeout(300)
                    page.screenshot(path=out / f"{name}-{size}-{theme}.png")


@contextlib.contextmanager
def opened(
    browser: Browser, url: str, query: str, *, size: str = "laptop", theme: str = "light", ready: str = DRAWN
) -> Iterator[Page]:
    """A page that shows a view, in a fresh context, once it is drawn."""
    width, height = SIZES[size]
    is_phone = size == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id="Europe/Berlin",
        locale="en-GB",
        has_touch=is_phone,
        is_mobile=is_phone,
        device_scale_factor=2 if is_phone else 1,
    )
    page = context.new_page()
    page.goto(f"{url}/?{query}")
    page.wait_for_function(ready, timeout=PATIENCE_MS)
    page.wait_for_timeout(800)  # the other charts, the badge
    yield page
    context.close()


def hover(page: Page) -> None:
    """Points at a candle of the first chart."""
    box = page.locator(".nsewdrag").first.bounding_box()
    if box:
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
        page.mouse.move(box["x"] + box["width"] * 0.6 + 2, box["y"] + box["height"] * 0.3)
        page.wait_for_timeout(300)


def drill(page: Page) -> None:
    """Opens the texts of the newest candle of the first chart by keyboard, and walks a little back."""
    page.locator(".stage").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".texts li")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(600)


def press(menu: str) -> Callable[[Page], None]:
    """Opens a menu of the bar."""
    return lambda page: page.locator(f"{menu} > summary").click()


@contextlib.contextmanager
def demo() -> Iterator[tuple[str, Callable[[], None]]]:
    """A demo in a folder of its own: its address, and what ends it early."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {**os.environ, "TICKERTONE_DATA_DIR": f"{folder}/store"}
        command = [sys.executable, "-m", "dashapp", "demo", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)

        def stop() -> None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)

        url = f"http://127.0.0.1:{port}"
        try:
            until_healthy(url)
            yield url, stop
        finally:
            stop()


def until_healthy(url: str) -> None:
    """Waits for a server."""
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=2):
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


if __name__ == "__main__":
    main()
