"""The page that says what is wrong, on real servers: in words, behind the login, below a path, without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashapp.store.apikeys import READ, ApiKeys
from tests.conftest import Server, ServerFactory


@pytest.fixture(scope="module")
def served(server: ServerFactory) -> Server:
    return server("serve", env={"TICKERTONE_BASE_PATH": "/sentiment", "TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes"})


@pytest.fixture
def ailing(served: Server) -> Iterator[Server]:
    """A server of whose jobs and sources the worst is told."""
    jobs = served.data_dir / "jobs"
    jobs.mkdir(exist_ok=True)
    told = {
        "name": "rollup",
        "consecutive_failures": 2,
        "last_error": "<script>alert(1)</script> `x`",
        "last_start_us": 1,
    }
    (jobs / "rollup.json").write_text(json.dumps(told), "utf-8")
    yield served
    (jobs / "rollup.json").unlink()


def test_it_says_that_all_is_well(served: Server) -> None:
    told = httpx.get(f"{served.url}/sentiment/api/v2/health").json()
    answer = httpx.get(f"{served.url}/sentiment/health")
    disk = [each for each in told["findings"] if each["about"] != "disk"]  # whatever that of the tests is like
    assert disk == []
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert 'href="/sentiment/"' in answer.text
    assert "<script" not in answer.text
    assert ("All is well." in answer.text) == (told["findings"] == [])
    assert httpx.head(f"{served.url}/sentiment/health").status_code == 200


def test_what_is_wrong_stands_there_harmless_and_with_its_remedy(ailing: Server) -> None:
    (found,) = (
        each
        for each in httpx.get(f"{ailing.url}/sentiment/api/v2/health").json()["findings"]
        if each["about"] == "job rollup"
    )
    assert found["severity"] == "bad"
    page = httpx.get(f"{ailing.url}/sentiment/health").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<code>tickertone rollup</code>" in page


def test_rejected_items_are_counted(served: Server) -> None:
    body = b"\n".join(b'{"id": %d}' % number for number in range(30))
    assert httpx.post(f"{served.url}/api/v2/items", content=body).json()["rejected"] == 30
    told = httpx.get(f"{served.url}/api/v2/health").json()["findings"]
    assert "30 of 30 pushed items of the last hour were rejected." in [each["what"] for each in told]


def test_a_browser_shows_it_at_the_width_of_a_phone_and_blocks_nothing(ailing: Server, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{ailing.url}/sentiment/health")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"needs? looking at"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("link", name="Tickertone").click()
    expect(page).to_have_url(re.compile("/sentiment/"))


def test_it_stands_behind_the_login(server: ServerFactory) -> None:
    guarded = server("serve", data_dir=server.directory / "guarded", env={"TICKERTONE_LOGIN": "password"})
    key, _ = ApiKeys(guarded.data_dir).add("look", now_us=0, scopes=(READ,))
    for path in ("/health", "/api/v2/health"):
        assert httpx.get(guarded.url + path).status_code == 401
    led = httpx.get(f"{guarded.url}/health", headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Fhealth")
    assert httpx.get(f"{guarded.url}/api/v2/health", headers={"X-API-Key": key}).json()["timestamp"]
