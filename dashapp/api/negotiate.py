"""Content negotiation: which form of an answer a client gets, by `format=` or else by its Accept header.

RFC 9110, 12.5.1: of the ranges that match a media type the most specific one decides its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dashapp.errors import NotAcceptable, UnknownFormat

MEDIA_TYPES = {
    "json": "application/json",
    "columns": "application/vnd.tickertone.columns+json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
}


class _Range(NamedTuple):
    kind: str
    subtype: str
    weight: float


def choose(form: str | None, accept: str | None, offered: Sequence[str]) -> str:
    """The form to answer in, one of those offered; the first of them where the client does not care.

    Raises UnknownFormat for a `format=` that is not offered, NotAcceptable where the Accept header takes none.
    """
    if form is not None:
        if form not in offered:
            raise UnknownFormat(
                f"format {form[:40]!r} is unknown here. Use one of: {', '.join(offered)}.",
                format=form[:40],
                valid=list(offered),
            )
        return form
    ranges = _ranges(accept or "*/*")
    best, weight = max(((name, _weight(name, ranges)) for name in offered), key=lambda pair: pair[1])
    if weight <= 0:
        raise NotAcceptable(
            f"This answer comes as {', '.join(_bare(name) for name in offered)}; the Accept header takes none of them.",
            valid=[_bare(name) for name in offered],
        )
    return best


def coding(accept_encoding: str | None, offered: Sequence[str] = ("br", "gzip")) -> str | None:
    """The best content coding that the client takes of those that are made, or None for none."""
    weights = {}
    for part in (accept_encoding or "").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights[name] = _quality(parameters)
    found = [name for name in offered if weights.get(name, weights.get("*", 0.0)) > 0]
    return max(found, key=lambda name: weights.get(name, weights.get("*", 0.0)), default=None)


def _bare(name: str) -> str:
    return MEDIA_TYPES[name].partition(";")[0]


def _ranges(accept: str) -> list[_Range]:
    found = []
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        kind, slash, subtype = media_range.partition("/")
        if slash:
            found.append(_Range(kind, subtype, _quality(parameters)))
    return found


def _quality(parameters: Sequence[str]) -> float:
    """The weight among the parameters of a range; 1 without one, 0 for one that is none."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def _weight(name: str, ranges: Sequence[_Range]) -> float:
    kind, _, subtype = _bare(name).partition("/")
    for wanted in ((kind, subtype), (kind, "*"), ("*", "*")):
        weights = [each.weight for each in ranges if (each.kind, each.subtype) == wanted]
        if weights:
            return max(weights)
    return 0.0
