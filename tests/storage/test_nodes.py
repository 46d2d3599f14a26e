"""Two web servers on two machines over one object store: what is pushed to one is streamed and shown by the other."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.live.conftest import OPEN
from tests.live.sse import Stream
from tests.storage.conftest import Site
from tests.storage.s3_server import CREDENTIALS
from tests.stores import append, score

if TYPE_CHECKING:
    from tests.conftest import ServerFactory


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_what_one_node_takes_the_other_streams_and_shows(site: Site, server: ServerFactory) -> None:
    append(site.open("seed"), [score("i0", 0, 1, scorer="given@1")])
    environment = {**OPEN, **CREDENTIALS, **site.environment}
    taking, showing = (server(data_dir=site.folder / name, env=environment) for name in ("one", "other"))
    item = {"id": "i1", "ts": "2024-02-29T12:00:30Z", "text": "good news", "tickers": ["AAPL"], "score": 0.25}
    with Stream(showing.url, tickers="AAPL") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        request = urllib.request.Request(
            f"{taking.url}/api/v2/items", json.dumps(item).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["accepted"] == 1
        told = stream.wait_count("AAPL", 1)
    assert (told.data["ticker"], told.data["close"], told.data["count"]) == ("AAPL", 0.25, 1)
    question = "/api/v2/timeseries/AAPL?resolution=1m&start=2024-02-29T12:00:00Z&end=2024-02-29T12:01:00Z"
    here, there = (ask(f"{node.url}{question}")["buckets"] for node in (taking, showing))
    assert here == there
    assert [bucket["count"] for bucket in there] == [1]
    assert not list(Path(site.folder / "other").glob("scores*"))
