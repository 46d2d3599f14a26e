"""The finance scorer as it comes: what it says, how it explains itself, and what must not matter to it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashapp.errors import BadModel, UnknownScorer
from dashapp.ingest.scoring.finance import Finance
from dashapp.ingest.scoring.model import load_model, stretched
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY, Sentiment, explain, identity, load_scorer
from dashapp.model.score import label_of, quantise

SCORER = Finance()


def sentences(name: str) -> list[tuple[str, str]]:
    """The (label, text) of a file of sentences that were written by hand."""
    lines = (Path(__file__).parent / name).read_text("utf-8").splitlines()
    return [(label, text) for label, _, text in (line.partition("\t") for line in lines)]


SENTENCES = sentences("sentences.tsv")
# In the style of company reports and news agencies, written before anybody looked at what a model makes of them.
NEWSWIRE = sentences("newswire.tsv")
LABELS = ("positive", "negative", "neutral")
HEADLINES = st.lists(
    st.sampled_from(
        [
            "profit",
            "loss",
            "rose",
            "fell",
            "not",
            "no",
            "beats",
            "misses",
            "from",
            "to",
            "EUR",
            "13.1",
            "mn",
            "8.7",
            "5%",
            "-3%",
            "+2%",
            "costs",
            "upgraded",
            ",",
            ".",
            "?",
            "lawsuit",
            "record",
            "low",
            "less",
            "bad",
            "than",
            "feared",
            "turns",
            "dismisses",
            "guidance",
            "the",
            "a",
            "unemployment",
            "$AAPL",
            "2019",
            "higher",
        ]
    ),
    max_size=25,
).map(" ".join)
TEXTS = st.one_of(HEADLINES, st.text(max_size=200))


def said(text: str) -> float:
    (sentiment,) = SCORER.score([text])
    return sentiment.score


def test_it_is_the_default_by_the_name_readers_know_without_loading_it() -> None:
    assert identity(load_scorer()) == identity(SCORER) == DEFAULT_SCORER_IDENTITY


def test_of_the_hand_written_sentences_at_least_nine_in_ten_get_their_label() -> None:
    wrong = [(label, text) for label, text in SENTENCES if label_of(quantise(said(text))) != label]
    assert len(SENTENCES) == 90
    assert len(wrong) <= len(SENTENCES) / 10, wrong


def test_of_newswire_sentences_most_get_their_label_and_facts_about_companies_are_neutral() -> None:
    said_of = {label: [label_of(quantise(said(text))) for each, text in NEWSWIRE if each == label] for label in LABELS}
    right = {label: said_of[label].count(label) for label in LABELS}
    assert {label: len(said_of[label]) for label in LABELS} == dict.fromkeys(LABELS, 70)
    assert sum(right.values()) >= 0.85 * 210
    assert right["neutral"] >= 0.95 * 70
    assert said_of["positive"].count("negative") + said_of["negative"].count("positive") <= 0.02 * 140


def test_none_of_the_hand_written_sentences_gets_the_opposite_label() -> None:
    opposite = {"positive": "negative", "negative": "positive", "neutral": ""}
    assert [text for label, text in SENTENCES if label_of(quantise(said(text))) == opposite[label]] == []


@pytest.mark.parametrize(
    ("text", "score_e6"),
    [
        ("Acme beats quarterly profit estimates and raises guidance", 995_017),
        ("Operating loss widened to EUR 3.4 mn from EUR 1.1 mn", -983_601),
        ("The annual general meeting will be held in Helsinki", 939),
    ],
)
def test_a_version_scores_a_text_the_same_for_ever(text: str, score_e6: int) -> None:
    # When this fails, what was scored before is another scorer's: give the model a new version.
    assert quantise(said(text)) == score_e6


def test_numbers_that_are_compared_decide_with_what_they_count() -> None:
    assert said("Net profit was EUR 5.7 mn, compared with EUR 4.1 mn a year ago") > 0.05
    assert said("Net profit was EUR 4.1 mn, compared with EUR 5.7 mn a year ago") < -0.05
    assert said("Net loss was EUR 4.1 mn, compared with EUR 5.7 mn a year ago") > 0.05
    assert said("Net loss was EUR 5.7 mn, compared with EUR 4.1 mn a year ago") < -0.05


@given(TEXTS)
@example("")
@example("💥" * 50)
@example("\ud800")
@example("٣٪ ۵٠ ²")
@example("1" * 400)
def test_a_score_lies_within_bounds_and_is_the_same_again(text: str) -> None:
    (sentiment,) = SCORER.score([text])
    assert -1 <= sentiment.score <= 1
    assert sentiment.confidence is not None
    assert 0 <= sentiment.confidence <= 1
    assert Finance.score(SCORER, ["something else", text, text])[1:] == [sentiment, sentiment]


@given(TEXTS)
@example("Results were not as bad as feared")
def test_an_explanation_adds_up_to_the_score(text: str) -> None:
    explanation = SCORER.explain(text)
    assert explanation.score == said(text)
    assert sum(each.share for each in explanation.shares) == pytest.approx(explanation.score, abs=1e-9)


@given(HEADLINES)
def test_case_blanks_and_addresses_do_not_matter(text: str) -> None:
    score = said(text)
    assert said(text.upper()) == score
    assert said("  " + text.replace(" ", " \n\t ") + " ") == score
    assert said(f"{text} https://t.co/Ab1?x=2") == score
    assert said(f"RT @someone: {text}") == score
    assert said(f"$AAPL $BRK.B {text}") == score


def test_an_explanation_names_the_words_that_moved_the_score() -> None:
    shares = {each.word: each.share for each in explain(SCORER, "Acme's profit fell 5% to $2 million").shares}
    assert list(shares) == ["acme", "profit", "fell", "5%", "to", "$2 million"]
    assert set(sorted(shares, key=lambda word: shares[word])[:2]) == {"profit", "fell"}


def test_a_scorer_that_cannot_explain_says_which_can() -> None:
    with pytest.raises(UnknownScorer, match=r"^scorer vader@\S+ cannot say .* finance can"):
        explain(load_scorer("vader"), "Profit fell")


@pytest.mark.parametrize("text", ["", "   ", "株価は上昇した", "🚀🚀🚀", "qwxyz"])
def test_a_text_of_which_no_word_is_known_is_neutral(text: str) -> None:
    assert abs(said(text)) < 0.05
    if not text.strip():
        assert SCORER.score([text])[0].score == 0.0


def test_only_the_beginning_of_a_huge_text_counts_and_none_takes_long() -> None:
    began_s = time.process_time()
    assert said("profit rose " * 100_000) == said("profit rose " * 100_001)
    for piece in ("not ", "from 1 to 2 ", "1.2.3,4 ", "a.b/", "'s", "$", "…", "(nyse:"):
        said(piece * 100_000)
    assert time.process_time() - began_s < 5


def test_the_score_is_stretched_in_order_through_the_threshold_and_both_ends() -> None:
    scores = [stretched(step / 100, 0.3) for step in range(-100, 101)]
    assert scores == sorted(scores)
    assert (scores[0], scores[100], scores[-1]) == (-1.0, 0.0, 1.0)
    assert stretched(0.3, 0.3) == -stretched(-0.3, 0.3) == 0.05


def test_the_model_is_small_and_loads_quickly_without_pickle_or_anything_heavy() -> None:
    path = Path(sys.modules[Finance.__module__].__file__ or "").with_name("finance.npz")
    assert path.stat().st_size < 5_000_000
    script = (
        "import sys, time, numpy\n"
        "began_s = time.process_time()\n"
        "from dashapp.ingest.scoring.scorer import load_scorer\n"
        "load_scorer().score(['Profit rose'])\n"
        "took_s = time.process_time() - began_s\n"
        "print(took_s, [name for name in ('sklearn', 'scipy', 'torch', 'pandas') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    took_s, _, heavy = done.stdout.strip().partition(" ")
    assert heavy == "[]"
    assert float(took_s) < 0.3


def test_the_data_card_says_what_the_model_was_made_of() -> None:
    card = SCORER.model.card
    assert (card["name"], card["version"], card["licence"]) == ("finance", "2", "MIT")
    assert card["texts"] == 9_543
    assert card["cross_validation"]["accuracy"] > 0.82
    assert card["cross_validation"]["macro_f1"] > 0.77


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(BadModel, match=r"mine\.npz is not a model"):
        load_scorer(f"finance:{path}")
    with pytest.raises(BadModel, match="nowhere"):
        load_model(tmp_path / "nowhere.npz")


def test_a_text_scores_the_same_alone_and_in_company() -> None:
    texts = [text for _, text in SENTENCES]
    assert SCORER.score(texts) == [Finance().score([text])[0] for text in texts[:20]] + SCORER.score(texts[20:])
    assert SCORER.score([]) == []
    assert isinstance(SCORER.score(["x"])[0], Sentiment)
