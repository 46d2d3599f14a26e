"""Transformers by PyTorch: a folder, or an id of the model hub, as the transformers package reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import BadModel


class TorchEngine:
    """A classifier with its weights; the names of its labels are those of its configuration."""

    def __init__(self, place: str, max_tokens: int) -> None:
        """Load it; raises BadModel for what cannot be loaded."""
        import torch
        import transformers

        self._torch: Any = torch
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(place)
            self._model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(place).eval()
        except (OSError, ValueError) as error:
            raise BadModel(f"{place} cannot be loaded as a transformer: {error}") from error
        labels = {int(number): str(label) for number, label in self._model.config.id2label.items()}
        self.labels: Sequence[str] = [labels[number] for number in range(len(labels))]
        self._max_tokens = max_tokens
        self.version = _digest(self._model)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of the tokens of each text."""
        found = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens)["input_ids"]
        return [list(each) for each in found]

    def logits(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits of texts of the same length."""
        ids = self._torch.from_numpy(tokens)
        with self._torch.inference_mode():
            said = self._model(input_ids=ids, attention_mask=self._torch.ones_like(ids))
        found: NDArray[np.float32] = said.logits.numpy()
        return found


def _digest(model: Any) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode("utf-8"))
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
