"""Engines: what runs a transformer, by ONNX Runtime or by PyTorch, and where its files come from.

A place is a folder, an ONNX file, or an id of the model hub, whose files are fetched once and then read from the
hub's own cache.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import BadModel, UnknownScorer
from dashapp.ingest.scoring.onnxengine import OnnxEngine
from dashapp.ingest.scoring.torchengine import TorchEngine

# FinBERT by Araci (2019), as weights for PyTorch and as an ONNX file of the same weights.
TORCH_HUB_ID = "ProsusAI/finbert"
ONNX_HUB_ID = "Xenova/finbert"
ONNX_FILES = ("model.onnx", "onnx/model.onnx")
# Weights of more than 2 GB lie beside the graph.
_FETCHED = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    *ONNX_FILES, *(f"{name}_data" for name in ONNX_FILES),
)  # fmt: skip
_HUB_ID = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)?", re.ASCII)


class Engine(Protocol):
    """A sequence classifier with its tokenizer. Not safe for use by several threads at once."""

    @property
    def labels(self) -> Sequence[str]:
        """Its labels, in the order of the logits."""

    @property
    def version(self) -> str:
        """A digest of all that decides what it says."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of the tokens of each text, with those of its beginning and end, cut to a length."""

    def logits(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits (texts, labels) of texts of the same length (texts, tokens)."""


def load_engine(place: str, max_tokens: int) -> Engine:
    """The engine of a place, FinBERT from the model hub without one; of a long text the first `max_tokens` count.

    ONNX Runtime where it is installed and the place has an ONNX file, PyTorch otherwise. Raises UnknownScorer where
    neither is installed, BadModel for a place that holds nothing either can load.
    """
    # Not imported by name: what is not asked for need not be loaded, and each takes half a second or more.
    has_onnx = all(map(find_spec, ("onnxruntime", "tokenizers", "huggingface_hub")))
    has_torch = all(map(find_spec, ("torch", "transformers")))
    if not (has_onnx or has_torch):
        raise UnknownScorer("scorer finbert needs more: pip install tickertone[finbert].")
    place = place or (ONNX_HUB_ID if has_onnx else TORCH_HUB_ID)
    path = Path(place)
    if not path.exists():
        if not _HUB_ID.fullmatch(place):
            raise BadModel(f"{place} is neither a folder, nor an ONNX file, nor an id of the model hub.")
        if has_onnx:
            path = _fetched(place)
    if has_onnx and (file := _onnx_file(path)):
        return OnnxEngine(file, max_tokens)
    if has_torch:
        return TorchEngine(place, max_tokens)
    raise BadModel(
        f"{place} has no {' or '.join(ONNX_FILES)}. Export one (optimum-cli export onnx --model {place} FOLDER), "
        f"use one that is ready ({ONNX_HUB_ID}), or run its weights by PyTorch: pip install tickertone[finbert-torch]."
    )


def _onnx_file(path: Path) -> Path | None:
    if path.suffix == ".onnx" and path.is_file():
        return path
    return next((path / name for name in ONNX_FILES if (path / name).is_file()), None)


def _fetched(hub_id: str) -> Path:
    """The folder with the files of a model of the hub; raises BadModel."""
    import huggingface_hub

    asked: dict[str, Any] = {"repo_id": hub_id, "allow_patterns": list(_FETCHED)}
    try:
        # What is there is not asked for again: a version stays what it is, and nothing is needed of the network.
        return Path(huggingface_hub.snapshot_download(**asked, local_files_only=True))
    except OSError:
        pass
    try:
        return Path(huggingface_hub.snapshot_download(**asked))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BadModel(f"{hub_id} is no folder here, and the model hub did not give it: {reason}") from error
