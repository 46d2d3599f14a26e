"""Log lines: their two forms, and the request that they belong to."""

from __future__ import annotations

import contextvars
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashapp import logs


def line(form: logging.Formatter, message: str, *arguments: object, failed: BaseException | None = None) -> str:
    exc_info = (type(failed), failed, None) if failed else None
    return form.format(logging.LogRecord("dashapp.x", logging.WARNING, "x.py", 1, message, arguments, exc_info))


def test_for_people_a_line_names_request_and_revision_where_there_are_any() -> None:
    assert line(logs.TextLines(), "%s is late", "rollup") == "WARNING dashapp.x: rollup is late"
    with logs.request("abc-1"):
        assert line(logs.TextLines(), "late") == "WARNING dashapp.x: late [request=abc-1]"
        logs.note_revision(7)
        assert line(logs.TextLines(), "late") == "WARNING dashapp.x: late [request=abc-1 revision=7]"
    assert line(logs.TextLines(), "late") == "WARNING dashapp.x: late"


def test_for_programs_a_line_is_one_object() -> None:
    with logs.request("abc-1"):
        logs.note_revision(7)
        text = line(logs.JsonLines(), "two\nlines\u2028of %s", "text", failed=ValueError("no"))
    assert "\n" not in text
    told = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", told.pop("time"))
    assert told == {
        "level": "warning",
        "logger": "dashapp.x",
        "message": "two\nlines\u2028of text",
        "request_id": "abc-1",
        "revision": 7,
        "exception": "ValueError: no",
    }


def test_what_a_client_sent_cannot_pretend_to_be_another_line_or_move_the_cursor() -> None:
    text = line(logs.TextLines(), "refused %s", "a\nERROR dashapp.y: forged\r\x1b[2J\x85")
    assert text == r"WARNING dashapp.x: refused a\nERROR dashapp.y: forged\x0d\x1b[2J\x85"

    failed = line(logs.TextLines(), "no", failed=ValueError("a\x1b[2J\nb"))
    assert failed == "WARNING dashapp.x: no\nValueError: a\\x1b[2J\nb"


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "x" * 65, "ü"])
def test_an_id_that_is_none_is_replaced(given: str | None) -> None:
    with logs.request(given) as one, logs.request(given) as other:
        assert re.fullmatch(r"[0-9a-f]{16}", one.id)
        assert one.id != other.id


def test_a_revision_noted_in_a_thread_is_the_requests() -> None:
    with ThreadPoolExecutor(1) as pool, logs.request("abc"):
        pool.submit(contextvars.copy_context().run, logs.note_revision, 9).result()
        assert line(logs.TextLines(), "done").endswith("[request=abc revision=9]")
    logs.note_revision(10)  # of no request: of no consequence
