"""Several ingests of overlapping items at once: each item counts once, the accounts add up, and none is lost."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.errors import CommitConflict
from dashapp.rollup.job import rollup
from dashapp.store import attempts
from dashapp.store import scores as scores_module
from tests.stores import (
    append,
    expected_buckets,
    open_store,
    same_day_scores,
    score,
    shown_buckets,
    stored_scores,
    verification,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone

PROCESSES = 4
ITEMS = 300
OF_EACH = 200


def items() -> list[dict[str, Any]]:
    return [
        {
            "id": f"n{number}",
            "ts": f"2024-02-{28 + number % 2}T{number % 24:02d}:{number % 60:02d}:00Z",
            "text": "good news" if number % 3 else "bad news",
            "ticker": ["AAPL", "MSFT"] if number % 10 == 0 else "AAPL",
        }
        for number in range(ITEMS)
    ]


def test_processes_with_overlapping_items_on_a_store_that_none_has_made_yet(
    tmp_path: Path, tickertone: Tickertone
) -> None:
    shares = [random.Random(number).sample(items(), OF_EACH) for number in range(PROCESSES)]
    files = []
    for number, share in enumerate(shares):
        file = tmp_path / f"{number}.jsonl"
        file.write_text("".join(json.dumps(item) + "\n" for item in share))
        files.append(file)
    # Small batches, so that the processes take turns often; and a rollup beside them.
    started = [tickertone.start("ingest", file, "--json", "--batch-rows", "15", "--source", "wire") for file in files]
    beside = tickertone.start("rollup", "--every", "50ms", "--json")

    outputs = [process.communicate(timeout=120) for process in started]
    beside.terminate()
    _, complaints = beside.communicate(timeout=60)

    codes = [process.returncode for process in started]
    assert (codes, [errors for _, errors in outputs]) == ([0] * PROCESSES, [""] * PROCESSES)
    assert (beside.returncode, complaints) == (0, "")
    summaries = [json.loads(output) for output, _ in outputs]
    distinct = {item["id"]: item for share in shares for item in share}
    assert [each["accepted"] + each["duplicates"] for each in summaries] == [OF_EACH] * PROCESSES
    assert sum(each["accepted"] for each in summaries) == len(distinct)
    assert min(each["accepted"] for each in summaries) > 0
    store = open_store(tickertone.data_dir)
    pairs = [(row["item_id"], row["ticker"]) for row in stored_scores(store)]
    assert sorted(pairs) == sorted((item["id"], ticker) for item in distinct.values() for ticker in _tickers(item))
    assert sum(each["scores"] for each in summaries) == len(pairs)
    assert max(each["revision"] for each in summaries) == store.scores.table.refresh()
    assert verification(store).differ == 0
    assert shown_buckets(store) == expected_buckets(store)
    rollup(store)
    assert verification(store).differ == 0


def _tickers(item: dict[str, Any]) -> list[str]:
    return item["ticker"] if isinstance(item["ticker"], list) else [item["ticker"]]


@pytest.fixture
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As between two machines."""
    for module in (attempts, scores_module):
        monkeypatch.setattr(module, "exclusive", lambda _: contextlib.nullcontext())


@pytest.mark.usefixtures("_no_locks")
def test_an_append_overtaken_after_its_check_checks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = open_store(tmp_path), open_store(tmp_path)
    write = slow.scores.table.write
    overtakers = [[score("b", 0, 1)], [score("x", 0, 1), score("c", 9, 9)]]

    def overtaken(new: Any) -> Any:
        written = write(new)
        if overtakers:
            append(quick, overtakers.pop())
        return written

    monkeypatch.setattr(slow.scores.table, "write", overtaken)

    assert append(slow, [score("a", 0, 1), score("b", 5, 5), score("c", 7, 7)]) == [False, True, True]

    rows = {row["item_id"]: row["published_us"] for row in stored_scores(open_store(tmp_path))}
    assert rows == {"a": 0, "b": 0, "c": 9, "x": 0}
    assert len(stored_scores(slow)) == 4
    assert shown_buckets(slow) == expected_buckets(slow)


@pytest.mark.usefixtures("_no_locks")
def test_an_append_overtaken_too_often_stores_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = open_store(tmp_path), open_store(tmp_path)
    write = slow.scores.table.write
    numbers = iter(range(1_000))

    def overtaken(new: Any) -> Any:
        written = write(new)
        append(quick, [score(f"q{next(numbers)}", 0, 1)])
        return written

    with monkeypatch.context() as patch:
        patch.setattr(slow.scores.table, "write", overtaken)
        with pytest.raises(CommitConflict):
            append(slow, [score("a", 0, 1)])

    assert "a" not in {row["item_id"] for row in stored_scores(open_store(tmp_path))}
    assert append(slow, [score("a", 0, 1), score("q0", 0, 1)]) == [False, True]


@pytest.mark.usefixtures("_no_locks")
def test_a_rollup_overtaken_before_its_commit_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = open_store(tmp_path), open_store(tmp_path)
    append(quick, same_day_scores(30))
    commit = slow.buckets.commit
    overtakers = [False, True]

    def overtaken(*written: Any, **how: Any) -> int:
        if overtakers:
            append(quick, [score(f"late{len(overtakers)}", 0, 1)])
            rollup(quick, full=overtakers.pop())
            append(quick, [score(f"later{len(overtakers)}", 5, 1)])
        return commit(*written, **how)

    monkeypatch.setattr(slow.buckets, "commit", overtaken)

    rollup(slow)

    slow.buckets.table.refresh()
    assert slow.buckets.seen == slow.scores.table.refresh() == 5
    assert shown_buckets(slow) == expected_buckets(slow)
    assert verification(open_store(tmp_path)).differ == 0
