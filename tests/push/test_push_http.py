"""POST /api/v2/items on a real server: what is taken, what is refused, and with which words."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from dashapp.api import problems
from dashapp.api.items import build_items_router
from dashapp.config import Settings
from dashapp.model.item import Outcome
from dashapp.store.apikeys import ApiKeys
from dashapp.store.locks import exclusive
from tests.push.sender import Answer, Sender, item

if TYPE_CHECKING:
    from tests.conftest import Server, ServerFactory

ENV = {
    "TICKERTONE_PUSH_MAX_BODY_BYTES": "20000",
    "TICKERTONE_PUSH_MAX_UNPACKED_BYTES": "40000",
    "TICKERTONE_PUSH_MAX_ITEMS": "100",
    "TICKERTONE_PUSH_QUEUE_SCORES": "150",
}


@pytest.fixture(scope="module")
def served(server: ServerFactory) -> Server:
    return server("serve", env=ENV)


@pytest.fixture(scope="module")
def keys(served: Server) -> ApiKeys:
    return ApiKeys(served.data_dir)


Connect = Callable[..., Sender]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes senders, which are closed with the test."""
    senders: list[Sender] = []

    def make(port: int, key: str | None = None) -> Sender:
        senders.append(Sender(port, key))
        return senders[-1]

    yield make
    for each in senders:
        each.close()


@pytest.fixture
def sender(served: Server, keys: ApiKeys, connect: Connect) -> Sender:
    # A key for each test, so that none meets the rate another has used up.
    return connect(served.port, keys.add(f"k{time.monotonic_ns()}", now_us=0)[0])


def refused(answer: Answer, status: int, code: str, words: str) -> None:
    assert (answer.status, answer.body["error"]) == (status, code), answer.body
    assert words in answer.body["message"]
    assert set(answer.body) == {"error", "message", "details"}


def get(served: Server, path: str) -> Any:
    with urllib.request.urlopen(served.url + path, timeout=20) as answer:
        return json.load(answer)


def test_one_item_is_accepted_once_and_shown_at_once(served: Server, sender: Sender) -> None:
    answer = sender.push(json.dumps(item("one", ticker="ONE", score=-0.25)))
    assert (answer.status, answer.body) == (
        200,
        {
            "accepted": 1,
            "duplicates": 0,
            "rejected": 0,
            "rejected_by_reason": {},
            "revision": answer.body["revision"],
            "items": [{"status": "accepted", "id": "one", "reason": None, "message": None}],
        },
    )
    shown = get(served, "/api/v2/timeseries/ONE?resolution=1m&start=2026-03-02T10:00:00Z&end=2026-03-02T11:00:00Z")
    assert [(bucket["close"], bucket["count"]) for bucket in shown["buckets"]] == [(-0.25, 1)]
    assert shown["revision"] >= answer.body["revision"] > 0
    again = sender.push(json.dumps(item("one", ticker="ONE", score=0.75)))
    assert (again.status, again.statuses, again.body["duplicates"]) == (200, ["duplicate"], 1)


@pytest.mark.parametrize("packing", ["", "gzip", "deflate", "bare deflate", "x-gzip"])
def test_a_batch_may_be_packed_and_a_bad_row_costs_itself(sender: Sender, packing: str, served: Server) -> None:
    tag = f"batch-{packing}"
    no_zone = {**item("x"), "ts": "2026-03-02T10:00:00"}
    lines = [json.dumps(item(f"{tag}-a")), "{", json.dumps(item(f"{tag}-b")), json.dumps(no_zone), "", '{"id": 1}']
    body = "\n".join(lines).encode()
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = {
        "": body,
        "gzip": gzip.compress(body),
        "x-gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "bare deflate": packer.compress(body) + packer.flush(),
    }
    answer = sender.push(
        packed[packing], Content_Encoding=packing.rpartition(" ")[2], Content_Type="application/x-ndjson"
    )
    assert answer.status == 200
    assert answer.statuses == ["accepted", "rejected", "accepted", "rejected", "rejected"]
    assert answer.body["rejected_by_reason"] == {"bad_json": 1, "no_zone": 1, "missing_time": 1}
    assert [each["id"] for each in answer.body["items"]] == [f"{tag}-a", None, f"{tag}-b", None, None]
    assert "add an offset" in answer.body["items"][3]["message"]
    kept = [
        json.loads(line) for path in (served.data_dir / "rejected").iterdir() for line in path.read_text().splitlines()
    ]
    assert {"reason": "no_zone", "row": json.dumps(no_zone)} in [
        {"reason": each["reason"], "row": each["row"]} for each in kept
    ]


