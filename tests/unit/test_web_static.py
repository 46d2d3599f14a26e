"""The middleware that keeps scripts and styles compressed: what it answers, and what it leaves alone."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashapp.web.static import PrecompressedStatic

SUITE = "/_dash-component-suites/dash/dcc/async-graph.js"
FINGERPRINTED = "/_dash-component-suites/dash/deps/react@18.v4_4_1m1795380381.3.1.min.js"
SCRIPT = "const answer = 42;\n" * 400


class Site:
    """An application with static files behind the middleware, and how often it was asked for them."""

    def __init__(self, assets: Path) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.inner = Starlette(
            routes=[
                Route("/_dash-component-suites/dash/missing.js", lambda _: PlainTextResponse("no", 404)),
                Route("/_dash-component-suites/{path:path}", self.suite, methods=["GET", "POST"]),
                Mount("/assets", StaticFiles(directory=assets)),
                Route("/stream", self.stream),
            ]
        )
        self.app = PrecompressedStatic(self.inner, worker_scope="/")

    async def suite(self, request: Request) -> Response:
        self.asked.append((request.url.path, dict(request.headers)))
        return Response(SCRIPT, media_type="application/javascript")

    async def stream(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "data: 1\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "main.mjs").write_text(SCRIPT)
    (tmp_path / "dot.png").write_bytes(b"\x89PNG" + bytes(2_000))
    (tmp_path / "tiny.css").write_text("b{}")
    return Site(tmp_path)


def visit(site: Site, steps: Callable[[httpx.AsyncClient, Callable[[], Any]], Any]) -> Any:
    """Runs requests against the site; the second argument waits until all compressing is done."""

    async def compressed() -> None:
        await asyncio.gather(*site.app._compressing)

    async def run() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://site") as client:
            return await steps(client, compressed)

    return asyncio.run(run())


async def raw(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer and its body as it crossed the wire."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", path, headers={"accept-encoding": "identity", **named}) as answer:
        return answer, b"".join([chunk async for chunk in answer.aiter_raw()])


@pytest.mark.parametrize(
    ("accepts", "coding", "unpack"),
    [
        ("gzip, deflate, br, zstd", "br", brotli.decompress),
        ("gzip;q=1.0, *;q=0.1", "gzip", gzip.decompress),
        ("identity", None, bytes),
    ],
)
def test_the_second_visitor_gets_the_file_compressed(
    site: Site, accepts: str, coding: str | None, unpack: Callable[[bytes], bytes]
) -> None:
    async def steps(client: httpx.AsyncClient, compressed: Callable[[], Any]) -> None:
        first, body = await raw(client, SUITE, accept_encoding=accepts)
        assert "content-encoding" not in first.headers, "nobody waits for the compressor"
        assert body.decode() == SCRIPT
        await compressed()
        second, body = await raw(client, SUITE, accept_encoding=accepts)
        assert second.headers.get("content-encoding") == coding
        assert int(second.headers["content-length"]) == len(body)
        assert second.headers["vary"] == "Accept-Encoding"
        assert unpack(body).decode() == SCRIPT
        assert len(site.asked) == 1

    visit(site, steps)


def test_the_application_is_asked_for_the_whole_file_as_it_is(site: Site) -> None:
    async def steps(client: httpx.AsyncClient, _: Callable[[], Any]) -> None:
        answer, body = await raw(client, SUITE, accept_encoding="br", range="bytes=0-3", if_none_match='"old"')
        assert (answer.status_code, body.decode()) == (200, SCRIPT)
        ((_, headers),) = site.asked
        assert not {"accept-encoding", "range", "if-none-match"} & set(headers)

    visit(site, steps)


@pytest.mark.parametrize(
    ("path", "cache_control"),
    [
        (FINGERPRINTED, "public, max-age=31536000, immutable"),
        ("/assets/main.mjs?m=1795383350.93", "public, max-age=31536000, immutable"),
        (SUITE, "no-cache"),
        ("/assets/main.mjs", "no-cache"),
        ("/assets/main.mjs?theme=m", "no-cache"),
    ],
)
def test_only_a_url_that_names_a_version_is_kept_without_asking(site: Site, path: str, cache_control: str) -> None:
    async def steps(client: httpx.AsyncClient, _: Callable[[], Any]) -> None:
        answer, _body = await raw(client, path)
        assert answer.headers["cache-control"] == cache_control

    visit(site, steps)


def test_a_browser_that_has_the_file_is_told_so_whatever_coding_it_has(site: Site) -> None:
    async def steps(client: httpx.AsyncClient, compressed: Callable[[], Any]) -> None:
        plain, _ = await raw(client, SUITE)
        await compressed()
        packed, _ = await raw(client, SUITE, accept_encoding="br")
        assert plain.headers["etag"] != packed.headers["etag"], "two codings are two representations"
        for tag in (plain.headers["etag"], packed.headers["etag"], f'"other-br", W/{packed.headers["etag"]}'):
            again, body = await raw(client, SUITE, accept_encoding="br", if_none_match=tag)
            assert (again.status_code, body) == (304, b"")
        other, body = await raw(client, SUITE, if_none_match='"other-br"')
        assert (other.status_code, body.decode()) == (200, SCRIPT)

    visit(site, steps)


def test_an_asset_that_changed_is_seen(site: Site, tmp_path: Path) -> None:
    async def steps(client: httpx.AsyncClient, compressed: Callable[[], Any]) -> None:
        before, _ = await raw(client, "/assets/main.mjs", accept_encoding="br")
        await compressed()
        (tmp_path / "main.mjs").write_text("changed();\n" * 100)
        after, body = await raw(client, "/assets/main.mjs", if_none_match=before.headers["etag"])
        assert (after.status_code, body) == (200, b"changed();\n" * 100)
        await compressed()
        _, packed = await raw(client, "/assets/main.mjs", accept_encoding="br")
        assert brotli.decompress(packed) == b"changed();\n" * 100

    visit(site, steps)


@pytest.mark.parametrize("path", ["/assets/dot.png", "/assets/tiny.css"])
def test_what_gains_nothing_is_not_compressed(site: Site, path: str) -> None:
    async def steps(client: httpx.AsyncClient, compressed: Callable[[], Any]) -> None:
        await raw(client, path)
        await compressed()
        answer, _ = await raw(client, path, accept_encoding="br, gzip")
        assert "content-encoding" not in answer.headers

    visit(site, steps)


def test_errors_streams_and_other_methods_pass_untouched(site: Site) -> None:
    async def steps(client: httpx.AsyncClient, _: Callable[[], Any]) -> None:
        for _again in range(2):
            missing = await client.get("/_dash-component-suites/dash/missing.js")
            assert (missing.status_code, missing.text) == (404, "no")
            assert "cache-control" not in missing.headers
        stream, body = await raw(client, "/stream", accept_encoding="br")
        assert (body, stream.headers.get("content-encoding")) == (b"data: 1\n\n", None)
        posted = await client.post(SUITE)
        assert "etag" not in posted.headers
        head = await client.head("/assets/main.mjs")
        assert (head.status_code, head.text) == (200, "")

    visit(site, steps)


def test_who_leaves_before_the_answer_costs_nobody_else_the_file(site: Site) -> None:
    """The answer is kept for all: it must be whole, whoever asked first."""

    async def leaves() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def nobody(_: Any) -> None:
        pass

    async def slowly(_: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            for line in SCRIPT.splitlines(keepends=True):
                await asyncio.sleep(0)
                yield line

        return StreamingResponse(parts(), media_type="text/javascript", headers={"content-length": str(len(SCRIPT))})

    site.inner.routes.insert(0, Route("/assets/slow.mjs", slowly))

    async def steps(client: httpx.AsyncClient, _: Callable[[], Any]) -> list[str]:
        for path in ("/assets/slow.mjs", "/assets/main.mjs", SUITE):
            scope = {
                "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
                "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http",
                "query_string": b"", "headers": [], "server": ("site", 80), "client": ("127.0.0.1", 1),
            }  # fmt: skip
            await site.app(scope, leaves, nobody)
        return [(await client.get(path)).text for path in ("/assets/slow.mjs", "/assets/main.mjs", SUITE)]

    assert visit(site, steps) == [SCRIPT] * 3


def test_an_answer_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    answers = iter(["", SCRIPT[:100], SCRIPT])

    async def inner(_: Any, __: Any, send: Any) -> None:
        body = next(answers).encode()
        headers = [(b"content-type", b"text/javascript"), (b"content-length", str(len(SCRIPT)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": body})

    site = Site(tmp_path)
    site.app = PrecompressedStatic(inner, worker_scope="/")

    async def steps(client: httpx.AsyncClient, _: Callable[[], Any]) -> list[int]:
        return [(await client.get("/assets/main.mjs")).status_code for _ in range(3)]

    assert visit(site, steps) == [502, 502, 200]
