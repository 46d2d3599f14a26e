"""What all tests share: profiles, real data, the real command, the real server, the real browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests import forked

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page
    from selenium.webdriver.chrome.options import Options

REPOSITORY = Path(__file__).resolve().parents[1]

# Chosen with --hypothesis-profile. `ci` finds the same examples on every machine, so a red run is red for everyone.
settings.register_profile(
    "ci", max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("slow", max_examples=3_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

# A test that asks for one of these is a browser test, whether or not it says so.
BROWSER_FIXTURES = {"browser", "page", "dash_duo", "dash_br"}
SELENIUM_FIXTURES = {"dash_duo", "dash_br"}

# --no-sandbox: CI runs as root, where Chromium refuses to start with its sandbox. --disable-dev-shm-usage: containers
# give /dev/shm 64 MB, on which a page with charts crashes.
CHROMIUM_FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
WINDOW = {"width": 1280, "height": 900}


def chromium_path() -> str | None:
    """The Chromium to test with: $TICKERTONE_CHROMIUM, or Debian's; None where there is none."""
    return os.environ.get("TICKERTONE_CHROMIUM") or shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        wanted = set(getattr(item, "fixturenames", ()))
        if "real_data" in wanted:
            item.add_marker(pytest.mark.real)
        if wanted & BROWSER_FIXTURES:
            item.add_marker(pytest.mark.browser)
            # A browser, a server and a test on two cores wait for each other: one that runs out of time gets a second
            # try, which the summary names.
            item.add_marker(pytest.mark.flaky(reruns=2))
        elif item.path.parent.name == "live":
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") and chromium_path() is None:
        pytest.skip("no Chromium: install Debian's chromium, or name one in TICKERTONE_CHROMIUM")
    if SELENIUM_FIXTURES & set(getattr(item, "fixturenames", ())) and shutil.which("chromedriver") is None:
        pytest.skip("no chromedriver on PATH: install Debian's chromium-driver")


def pytest_setup_options() -> Options:
    """The browser options of dash_duo (a hook of dash.testing)."""
    from selenium.webdriver.chrome.options import Options

    options = Options()
    options.binary_location = chromium_path()
    for flag in (*CHROMIUM_FLAGS, "--headless=new", f"--window-size={WINDOW['width']},{WINDOW['height']}"):
        options.add_argument(flag)
    return options


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded real data: $TICKERTONE_REAL_DATA, or shared/real beside the checkout."""
    named = os.environ.get("TICKERTONE_REAL_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"no recorded real data at {folder}: name its folder in TICKERTONE_REAL_DATA")
    return folder


def free_port_number() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def free_port() -> int:
    """One, for a test."""
    return free_port_number()


def _environment(data_dir: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    # The settings of whoever runs the tests must not reach the product under test.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TICKERTONE_")}
    return {**inherited, "TICKERTONE_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", **(more or {})}


@dataclass
class Tickertone:
    """The real command over one store: call it for the finished process, or `.json(...)` for what it printed."""

    data_dir: Path
    directory: Path

    def __call__(
        self,
        *arguments: str | Path,
        data_dir: Path | None = None,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 120,
        code: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run it; fails the test when the exit code is not `code` (None: any will do)."""
        arguments = tuple(map(str, arguments))
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin.encode() if isinstance(stdin, str) else stdin or b"")
            given.seek(0)
            process = forked.start(
                arguments, files=(given, out, err), cwd=self.directory, env=_environment(data_dir or self.data_dir, env)
            )
            try:
                process.wait(timeout_s)
            finally:
                process.kill()
            process.wait()
            for file in (out, err):
                file.seek(0)
            done = subprocess.CompletedProcess(
                self.command(*arguments), process.wait(), out.read().decode(), err.read().decode()
            )
        if code is not None and done.returncode != code:
            pytest.fail(
                f"tickertone {' '.join(map(str, arguments))} exited with {done.returncode}, not {code}\n"
                f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
            )
        return done

    def json(self, *arguments: str | Path, **how: Any) -> Any:
        """Run it with --json and parse the one JSON value on stdout."""
        return json.loads(self(*arguments, "--json", **how).stdout)

    def start(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start it and return at once, for tests that kill it; the caller ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.directory,
            env=_environment(self.data_dir, env),
            text=True,
        )

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line that runs it with the Python of the tests."""
        return [sys.executable, "-m", "dashapp", *map(str, arguments)]


@pytest.fixture
def tickertone(tmp_path: Path) -> Tickertone:
    """The real command, on an empty store of its own, in a directory without a settings file."""
    directory = tmp_path / "cwd"
    directory.mkdir()
    return Tickertone(data_dir=tmp_path / "store", directory=directory)


@dataclass
class Server:
    """A running `tickertone serve` or `demo`."""

    url: str
    port: int
    data_dir: Path
    process: forked.Process
    log_path: Path

    @property
    def log(self) -> str:
        """Everything it has printed so far."""
        return self.log_path.read_text("utf-8", errors="replace")

    def stop(self, timeout_s: float = 10) -> int:
        """End it as a service manager would, then by force; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


@dataclass
class ServerFactory:
    """Starts servers over stores; call it with the command, its options and the store."""

    directory: Path
    default_data_dir: Path
    started: list[Server] = field(default_factory=list)

    def __call__(
        self,
        command: str = "serve",
        *options: str,
        data_dir: Path | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> Server:
        """Start it and wait until /healthz answers 200."""
        port = port or free_port_number()
        store = data_dir or self.default_data_dir
        log_path = self.directory / f"{command}-{port}.log"
        with log_path.open("ab") as log:
            process = forked.start(
                [command, "--host", "127.0.0.1", "--port", str(port), *options],
                files=(subprocess.DEVNULL, log, log),
                cwd=self.directory,
                env=_environment(store, env),
            )
        server = Server(f"http://127.0.0.1:{port}", port, store, process, log_path)
        self.started.append(server)
        deadline = time.monotonic() + timeout_s
        while not _healthy(server.url):
            if process.poll() is not None:
                pytest.fail(f"tickertone {command} ended with {process.returncode} at start:\n{server.log}")
            if time.monotonic() > deadline:
                pytest.fail(f"tickertone {command} did not answer {server.url}/healthz in {timeout_s} s:\n{server.log}")
            time.sleep(0.05)
        return server


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Starts real servers, which live until the module's tests are done: `server("demo", data_dir=...)`."""
    directory = tmp_path_factory.mktemp("server")
    factory = ServerFactory(directory, directory / "store")
    yield factory
    for started in factory.started:
        started.stop()
        with contextlib.suppress(ProcessLookupError):  # raised when it left no workers behind, as it should
            os.killpg(started.process.pid, signal.SIGKILL)
        print(f"--- {started.log_path.name}\n{started.log}")


# Playwright's event loop runs in this thread while a browser is open, and no asyncio.run can beside it. So a browser
# lasts one module, not the session: modules without one are free to use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, driven by Playwright."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # five seconds are not enough on a busy machine
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the page complained of; `page` fails the test unless it is empty at the end, so clear what was expected."""
    return []


@pytest.fixture
def page(browser: Browser, console_errors: list[str]) -> Iterator[Page]:
    """A page in a fresh context: no cookies, no IndexedDB, UTC, English."""
    context = browser.new_context(viewport=WINDOW, locale="en-GB", timezone_id="UTC")
    opened = context.new_page()

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            console_errors.append(f"{message.text} ({message.location.get('url')})")

    opened.on("console", on_console)
    opened.on("pageerror", lambda error: console_errors.append(str(error)))
    yield opened
    context.close()
    assert console_errors == []
