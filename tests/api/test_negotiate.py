"""Negotiation: format= first, then the Accept header as RFC 9110 has it."""

from __future__ import annotations

import pytest

from dashapp.api.conditional import held_by
from dashapp.api.negotiate import choose, coding
from dashapp.errors import NotAcceptable, UnknownFormat

ALL = ("json", "columns", "csv", "arrow", "parquet")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("TEXT/CSV; charset=utf-8", "csv"),
        ("application/vnd.apache.arrow.stream", "arrow"),
        ("application/vnd.apache.parquet", "parquet"),
        ("application/vnd.tickertone.columns+json", "columns"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("text/csv;q=0.5, application/json;q=0.4", "csv"),
        ("text/csv;q=0.5, */*;q=0.6", "json"),
        ("application/json;q=0, */*;q=0.1", "columns"),
        ("application/json;q=0, application/*;q=0, */*", "csv"),
        ("text/csv ; q=1.000 , application/json ; q=0.999", "csv"),
        ("text/html, text/csv;q=0.001", "csv"),
        ("nonsense, text/csv", "csv"),
    ],
)
def test_the_accept_header_chooses_by_weight_and_the_most_specific_range(accept: str | None, chosen: str) -> None:
    assert choose(None, accept, ALL) == chosen


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "application/json;q=0", "*/*;q=0", "text/csv;q=nan", "text/csv;q=2", "nonsense"]
)
def test_an_accept_header_that_takes_nothing_is_refused_and_told_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/json, application/vnd\.tickertone\.columns\+json, text/csv"):
        choose(None, accept, ALL)


def test_the_parameter_wins_over_the_header() -> None:
    assert choose("csv", "application/json", ALL) == "csv"
    assert choose("csv", "text/html", ALL) == "csv"


@pytest.mark.parametrize("form", ["", "xml", "JSON", "json ", "x" * 1_000])
def test_an_unknown_format_is_refused_with_those_there_are(form: str) -> None:
    with pytest.raises(UnknownFormat, match="Use one of: json, columns, csv, arrow, parquet") as refused:
        choose(form, None, ALL)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.1, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("gzip;q=0", None),
    ],
)
def test_the_coding_is_the_best_one_that_the_client_takes(accepted: str | None, chosen: str | None) -> None:
    assert coding(accepted) == chosen


@pytest.mark.parametrize(
    ("header", "held"),
    [
        (None, False),
        ("", False),
        ("*", True),
        (" * ", True),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", W/"abc" , "y"', True),
        ('"x","abc"', True),
        ('"a,b", "abc"', True),
        ("abc", False),
        ('"ABC"', False),
        ('"abc,"', False),
        ('"ab"', False),
        ('w/"abcd"', False),
    ],
)
@pytest.mark.parametrize("etag", ['"abc"', 'W/"abc"'])
def test_if_none_match_compares_weakly_through_lists_and_stars(header: str | None, held: bool, etag: str) -> None:
    assert held_by(header)(etag) is held
