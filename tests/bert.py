"""BERT as an ONNX graph with random weights, and its tokenizer: what a transformer scorer is tried and measured on.

The graph is that of Devlin et al. (2019) with a classifier on the pooled first token, as exports of
BertForSequenceClassification have it: inputs input_ids, attention_mask and token_type_ids, output logits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tokenizers
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
EPSILON = 1e-12


@dataclass(frozen=True)
class Size:
    """The size of a BERT; `spread` is the standard deviation of its weights."""

    layers: int = 1
    width: int = 8
    heads: int = 2
    inner: int = 16
    positions: int = 24
    spread: float = 0.9


BASE = Size(layers=12, width=768, heads=12, inner=3072, positions=512, spread=0.02)


def weights_of(size: Size, words: int, labels: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights by their names; scales of the normalisations are 1."""
    random = np.random.default_rng(seed)

    def some(*shape: int) -> NDArray[np.float32]:
        return random.normal(0.0, size.spread, shape).astype(np.float32)

    found = {
        "word": some(words, size.width),
        "position": some(size.positions, size.width),
        "kind": some(2, size.width),
        "norm.scale": np.ones(size.width, dtype=np.float32),
        "norm.shift": some(size.width),
    }
    for layer in range(size.layers):
        for name, into, out in (
            *((each, size.width, size.width) for each in ("query", "key", "value", "joined")),
            ("inner", size.width, size.inner),
            ("outer", size.inner, size.width),
        ):
            found[f"{layer}.{name}.weight"], found[f"{layer}.{name}.bias"] = some(into, out), some(out)
        for name in ("norm", "last"):
            found[f"{layer}.{name}.scale"] = np.ones(size.width, dtype=np.float32)
            found[f"{layer}.{name}.shift"] = some(size.width)
    for name, out in (("pooled", size.width), ("logits", labels)):
        found[f"{name}.weight"], found[f"{name}.bias"] = some(size.width, out), some(out)
    return found


def graph_of(size: Size, weights: Mapping[str, NDArray[np.float32]]) -> Any:
    """The ONNX model with these weights."""
    nodes: list[Any] = []
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def linear(value: str, layer: str, name: str) -> str:
        product = node("MatMul", value, f"{layer}.weight", name=f"{name}.product")
        return node("Add", product, f"{layer}.bias", name=name)

    def norm(value: str, layer: str, name: str) -> str:
        return node(
            "LayerNormalization", value, f"{layer}.scale", f"{layer}.shift", name=name, axis=-1, epsilon=EPSILON
        )

    def heads(value: str, name: str, order: Sequence[int]) -> str:
        apart = node("Reshape", value, "apart", name=f"{name}.apart")
        return node("Transpose", apart, name=name, perm=order)

    zero, one = constant("zero", np.int64(0)), constant("one", np.int64(1))
    constant("apart", np.array([0, 0, size.heads, size.width // size.heads], dtype=np.int64))
    constant("whole", np.array([0, 0, size.width], dtype=np.int64))
    half, unit, root = (constant(name, np.float32(v)) for name, v in (("half", 0.5), ("unit", 1.0), ("root", 2**0.5)))
    scale = constant("scale", np.float32((size.width / size.heads) ** -0.5))
    length = node("Gather", node("Shape", "input_ids", name="shape"), one, name="length")
    places = node("Range", zero, length, one, name="places")
    hidden = node(
        "Add",
        node("Gather", "word", "input_ids", name="words"),
        node("Gather", "position", places, name="positions"),
        name="worded",
    )
    hidden = norm(
        node("Add", hidden, node("Gather", "kind", "token_type_ids", name="kinds"), name="embedded"), "norm", "hidden"
    )
    # What is not attended to counts as good as nothing.
    mask = node("Cast", "attention_mask", name="mask", to=TensorProto.FLOAT)
    mask = node("Unsqueeze", mask, constant("axes", np.array([1, 2], dtype=np.int64)), name="mask.wide")
    mask = node("Sub", unit, mask, name="mask.not")
    mask = node("Mul", mask, constant("far", np.float32(-1e9)), name="mask.added")
    for layer in range(size.layers):
        at = f"{layer}."
        query = heads(linear(hidden, f"{at}query", f"{at}q"), f"{at}q.heads", [0, 2, 1, 3])
        key = heads(linear(hidden, f"{at}key", f"{at}k"), f"{at}k.heads", [0, 2, 3, 1])
        value = heads(linear(hidden, f"{at}value", f"{at}v"), f"{at}v.heads", [0, 2, 1, 3])
        likeness = node("Mul", node("MatMul", query, key, name=f"{at}qk"), scale, name=f"{at}scaled")
        attention = node("Softmax", node("Add", likeness, mask, name=f"{at}masked"), name=f"{at}attention", axis=-1)
        context = node("Transpose", node("MatMul", attention, value, name=f"{at}av"), name=f"{at}c", perm=[0, 2, 1, 3])
        context = linear(node("Reshape", context, "whole", name=f"{at}context"), f"{at}joined", f"{at}joined")
        hidden = norm(node("Add", context, hidden, name=f"{at}sum"), f"{at}norm", f"{at}normed")
        inner = linear(hidden, f"{at}inner", f"{at}inner")
        bent = node("Erf", node("Div", inner, root, name=f"{at}div"), name=f"{at}erf")
        bent = node("Mul", inner, node("Add", bent, unit, name=f"{at}erf1"), name=f"{at}bent")
        outer = linear(node("Mul", bent, half, name=f"{at}gelu"), f"{at}outer", f"{at}outer")
        hidden = norm(node("Add", outer, hidden, name=f"{at}more"), f"{at}last", f"{at}hidden")
    first = node("Gather", hidden, zero, name="first", axis=1)
    linear(node("Tanh", linear(first, "pooled", "pooled"), name="tanh"), "logits", "logits")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", None])
    graph = helper.make_graph(nodes, "bert", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def tokenizer_of(words: Sequence[str]) -> Any:
    """A WordPiece tokenizer of these words in lower case, which marks beginning and end."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def write_model(
    folder: Path, labels: Sequence[str], words: Sequence[str], *, seed: int = 1, size: Size | None = None
) -> Path:
    """A folder with model.onnx, config.json and tokenizer.json, as an export has them."""
    size = size or Size()
    folder.mkdir(parents=True)
    weights = weights_of(size, len(SPECIAL) + len(words), len(labels), seed)
    onnx.save(graph_of(size, weights), folder / "model.onnx")
    config = {"id2label": dict(enumerate(labels)), "max_position_embeddings": size.positions}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    tokenizer_of(words).save(str(folder / "tokenizer.json"))
    return folder
