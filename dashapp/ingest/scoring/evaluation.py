"""Evaluation: how often a scorer says what people said, on texts that somebody labelled.

A labelled file is CSV with a header: `text` (or headline, sentence, title) and either `label` (positive, neutral,
negative; also bullish, bearish and the numbers that some sets have for them) or `score`, a number in [-1, 1].
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dashapp.errors import BadLabels, UnreadableInput
from dashapp.ingest.scoring.scorer import Scorer, identity
from dashapp.model.score import Label, label_of, quantise

# In the order of tables: that of the scores.
CLASSES: tuple[Label, ...] = ("negative", "neutral", "positive")

_TEXT_COLUMNS = ("text", "sentence", "headline", "title")
_LABEL_COLUMNS = ("label", "sentiment", "score", "sentiment_score")
_LABELS: dict[str, Label] = {
    **{label: label for label in get_args(Label)},
    "bullish": "positive",
    "bearish": "negative",
    "pos": "positive",
    "neg": "negative",
    "neu": "neutral",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with what people said of it: a label, and where they gave one, a score in [-1, 1]."""

    text: str
    label: Label
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """How well scores follow labels. `confusion[actual][said]` counts texts; `correlation` is Pearson's, None without
    scores to compare with."""

    confusion: dict[Label, dict[Label, int]]
    correlation: float | None = None
    items_per_s: float | None = None

    @property
    def count(self) -> int:
        """How many texts."""
        return sum(sum(row.values()) for row in self.confusion.values())

    @property
    def accuracy(self) -> float:
        """The share of labels that are right."""
        return sum(self.confusion[label][label] for label in CLASSES) / max(self.count, 1)

    def precision(self, label: Label) -> float:
        """Of the texts it gave the label, the share that have it; 0 where it gave none."""
        said = sum(self.confusion[actual][label] for actual in CLASSES)
        return self.confusion[label][label] / said if said else 0.0

    def recall(self, label: Label) -> float:
        """Of the texts that have the label, the share it gave it to; 0 where there are none."""
        there = sum(self.confusion[label].values())
        return self.confusion[label][label] / there if there else 0.0

    def f1(self, label: Label) -> float:
        """The harmonic mean of precision and recall."""
        precision, recall = self.precision(label), self.recall(label)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the labels that occur."""
        there = [label for label in CLASSES if sum(self.confusion[label].values())]
        return sum(map(self.f1, there)) / max(len(there), 1)

    def as_json(self) -> dict[str, Any]:
        """All figures, rounded to four decimals."""
        return {
            "texts": self.count,
            "accuracy": round(self.accuracy, 4),
            "macro_f1": round(self.macro_f1, 4),
            "labels": {
                label: {
                    "precision": round(self.precision(label), 4),
                    "recall": round(self.recall(label), 4),
                    "f1": round(self.f1(label), 4),
                    "texts": sum(self.confusion[label].values()),
                }
                for label in CLASSES
            },
            "correlation": None if self.correlation is None else round(self.correlation, 4),
            "confusion": {actual: dict(row) for actual, row in self.confusion.items()},
            "items_per_s": None if self.items_per_s is None else round(self.items_per_s),
        }


def figures_of(
    labels: Sequence[Label],
    scores: Sequence[float],
    *,
    given: Sequence[float] | None = None,
    seconds: float | None = None,
) -> Figures:
    """The figures of scores beside labels; `given` are the scores of people, `seconds` what scoring took."""
    said = Counter((actual, label_of(quantise(score))) for actual, score in zip(labels, scores, strict=True))
    return Figures(
        {actual: {label: said[actual, label] for label in CLASSES} for actual in CLASSES},
        None if given is None else correlation(given, scores),
        None if seconds is None else len(scores) / max(seconds, 1e-9),
    )


def evaluate(scorers: Sequence[Scorer], texts: Sequence[Labelled], *, clock: Callable[[], float]) -> dict[str, Figures]:
    """The figures of each scorer by `name@version`; `clock` tells the seconds of CPU it takes."""
    found = {}
    bodies = [each.text for each in texts]
    given = [each.score for each in texts if each.score is not None]
    for scorer in scorers:
        began_s = clock()
        scores = [sentiment.score for sentiment in scorer.score(bodies)]
        took_s = clock() - began_s
        found[identity(scorer)] = figures_of(
            [each.label for each in texts], scores, given=given if len(given) == len(texts) else None, seconds=took_s
        )
    return found


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Pearson's correlation; None where one side does not vary."""
    mean_one, mean_other = math.fsum(one) / max(len(one), 1), math.fsum(other) / max(len(other), 1)
    product = math.fsum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    spread = math.fsum((a - mean_one) ** 2 for a in one) * math.fsum((b - mean_other) ** 2 for b in other)
    return product / math.sqrt(spread) if spread > 0 else None


def read_labelled(path: Path, numbers: Sequence[str] = ("negative", "positive", "neutral")) -> list[Labelled]:
    """The labelled texts of a CSV file, in order; raises UnreadableInput or BadLabels with the line.

    `numbers` says what the labels 0, 1, 2 mean, which differs between sets; the default is of Twitter Financial News.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
            text = next((columns[name] for name in _TEXT_COLUMNS if name in columns), None)
            label = next((columns[name] for name in _LABEL_COLUMNS if name in columns), None)
            if text is None or label is None:
                raise BadLabels(
                    f"{path}: columns {', '.join(columns) or 'none'}; one of {', '.join(_TEXT_COLUMNS)} and one of "
                    f"{', '.join(_LABEL_COLUMNS)} are needed."
                )
            is_score = label.strip().lower() in ("score", "sentiment_score")
            return [
                _labelled(row[text], row[label], is_score, numbers, f"{path}, line {rows.line_num}") for row in rows
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableInput(f"{path} cannot be read as CSV: {error}") from error


def _labelled(text: str | None, value: str | None, is_score: bool, numbers: Sequence[str], place: str) -> Labelled:
    value = (value or "").strip().lower()
    if not is_score:
        name = numbers[int(value)] if value.isdecimal() and int(value) < len(numbers) else value
        if name in _LABELS:
            return Labelled(text or "", _LABELS[name])
    else:
        try:
            score = float(value)
            return Labelled(text or "", label_of(quantise(score)), score)
        except ValueError:
            pass
    what = "a score in [-1, 1]" if is_score else f"one of {', '.join(_LABELS)}, or a number below {len(numbers)}"
    raise BadLabels(f"{place}: {value!r} is not {what}.")
