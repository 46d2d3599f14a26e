"""The page of the API in a browser that has no network but the server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.conftest import ServerFactory

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def test_the_page_shows_every_route_and_asks_nobody_else(page: Page, server: ServerFactory) -> None:
    url = server("serve").url
    elsewhere: list[str] = []

    def only_here(route: Route) -> None:
        asked = route.request.url
        if asked.startswith(("data:", "blob:")) or urlsplit(asked).netloc == urlsplit(url).netloc:
            route.continue_()
        else:
            elsewhere.append(asked)
            route.abort()

    page.route("**/*", only_here)
    page.goto(f"{url}/api/docs")
    page.wait_for_selector(".opblock")
    shown = page.locator(".opblock-summary-path").all_inner_texts()
    paths = {path.replace("\u200b", "") for path in shown}
    assert {"/api/v2/timeseries", "/api/v2/timeseries/{ticker}", "/api/v2/items", "/api/v2/export", "/metrics"} <= paths
    page.locator("#operations-tickers-list_tickers .opblock-summary-control").click()
    page.wait_for_selector("#operations-tickers-list_tickers .parameters-container")
    assert elsewhere == []
