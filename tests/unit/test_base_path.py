"""The base path: what the middleware makes of paths, and that nothing of the page is addressed past it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from dashapp.config import Settings, load
from dashapp.web import layout
from dashapp.web.app import ASSETS
from dashapp.web.base import BasePath
from dashapp.web.modules import PLAIN


def ask(path: str, base_path: str = "/a/b") -> httpx.Response:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        told = f"{scope['path']} {scope['raw_path'].decode()} {scope['query_string'].decode()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told})

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(BasePath(inner, base_path=base_path))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return await client.get(path)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/a/b/", "/ / "),
        ("/a/b/api/v2/timeseries/BTC%2FUSD?x=1", "/api/v2/timeseries/BTC/USD /api/v2/timeseries/BTC%2FUSD x=1"),
        ("/a/b/a/b/x", "/a/b/x /a/b/x "),
        ("/api/v2/tickers", "/api/v2/tickers /api/v2/tickers "),
        ("/a/bc", "/a/bc /a/bc "),
        ("/", "/ / "),
    ],
)
def test_the_base_path_is_taken_away_once_where_a_proxy_left_it(path: str, told: str) -> None:
    assert ask(path).text == told


def test_the_base_path_without_its_slash_leads_to_the_page() -> None:
    answer = ask("/a/b?tickers=AAPL")
    assert (answer.status_code, answer.headers["location"]) == (308, "/a/b/?tickers=AAPL")


@pytest.mark.parametrize("path", ["", "/sentiment", "/a/b.c/d-e_f~1", "/apis", "/a/api"])
def test_paths_that_no_route_of_the_server_begins_with_are_taken(path: str) -> None:
    settings = load({"base_path": path}, environ={})
    assert settings.at("/api/docs") == f"{path}/api/docs"


# A path of the server where a text begins, in any kind of quotes: "/api/v2/...", `/assets/...`, href="/".
ABSOLUTE = re.compile(r"""["'`(=](/(?:api|assets|_dash|_favicon|healthz|readyz|metrics)[^"'`\s]*|/(?=["'`]))""")


@pytest.mark.parametrize(
    "script", sorted({*ASSETS.glob("*.*js")} - {*ASSETS.glob("bundle-*")}), ids=lambda path: path.name
)
def test_scripts_address_the_server_through_at_alone(script: Any) -> None:
    if script.name == "address.mjs":
        return
    text = re.sub(r"^\s*//.*$", "", script.read_text("utf-8"), flags=re.MULTILINE)
    # A list of paths may go through it as a whole; whether BASE is the root is no address.
    lists = re.sub(r"\[[^\[\]]*\]\.map\(at\)", "", text)
    through = re.sub(r"""\bat\((["'`])/(?:(?!\1).)*\1\)|(?:===|\?\?) "/\"""", "", lists)
    root_matters = script.name in ("offline.mjs", "service-worker.mjs")
    found = [each for each in ABSOLUTE.findall(through) if each != "/" or root_matters]
    assert found == []


def test_the_page_and_its_styles_address_the_server_below_the_base_path() -> None:
    at = Settings(base_path="/below").at
    html = layout.index(ASSETS, PLAIN, "a-store", at)
    named = re.findall(r'(?:href|src)="([^"]*)"', html) + [
        each for pair in layout.versions(ASSETS, PLAIN, at).items() for each in pair
    ]
    assert len(named) > 20
    assert [each for each in named if not each.startswith("/below/")] == []
    assert ABSOLUTE.findall(html) == []
    for style in ASSETS.glob("*.css"):
        assert re.findall(r"url\(['\"]?/", style.read_text("utf-8")) == [], style.name
