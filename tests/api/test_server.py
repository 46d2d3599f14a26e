"""The whole server on a real port: the same numbers as the command line, fast when kept, and fit for any request."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api.conftest import fill
from tests.conftest import Server, ServerFactory, Tickertone
from tests.stores import open_store

SPAN = ("--start", "2024-02-28", "--end", "2024-03-04", "--scorer", "test@1")
QUERY = "start=2024-02-28&end=2024-03-04&scorer=test@1"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "store"
    store = open_store(folder)
    fill(store)
    store.close()
    return folder


@pytest.fixture(scope="module")
def served(server: ServerFactory, data_dir: Path) -> Server:
    return server("serve", data_dir=data_dir)


@pytest.fixture(scope="module")
def client(served: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url) as made:
        yield made


@pytest.mark.parametrize("resolution", ["1m", "1h", "24h"])
def test_every_form_says_what_the_command_line_says(
    client: httpx.Client, tickertone: Tickertone, data_dir: Path, resolution: str
) -> None:
    asked = ("query", "AAPL", "--resolution", resolution, *SPAN)
    text = tickertone(*asked, "--format", "csv", data_dir=data_dir).stdout
    path = f"/api/v2/timeseries/AAPL?resolution={resolution}&{QUERY}"
    assert client.get(f"{path}&format=csv").text == text
    assert (
        client.get("/api/v2/timeseries?tickers=AAPL" + path.partition("AAPL")[2].replace("?", "&") + "&format=csv").text
        == text
    )

    told = json.loads(tickertone(*asked, "--json", data_dir=data_dir).stdout)
    body = client.get(path).json()
    how = {"cache_hit", "query_time_ms"}  # it was answered, not what was
    assert body.keys() - how == told.keys() - how
    for name in told.keys() - how:
        assert body[name] == told[name], name
    rows = [
        {**{name: row[name] for name in ("open", "high", "low", "close", "count", "sum", "avg")}, **row["label_counts"]}
        for row in told["buckets"]
    ]
    arrow = pa.ipc.open_stream(client.get(f"{path}&format=arrow").content).read_all()
    parquet = pq.read_table(io.BytesIO(client.get(f"{path}&format=parquet").content))
    columns = client.get(f"{path}&format=columns").json()
    for table in (arrow, parquet):
        assert table.column_names == text.partition("\n")[0].split(",")
        assert [{name: row[name] for name in rows[0]} for row in table.to_pylist()] == rows
    assert [{name: columns[name][place] for name in rows[0]} for place in range(len(rows))] == rows


def test_an_export_over_the_wire_is_the_whole_file(client: httpx.Client) -> None:
    with client.stream("GET", "/api/v2/export?resolution=1m&scorer=test@1") as response:
        assert response.headers.get("content-length") is None
        body = b"".join(response.iter_bytes())
    assert len(pq.read_table(io.BytesIO(body))) > 700
    head = client.head("/api/v2/export?resolution=1m")
    assert (head.status_code, head.content) == (200, b"")


def test_answers_are_packed_for_those_who_take_it(client: httpx.Client) -> None:
    path = f"/api/v2/timeseries/AAPL?resolution=1m&{QUERY}"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for coding in ("br", "gzip"):
        packed = client.get(path, headers={"Accept-Encoding": coding})
        assert packed.headers["content-encoding"] == coding
        assert packed.json()["buckets"] == plain.json()["buckets"]
        assert int(packed.headers["content-length"]) < len(plain.content) / 4
        assert packed.headers["etag"] == plain.headers["etag"]


def test_head_sends_no_body_and_405_names_the_methods(client: httpx.Client) -> None:
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/docs",
        "/api/v2/tickers",
        "/api/v2/items?ticker=AAPL&scorer=test@1",
    ):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
    refused = client.delete("/api/v2/items")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, POST"
    assert refused.json()["details"] == {"allowed": ["GET", "HEAD", "POST"]}
    assert client.post("/healthz").headers["allow"] == "GET, HEAD"
    assert client.get("/api/v2/nope").json()["error"] == "NOT_FOUND"


def test_the_page_is_still_there(client: httpx.Client) -> None:
    assert "text/html" in client.get("/").headers["content-type"]


def test_what_was_asked_before_is_answered_from_the_cache(client: httpx.Client) -> None:
    path = f"/api/v2/timeseries/AAPL?resolution=1h&{QUERY}&format=columns"
    first = client.get(path)
    assert first.status_code == 200
    for _ in range(3):
        again = client.get(path)
        assert again.headers["tickertone-cache"] == "hit"
        told = {"cache_hit": True, "query_time_ms": again.json()["query_time_ms"]}
        assert again.json() == {**first.json(), **told}


def test_metrics_tell_of_the_whole_server(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    for name in ("tickertone_ingest_items_total", "tickertone_store_revision", "process_resident_memory_bytes"):
        assert f"\n{name}" in text


def test_two_workers_agree(served: Server, data_dir: Path, server: ServerFactory, client: httpx.Client) -> None:
    other = server("serve", data_dir=data_dir)
    path = f"/api/v2/timeseries?tickers=AAPL,MSFT&resolution=1h&{QUERY}"
    first: Any = client.get(path)
    with httpx.Client(base_url=other.url) as second:
        assert second.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        kept = second.get(path).json()
        assert kept["cache_hit"]
        assert kept["series"] == first.json()["series"]
