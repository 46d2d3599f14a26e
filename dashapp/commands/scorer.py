"""The commands about scorers: score a text, train a scorer, compare several, score again what is stored."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dashapp.clock import now_us
from dashapp.commands.output import emit
from dashapp.config import Settings
from dashapp.errors import UnknownScorer, UsageError
from dashapp.ingest.scoring.evaluation import CLASSES, Figures, evaluate, read_labelled
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER, Explanation, Scorer, explain, load_scorer
from dashapp.model.score import label_of, quantise
from dashapp.model.time import MAX_US, MIN_US
from dashapp.query.answer import open_range
from dashapp.store.store import Store

Run = Callable[[argparse.Namespace, Settings], int]
AddCommand = Callable[[str, Run, str], argparse.ArgumentParser]

DONE = 0
_SCORER_HELP = "finance, vader, finbert, finance:FILE of a model, or finbert:FOLDER"
_NUMBERS_HELP = "what the labels 0, 1, 2 mean (default negative,positive,neutral)"


def add_scorer_commands(command: AddCommand) -> None:
    """Add `score`, `scorer` and `rescore` to the parser of all commands."""
    sub = command("score", score, "Score one text.")
    sub.add_argument("text")
    sub.add_argument("--scorer", metavar="NAME", help=f"{_SCORER_HELP}; the default one otherwise")
    sub.add_argument("--explain", action="store_true", help="say which words moved the score, and by how much")

    sub = command("scorer", _without_action, "Train a scorer, or compare scorers on labelled texts.")
    actions = sub.add_subparsers(metavar="train | evaluate")
    train = actions.add_parser("train", description="Train the finance scorer on labelled texts.")
    train.set_defaults(command=train_scorer)
    train.add_argument("--output", required=True, metavar="FILE", help="model file to write, such as mine.npz")
    train.add_argument("--name", default="custom", help="name of the scorer (default custom)")
    train.add_argument("--model-version", metavar="V", help="its version; a digest of its weights otherwise")
    train.add_argument("--seed", type=int, default=1, help="seed of drills and folds (default 1)")
    train.add_argument("--folds", type=int, default=5, help="folds of cross-validation (default 5)")
    train.add_argument("--source", default="", metavar="TEXT", help="where the texts come from, for the data card")
    train.add_argument("--licence", default="", metavar="TEXT", help="their licence, for the data card")
    compare = actions.add_parser("evaluate", description="Compare scorers on labelled texts.")
    compare.set_defaults(command=evaluate_scorers)
    compare.add_argument("--scorer", action="append", metavar="NAME", help=f"{_SCORER_HELP}; again for more of them")
    for each in (train, compare):
        each.add_argument(
            "--labelled", action="append", required=True, metavar="FILE", help="CSV; again for more files"
        )
        each.add_argument("--numbers", default="negative,positive,neutral", metavar="LABELS", help=_NUMBERS_HELP)
        each.add_argument("--json", action="store_true", help="one JSON object on stdout")

    sub = command("rescore", rescore, "Score stored texts by another scorer, whose scores stand beside the first.")
    sub.add_argument("--scorer", required=True, metavar="NAME", help=_SCORER_HELP)
    sub.add_argument("--start", metavar="TIME", help="ISO-8601 with Z or offset; the first score otherwise")
    sub.add_argument("--end", metavar="TIME", help="exclusive; the last score otherwise")


def chosen_scorer(option: str | None, settings: Settings) -> Scorer:
    """The scorer that --scorer names, or the settings; raises UsageError for one that is not installed."""
    try:
        return load_scorer(option or settings.ingest_scorer)
    except UnknownScorer as error:  # elsewhere one that is missing; here an option that is wrong
        raise UsageError(f"--scorer: {error}") from None


def score(asked: argparse.Namespace, settings: Settings) -> int:
    """Score one text."""
    scorer = chosen_scorer(asked.scorer, settings)
    (sentiment,) = scorer.score([asked.text])
    label = label_of(quantise(sentiment.score))
    body: dict[str, Any] = {"score": sentiment.score, "label": label, "confidence": sentiment.confidence}
    text = f"{sentiment.score:+.4f} {label}"
    if asked.explain:
        explanation = explain(scorer, asked.text)
        body["words"] = [{"word": each.word, "share": each.share} for each in explanation.shares]
        text = f"{text}\n{_shares_text(explanation)}".rstrip()
    emit(asked, body, text)
    return DONE


def _shares_text(explanation: Explanation) -> str:
    """The words that moved the score by a thousandth or more, the strongest first, and what the others did together."""
    moved = sorted((each for each in explanation.shares if abs(each.share) >= 0.001), key=lambda each: -abs(each.share))
    lines = [f"  {each.share:+.3f}  {each.word}" for each in moved]
    rest = explanation.score - sum(each.share for each in moved)
    return "\n".join([*lines, *([f"  {rest:+.3f}  the other words"] if len(moved) < len(explanation.shares) else [])])


def _without_action(asked: argparse.Namespace, settings: Settings) -> int:
    raise UsageError("tickertone scorer train | evaluate; each has --help.")


def train_scorer(asked: argparse.Namespace, settings: Settings) -> int:
    """Train on labelled files and write the model with its data card."""
    # Here, since only this command needs it.
    from dashapp.ingest.scoring.model import save_model
    from dashapp.ingest.scoring.training import train

    texts = [each for file in asked.labelled for each in read_labelled(Path(file), _numbers(asked.numbers))]
    about = {
        "trained_on": [Path(file).name for file in asked.labelled],
        "source": asked.source,
        "licence": asked.licence,
    }
    trained = train(
        texts, seed=asked.seed, folds=asked.folds, name=asked.name, version=asked.model_version, about=about
    )
    output = Path(asked.output)
    save_model(output, trained.model)
    card = dict(trained.model.card)
    text = f"{output}: {card['name']}@{card['version']}\n{_table({'cross-validation': trained.figures})}"
    emit(asked, {"model": str(output), "card": card}, text)
    return DONE


def evaluate_scorers(asked: argparse.Namespace, settings: Settings) -> int:
    """Compare scorers on labelled files."""
    texts = [each for file in asked.labelled for each in read_labelled(Path(file), _numbers(asked.numbers))]
    scorers = [chosen_scorer(name, settings) for name in asked.scorer or (DEFAULT_SCORER, "vader")]
    found = evaluate(scorers, texts, clock=time.process_time)
    emit(asked, {"scorers": {name: figures.as_json() for name, figures in found.items()}}, _table(found))
    return DONE


def _numbers(text: str) -> Sequence[str]:
    numbers = [each.strip() for each in text.split(",")]
    if set(numbers) - set(CLASSES):
        raise UsageError(f"--numbers {text!r}: each must be one of {', '.join(CLASSES)}.")
    return numbers


def _table(found: dict[str, Figures]) -> str:
    """Figures of several scorers side by side, and under them what each said of each label."""
    width = max(20, *map(len, found))
    lines = [f"{'scorer':{width}}  accuracy  macro-F1  correlation   texts/s"]
    for name, figures in found.items():
        correlation = "-" if figures.correlation is None else f"{figures.correlation:.3f}"
        speed = "-" if figures.items_per_s is None else f"{figures.items_per_s:,.0f}"
        lines.append(f"{name:{width}}  {figures.accuracy:8.3f}  {figures.macro_f1:8.3f}  {correlation:>11}  {speed:>8}")
    for name, figures in found.items():
        lines += ["", f"{name:{width}}  precision  recall  {'  '.join(f'said {label:8}' for label in CLASSES)}"]
        for label in CLASSES:
            row = "  ".join(f"{figures.confusion[label][each]:13,}" for each in CLASSES)
            lines.append(f"  {label:{width - 2}}  {figures.precision(label):9.3f}  {figures.recall(label):6.3f}  {row}")
    return "\n".join(lines)


def rescore(asked: argparse.Namespace, settings: Settings) -> int:
    """Score stored texts again by another scorer."""
    # Here, since only this command needs it.
    from dashapp.ingest.rescore import rescore as rescore_store

    start_us, end_us = open_range(asked.start, asked.end)
    summary = rescore_store(
        Store(settings),
        chosen_scorer(asked.scorer, settings),
        max(start_us, MIN_US),
        min(end_us, MAX_US + 1),
        batch_rows=settings.ingest_batch_rows,
        now_us=now_us,
    )
    body = {
        "scorer": summary.scorer,
        "scored": summary.scored,
        "known": summary.known,
        "without_text": summary.without_text,
        "revision": summary.revision,
    }
    lines = [
        f"scored        {summary.scored:>10,}   by {summary.scorer}",
        f"known         {summary.known:>10,}",
        f"without text  {summary.without_text:>10,}",
    ]
    emit(asked, body, "\n".join(lines))
    return DONE
