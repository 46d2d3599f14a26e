"""The commands about scorers, as a real process."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import Tickertone
from tests.stores import open_store, stored_scores, verification

ROWS = [
    {"id": "1", "ts": "2024-01-01T00:00:05Z", "text": "Acme beats profit estimates", "ticker": ["AAPL", "MSFT"]},
    {"id": "2", "ts": "2024-01-02T00:00:40Z", "text": "Acme cuts guidance on weak demand", "ticker": "AAPL"},
    {"id": "3", "ts": "2024-01-03T00:00:00Z", "score": 0.5, "ticker": "AAPL"},
]
LABELLED = "text,label\n" + "".join(
    f"{word} shares number {number},{label}\n"
    for number in range(30)
    for word, label in (("splendid flim", "positive"), ("gloomy zorp", "negative"), ("meeting of", "neutral"))
)
RANGE = ("--start", "2024-01-01", "--end", "2024-01-05")
VADER = f"vader@{version('vaderSentiment')}"


@pytest.fixture
def command(tmp_path: Path) -> Tickertone:
    return Tickertone(data_dir=tmp_path / "store", directory=tmp_path)


def test_score_explains_itself_by_words_that_add_up(command: Tickertone) -> None:
    told = command.json("score", "--explain", "Profit fell 5%")
    assert told["label"] == "negative"
    assert [each["word"] for each in told["words"]] == ["profit", "fell", "5%"]
    assert sum(each["share"] for each in told["words"]) == pytest.approx(told["score"])
    shown = command("score", "--explain", "Profit fell 5%").stdout.splitlines()
    assert shown[0].endswith(" negative")
    assert {line.split()[1] for line in shown[1:3]} == {"profit", "fell"}
    refused = command("score", "--explain", "Profit fell", "--scorer", "vader", code=1)
    assert "finance can" in refused.stderr


def test_a_scorer_is_trained_on_a_file_and_compared_with_others(command: Tickertone, tmp_path: Path) -> None:
    (tmp_path / "labelled.csv").write_text(LABELLED, "utf-8")
    arguments = ("--labelled", "labelled.csv", "--output", "mine.npz", "--folds", "3", "--licence", "own")
    made = command.json("scorer", "train", *arguments, "--name", "mine", "--model-version", "7")
    assert made["model"] == "mine.npz"
    assert (made["card"]["name"], made["card"]["version"], made["card"]["licence"]) == ("mine", "7", "own")
    assert made["card"]["trained_on"] == ["labelled.csv"]
    first = (tmp_path / "mine.npz").read_bytes()
    command("scorer", "train", *arguments, "--name", "mine", "--model-version", "7")
    assert (tmp_path / "mine.npz").read_bytes() == first

    scorers = ("--scorer", "finance:mine.npz", "--scorer", "vader")
    found = command.json("scorer", "evaluate", "--labelled", "labelled.csv", *scorers)["scorers"]
    mine, vader = found.values()
    assert next(iter(found)) == "mine@7"
    assert mine["accuracy"] > 0.9 > vader["accuracy"]
    table = command("scorer", "evaluate", "--labelled", "labelled.csv", *scorers).stdout
    assert table.startswith("scorer ")
    assert "mine@7" in table
    ingested = command("ingest", "-", "--scorer", "finance:mine.npz", stdin=json.dumps(ROWS[0]))
    assert ingested.returncode == 0
    assert {row["scorer"] for row in stored_scores(open_store(command.data_dir))} == {"mine@7"}


@pytest.mark.parametrize("arguments", [("scorer",), ("scorer", "train"), ("rescore",)])
def test_what_is_missing_is_bad_usage(command: Tickertone, arguments: tuple[str, ...]) -> None:
    assert command(*arguments, code=2).stdout == ""


def test_rescoring_adds_scores_by_another_scorer_and_leaves_the_first_as_they_were(command: Tickertone) -> None:
    command("ingest", "-", "--scorer", "vader", stdin="".join(json.dumps(row) + "\n" for row in ROWS))
    command("rollup")
    before = command.json("query", "AAPL", "--resolution", "24h", "--scorer", VADER, *RANGE)
    part = command.json("rescore", "--scorer", "finance", "--start", "2024-01-02")
    assert part == {"scorer": "finance@2", "scored": 1, "known": 0, "without_text": 1, "revision": 2}
    rest = command.json("rescore", "--scorer", "finance")
    assert rest == {"scorer": "finance@2", "scored": 2, "known": 1, "without_text": 1, "revision": 3}
    again = command.json("rescore", "--scorer", "finance")
    assert again == {"scorer": "finance@2", "scored": 0, "known": 3, "without_text": 1, "revision": 3}
    command("rollup")
    asked = ("query", "AAPL", "--resolution", "24h", *RANGE)
    after = command.json(*asked, "--scorer", VADER)
    assert [each["count"] for each in after["buckets"]] == [each["count"] for each in before["buckets"]]
    assert [each["sum"] for each in after["buckets"]] == [each["sum"] for each in before["buckets"]]
    finance = command.json(*asked)  # of several, the default one
    assert finance["scorer"] == "finance@2"
    assert [each["close"] > 0 for each in finance["buckets"]] == [True, False]
    assert verification(open_store(command.data_dir)).differ == 0
