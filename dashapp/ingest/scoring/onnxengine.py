"""Transformers by ONNX Runtime: an ONNX file with `config.json` and a tokenizer beside it, or in the folder above."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import BadModel

_READ_BYTES = 1 << 20
# What a graph may ask for beside the ids of the tokens. All tokens count, for texts of one length need no filling.
_FILLED = {"attention_mask": 1, "token_type_ids": 0}
_ERRORS_ONLY = 3


class OnnxEngine:
    """A classifier as an ONNX file; the names of its labels are `id2label` in `config.json`."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        """Load it; raises BadModel, which names the file that is missing or wrong."""
        config_file = _beside(file, "config.json")
        if config_file is None:
            raise BadModel(f"{file.parent} has no config.json, which names the labels of {file.name}.")
        config = _config(config_file)
        self.labels: Sequence[str] = _labels(config, config_file)
        room = config.get("max_position_embeddings", max_tokens)
        if not isinstance(room, int) or room < 1:
            raise BadModel(f"{config_file}: max_position_embeddings is {room!r}, not a number of tokens.")
        self._tokenizer, tokenizer_file = _tokenizer(file, min(max_tokens, room))
        self._session = _session(file)
        self._inputs = [each.name for each in self._session.get_inputs()]
        unknown = set(self._inputs) - {"input_ids", *_FILLED}
        if unknown or "input_ids" not in self._inputs:
            raise BadModel(f"{file} asks for {', '.join(self._inputs)}; input_ids, {', '.join(_FILLED)} can be given.")
        self.version = _digest([file, *sorted(file.parent.glob(f"{file.name}_data*")), tokenizer_file], self.labels)
        try:
            width = self.logits(np.array(self.tokens(["a"]), dtype=np.int64)).shape[-1]
        except Exception as error:  # ONNX Runtime has no common class for its errors
            raise BadModel(f"{file} cannot be run: {error}") from error
        if width != len(self.labels):
            raise BadModel(f"{file} has {width} logits, {config_file} names {len(self.labels)} labels.")

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of the tokens of each text."""
        return [each.ids for each in self._tokenizer.encode_batch(list(texts))]

    def logits(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits of texts of the same length."""
        given = {name: tokens if name == "input_ids" else np.full_like(tokens, _FILLED[name]) for name in self._inputs}
        found: NDArray[np.float32] = self._session.run(None, given)[0]
        return found


def _beside(file: Path, *names: str) -> Path | None:
    """The first of these files there is, in the folder of a file or, where that is called onnx, the one above."""
    folders = [file.parent, file.parent.parent] if file.parent.name == "onnx" else [file.parent]
    return next((path for folder in folders for name in names if (path := folder / name).is_file()), None)


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadModel(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BadModel(f"{path} is no JSON object.")
    return found


def _labels(config: dict[str, Any], path: Path) -> list[str]:
    named = config.get("id2label")
    try:
        numbered = {int(number): str(label) for number, label in named.items()}  # type: ignore[union-attr]
        return [numbered[number] for number in range(len(numbered))]
    except (AttributeError, KeyError, ValueError) as error:
        raise BadModel(f"{path}: id2label must name the labels from 0 on, such as {{'0': 'positive'}}.") from error


def _tokenizer(file: Path, max_tokens: int) -> tuple[Any, Path]:
    """The tokenizer beside a model, and the file it is made from."""
    import tokenizers

    path = _beside(file, "tokenizer.json", "vocab.txt")
    if path is None:
        raise BadModel(f"{file.parent} has no tokenizer: neither tokenizer.json nor vocab.txt.")
    try:
        if path.name == "tokenizer.json":
            made = tokenizers.Tokenizer.from_file(str(path))
        else:
            settings = _beside(file, "tokenizer_config.json")
            lower = settings is None or bool(_config(settings).get("do_lower_case", True))
            made = tokenizers.BertWordPieceTokenizer(str(path), lowercase=lower)
        made.no_padding()
        made.enable_truncation(max_tokens)
    except BadModel:
        raise
    except Exception as error:  # all that the package raises
        raise BadModel(f"{path} is no tokenizer: {error}") from error
    return made, path


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.use_deterministic_compute = True
    # As many threads as there are cores for this process; they sleep while they wait, for others serve pages meanwhile.
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has no common class for its errors
        raise BadModel(f"{file} cannot be loaded by ONNX Runtime: {error}") from error


def _digest(files: Sequence[Path], labels: Sequence[str]) -> str:
    digest = hashlib.blake2b("\n".join(labels).encode("utf-8"), digest_size=4)
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
    return digest.hexdigest()
