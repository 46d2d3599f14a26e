"""Logging in and out in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from dashapp.access.passwords import hash_password
from dashapp.store.users import Users
from tests.conftest import ServerFactory

PASSWORD = "correct horse battery"
PATIENCE_MS = 60_000


def test_a_person_logs_in_looks_on_and_out(server: ServerFactory, page: Page, console_errors: list[str]) -> None:
    users = Users(server.default_data_dir)
    users.put("ann", hash_password(PASSWORD), now_us=0)
    served = server("serve", env={"TICKERTONE_LOGIN": "password"})
    page.goto(f"{served.url}/?resolution=1h")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("wrong horse battery")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Name and password do not fit.")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/\?.*resolution=1h"))
    expect(page.locator("#resolution label")).to_have_count(8, timeout=PATIENCE_MS)
    page.get_by_role("link", name="Log out").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login$"))
    page.goto(served.url)
    expect(page).to_have_url(re.compile("/login"))

    # Whose session ends while the page is open is led to the login by the page itself.
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#resolution label")).to_have_count(8, timeout=PATIENCE_MS)
    users.remove("ann")
    expect(page).to_have_url(re.compile("/login"), timeout=PATIENCE_MS)
    # The browser names each answer of 401; the page itself has nothing to complain of.
    assert [each for each in console_errors if "401" not in each] == []
    console_errors.clear()
