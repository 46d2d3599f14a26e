"""Answers as CSV: times as ISO-8601 with Z, several sources joined by a semicolon, nothing for null."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashapp.model.time import to_iso


def header(names: Sequence[str]) -> str:
    """The line of column names."""
    return _text([list(names)])


def lines(columns: Mapping[str, Sequence[Any]], names: Sequence[str], times: frozenset[str]) -> str:
    """A line for each row, with the columns of these names; those in `times` hold microseconds."""
    shown = [_shown(columns[name], is_time=name in times) for name in names]
    return _text(list(zip(*shown, strict=True)))


def _shown(column: Sequence[Any], *, is_time: bool) -> Sequence[Any]:
    if is_time:
        return [to_iso(moment_us) for moment_us in column]
    form = _FORMS.get(type(column[0])) if column else None
    return column if form is None else [form(value) for value in column]


_FORMS: dict[type, Callable[[Any], str]] = {list: ";".join, bool: lambda value: "true" if value else "false"}


def _text(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
