"""Clients that do not play fair with a connection: who sends no end, takes nothing, or stays for ever, is left."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from dashapp.web import protocol
from dashapp.web.protocol import BoundedProtocol

MOST_CONNECTIONS = 12
LARGE = b"x" * 40_000_000


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers by path: with the body it was sent, slowly, much, or at once without reading."""
    if scope["type"] != "http":
        return
    body = b""
    if scope["path"] == "/echo":
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/slow":
        for _ in range(10):
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(0.1)
    if scope["path"] == "/large":
        body = LARGE
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server whose patience is short."""
    patch = pytest.MonkeyPatch()
    patch.setattr(protocol, "HEAD_TIMEOUT_S", 0.4)
    patch.setattr(protocol, "LEFTOVER_TIMEOUT_S", 0.4)
    patch.setattr(protocol, "STALL_TIMEOUT_S", 0.6)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            application,
            http=BoundedProtocol,
            lifespan="off",
            log_level="error",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)
    patch.undo()


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes; a reset counts as that."""
    received = b""
    try:
        while piece := client.recv(1 << 16):
            received += piece
    except ConnectionError:
        pass
    return received


def left_after_s(client: socket.socket) -> float:
    began_s = time.monotonic()
    read_all(client)
    return time.monotonic() - began_s


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"\r\n\r\n\r\n"]
)
def test_a_head_that_does_not_come_is_not_waited_for(client: socket.socket, begun: bytes) -> None:
    client.sendall(begun)
    assert left_after_s(client) < 5


def test_a_head_that_comes_one_byte_at_a_time_has_no_more_time(client: socket.socket) -> None:
    began_s = time.monotonic()
    with pytest.raises(ConnectionError):  # noqa: PT012 - which byte is the one that cannot be sent is not known
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        while time.monotonic() < began_s + 10:
            client.sendall(b"a")
            time.sleep(0.05)
    assert time.monotonic() - began_s < 5


def test_nor_has_the_second_on_a_connection(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(1_000).startswith(b"HTTP/1.1 200")
    client.sendall(b"\r\n")
    assert left_after_s(client) < 5


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(20_000)),
        b"GET / HTTP/1.1\r\n" + b"a" * 200_000,
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: " + b"a" * 200_000,
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 200_000,
    ],
    ids=["address", "value", "headers", "name", "trailer", "chunk"],
)
def test_a_head_without_an_end_is_refused(client: socket.socket, endless: bytes) -> None:
    for begin in range(0, len(endless), 20_000):
        try:
            client.sendall(endless[begin : begin + 20_000])
        except ConnectionError:
            break
        time.sleep(0.01)
    received = read_all(client)
    assert not received or received.startswith(b"HTTP/1.1 431"), received[:100]


def test_what_a_proxy_and_a_browser_send_is_taken(client: socket.socket) -> None:
    head = b"GET / HTTP/1.1\r\nCookie: " + b"c" * 30_000 + b"\r\n\r\n"
    client.sendall(head[:10_000])
    time.sleep(0.05)
    client.sendall(head[10_000:])
    assert client.recv(1_000).startswith(b"HTTP/1.1 200")


def test_a_body_in_small_pieces_is_taken_however_long_it_is(client: socket.socket) -> None:
    client.sendall(b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    for _ in range(20):
        client.sendall(b"1\r\nb\r\n" * 2_000)
        time.sleep(0.03)  # longer in all than a head may take
    client.sendall(b"0\r\n\r\n")
    assert read_all(client).count(b"b" * 1_000) >= 40


def test_an_answer_that_takes_longer_than_a_head_may_is_not_cut(client: socket.socket) -> None:
    client.sendall(b"GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert read_all(client).count(b"tick") == 10


def test_a_body_nobody_waits_for_is_left_after_the_answer(client: socket.socket) -> None:
    client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    assert client.recv(1_000).startswith(b"HTTP/1.1 200")
    assert left_after_s(client) < 5


def test_who_takes_nothing_is_left_and_who_takes_slowly_is_not(port: int) -> None:
    connections = []
    for _ in range(2):
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(b"GET /large HTTP/1.1\r\nConnection: close\r\n\r\n")
        connections.append(connection)
    deaf, slow = connections
    began_s = time.monotonic()
    taken = 0
    while piece := slow.recv(1 << 20):
        taken += len(piece)
        time.sleep(len(piece) / 25e6)
    assert taken > len(LARGE)
    assert time.monotonic() - began_s > 1  # it took longer than who takes nothing is waited for
    assert len(read_all(deaf)) < len(LARGE)
    for connection in connections:
        connection.close()


def test_one_connection_too_many_is_told_to_come_back_and_the_others_stay(port: int) -> None:
    asking = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2 * MOST_CONNECTIONS)]
    time.sleep(0.1)
    for each in asking:
        each.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    answers = [read_all(each) for each in asking]
    assert sum(each.startswith(b"HTTP/1.1 200") for each in answers) == MOST_CONNECTIONS - 1
    refused = [each for each in answers if each.startswith(b"HTTP/1.1 503")]
    assert refused
    assert all(b"\r\nretry-after: 5\r\n" in each for each in refused)
    for each in asking:
        each.close()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
        late.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_all(late).startswith(b"HTTP/1.1 200")
