"""The text of an item as its reader should see it: entities decoded, nothing that cannot be stored or shown."""

from __future__ import annotations

import html
import re

# With the semicolon only: HTML also knows `&copy` and `&sect` without one, and would eat `?a=1&section=2` in a URL.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Control characters but for newline and tab, and halves of surrogate pairs, which no encoding can hold.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text with entities decoded, lone surrogates as U+FFFD, other control characters and outer blanks removed.

    Entities are decoded twice, since many senders encode twice (`&amp;#39;`). Line ends become newlines.
    """
    if "&" in text:
        text = decode_entities(decode_entities(text))
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)).strip()


def decode_entities(text: str) -> str:
    """The text with each complete HTML entity replaced by what it stands for; an unknown one stays."""
    return _ENTITY.sub(lambda found: html.unescape(found.group()), text)


def is_plain(text: str) -> bool:
    """Whether a text has no control character at all and no half of a surrogate pair."""
    return not (_CONTROLS.search(text) or _SURROGATES.search(text) or "\n" in text or "\t" in text)