def test_an_array_is_taken_like_lines(sender: Sender) -> None:
    answer = sender.push(json.dumps([item("array-a"), item("array-b"), {**item("x"), "score": 3}]))
    assert answer.statuses == ["accepted", "accepted", "rejected"]
    assert answer.body["rejected_by_reason"] == {"score_out_of_range": 1}


def test_a_text_without_a_score_is_scored_and_cashtags_are_its_tickers(served: Server, sender: Sender) -> None:
    body = {"published_at": "2026-03-02T10:00:00Z", "title": "$SCRD beats estimates and raises guidance"}
    (told,) = sender.push(json.dumps(body)).body["items"]
    assert told["status"] == "accepted"
    assert told["id"].startswith("h:")
    assert sender.push(json.dumps(body)).statuses == ["duplicate"]
    shown = get(served, "/api/v2/timeseries/SCRD?resolution=1h&start=2026-03-02T10:00:00Z&end=2026-03-02T11:00:00Z")
    assert shown["buckets"][0]["close"] > 0.5


def test_without_a_valid_key_nothing_is_taken(connect: Connect, served: Server, keys: ApiKeys) -> None:
    valid, _ = keys.add("valid", now_us=0)
    body = json.dumps(item("unauthorised"))
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {valid}"},
        {"Authorization": valid},
        {"Cookie": f"key={valid}"},
    ):
        answer = connect(served.port).push(body, **headers)
        refused(answer, 401, "UNAUTHORIZED", "`tickertone keys add NAME`")
        assert answer.headers["www-authenticate"] == "Bearer"
    for wrong in (valid[:-1], valid + "0", "tt_00000000_" + "0" * 64, "x" * 5_000, "\xff"):
        refused(connect(served.port, wrong).push(body), 401, "UNAUTHORIZED", "not valid")
        refused(connect(served.port).push(body, X_API_Key=wrong), 401, "UNAUTHORIZED", "not valid")
    assert connect(served.port).push(body, X_API_Key=valid).statuses == ["accepted"]
    assert connect(served.port).push(body, Authorization=f"bearer  {valid}").statuses == ["duplicate"]


def test_a_key_works_as_soon_as_it_is_made_and_stops_when_it_is_revoked(
    connect: Connect, served: Server, keys: ApiKeys
) -> None:
    text, _ = keys.add("shortlived", now_us=0)
    sending = connect(served.port, text)
    assert sending.push_items(item("short")).statuses == ["accepted"]
    keys.revoke("shortlived", now_us=1)
    deadline_s = time.monotonic() + 5
    while (answer := sending.push_items(item("short"))).status == 200 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    refused(answer, 401, "UNAUTHORIZED", "revoked")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "holds no item"),
        (b" \n ", "holds no item"),
        (b"[]", "holds no item"),
    ],
)
def test_a_body_without_an_item_is_a_bad_request(sender: Sender, body: bytes, words: str) -> None:
    refused(sender.push(body), 400, "BAD_REQUEST", words)


@pytest.mark.parametrize("body", [b"hello", b"5", b"null", b'["a", 1]', b'{"id": ', b"\xff\xfe", b"id,ts\n1,2"])
def test_a_body_without_any_object_is_a_bad_request_that_still_tells_of_each_row(sender: Sender, body: bytes) -> None:
    answer = sender.push(body)
    refused(answer, 400, "BAD_JSON", "no JSON object")
    assert answer.body["details"]["accepted"] == 0
    assert {each["status"] for each in answer.body["details"]["items"]} == {"rejected"}


