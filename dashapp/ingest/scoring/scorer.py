"""Scorers: what turns a text into a sentiment, behind one interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dashapp.errors import BadParameter, UnknownScorer
from dashapp.ingest.stories import relevance_of, story_of
from dashapp.model.item import Item
from dashapp.model.score import Score, quantise


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What a scorer says of a text: a score in [-1, 1], and how sure it is in [0, 1], None when it cannot tell.

    The label follows from the score (`dashapp.model.score.label_of`) and is not kept beside it.
    """

    score: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class WordShare:
    """What one word of a text did to its score."""

    word: str
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score and the shares of the words in it, in the order of the text; they add up to the score."""

    score: float
    shares: tuple[WordShare, ...]


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


@runtime_checkable
class Explains(Protocol):
    """A scorer that can say which words moved a score."""

    def explain(self, text: str) -> Explanation:
        """The score of a text, shared out among its words so that the shares add up to it."""


def identity(scorer: Scorer) -> str:
    """`name@version`, which is kept with every score."""
    return f"{scorer.name}@{scorer.version}"


def score_items(items: Sequence[Item], scorer: Scorer) -> tuple[list[Score], list[int]]:
    """The scores of items, and for each the index of the item it is of.

    Scored, and marked with story and relevance, are only those that came without a score.
    """
    unscored = [item for item in items if any(mention.score is None for mention in item.mentions)]
    sentiments = dict(zip(map(id, unscored), scorer.score([item.text for item in unscored]), strict=True))
    scorer_identity = identity(scorer)
    scores, owners = [], []
    for owner, item in enumerate(items):
        story_id = story_of(item.text) if id(item) in sentiments else None
        for mention in item.mentions:
            if mention.score is None:
                sentiment = sentiments[id(item)]
                made_by, value, confidence = scorer_identity, sentiment.score, sentiment.confidence
            else:
                made_by, value, confidence = item.scorer or GIVEN_SCORER, mention.score, mention.confidence
            scores.append(
                Score(
                    item_id=item.id,
                    ticker=mention.ticker,
                    scorer=made_by,
                    published_us=item.published_us,
                    score_e6=quantise(value),
                    source=item.source,
                    text=item.text,
                    url=item.url,
                    confidence=confidence,
                    relevance=relevance_of(item, mention),
                    story_id=story_id,
                )
            )
            owners.append(owner)
    return scores, owners


_IDENTITY = re.compile(r"(?=.{3,100}$)[\w.+-]+@[\w.+-]+", re.ASCII)


def parse_scorer(text: str) -> str:
    """The `name@version` of whoever made the scores that come with a file; raises BadParameter for anything else."""
    if not _IDENTITY.fullmatch(text):
        raise BadParameter(
            f"scorer {text[:40]!r} is not NAME@VERSION, such as finbert@2: at most 100 characters, "
            "letters, digits and . _ + - on both sides of the @.",
            parameter="scorer",
        )
    return text


# The scorer of scores that came with their items from someone who did not say.
GIVEN_SCORER = "given@1"
DEFAULT_SCORER = "finance"
# Written out, so that readers need not load the model to prefer its scores; a test compares it with the model.
DEFAULT_SCORER_IDENTITY = f"{DEFAULT_SCORER}@2"


def load_scorer(name: str | None = None) -> Scorer:
    """The scorer of that name, of `name@version`, or of `name:place`; the default one without a name.

    The place is a model file for `finance` (one that `tickertone scorer train` wrote); a folder, an ONNX file or an id
    of the model hub for `finbert`. Raises UnknownScorer, which lists those there are, for a name or a version that is
    not installed; BadModel for a place that holds none.
    """
    wanted, _, place = (name or DEFAULT_SCORER).partition(":")
    wanted_version = ""
    if not place:
        wanted, _, wanted_version = wanted.partition("@")
    if wanted not in _SCORERS or (place and wanted not in _PLACED):
        raise UnknownScorer(
            f"scorer {name!r} is unknown. Use one of: {', '.join(_SCORERS)}, finance:FILE, finbert:FOLDER.", scorer=name
        )
    scorer = _SCORERS[wanted](place)
    if wanted_version not in ("", scorer.version):
        raise UnknownScorer(f"scorer {name!r} is not installed; {identity(scorer)} is.", scorer=name)
    return scorer


# Here inside, since they know this module; and a scorer is a heavy thing to import for those who use another.
def _finance(place: str) -> Scorer:
    from dashapp.ingest.scoring.finance import Finance

    return Finance(Path(place) if place else None)


def _vader(_: str) -> Scorer:
    from dashapp.ingest.scoring.vader import Vader

    return Vader()


def _finbert(place: str) -> Scorer:
    from dashapp.ingest.scoring.finbert import Finbert

    return Finbert(place)


_SCORERS: dict[str, Callable[[str], Scorer]] = {"finance": _finance, "vader": _vader, "finbert": _finbert}
_PLACED = frozenset({"finance", "finbert"})


def explain(scorer: Scorer, text: str) -> Explanation:
    """Which words moved the score of a text; raises UnknownScorer for one that cannot tell."""
    if not isinstance(scorer, Explains):
        raise UnknownScorer(f"scorer {identity(scorer)} cannot say which words moved a score; {DEFAULT_SCORER} can.")
    return scorer.explain(text)
