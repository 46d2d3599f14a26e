"""The app below a path of a real nginx: as the docs configure it, which leaves the path, and with it taken away."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import httpx
import pytest

from tests.conftest import REPOSITORY, Server, ServerFactory
from tests.deploy.conftest import Proxy

BASE = "/sentiment"
KEPT, TAKEN = "the path stays", "the path is taken away"


def free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    for each in taken:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


@pytest.fixture(scope="module")
def site(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Server:
    store = tmp_path_factory.mktemp("below") / "store"
    return server(
        "demo", "--days", "0.1", data_dir=store, env={"TICKERTONE_BASE_PATH": BASE, "TICKERTONE_LOGIN": "none"}
    )


@pytest.fixture(scope="module")
def proxy(nginx: Callable[[str, int], Proxy], site: Server) -> tuple[Proxy, dict[str, str]]:
    """The proxy, and where it shows the app in each way."""
    kept, taken = free_ports(2)
    (documented,) = re.findall(r"```nginx\n(.*?)```", (REPOSITORY / "docs/deploy.md").read_text("utf-8"), re.DOTALL)
    assert "server 127.0.0.1:8050;" in documented
    assert "listen 80;" in documented
    whole = documented.replace("127.0.0.1:8050", f"127.0.0.1:{site.port}").replace(
        "listen 80;", f"listen 127.0.0.1:{kept};"
    )
    # No more than it takes: the answers themselves have to say that they must not be collected.
    plain = (
        f"server {{ listen 127.0.0.1:{taken}; proxy_http_version 1.1; proxy_set_header Host $http_host;\n"
        f"location {BASE}/ {{ proxy_pass http://127.0.0.1:{site.port}/; }} }}"
    )
    running = nginx(whole + plain, taken)
    return running, {KEPT: f"http://127.0.0.1:{kept}", TAKEN: f"http://127.0.0.1:{taken}"}


@pytest.mark.parametrize("way", [KEPT, TAKEN])
def test_everything_the_page_and_the_api_name_is_found_below_the_path(
    proxy: tuple[Proxy, dict[str, str]], way: str
) -> None:
    with httpx.Client(base_url=proxy[1][way], follow_redirects=True) as client:
        page = client.get(BASE)
        assert (page.status_code, page.url.path) == (200, f"{BASE}/")
        named = set(re.findall(r'(?:href|src)="([^"]+)"', page.text))
        assert len(named) > 20
        assert {address: client.get(address).status_code for address in named} == dict.fromkeys(named, 200)
        docs = client.get(f"{BASE}/api/docs").text
        parts = re.findall(r'(?:href|src)="([^"]+)"', docs) + re.findall(r"url: '([^']+)'", docs)
        assert len(parts) == 4
        assert [client.get(each).status_code for each in parts] == [200] * 4
        described = client.get(f"{BASE}/api/openapi.json").json()
        assert described["servers"] == [{"url": BASE}]
        assert "/api/v2/tickers" in described["paths"]
        assert client.get(f"{BASE}/api/v2/tickers").json()["tickers"]
        assert client.get(f"{BASE}/api/nothing").json()["error"] == "NOT_FOUND"
        worker = client.get(f"{BASE}/assets/service-worker.mjs")
        assert worker.headers["service-worker-allowed"] == f"{BASE}/"


@pytest.mark.parametrize("way", [KEPT, TAKEN])
def test_events_of_the_stream_pass_the_proxy_when_they_happen(proxy: tuple[Proxy, dict[str, str]], way: str) -> None:
    address = f"{proxy[1][way]}{BASE}/api/v2/stream?resolutions=1m"
    with httpx.stream("GET", address, headers={"Accept-Encoding": "gzip"}, timeout=10) as answer:
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        # The server speaks every few seconds, so a proxy that waited for a full buffer would take minutes.
        first = next(line for line in answer.iter_lines() if line.startswith("event:"))
    assert first.split()[1] in ("bucket_update", "partial_bucket", "heartbeat")