def test_a_body_that_is_not_packed_as_it_says_is_refused(sender: Sender) -> None:
    body = json.dumps(item("packed")).encode()
    refused(sender.push(body, Content_Encoding="gzip"), 400, "BAD_REQUEST", "not gzip as its Content-Encoding says")
    refused(sender.push(gzip.compress(body)[:-4], Content_Encoding="gzip"), 400, "BAD_REQUEST", "ends early")
    for encoding in ("br", "zstd", "gzip, gzip", "utf-8"):
        refused(sender.push(body, Content_Encoding=encoding), 415, "UNKNOWN_ENCODING", "Use gzip, deflate, or none")
    assert sender.push(body, Content_Encoding="identity").statuses == ["accepted"]


def test_too_much_in_one_request_is_refused_and_nothing_of_it_is_stored(sender: Sender) -> None:
    items = [item(f"large-{number}") for number in range(101)]
    lines = "\n".join(json.dumps(each) for each in items)
    refused(sender.push(lines), 413, "TOO_LARGE", "at most 100 items")
    padded = lines.encode() + b" " * 20_001
    refused(sender.push(padded), 413, "TOO_LARGE", "20000 bytes as sent")
    refused(sender.push(padded[at : at + 500] for at in range(0, len(padded), 500)), 413, "TOO_LARGE", "as sent")
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) > 20_000
    refused(
        sender.push(gzip.compress(b" " * 40_001), Content_Encoding="gzip"), 413, "TOO_LARGE", "40000 bytes unpacked"
    )
    wide = {**item("wide"), "tickers": [f"T{number}" for number in range(151)]}
    refused(sender.push_items(wide), 413, "TOO_LARGE", "at most 150 tickers")
    assert sender.push("\n".join(json.dumps(each) for each in items[:100])).body["accepted"] == 100


def test_a_full_queue_is_refused_with_the_time_to_come_back(connect: Connect, served: Server, sender: Sender) -> None:
    answers: list[Answer] = []

    def push(tag: str) -> None:
        many = (item(f"queue-{tag}-{number}") for number in range(90))
        answers.append(connect(served.port, sender.key).push_items(*many))

    threads = [threading.Thread(target=push, args=(tag,)) for tag in "ab"]
    with exclusive(served.data_dir / "locks" / "scores.lock"):  # holds up every commit
        for thread in threads:
            thread.start()
        deadline_s = time.monotonic() + 10
        while not answers and time.monotonic() < deadline_s:
            time.sleep(0.01)
        (answer,) = answers  # there is room for one of them
        refused(answer, 503, "OVERLOADED", "waiting to be written")
        assert answer.headers["retry-after"] == "1"
    for thread in threads:
        thread.join(20)
    assert answers[1].body["accepted"] == 90
    assert sender.push_items(item("queue-late")).statuses == ["accepted"]


def test_a_sender_that_goes_away_halfway_is_no_trouble(served: Server, sender: Sender) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port)) as half:
            head = f"POST /api/v2/items HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {sender.key}\r\n"
            head += "Content-Length: 900\r\n\r\n"
            half.sendall(head.encode() + b"{")
    assert sender.push_items(item("after the half")).statuses == ["accepted"]
    assert "Traceback" not in served.log
    assert "failed" not in served.log


def test_the_document_of_the_api_describes_it(served: Server) -> None:
    described = get(served, "/api/openapi.json")["paths"]["/api/v2/items"]["post"]
    assert set(described["requestBody"]["content"]) == {"application/json", "application/x-ndjson"}
    assert set(described["responses"]) >= {"200", "400", "401", "408", "413", "415", "429", "503"}


