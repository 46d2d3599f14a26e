"""Scorers: how often does each say what people said, and how many texts a second does it score on one core?

`python -m bench.scorers FILE` cross-validates on a labelled file (the training part of Twitter Financial News): near
copies of a text are always in the same fold. A scorer that is not trained (VADER, always neutral) is judged on the
whole file. `plain` is what a day's work with scikit-learn gives: TF-IDF of words and characters, and logistic
regression. What a transformer costs is measured on one of FinBERT's size with random weights: they say nothing, but
take as long as any others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import save, versions
from dashapp.ingest.scoring.evaluation import CLASSES, Labelled, evaluate, figures_of, read_labelled
from dashapp.ingest.scoring.finance import Finance
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY, Scorer, Sentiment, load_scorer
from dashapp.ingest.scoring.training import folds_of, train
from tests import bert

SEED, FOLDS = 1, 5
# Those of FinBERT, which is BERT-base without case.
BERT_WORDS = 30_522
BERT_TEXTS = 160
_SCORE_OF = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}


class AlwaysNeutral:
    """What nobody needs a scorer for."""

    name, version = "always-neutral", "1"

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        return [Sentiment(0.0)] * len(texts)


def plain(texts: Sequence[Labelled]) -> dict[str, Any]:
    """TF-IDF and logistic regression, as scikit-learn has them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    bodies = np.array([each.text for each in texts], dtype=object)
    labels = np.array([each.label for each in texts])
    folds = folds_of([each.text for each in texts], SEED, FOLDS)
    said = np.empty(len(texts), dtype=object)
    took_s = 0.0
    for fold in range(FOLDS):
        model = make_pipeline(
            make_union(
                TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
            ),
            LogisticRegression(C=10, max_iter=200, tol=1e-3, class_weight="balanced"),
        )
        model.fit(bodies[folds != fold], labels[folds != fold])
        began_s = time.process_time()
        said[folds == fold] = model.predict(bodies[folds == fold])
        took_s += time.process_time() - began_s
    scores = [_SCORE_OF[each] for each in said]
    return figures_of([each.label for each in texts], scores, seconds=took_s).as_json()


def throughput(scorer: Scorer, texts: Sequence[str], rounds: int = 5, digits: int | None = None) -> float:
    """Texts a second of CPU, the best of some rounds, each over texts that were never seen before."""
    best = 0.0
    for number in range(rounds):
        fresh = [f"{text} {number}" for text in texts]
        began_s = time.process_time()
        scorer.score(fresh)
        best = max(best, len(fresh) / (time.process_time() - began_s))
    return round(best, digits)


def transformer(texts: Sequence[str]) -> dict[str, Any]:
    """Texts a second of CPU by a transformer of FinBERT's size, through ONNX Runtime on one core.

    Its tokens are the words of the texts themselves, so that it has fewer to read than with pieces of words.
    """
    words = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    known = [word for word, _ in words.most_common(BERT_WORDS - len(bert.SPECIAL))]
    some = texts[:: len(texts) // BERT_TEXTS]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            place = bert.write_model(Path(folder) / "base", ["positive", "negative", "neutral"], known, size=bert.BASE)
            scorer = load_scorer(f"finbert:{place}")
            return {
                "texts_per_s": throughput(scorer, some, rounds=2, digits=1),
                "texts": len(some),
                "weights": "random",
            }
    finally:
        os.sched_setaffinity(0, cores)


def load_ms(rounds: int = 5) -> float:
    """How long the model takes to load, the best of some rounds."""
    times_ms = []
    for _ in range(rounds):
        began_s = time.process_time()
        Finance()
        times_ms.append((time.process_time() - began_s) * 1e3)
    return round(min(times_ms), 1)


def main() -> None:
    """Measure, and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labelled", type=Path, help="a CSV file of labelled texts")
    parser.add_argument("--dry-run", action="store_true", help="print the figures and do not save them")
    asked = parser.parse_args()
    texts = read_labelled(asked.labelled)
    bodies = [each.text for each in texts]
    trained = train(texts, seed=SEED, folds=FOLDS, name="bench", version="1", about={})
    found = {
        name: figures.as_json()
        for name, figures in evaluate([AlwaysNeutral(), load_scorer("vader")], texts, clock=time.process_time).items()
    }
    found["scikit-learn TF-IDF, logistic regression"] = plain(texts)
    found[DEFAULT_SCORER_IDENTITY] = trained.figures.as_json()
    figures: dict[str, Any] = {
        "texts": len(texts),
        "labels": {label: sum(each.label == label for each in texts) for label in CLASSES},
        "folds": FOLDS,
        "scorers": found,
        "texts_per_s": {name: throughput(load_scorer(name), bodies) for name in ("finance", "vader")},
        "transformer_of_finbert_size": transformer(bodies),
        "finance_load_ms": load_ms(),
    }
    if asked.dry_run:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        save("scorers", {**figures, "versions": versions("numpy", "onnxruntime", "scikit-learn", "vaderSentiment")})


if __name__ == "__main__":
    main()
