"""The model of the finance scorer: the weights of features and the file they are kept in.

Weights are whole thousandths, so that sums of them are exact and the same in any order and on any machine. A weight is
a pair: what the feature says for positive against neutral, and for negative against neutral. The file is a NumPy
archive without pickled objects; its data card says what it was trained on.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.abc import Traversable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from dashapp.errors import BadModel
from dashapp.model.score import LABEL_THRESHOLD_E6, SCORE_SCALE

FORMAT = 1
WEIGHT_SCALE = 1_000
TABLES = ("words", "pairs", "skips", "events")
_LABEL_THRESHOLD = LABEL_THRESHOLD_E6 / SCORE_SCALE

# The real part speaks for positive, the imaginary part for negative, each against neutral, in thousandths: adding two
# numbers at once halves the time of a sum.
Weight = complex
NO_WEIGHT: Weight = 0j


@dataclass(frozen=True, slots=True)
class Model:
    """The weights of each kind of feature, the lean of a text that has none, and the boundary between labels.

    `lean` is that of both signs, so that an empty text scores 0. `boundary` is the difference p(positive) - p(negative)
    from which on a text is positive; the score stretches it to the threshold that all labels follow.
    """

    words: Mapping[str, Weight]
    pairs: Mapping[tuple[str, str], Weight]
    skips: Mapping[tuple[str, str], Weight]
    events: Mapping[str, Weight]
    lean: int
    boundary: float
    card: Mapping[str, Any]

    def probabilities(self, weight: Weight) -> tuple[float, float, float]:
        """p(positive), p(neutral) and p(negative) of a text whose features weigh that together."""
        for_positive = (weight.real + self.lean) / WEIGHT_SCALE
        for_negative = (weight.imag + self.lean) / WEIGHT_SCALE
        top = max(for_positive, for_negative, 0.0)
        positive, neutral, negative = math.exp(for_positive - top), math.exp(-top), math.exp(for_negative - top)
        total = positive + neutral + negative
        return positive / total, neutral / total, negative / total


def stretched(difference: float, boundary: float) -> float:
    """A difference p(positive) - p(negative) as a score whose threshold of labels lies where the difference has its
    boundary: straight lines through (0, 0), (boundary, threshold) and (1, 1), and the same below."""
    size = abs(difference)
    if size <= boundary:
        return difference / boundary * _LABEL_THRESHOLD
    score = _LABEL_THRESHOLD + (1 - _LABEL_THRESHOLD) * (size - boundary) / (1 - boundary)
    return math.copysign(min(score, 1.0), difference)


def slope_of_stretch(difference: float, boundary: float) -> float:
    """How steep `stretched` is there."""
    if abs(difference) <= boundary:
        return _LABEL_THRESHOLD / boundary
    return (1 - _LABEL_THRESHOLD) / (1 - boundary)


def save_model(path: Path, model: Model) -> None:
    """Write the model; the same model makes the same bytes."""
    arrays: dict[str, Any] = {"card": _bytes_of(json.dumps(model.card, ensure_ascii=False, sort_keys=True))}
    arrays["format"], arrays["lean"], arrays["boundary"] = np.int64(FORMAT), np.int64(model.lean), model.boundary
    for name in TABLES:
        weights: Mapping[Any, Weight] = getattr(model, name)
        keys = sorted(weights)
        arrays[f"{name}_keys"] = _bytes_of("\n".join(key if isinstance(key, str) else "\t".join(key) for key in keys))
        parts = [(int(weights[key].real), int(weights[key].imag)) for key in keys]
        arrays[f"{name}_weights"] = np.array(parts, dtype=np.int16).reshape(len(parts), 2)
    np.savez_compressed(path, **arrays)


def load_model(path: Path | Traversable) -> Model:
    """The model of a file; about 50 ms for the one that comes with Tickertone. Raises BadModel."""
    try:
        with path.open("rb") as file, np.load(cast("BinaryIO", file), allow_pickle=False) as arrays:
            if int(arrays["format"]) != FORMAT:
                raise BadModel(f"{path} has format {arrays['format']}; {FORMAT} is read. Train it anew.")
            tables = {name: _table(arrays[f"{name}_keys"], arrays[f"{name}_weights"]) for name in TABLES}
            card = json.loads(arrays["card"].tobytes().decode("utf-8"))
            return Model(**tables, lean=int(arrays["lean"]), boundary=float(arrays["boundary"]), card=card)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadModel(f"{path} is not a model that `tickertone scorer train` wrote: {error}.") from error


def _bytes_of(text: str) -> Any:
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def _table(keys: Any, weights: Any) -> dict[Any, Weight]:
    """The weights by their keys; a key of two words holds a tab and becomes a tuple."""
    text = keys.tobytes().decode("utf-8")
    names: list[Any] = text.split("\n") if text else []
    if "\t" in text:
        names = [tuple(name.split("\t")) for name in names]
    parts = weights.astype(np.float64)
    return dict(zip(names, (parts[:, 0] + 1j * parts[:, 1]).tolist(), strict=True))