def test_a_key_that_sends_too_fast_is_told_when_to_come_back(
    connect: Connect, server: ServerFactory, tmp_path: Path
) -> None:
    env = {"TICKERTONE_PUSH_ITEMS_PER_S": "20", "TICKERTONE_PUSH_BURST_ITEMS": "30"}
    served = server("serve", data_dir=tmp_path / "rated", env=env)
    fast, other = (ApiKeys(served.data_dir).add(name, now_us=0)[0] for name in ("fast", "other"))
    sending = connect(served.port, fast)
    assert sending.push_items(*(item(f"f{number}") for number in range(30))).body["accepted"] == 30
    answer = sending.push_items(*(item(f"g{number}") for number in range(25)))
    refused(answer, 429, "RATE_LIMITED", "20 items a second, 30 at once")
    assert answer.headers["retry-after"] == "2"
    assert connect(served.port, other).push_items(item("o")).statuses == ["accepted"]
    time.sleep(float(answer.headers["retry-after"]))
    again = sending.push_items(*(item(f"g{number}") for number in range(25)))
    assert (again.status, again.body.get("accepted")) == (200, 25), again.body
    served.stop()


OPEN = {"TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes"}


def test_where_the_settings_say_so_this_machine_needs_no_key(
    connect: Connect, server: ServerFactory, tmp_path: Path
) -> None:
    served = server("serve", data_dir=tmp_path / "open", env=OPEN)
    body = json.dumps(item("open"))
    sending = connect(served.port)
    assert sending.push(body).statuses == ["accepted"]
    own = f"http://127.0.0.1:{served.port}"
    assert sending.push(body, Origin=own).statuses == ["duplicate"]
    assert sending.push(body, Host=f"localhost:{served.port}").statuses == ["duplicate"]
    # Passed on by a proxy, from a page of another site, by a name that leads here, and with a wrong key.
    for headers in (
        {"X_Forwarded_For": "10.1.2.3"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X_Real_IP": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "[::1"},
        {"Authorization": "Bearer tt_00000000_" + "0" * 64},
    ):
        answer = sending.push(body, **headers)
        assert (answer.status, answer.body["error"]) in ((401, "UNAUTHORIZED"), (403, "FORBIDDEN")), headers
    assert get(served, "/api/v2/timeseries/AAPL?start=2026-03-02T10:00:00Z&end=2026-03-02T11:00:00Z")["buckets"]
    served.stop()


@pytest.mark.parametrize(
    ("host", "client", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("localhost", "127.0.0.9", 200),
        ("::1", "::1", 200),
        ("0.0.0.0", "127.0.0.1", 401),
        ("10.0.0.5", "127.0.0.1", 401),
        ("127.0.0.1", "10.0.0.7", 401),
        ("127.0.0.1", "unix", 401),
    ],
)
def test_both_ends_must_be_this_machine(tmp_path: Path, host: str, client: str, status: int) -> None:
    class Anything:
        def submit(self, rows: Any) -> Future[list[Outcome]]:
            future: Future[list[Outcome]] = Future()
            future.set_result([Outcome("accepted", "a") for _ in rows])
            return future

    settings = Settings(data_dir=tmp_path, host=host, push_open_on_loopback="yes")
    app = FastAPI()
    problems.install(app)
    with ThreadPoolExecutor(1) as pool:
        router = build_items_router(Anything(), lambda body, _: [body], ApiKeys(tmp_path), settings, pool)
        app.include_router(router)
        transport = httpx.ASGITransport(app=app, client=(client, 50_000))

        async def push() -> int:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                return (await http.post("/api/v2/items", content=b"{}")).status_code

        assert asyncio.run(push()) == status


def test_the_demo_takes_items_of_this_machine_without_a_key(
    connect: Connect, server: ServerFactory, tmp_path: Path
) -> None:
    served = server("demo", "--days", "0.02", data_dir=tmp_path / "demo")
    pushed = {"id": "p", "ts": "2026-03-02T10:00:00Z", "text": "$PUSHED wins"}
    assert connect(served.port).push_items(pushed).statuses == ["accepted"]
    shown = get(served, "/api/v2/timeseries/PUSHED?start=2026-03-02T10:00:00Z&end=2026-03-02T11:00:00Z")
    assert shown["buckets"][0]["count"] == 1
    served.stop()
