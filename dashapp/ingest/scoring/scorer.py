"""Scorers: what turns a text into a sentiment, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from dashapp.errors import UnknownScorer


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What a scorer says of a text: a score in [-1, 1], and how sure it is in [0, 1], None when it cannot tell.

    The label follows from the score (`dashapp.model.score.label_of`) and is not kept beside it.
    """

    score: float
    confidence: float | None = None


class Scorer(Protocol):
    """Scores texts. The same name, version and text give the same sentiment, on any machine, for ever."""

    @property
    def name(self) -> str:
        """What it is called, without an @."""

    @property
    def version(self) -> str:
        """What it must be called anew for, as soon as any text would score differently."""

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment for each text, in order; safe to call from several threads."""


def identity(scorer: Scorer) -> str:
    """`name@version`, which is kept with every score."""
    return f"{scorer.name}@{scorer.version}"


# The scorer of scores that came with their items from someone who did not say.
GIVEN_SCORER = "given@1"
DEFAULT_SCORER = "vader"
DEFAULT_SCORER_IDENTITY = f"{DEFAULT_SCORER}@{version('vaderSentiment')}"


def load_scorer(name: str | None = None) -> Scorer:
    """The scorer of that name, or `name@version`; the default one without a name.

    Raises UnknownScorer, which lists those there are, for a name or a version that is not installed.
    """
    wanted, _, wanted_version = (name or DEFAULT_SCORER).partition("@")
    if wanted not in _SCORERS:
        raise UnknownScorer(f"scorer {name!r} is unknown. Use one of: {', '.join(_SCORERS)}.", scorer=name)
    scorer = _SCORERS[wanted]()
    if wanted_version not in ("", scorer.version):
        raise UnknownScorer(f"scorer {name!r} is not installed; {identity(scorer)} is.", scorer=name)
    return scorer


def _vader() -> Scorer:
    # Here, since it knows this module; and a scorer is a heavy thing to import for those who use another.
    from dashapp.ingest.scoring.vader import Vader

    return Vader()


_SCORERS: dict[str, Callable[[], Scorer]] = {"vader": _vader}
