"""Marks of a text beside its score: which story it tells, and how much it is about each ticker it names."""

from __future__ import annotations

import hashlib

from dashapp.ingest.scoring.words import shown_words
from dashapp.model.item import Item, Mention

_PUNCTUATION = frozenset("?!;:.,")


def story_of(text: str) -> str | None:
    """The id of the story a text tells: that of all texts of the same words; None for a text without words.

    Case, blanks, punctuation, addresses, handles, retweet marks and cashtags do not count. It depends on nothing but
    the text, so every process gives the same one. About 15 µs.
    """
    words = [word for word in shown_words(text) if word not in _PUNCTUATION]
    if not words:
        return None
    return hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=8).hexdigest()


def relevance_of(item: Item, mention: Mention) -> float | None:
    """How much an item is about a ticker: what its source says, else 1 over the number of tickers it names; None where
    its score came with it."""
    if mention.relevance is not None or mention.score is not None:
        return mention.relevance
    return 1 / len(item.mentions)
