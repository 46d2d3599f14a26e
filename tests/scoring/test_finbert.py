"""The transformer scorer by ONNX Runtime, with models of a few hundred weights that the test makes itself."""

from __future__ import annotations

import http.server
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bert
import numpy as np
import onnx
import pytest

from dashapp.errors import BadModel
from dashapp.ingest.scoring.engine import ONNX_HUB_ID
from dashapp.ingest.scoring.finbert import Finbert
from dashapp.ingest.scoring.scorer import Scorer, identity, load_scorer
from dashapp.model.score import label_of, quantise

WORDS = ["profit", "loss", "rose", "fell", "the", "market", "##s"]
LABELS = ["positive", "negative", "neutral"]
TEXTS = ["profit rose", "the market", "Losses fell fell", "profits", "株価 profit", "the the the the the market"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert.write_model(tmp_path_factory.mktemp("models") / "tiny", LABELS, WORDS)


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Scorer:
    return load_scorer(f"finbert:{folder}")


def chances(text: str) -> list[float]:
    """The probabilities of the labels, computed word by word and head by head."""
    size = bert.Size()
    weights = {
        name: value.astype(float)
        for name, value in bert.weights_of(size, len(bert.SPECIAL) + len(WORDS), len(LABELS), 1).items()
    }

    def linear(value: Any, name: str) -> Any:
        return value @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def norm(value: Any, name: str) -> Any:
        apart = value - value.mean(-1, keepdims=True)
        spread = np.sqrt((apart**2).mean(-1, keepdims=True) + bert.EPSILON)
        return apart / spread * weights[f"{name}.scale"] + weights[f"{name}.shift"]

    def softmax(value: Any) -> Any:
        odds = np.exp(value - value.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)

    ids = bert.tokenizer_of(WORDS).encode(text).ids
    hidden = norm(weights["word"][ids] + weights["position"][: len(ids)] + weights["kind"][0], "norm")
    query, key, value = (linear(hidden, f"0.{name}") for name in ("query", "key", "value"))
    each = size.width // size.heads
    heads = [slice(head * each, head * each + each) for head in range(size.heads)]
    seen = [softmax(query[:, at] @ key[:, at].T / each**0.5) @ value[:, at] for at in heads]
    hidden = norm(linear(np.concatenate(seen, axis=1), "0.joined") + hidden, "0.norm")
    inner = linear(hidden, "0.inner")
    bent = inner * (1 + np.vectorize(math.erf)(inner / 2**0.5)) / 2
    hidden = norm(linear(bent, "0.outer") + hidden, "0.last")
    found: list[float] = softmax(linear(np.tanh(linear(hidden[0], "pooled")), "logits")).tolist()
    return found


def test_a_score_is_the_difference_of_the_probabilities_and_the_confidence_that_of_the_label(scorer: Scorer) -> None:
    for text, sentiment in zip(TEXTS, scorer.score(TEXTS), strict=True):
        by_label = dict(zip(LABELS, chances(text), strict=True))
        assert sentiment.score == pytest.approx(by_label["positive"] - by_label["negative"], abs=2e-5)
        assert sentiment.confidence == pytest.approx(by_label[label_of(quantise(sentiment.score))], abs=2e-5)
    assert len({each.score for each in scorer.score(TEXTS)}) == len(TEXTS)


def test_the_order_of_labels_is_that_of_the_configuration(tmp_path: Path, scorer: Scorer) -> None:
    turned = load_scorer(f"finbert:{bert.write_model(tmp_path / 'm', ['Bearish', 'Bullish', 'Neutral'], WORDS)}")
    scores = [each.score for each in scorer.score(TEXTS)]
    assert [each.score for each in turned.score(TEXTS)] == pytest.approx([-score for score in scores], abs=1e-9)
    assert max(map(abs, scores)) > 0.05


def test_a_text_scores_the_same_alone_in_any_batch_and_again(scorer: Scorer) -> None:
    texts = [
        " ".join(["profit rose", "the market", "fell"][: number % 3 + 1] * (number % 7 + 1)) for number in range(1_100)
    ]
    together = scorer.score(texts)
    assert together == scorer.score(texts)
    assert together[::-1] == scorer.score(texts[::-1])
    assert together[:21] == [scorer.score([text])[0] for text in texts[:21]]
    assert all(-1 <= each.score <= 1 for each in together)


def test_texts_of_one_length_are_run_together_in_batches(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(scorer, Finbert)
    shapes = []
    run = scorer._engine.logits
    monkeypatch.setattr(scorer._engine, "logits", lambda tokens: (shapes.append(tokens.shape), run(tokens))[1])
    scorer.score(["profit rose"] * 40 + ["loss"] * 3 + ["", "the market fell"])
    assert shapes == [(3, 3), (32, 4), (8, 4), (1, 5)]


def test_several_threads_get_what_one_gets(scorer: Scorer) -> None:
    found: list[Any] = [None] * 4
    threads = [threading.Thread(target=lambda at=at: found.__setitem__(at, scorer.score(TEXTS))) for at in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [scorer.score(TEXTS)] * 4


@pytest.mark.parametrize(
    "text", ["", "  \n", "💥", "\ud800", "\x00", "株価は上昇した", "x" * 5_000, "profit " * 10_000]
)
def test_any_text_has_a_score(scorer: Scorer, text: str) -> None:
    (sentiment,) = scorer.score([text])
    assert -1 <= sentiment.score <= 1
    if not text.strip():
        assert (sentiment.score, sentiment.confidence) == (0.0, None)


def test_blanks_do_not_matter_and_of_a_long_text_the_beginning_counts(scorer: Scorer) -> None:
    assert scorer.score([]) == []
    assert scorer.score(["  profit \n rose "]) == scorer.score(["PROFIT rose"])
    # 24 places, two of them for beginning and end.
    cut = scorer.score(["profit " * 22 + "loss", "profit " * 23, "profit " * 21 + "loss"])
    assert cut[0] == cut[1] != cut[2]


def test_the_version_is_of_weights_labels_and_tokenizer(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    same = load_scorer(f"finbert:{shutil.copytree(folder, tmp_path / 'same')}")
    assert identity(same) == identity(scorer)
    assert re.fullmatch(r"finbert@[0-9a-f]{8}", identity(same))
    others = [
        bert.write_model(tmp_path / "weights", LABELS, WORDS, seed=2),
        bert.write_model(tmp_path / "labels", LABELS[::-1], WORDS),
        bert.write_model(tmp_path / "tokenizer", LABELS, WORDS[::-1]),
    ]
    assert len({identity(scorer), *(identity(load_scorer(f"finbert:{each}")) for each in others)}) == 4


def test_a_file_an_export_in_a_folder_of_its_own_and_a_plain_vocabulary_are_read_too(
    folder: Path, scorer: Scorer, tmp_path: Path
) -> None:
    assert identity(load_scorer(f"finbert:{folder / 'model.onnx'}")) == identity(scorer)
    apart = shutil.copytree(folder, tmp_path / "apart")
    (apart / "onnx").mkdir()
    (apart / "model.onnx").rename(apart / "onnx" / "model.onnx")
    assert identity(load_scorer(f"finbert:{apart}")) == identity(scorer)
    (apart / "tokenizer.json").unlink()
    (apart / "vocab.txt").write_text("\n".join([*bert.SPECIAL, *WORDS]), "utf-8")
    assert load_scorer(f"finbert:{apart}").score(TEXTS) == scorer.score(TEXTS)
    (apart / "tokenizer_config.json").write_text('{"do_lower_case": false}', "utf-8")
    exact = load_scorer(f"finbert:{apart}")
    assert exact.score(["profit"]) == scorer.score(["Profit"])
    assert exact.score(["Profit"]) != scorer.score(["Profit"])


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")

    return change


def with_text(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text, "utf-8") and None


def with_other_input(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "attention_mask" else name for name in node.input]
    model.graph.input[1].name = "pixels"
    onnx.save(model, folder / "model.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("model.onnx"), r"has no model\.onnx or onnx/model\.onnx.*optimum-cli export onnx.*finbert-torch"),
        (without("config.json"), r"has no config\.json, which names the labels"),
        (without("tokenizer.json"), r"has no tokenizer: neither tokenizer\.json nor vocab\.txt"),
        (with_text("model.onnx", "nothing"), r"model\.onnx cannot be loaded by ONNX Runtime"),
        (with_text("tokenizer.json", "{}"), r"tokenizer\.json is no tokenizer"),
        (with_text("config.json", "{"), r"config\.json cannot be read"),
        (with_text("config.json", "[]"), r"config\.json is no JSON object"),
        (
            with_config(id2label={"0": "1 star", "1": "2 stars", "2": "3"}),
            "1 star, 2 stars, 3; positive and negative are",
        ),
        (with_config(id2label={"0": "positive", "2": "negative"}), r"id2label must name the labels from 0 on"),
        (with_config(id2label=None), r"id2label must name the labels"),
        (with_config(id2label={"0": "positive", "1": "negative"}), "3 logits, .* names 2 labels"),
        (with_config(max_position_embeddings="many"), "max_position_embeddings is 'many'"),
        (with_other_input, r"asks for input_ids, pixels, token_type_ids"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    change(broken)
    with pytest.raises(BadModel, match=message):
        load_scorer(f"finbert:{broken}")


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"nowhere is neither a folder, nor an ONNX file, nor an id"):
        load_scorer(f"finbert:{tmp_path / 'nowhere'}")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A model hub on this machine that has one model twice, and what it was asked for."""
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            body, headers = b"", {}
            if found := re.fullmatch(r"/api/models/(.*)/(revision|tree)/.*", self.path):
                names = sorted(path.name for path in folder.iterdir())
                if found[1] not in ("acme/tiny", ONNX_HUB_ID):
                    headers = {"X-Error-Code": "RepoNotFound"}
                elif found[2] == "revision":
                    body = json.dumps({"id": found[1], "sha": COMMIT, "siblings": []}).encode()
                else:
                    files = [(name, (folder / name).stat().st_size) for name in names]
                    body = json.dumps(
                        [{"type": "file", "path": name, "size": size, "oid": f"{name}-1"} for name, size in files]
                    ).encode()
            elif found := re.fullmatch(rf"/.*/resolve/{COMMIT}/(.*)", self.path):
                body = (folder / found[1]).read_bytes()
                headers = {"ETag": f'"{found[1]}-1"', "X-Repo-Commit": COMMIT}
            self.send_response(200 if body else 404)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


_TRY = """
import sys
from dashapp.ingest.scoring.scorer import identity, load_scorer
from dashapp.errors import BadModel
for name in sys.argv[1:]:
    try:
        print(identity(load_scorer(name)))
    except BadModel as error:
        print(error)
"""


def test_a_model_of_the_hub_is_fetched_once_and_then_needs_no_network(
    hub: tuple[str, list[str]], scorer: Scorer, tmp_path: Path
) -> None:
    endpoint, asked = hub
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1"}
    names = ["finbert:acme/tiny", "finbert", "finbert:acme/tiny", "finbert:acme/none"]
    done = subprocess.run(
        [sys.executable, "-c", _TRY, *names], env=environment, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[:3] == [identity(scorer)] * 3, done.stderr
    assert lines[3].startswith("acme/none is no folder here, and the model hub did not give it: ")
    fetched = [each for each in asked if each.startswith("GET") and "resolve" in each and "acme/tiny" in each]
    assert len(fetched) == 3
    assert any(ONNX_HUB_ID in each for each in asked)
    # A fetch that was broken off is taken up again.
    (held,) = tmp_path.glob("hub/models--acme--tiny/snapshots/*/*.onnx")
    held.unlink()
    done = subprocess.run(
        [sys.executable, "-c", _TRY, names[0]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [identity(scorer)], done.stdout + done.stderr
