"""The scorer interface, and VADER behind it."""

from __future__ import annotations

import gzip
import time
from importlib.metadata import version
from pathlib import Path

import orjson
import pytest

from dashapp.errors import UnknownScorer
from dashapp.ingest.scoring.scorer import Scorer, Sentiment, identity, load_scorer
from dashapp.ingest.scoring.vader import MAX_SCORED_CHARS, Vader
from dashapp.model.score import label_of, quantise


@pytest.fixture(scope="module")
def vader() -> Scorer:
    return load_scorer("vader")


def test_vader_has_the_version_of_the_installed_package() -> None:
    installed = f"vader@{version('vaderSentiment')}"
    assert identity(load_scorer("vader")) == identity(load_scorer(installed)) == installed


@pytest.mark.parametrize("name", ["nobody", "VADER", "vader@0", "@3", "vader:here"])
def test_an_unknown_scorer_is_refused_by_naming_those_there_are(name: str) -> None:
    with pytest.raises(UnknownScorer, match="vader") as caught:
        load_scorer(name)
    assert repr(name) in str(caught.value)


def test_texts_are_scored_in_order_as_the_authors_examples_say(vader: Scorer) -> None:
    texts = [
        "VADER is smart, handsome, and funny.",
        "VADER is not smart, handsome, nor funny.",
        "The book was only kind of good.",
        "Today SUX!",
    ]
    assert [sentiment.score for sentiment in vader.score(texts)] == [0.8316, -0.7424, 0.3832, -0.5461]
    assert vader.score([]) == []


@pytest.mark.parametrize("text", ["", " ", "\n", "AAPL", "\x00", "\ud800"])
def test_a_text_without_a_word_of_feeling_scores_zero(vader: Scorer, text: str) -> None:
    assert vader.score([text]) == [Sentiment(0.0, None)]
    assert label_of(quantise(vader.score([text])[0].score)) == "neutral"


def test_a_text_scores_the_same_alone_in_company_again_and_by_another_scorer(vader: Scorer) -> None:
    texts = ["good", "bad", "good", "not good at all!!", "😀", "good"]
    together = vader.score(texts)
    assert together == [vader.score([text])[0] for text in reversed(texts)][::-1]
    assert together == Vader().score(texts)


def test_only_the_beginning_of_a_long_text_counts(vader: Scorer) -> None:
    end = " terrible" * 500
    beginning = "good " + "x " * MAX_SCORED_CHARS
    assert vader.score([beginning + end]) == vader.score([beginning])


@pytest.mark.parametrize("text", ["😀" * 20_000, "😀 x" * 5_000, "no x " * 4_000, ":) x " * 4_000, "good but " * 2_000])
def test_no_text_takes_long(vader: Scorer, text: str) -> None:
    began = time.process_time()
    vader.score([text])
    assert time.process_time() - began < 1.0, "unbounded, the first of these takes minutes"


def test_a_real_day_of_posts_is_scored_within_bounds(vader: Scorer, real_data: Path) -> None:
    with gzip.open(real_data / "tweets_2014" / "slim_dev_2014.jsonl.gz") as lines:
        texts = [orjson.loads(line)["text"] for _, line in zip(range(2_000), lines, strict=False)]
    scores = [sentiment.score for sentiment in vader.score(texts)]
    assert all(-1.0 <= score <= 1.0 for score in scores)
    assert len(set(scores)) > 100
