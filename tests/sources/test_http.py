"""Asking over HTTP: bounded in time and size, conditional, and silent about keys, whatever the server does."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from dashapp.errors import SourceError, SourceGarbled, SourceLimited, SourceRefused, SourceUnreachable
from dashapp.ingest.sources.http import Answer, Http, Question, parse_json
from tests.sources.newsstand import Newsstand, Reply

NOW_US = 1_794_990_400_000_000  # 2026-11-18T08:26:40Z


def ask(
    question: Question,
    validators: Mapping[str, object] | None = None,
    *,
    timeout_s: float = 5.0,
    max_bytes: int = 1_000_000,
) -> Answer:
    async def once() -> Answer:
        async with Http(timeout_s=timeout_s, max_bytes=max_bytes) as http:
            return await http.get(question, validators, now_us=NOW_US)

    return asyncio.run(once())


def refused(question: Question, **how: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        ask(question, **how)
    return caught.value


def test_an_answer_is_its_body(stand: Newsstand) -> None:
    stand.at("/news", Reply("[1, 2]", headers={"Content-Type": "application/json"}))
    question = Question("paper", f"{stand.url}/news", {"tickers": "aapl,msft"}, {"X-Plan": "free"})
    answer = ask(question)
    assert parse_json(question, answer) == [1, 2]
    (call,) = stand.calls
    assert call.params == {"tickers": "aapl,msft"}
    assert call.headers["x-plan"] == "free"
    assert call.headers["user-agent"].startswith("tickertone/")


def test_the_query_of_a_url_is_kept(stand: Newsstand) -> None:
    stand.at("/feed", Reply("x"))
    ask(Question("rss", f"{stand.url}/feed?s=AAPL&region=US"))
    assert stand.calls[0].params == {"s": "AAPL", "region": "US"}


@pytest.mark.parametrize("sent", ["etag", "modified", "both"])
def test_the_second_time_is_conditional_and_an_unchanged_answer_has_no_body(stand: Newsstand, sent: str) -> None:
    headers = {"etag": {"ETag": 'W/"1"'}, "modified": {"Last-Modified": "Wed, 18 Nov 2026 08:00:00 GMT"}}
    given = {**headers["etag"], **headers["modified"]} if sent == "both" else headers[sent]
    stand.at("/news", [Reply("[1]", headers=given), Reply(status=304)])
    question = Question("paper", f"{stand.url}/news")
    first = ask(question)
    second = ask(question, first.validators)
    assert second.body is None
    asked = stand.calls[1].headers
    assert asked.get("if-none-match") == given.get("ETag")
    assert asked.get("if-modified-since") == given.get("Last-Modified")
    assert second.validators == first.validators, "and so is the third"


def test_validators_of_one_question_are_not_sent_with_another(stand: Newsstand) -> None:
    stand.at("/news", Reply("[1]", headers={"ETag": '"1"'}))
    first = ask(Question("paper", f"{stand.url}/news", {"page": "1"}))
    ask(Question("paper", f"{stand.url}/news", {"page": "2"}), first.validators)
    assert "if-none-match" not in stand.calls[1].headers


def test_an_etag_that_could_not_be_sent_back_is_not_kept(stand: Newsstand) -> None:
    stand.at("/news", Reply("[1]", headers={"ETag": '"\xe9"'}))
    assert ask(Question("paper", f"{stand.url}/news")).validators == {}


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (301, SourceRefused),
        (400, SourceRefused),
        (401, SourceRefused),
        (403, SourceRefused),
        (404, SourceRefused),
        (429, SourceLimited),
        (500, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
def test_each_kind_of_refusal_is_an_error_of_its_own_that_quotes_the_server(
    stand: Newsstand, status: int, cause: type[SourceError]
) -> None:
    stand.at("/news", Reply('{"detail":"no\n permission"}', status))
    error = refused(Question("paper", f"{stand.url}/news"))
    assert type(error) is cause
    assert str(error) == f'paper at {stand.url}/news answered {status}: {{"detail":"no permission"}}.'


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("Wed, 18 Nov 2026 08:27:40 GMT", 60.0),
        ("Wed, 18 Nov 2026 08:00:00 GMT", 0.0),
        ("99999999", 86_400.0),
        ("9" * 4_000, 86_400.0),
        ("Fri, 18 Nov 2099 08:00:00 GMT", 86_400.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("Wed, 99 Nov 2026", 0.0),
        ("Wed, 18 Nov 2026 08:27:40 -0000", 0.0),
        ("", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_understood_in_both_forms_and_bounded(
    stand: Newsstand, header: str, seconds: float, status: int
) -> None:
    stand.at("/news", Reply("slow down", status, {"Retry-After": header}))
    assert refused(Question("paper", f"{stand.url}/news")).retry_after_s == seconds


def test_a_server_that_says_nothing_is_given_up_after_the_timeout(stand: Newsstand) -> None:
    stand.at("/news", Reply("late", delay_s=3))
    began_s = time.monotonic()
    error = refused(Question("paper", f"{stand.url}/news"), timeout_s=0.2)
    assert time.monotonic() - began_s < 2
    assert isinstance(error, SourceUnreachable)
    assert str(error) == "paper gave no whole answer in 0.2 s."


def test_a_server_that_never_stops_talking_slowly_is_given_up_after_the_timeout(stand: Newsstand) -> None:
    stand.at("/news", Reply("x" * 100, drip_s=0.05))  # each byte comes well within any limit on silence
    began_s = time.monotonic()
    error = refused(Question("paper", f"{stand.url}/news"), timeout_s=0.3)
    assert time.monotonic() - began_s < 2
    assert isinstance(error, SourceUnreachable)


@pytest.mark.parametrize("cut_at", [0, 10])
def test_a_connection_that_is_cut_is_an_error_not_a_short_answer(stand: Newsstand, cut_at: int) -> None:
    stand.at("/news", Reply("[" + "1, " * 100 + "1]", cut_at=cut_at))
    assert isinstance(refused(Question("paper", f"{stand.url}/news")), SourceUnreachable)


def test_nobody_listening_is_an_error(free_port: int) -> None:
    error = refused(Question("paper", f"http://127.0.0.1:{free_port}/news?key=hidden"))
    assert isinstance(error, SourceUnreachable)
    assert str(error).startswith(f"paper at http://127.0.0.1:{free_port}/news failed: ")


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, None], ids=["gzip", "deflate", "plain"])
def test_an_answer_that_is_too_large_is_refused_however_small_it_travels(stand: Newsstand, compress: Any) -> None:
    body = b" " * 5_000_000
    names = {gzip.compress: {"Content-Encoding": "gzip"}, zlib.compress: {"Content-Encoding": "deflate"}}
    stand.at("/news", Reply(compress(body) if compress else body, headers=names.get(compress, {})))
    error = refused(Question("paper", f"{stand.url}/news"), max_bytes=100_000)
    assert isinstance(error, SourceGarbled)
    assert "more than 100000 bytes" in str(error)


def test_an_answer_of_just_the_largest_size_is_taken(stand: Newsstand) -> None:
    stand.at("/news", Reply(gzip.compress(b"x" * 1_000), headers={"Content-Encoding": "gzip"}))
    assert ask(Question("paper", f"{stand.url}/news"), max_bytes=1_000).body == b"x" * 1_000


def test_a_compressed_answer_that_ends_early_is_an_error(stand: Newsstand) -> None:
    packed = gzip.compress(b"[1, 2, 3]" * 1_000)
    stand.at("/news", Reply(packed[:-20], headers={"Content-Encoding": "gzip"}))
    assert isinstance(refused(Question("paper", f"{stand.url}/news")), SourceUnreachable)


def test_an_answer_that_claims_to_be_compressed_and_is_not_is_an_error(stand: Newsstand) -> None:
    stand.at("/news", Reply(b"[1]", headers={"Content-Encoding": "gzip"}))
    assert isinstance(refused(Question("paper", f"{stand.url}/news")), SourceUnreachable)


def test_a_compression_that_was_not_asked_for_is_refused(stand: Newsstand) -> None:
    stand.at("/news", Reply(b"[1]", headers={"Content-Encoding": "br"}))
    assert stand.calls == []
    assert isinstance(refused(Question("paper", f"{stand.url}/news")), SourceGarbled)
    assert stand.calls[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "begins"),
    [
        ("<html><body>Please log in</body></html>", "Please log in"),
        ('[{"id": 1}, {"id"', '[{"id": 1}, {"id"'),
        ("", ""),
        (b"\xff\xfe\x00", "��"),
        ("[" * 100_000, "[" * 200),
        ("9" * 10_000, "9" * 200),
    ],
    ids=["html", "truncated", "empty", "not-utf8", "nested", "number"],
)
def test_what_is_not_json_is_refused_and_shown(stand: Newsstand, body: Any, begins: str) -> None:
    stand.at("/news", Reply(body, headers={"Content-Type": "text/html; charset=utf-8"}))
    question = Question("paper", f"{stand.url}/news")
    with pytest.raises(SourceGarbled) as caught:
        parse_json(question, ask(question))
    assert str(caught.value).startswith("paper answered with text/html that is not JSON (")
    assert str(caught.value).endswith(f"it begins {begins!r}.")


def test_json_as_some_servers_write_it_is_read_and_judged_value_by_value() -> None:
    question = Question("paper", "http://localhost/")
    value = parse_json(question, Answer(b'[{"score": NaN, "text": "a\tb"}]', {}))
    assert value[0]["text"] == "a\tb"


KEY = "s3cret/+key="


@pytest.mark.parametrize("where", ["header", "parameter"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(f"The key {KEY} is wrong, also as s3cret%2F%2Bkey%3D", 401),
        Reply("x" * 190 + KEY, 429),
        Reply(f"<p>{KEY}</p>"),
        Reply(delay_s=4),
        Reply("cut", cut_at=1),
    ],
    ids=["refused", "at-the-cut", "not-json", "slow", "cut-off"],
)
def test_no_message_and_no_log_holds_a_key(
    stand: Newsstand, where: str, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.at("/news", reply)
    secrets: Any = (
        {"secret_headers": {"Authorization": f"Token {KEY}"}}
        if where == "header"
        else {"secret_params": {"apikey": KEY}}
    )
    question = Question("paper", f"{stand.url}/news", **secrets)
    with pytest.raises(SourceError) as caught:
        parse_json(question, ask(question, timeout_s=1.0))
    sent = stand.calls[0]
    assert KEY in (sent.headers.get("authorization", "") + sent.params.get("apikey", "")), "it was sent"
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in caplog.text
    assert caught.value.__cause__ is None, "what the client knows of the request does not come along"


def test_a_redirect_is_followed_where_there_is_no_key_to_lose(stand: Newsstand) -> None:
    stand.at("/old", Reply(status=301, headers={"Location": "/new"}))
    stand.at("/new", Reply("moved"))
    assert ask(Question("rss", f"{stand.url}/old")).body == b"moved"
    keyed = Question("paper", f"{stand.url}/old", secret_headers={"X-Key": "k"})
    assert isinstance(refused(keyed), SourceRefused)
    assert [call.path for call in stand.calls] == ["/old", "/new", "/old"]


def test_redirects_in_a_circle_are_an_error(stand: Newsstand) -> None:
    stand.at("/old", Reply(status=302, headers={"Location": "/old"}))
    assert isinstance(refused(Question("rss", f"{stand.url}/old")), SourceUnreachable)
    assert len(stand.calls) < 10


def test_the_password_in_an_address_is_not_shown(stand: Newsstand) -> None:
    address = stand.url.replace("http://", "http://me:hidden@") + "/feed?token=hidden"
    stand.at("/feed", Reply("no", 403))
    assert "hidden" not in str(refused(Question("rss", address)))
