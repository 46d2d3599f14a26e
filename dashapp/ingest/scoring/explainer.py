"""Explanations of stored scores, whoever made them, as far as their scorer is installed and can tell."""

from __future__ import annotations

from functools import cache
from typing import Any

from dashapp.errors import UnknownScorer
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER, Explains, load_scorer


class Explainer:
    """Loads scorers when their scores are first asked about; safe for use by several threads."""

    def __init__(self) -> None:
        self._scorer = cache(_explaining)

    def words(self, scorer: str, text: str) -> list[dict[str, Any]] | None:
        """The words of a text with what each did to its score by this scorer (`name@version`); None when that is not
        known."""
        found = self._scorer(scorer)
        if found is None or not text:
            return None
        return [{"word": each.word, "share": round(each.share, 6)} for each in found.explain(text).shares]


def _explaining(identity: str) -> Explains | None:
    # Only what needs nothing but the package: a reader must not start a download, nor wait for a transformer.
    if identity.partition("@")[0] != DEFAULT_SCORER:
        return None
    try:
        scorer = load_scorer(identity)
    except UnknownScorer:  # another version made these scores
        return None
    return scorer if isinstance(scorer, Explains) else None
