"""Conditional requests: whether an If-None-Match header names an answer (RFC 9110, 13.1.2)."""

from __future__ import annotations

import re
from collections.abc import Callable

_TAGS = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def held_by(if_none_match: str | None) -> Callable[[str], bool]:
    """Tells of an entity tag whether the client holds that answer: by weak comparison, `*` holding any."""
    if if_none_match is None:
        return lambda _: False
    if if_none_match.strip() == "*":
        return lambda _: True
    named = set(_TAGS.findall(if_none_match))
    return lambda etag: etag.removeprefix("W/").strip('"') in named
