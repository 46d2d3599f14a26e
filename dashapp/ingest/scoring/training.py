"""Training of the finance scorer: labelled texts and drills in, a model and its figures out.

The model is a multinomial logistic regression over features that occur at least twice, fitted by L-BFGS in NumPy. Its
probabilities are tempered, and the boundary of its labels set, on texts it was not fitted to: near copies of a text
always lie on the same side, or the figures would flatter it. The same texts and seed give the same model.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import BadLabels
from dashapp.ingest.scoring.drills import drills
from dashapp.ingest.scoring.evaluation import CLASSES, Figures, Labelled, figures_of
from dashapp.ingest.scoring.features import features_of
from dashapp.ingest.scoring.model import WEIGHT_SCALE, Model, stretched
from dashapp.ingest.scoring.words import read

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# A kind of features, and which of them.
Key = tuple[str, Any]

# Chosen by cross-validation on the training file of Twitter Financial News: how much each kind of feature counts, how
# much more a rare one does (its inverse document frequency to this power), and how strongly weights are held to zero.
_KIND_SCALES = {"words": 1.0, "pairs": 0.7, "skips": 0.7, "events": 1.5}
_RARITY_POWER = 1.0
_PENALTY = 3.0
# How much a drill counts beside a text that somebody labelled.
DRILL_WEIGHT = 0.4
DRILLS = 2_400

_LEAST_TEXTS = {"words": 2, "pairs": 2, "skips": 2, "events": 2}
_STEPS = 200
_TOLERANCE = 1e-4  # of the loss per text, from one step to the next
# Two texts that share more than half of their pairs of words are near copies; pairs of many texts tell nothing.
_COPY_SHARE = 0.5
_COMMON_PAIR = 60
# The rarity, as a logarithm, of what counts as written in _KIND_SCALES: one text in 150.
_USUAL_RARITY = 5.0
_PUNCTUATION = frozenset("?!;:.,")


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and what cross-validation says of it."""

    model: Model
    figures: Figures


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Features of texts: of text i those from starts[i] on, each an index of a weight with a value."""

    starts: Ints
    indices: Ints
    values: Floats
    width: int

    def take(self, rows: Ints) -> _Matrix:
        lengths = (self.starts[1:] - self.starts[:-1])[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        at = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return _Matrix(starts, self.indices[at], self.values[at], self.width)

    def times(self, weights: Floats) -> Floats:
        """The sums of (width, 2) weights for each text."""
        rows = np.repeat(np.arange(len(self.starts) - 1), self.starts[1:] - self.starts[:-1])
        count = len(self.starts) - 1
        return np.stack(
            [np.bincount(rows, self.values * weights[self.indices, side], minlength=count) for side in (0, 1)], axis=1
        )

    def transposed_times(self, slopes: Floats) -> Floats:
        """The sums of (texts, 2) slopes for each weight."""
        spread = np.repeat(slopes, self.starts[1:] - self.starts[:-1], axis=0)
        return np.stack(
            [np.bincount(self.indices, self.values * spread[:, side], minlength=self.width) for side in (0, 1)], axis=1
        )


def train(
    texts: Sequence[Labelled], *, seed: int, folds: int, name: str, version: str | None, about: dict[str, Any]
) -> Trained:
    """Train on labelled texts; `about` goes into the data card as it is; without a version, a digest is it.

    Raises BadLabels where one of the three labels is missing. About a minute for 10,000 headlines and five folds.
    """
    missing = [label for label in CLASSES if all(each.label != label for each in texts)]
    if missing or len(texts) < 2 * folds:
        raise BadLabels(
            f"{len(texts)} labelled texts, none of them {' or '.join(missing) or 'spare'}: to train on them, there "
            f"must be at least {2 * folds}, with all of {', '.join(CLASSES)} among them."
        )
    drilled = [Labelled(text, label) for text, label in drills(seed, DRILLS)]
    everything = [*texts, *drilled]
    counted = [_counted(each.text) for each in everything]
    keys = _keys(counted)
    matrix = _matrix(counted, keys, len(texts))
    labels = np.array([CLASSES.index(each.label) for each in everything])
    importance = np.concatenate([np.ones(len(texts)), np.full(len(drilled), DRILL_WEIGHT)])

    fold_of = np.concatenate([folds_of([each.text for each in texts], seed, folds), np.full(len(drilled), -1)])
    sums = np.zeros((len(texts), 2))
    for fold in range(folds):
        fitted = np.flatnonzero(fold_of != fold)
        held = np.flatnonzero(fold_of == fold)
        weights, lean = _fit(matrix.take(fitted), labels[fitted], importance[fitted])
        sums[held] = matrix.take(held).times(weights) + lean
    temper = _temper(sums, labels[: len(texts)])
    differences = _differences(sums * temper)
    boundary = _boundary(differences, labels[: len(texts)])
    figures = figures_of([each.label for each in texts], [stretched(each, boundary) for each in differences.tolist()])

    weights, lean = _fit(matrix, labels, importance)
    tables = _tables(keys, weights * temper, matrix)
    model = Model(**tables, lean=round(lean * temper * WEIGHT_SCALE), boundary=boundary, card={})
    card = {
        "name": name,
        "version": version or _digest(model),
        "seed": seed,
        "texts": len(texts),
        "labels": dict(Counter(each.label for each in texts)),
        "drills": DRILLS,
        "folds": folds,
        "temper": temper,
        "boundary": boundary,
        "weights": {kind: len(table) for kind, table in tables.items()},
        "cross_validation": figures.as_json(),
        **about,
    }
    return Trained(replace(model, card=card), figures)


def _counted(text: str) -> dict[Key, float]:
    """The features of a text as (kind, key), with how often they count: an event every time, others once."""
    features = features_of(read(text))
    counted: dict[Key, float] = {("words", word): 1.0 for word in features.words}
    counted |= {("pairs", pair): 1.0 for pair in features.pairs}
    counted |= {("skips", skip): 1.0 for skip in features.skips}
    for event in features.events:
        counted["events", event.key] = counted.get(("events", event.key), 0.0) + 1.0
    return counted


def _keys(counted: Sequence[dict[Key, float]]) -> list[Key]:
    """The features that occur often enough to learn a weight for, in order."""
    occurrences = Counter(key for each in counted for key in each)
    return sorted(key for key, texts in occurrences.items() if texts >= _LEAST_TEXTS[key[0]])


def _matrix(counted: Sequence[dict[Key, float]], keys: Sequence[Key], texts: int) -> _Matrix:
    """The features of all texts; how rare one is, the first so many texts tell."""
    places = {key: place for place, key in enumerate(keys)}
    starts, indices, values = [0], [], []
    for each in counted:
        for key, count in each.items():
            if key in places:
                indices.append(places[key])
                values.append(count)
        starts.append(len(indices))
    matrix = _Matrix(np.array(starts), np.array(indices), np.array(values), len(keys))
    occurrences = np.bincount(matrix.indices[: starts[texts]], minlength=len(keys))
    rarity = np.log(texts / np.maximum(occurrences, 1)) / _USUAL_RARITY
    scales = np.array([_KIND_SCALES[kind] for kind, _ in keys])
    graded = np.array([kind != "events" for kind, _ in keys])
    scales = np.where(graded, scales * rarity**_RARITY_POWER, scales)
    return replace(matrix, values=matrix.values * scales[matrix.indices])


def folds_of(texts: Sequence[str], seed: int, folds: int) -> Ints:
    """The fold of each text; near copies share one."""
    groups = near_copies(texts)
    names = np.unique(groups)
    np.random.default_rng(seed).shuffle(names)
    fold_of = {int(name): place % folds for place, name in enumerate(names)}
    return np.array([fold_of[int(group)] for group in groups])


def near_copies(texts: Sequence[str]) -> Ints:
    """For each text the number of the first one it is a near copy of, directly or by others in between."""
    first = list(range(len(texts)))

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = first[place]
        return place

    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    pairs_of: list[frozenset[tuple[str, str]]] = []
    for place, text in enumerate(texts):
        words = [word for word in read(text).words if word[0] not in _PUNCTUATION]
        pairs = frozenset(pairwise(["", *words]))
        shared = Counter(other for pair in pairs if len(holders[pair]) < _COMMON_PAIR for other in holders[pair])
        for other, count in shared.items():
            if count > _COPY_SHARE * len(pairs | pairs_of[other]):
                one, two = sorted((root(place), root(other)))
                first[two] = one
        for pair in pairs:
            holders[pair].append(place)
        pairs_of.append(pairs)
    return np.array([root(place) for place in range(len(texts))])


def _fit(matrix: _Matrix, labels: Ints, importance: Floats) -> tuple[Floats, float]:
    """The weights (width, 2) for positive and negative against neutral, and the lean both share."""
    aims = np.stack([labels == CLASSES.index("positive"), labels == CLASSES.index("negative")], axis=1).astype(float)

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, lean = point[:-1].reshape(-1, 2), point[-1]
        sums = matrix.times(weights) + lean
        logs = np.logaddexp(np.logaddexp(sums[:, 0], sums[:, 1]), 0.0)
        slopes = (np.exp(sums - logs[:, None]) - aims) * importance[:, None]
        both = weights.sum(axis=1, keepdims=True)
        # What a three-sided weight of no sum would cost: neither label is the one the others are measured by.
        cost = _PENALTY / 2 * float((weights**2).sum() - (both**2).sum() / 3)
        total = float(importance @ (logs - (sums * aims).sum(axis=1))) + cost
        grown = matrix.transposed_times(slopes) + _PENALTY * (weights - both / 3)
        return total, np.concatenate([grown.ravel(), [slopes.sum()]])

    point = _lowest(loss, np.zeros(matrix.width * 2 + 1), _TOLERANCE * len(labels))
    return point[:-1].reshape(-1, 2), float(point[-1])


def _lowest(loss: Callable[[Floats], tuple[float, Floats]], point: Floats, tolerance: float) -> Floats:
    """Where a convex function is lowest, by L-BFGS with ten pairs kept and halved steps."""
    value, slope = loss(point)
    kept: deque[tuple[Floats, Floats, float]] = deque(maxlen=10)
    for _ in range(_STEPS):
        way = slope.copy()
        pulls = []
        for moved, turned, curve in reversed(kept):
            pull = float(moved @ way) / curve
            pulls.append(pull)
            way -= pull * turned
        if kept:
            moved, turned, curve = kept[-1]
            way *= curve / float(turned @ turned)
        for (moved, turned, curve), pull in zip(kept, reversed(pulls), strict=True):
            way += (pull - float(turned @ way) / curve) * moved
        length = 1.0 if kept else 1.0 / max(float(np.abs(slope).sum()), 1.0)
        downhill = float(slope @ way)
        while True:
            there = point - length * way
            new_value, new_slope = loss(there)
            if new_value <= value - 1e-4 * length * downhill or length < 1e-12:
                break
            length /= 2
        moved, turned = there - point, new_slope - slope
        if float(moved @ turned) > 0:
            kept.append((moved, turned, float(moved @ turned)))
        gained = value - new_value
        point, value, slope = there, new_value, new_slope
        if gained < tolerance / 10 and len(kept) > 2:
            break
    return point


def _temper(sums: Floats, labels: Ints) -> float:
    """What sums must be multiplied by for the probabilities of texts that were not fitted to be most likely."""
    aims = np.stack([labels == CLASSES.index("positive"), labels == CLASSES.index("negative")], axis=1)

    def surprise(temper: float) -> float:
        tempered = sums * temper
        return float((np.logaddexp(np.logaddexp(tempered[:, 0], tempered[:, 1]), 0.0) - (tempered * aims).sum(1)).sum())

    return min((step / 20 for step in range(4, 81)), key=surprise)


def _differences(sums: Floats) -> Floats:
    """p(positive) - p(negative)."""
    logs = np.logaddexp(np.logaddexp(sums[:, 0], sums[:, 1]), 0.0)
    chances = np.exp(sums - logs[:, None])
    return np.asarray(chances[:, 0] - chances[:, 1])


def _boundary(differences: Floats, labels: Ints) -> float:
    """The difference from which on to call a text positive, for the best macro-F1."""
    names = [CLASSES[label] for label in labels]

    def quality(boundary: float) -> float:
        figures = figures_of(names, [stretched(each, boundary) for each in differences.tolist()])
        return figures.macro_f1

    return max((step / 50 for step in range(3, 35)), key=quality)


def _tables(keys: Sequence[Key], weights: Floats, matrix: _Matrix) -> dict[str, dict[Any, complex]]:
    """The weights of a model: of one occurrence of each feature, in whole thousandths, without those that are zero."""
    # The first value of each feature is that of one occurrence, but for events, which are not graded by rarity.
    one = np.zeros(len(keys))
    one[matrix.indices] = matrix.values
    one = np.where([kind == "events" for kind, _ in keys], _KIND_SCALES["events"], one)
    whole = np.rint(weights * one[:, None] * WEIGHT_SCALE)
    tables: dict[str, dict[Any, complex]] = {kind: {} for kind in _KIND_SCALES}
    for (kind, key), (positive, negative) in zip(keys, whole.tolist(), strict=True):
        if positive or negative:
            tables[kind][key] = complex(positive, negative)
    return tables


def _digest(model: Model) -> str:
    tables = (sorted(table.items(), key=str) for table in (model.words, model.pairs, model.skips, model.events))
    parts = (model.lean, model.boundary, *tables)
    return hashlib.blake2b(repr(parts).encode("utf-8"), digest_size=4).hexdigest()
