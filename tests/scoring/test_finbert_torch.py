"""The transformer scorer by PyTorch, with a model that the test makes itself; needs the extra finbert-torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashapp.errors import BadModel
from dashapp.ingest.scoring.scorer import Scorer, identity, load_scorer
from dashapp.model.score import quantise

torch: Any = pytest.importorskip("torch", reason="the extra finbert-torch is not installed")
transformers: Any = pytest.importorskip("transformers", reason="the extra finbert-torch is not installed")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "profit", "loss", "rose", "fell", "the", "market"]


def make_model(folder: Path, labels: list[str], seed: int) -> Path:
    """A BERT of one layer with random weights, and its tokenizer."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=160,
        initializer_range=2.0,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", ["positive", "negative", "neutral"], 1)


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Scorer:
    return load_scorer(f"finbert:{folder}")


def test_a_folder_is_loaded_and_scores_are_the_difference_of_its_probabilities(folder: Path, scorer: Scorer) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = ["profit rose", "the market", "loss fell fell"]
    for text, sentiment in zip(texts, scorer.score(texts), strict=True):
        with torch.inference_mode():
            positive, negative, neutral = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()
        assert sentiment.score == pytest.approx(positive - negative, abs=1e-4)
        assert any(sentiment.confidence == pytest.approx(each, abs=1e-4) for each in (positive, negative, neutral))
    assert len({each.score for each in scorer.score(texts)}) == 3


def test_a_text_scores_the_same_alone_and_in_a_batch_of_any_length(scorer: Scorer) -> None:
    texts = [" ".join(["profit rose", "the market"] * (number % 40 + 1)) for number in range(70)]
    together = scorer.score(texts)
    assert [each.score for each in together[:5]] == [scorer.score([text])[0].score for text in texts[:5]]
    assert all(-1 <= each.score <= 1 and -1_000_000 <= quantise(each.score) <= 1_000_000 for each in together)


def test_an_empty_text_scores_zero_and_a_huge_one_is_cut(scorer: Scorer) -> None:
    assert scorer.score([]) == []
    assert scorer.score(["", "  "])[1].score == 0.0
    assert scorer.score(["profit " * 10_000])[0] == scorer.score(["profit " * 20_000])[0]


def test_the_version_is_of_the_weights(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    assert identity(scorer) == identity(load_scorer(f"finbert:{folder}"))
    other = make_model(tmp_path / "other", ["positive", "negative", "neutral"], 2)
    assert identity(load_scorer(f"finbert:{other}")) != identity(scorer)


def test_what_is_no_model_or_has_other_labels_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="cannot be loaded as a transformer"):
        load_scorer(f"finbert:{tmp_path}")
    stars = make_model(tmp_path / "stars", ["1 star", "2 stars", "3 stars"], 1)
    with pytest.raises(BadModel, match="positive and negative are needed"):
        load_scorer(f"finbert:{stars}")
