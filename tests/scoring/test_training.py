"""Training and evaluation: the same seed gives the same model, near copies stay together, figures are right."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dashapp.errors import BadLabels, UnreadableInput
from dashapp.ingest.scoring.drills import drills
from dashapp.ingest.scoring.evaluation import Labelled, correlation, evaluate, figures_of, read_labelled
from dashapp.ingest.scoring.finance import Finance
from dashapp.ingest.scoring.model import save_model
from dashapp.ingest.scoring.scorer import identity, load_scorer
from dashapp.ingest.scoring.training import near_copies, train
from dashapp.model.score import Label

LABELS: tuple[Label, ...] = ("negative", "neutral", "positive")
WORDS = {"negative": "gloomy zorp shares", "neutral": "the meeting of shareholders", "positive": "splendid flim shares"}
TEXTS = [Labelled(f"{WORDS[label]} number {place * 7919 % 97}x", label) for place in range(40) for label in LABELS]


def test_a_model_learns_what_it_is_shown_and_the_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("one.npz", "other.npz"):
        trained = train(TEXTS, seed=3, folds=3, name="mine", version=None, about={"licence": "own"})
        save_model(tmp_path / name, trained.model)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    scorer = load_scorer(f"finance:{tmp_path / 'one.npz'}")
    assert isinstance(scorer, Finance)
    assert scorer.name == "mine"
    assert identity(scorer) == f"mine@{scorer.model.card['version']}"
    assert len(scorer.version) == 8  # a digest of the weights
    positive, negative = scorer.score(["splendid flim", "gloomy zorp"])
    assert positive.score > 0.05 > -0.05 > negative.score
    assert scorer.model.card["licence"] == "own"
    assert scorer.model.card["labels"] == dict.fromkeys(LABELS, 40)


def test_texts_without_all_labels_are_refused() -> None:
    with pytest.raises(BadLabels, match="none of them negative"):
        train([each for each in TEXTS if each.label != "negative"], seed=1, folds=2, name="m", version=None, about={})


def test_near_copies_of_a_text_are_found_and_others_are_not() -> None:
    texts = [
        "Acme cut to sell at Goldman Sachs on weak demand https://t.co/1",
        "Fed leaves interest rates as they are, as expected",
        "RT @x: ACME cut to sell at Goldman Sachs on weak demand",
        "Acme raises guidance",
    ]
    assert near_copies(texts).tolist() == [0, 1, 0, 3]


def test_drills_are_the_same_for_a_seed_and_have_all_labels() -> None:
    made = list(drills(5, 300))
    assert made == list(drills(5, 300))
    assert made != list(drills(6, 300))
    assert {label for _, label in made} == set(LABELS)
    assert not any("{" in text for text, _ in made)


def test_no_sentence_of_the_tests_is_a_drill() -> None:
    lines = [
        line
        for name in ("sentences.tsv", "newswire.tsv")
        for line in (Path(__file__).parent / name).read_text("utf-8").splitlines()
    ]
    assert {line.split("\t")[1].lower() for line in lines} & {text.lower() for text, _ in drills(1, 5_000)} == set()


def test_figures_are_what_one_counts_by_hand() -> None:
    labels: list[Label] = ["positive", "positive", "neutral", "negative", "negative", "neutral"]
    figures = figures_of(labels, [0.9, 0.0, 0.0, -0.5, 0.05, -0.05], given=[1, 1, 0, -1, -1, 0], seconds=2)
    assert figures.confusion["positive"] == {"negative": 0, "neutral": 1, "positive": 1}
    assert figures.confusion["neutral"] == {"negative": 1, "neutral": 1, "positive": 0}
    assert figures.confusion["negative"] == {"negative": 1, "neutral": 0, "positive": 1}
    assert (figures.accuracy, figures.macro_f1) == (0.5, 0.5)
    assert (figures.precision("negative"), figures.recall("negative")) == (0.5, 0.5)
    assert figures.items_per_s == 3


def test_the_correlation_is_the_one_numpy_computes_and_none_where_nothing_varies() -> None:
    one, other = [0.1, -0.4, 0.9, 0.3], [0.2, -0.1, 0.4, 0.5]
    found = correlation(one, other)
    assert found is not None
    assert math.isclose(found, float(np.corrcoef(one, other)[0, 1]))
    assert correlation([1.0, 1.0], [0.0, 1.0]) is None


def test_several_scorers_are_evaluated_side_by_side() -> None:
    clock = iter(range(100))
    found = evaluate([load_scorer(), load_scorer("vader")], TEXTS, clock=lambda: float(next(clock)))
    assert [name.partition("@")[0] for name in found] == ["finance", "vader"]
    assert all(figures.count == len(TEXTS) and figures.items_per_s == len(TEXTS) for figures in found.values())


def test_labels_are_read_as_words_and_numbers_and_scores(tmp_path: Path) -> None:
    path = tmp_path / "labelled.csv"
    path.write_text('Sentence,Sentiment\n"Profit, rose",Positive\nfell,0\nheld,2\nup,1\nflat,bearish\n', "utf-8")
    labels = ["positive", "negative", "neutral", "positive", "negative"]
    assert [each.label for each in read_labelled(path)] == labels
    assert [each.label for each in read_labelled(path, ("neutral", "positive", "negative"))][1:3] == [
        "neutral",
        "negative",
    ]
    path.write_text("headline,score\nup,0.7\nflat,-0.01\n", "utf-8")
    assert read_labelled(path) == [Labelled("up", "positive", 0.7), Labelled("flat", "neutral", -0.01)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nup,maybe\n", r"line 2: 'maybe' is not one of"),
        ("text,label\nup,7\n", r"line 2: '7' is not"),
        ("text,score\nup,7\n", r"line 2: '7' is not a score"),
        ("text\nup\n", "are needed"),
        ("", "are needed"),
    ],
)
def test_a_wrong_label_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "labelled.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(BadLabels, match=message):
        read_labelled(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"nothing\.csv"):
        read_labelled(tmp_path / "nothing.csv")
