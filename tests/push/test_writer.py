"""The writer: those who wait together share a commit, and each is told of its own rows, once they are durable."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from dashapp.config import Settings
from dashapp.errors import Overloaded, StoreError, StoreNotWritable, TooLarge
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY, load_scorer
from dashapp.ingest.writer import ItemWriter
from dashapp.model.item import Item, Mention, Outcome
from dashapp.model.score import quantise
from dashapp.model.time import EpochUs
from dashapp.store import durable, tally
from dashapp.store.locks import exclusive
from tests.stores import open_store, stored_scores

NOW_US = EpochUs(1_400_000_000_000_000)
BAD = Rejection("push/feed:2", "no_ticker", "the row names no ticker", '{"a": 1}')

Start = Callable[..., ItemWriter]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts writers over one store, which are ended with the test."""
    writers: list[ItemWriter] = []

    def begin(on_commit: Callable[[int], None] | None = None, **settings: Any) -> ItemWriter:
        settings = {"push_commit_every_ms": 0.0, **settings}
        writer = ItemWriter(
            Settings(data_dir=tmp_path, **settings), load_scorer(), now_us=lambda: NOW_US, on_commit=on_commit
        )
        writer.start()
        writers.append(writer)
        return writer

    yield begin
    for writer in writers:
        writer.close()


def item(item_id: str, *tickers: str, score: float | None = 0.5, text: str = "") -> Item:
    mentions = tuple(Mention(ticker, score) for ticker in tickers or ("AAPL",))
    return Item(item_id, NOW_US, text, mentions, "wire", scorer="test@1" if score is not None else None)


def told(future: Future[list[Outcome]]) -> list[tuple[str, str | None]]:
    return [(outcome.status, outcome.id) for outcome in future.result(20)]


def held(tmp_path: Path) -> Any:
    """Holds up all commits while it is entered."""
    return exclusive(tmp_path / "locks" / "scores.lock")


def wait_until_busy(writer: ItemWriter) -> None:
    """Until the writer has begun a commit with what waits."""
    deadline_s = time.monotonic() + 10
    while writer._waiting:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def test_each_row_is_accepted_a_duplicate_or_rejected_and_told_why(tmp_path: Path, start: Start) -> None:
    writer = start()
    assert told(writer.submit([item("a")])) == [("accepted", "a")]
    rows = [item("a"), BAD, item("b", "AAPL", "MSFT"), item("b", "MSFT"), item("a", "AAPL", "TSLA")]
    outcomes = writer.submit(rows).result(20)
    assert outcomes == [
        Outcome("duplicate", "a", revision=2),
        Outcome("rejected", None, "no_ticker", "the row names no ticker", revision=2),
        Outcome("accepted", "b", revision=2),
        Outcome("duplicate", "b", revision=2),
        Outcome("accepted", "a", revision=2),  # TSLA is new
    ]
    stored = stored_scores(open_store(tmp_path))
    assert sorted((row["item_id"], row["ticker"]) for row in stored) == [
        ("a", "AAPL"), ("a", "TSLA"), ("b", "AAPL"), ("b", "MSFT"),
    ]  # fmt: skip
    (kept,) = (tmp_path / "rejected").iterdir()
    assert json.loads(kept.read_text()) == {
        "place": "push/feed:2", "reason": "no_ticker", "message": "the row names no ticker", "row": '{"a": 1}',
    }  # fmt: skip


def test_those_who_wait_while_a_commit_is_made_share_the_next_one(tmp_path: Path, start: Start) -> None:
    writer = start()
    with held(tmp_path):
        futures = [writer.submit([item("first")])]
        wait_until_busy(writer)
        futures += [writer.submit([item(f"i{number}"), item("same")]) for number in range(20)]
        time.sleep(0.05)
        assert not any(future.done() for future in futures)
    outcomes = [future.result(20) for future in futures]
    assert open_store(tmp_path).scores.version == 2
    assert [each.revision for one in outcomes[1:] for each in one] == [2] * 40
    assert [one[0].status for one in outcomes] == ["accepted"] * 21
    assert [one[1].status for one in outcomes[1:]] == ["accepted"] + ["duplicate"] * 19
    counts = writer.counts()
    assert (counts.submissions, counts.commits, counts.accepted, counts.duplicates) == (21, 2, 22, 19)
    assert (counts.scores, counts.waiting_scores) == (22, 0)


def test_whoever_is_answered_finds_it_stored(tmp_path: Path, start: Start) -> None:
    writer = start()
    wrong = []

    def push(number: int) -> None:
        store = open_store(tmp_path)
        for each in range(5):
            writer.submit([item(f"{number}-{each}")]).result(20)
            if f"{number}-{each}" not in {row["item_id"] for row in stored_scores(store)}:
                wrong.append((number, each))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(stored_scores(open_store(tmp_path))) == 30
    assert writer.counts().commits <= 30


def test_items_without_a_score_are_scored(tmp_path: Path, start: Start) -> None:
    text = "a great win"
    start().submit([item("a", score=None, text=text), item("b")]).result(20)
    (sentiment,) = load_scorer().score([text])
    stored = {row["item_id"]: (row["score_e6"], row["scorer"]) for row in stored_scores(open_store(tmp_path))}
    assert stored == {"a": (quantise(sentiment.score), DEFAULT_SCORER_IDENTITY), "b": (500_000, "test@1")}


def test_commits_that_follow_each_other_begin_apart(tmp_path: Path, start: Start) -> None:
    writer = start(push_commit_every_ms=400.0)
    futures = []
    for number in range(10):
        futures.append(writer.submit([item(f"i{number}")]))
        time.sleep(0.01)
    assert [told(future) for future in futures] == [[("accepted", f"i{number}")] for number in range(10)]
    assert open_store(tmp_path).scores.version == 2


def test_a_commit_holds_no_more_than_a_commit_of_file_ingest(tmp_path: Path, start: Start) -> None:
    writer = start(ingest_batch_rows=10)
    with held(tmp_path):
        first = writer.submit([item("first")])
        wait_until_busy(writer)
        others = [writer.submit([item(f"{number}-{each}") for each in range(4)]) for number in range(5)]
        large = writer.submit([item(f"large-{each}") for each in range(25)])
    revisions = [future.result(20)[0].revision for future in (first, *others, large)]
    assert revisions == [1, 2, 2, 3, 3, 4, 5]


def test_too_much_waiting_is_refused_until_there_is_room_again(tmp_path: Path, start: Start) -> None:
    writer = start(push_queue_scores=10)
    with pytest.raises(TooLarge, match="11 scores at once; at most 10"):
        writer.submit([item(f"i{number}") for number in range(11)])
    with held(tmp_path):
        waiting = writer.submit([item(f"i{number}") for number in range(8)])
        with pytest.raises(Overloaded, match="8 scores are waiting") as refused:
            writer.submit([item("a", "AAPL", "MSFT", "TSLA")])
        assert (refused.value.http_status, refused.value.retry_after_s) == (503, 1)
        fits = writer.submit([item("a", "AAPL", "MSFT")])
    waiting.result(20)
    fits.result(20)
    writer.submit([item(f"j{number}") for number in range(10)]).result(20)
    assert len(stored_scores(open_store(tmp_path))) == 20


def test_what_nobody_waits_for_any_more_is_stored_all_the_same(tmp_path: Path, start: Start) -> None:
    writer = start()
    with held(tmp_path):
        future = writer.submit([item("a")])
        assert not future.cancel()
    assert told(writer.submit([item("a")])) == [("duplicate", "a")]


def test_a_full_disk_is_told_to_all_who_wait_and_later_ones_are_stored(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = start()

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_parquet", full)
        futures = [writer.submit([item("a")]), writer.submit([item("b"), BAD])]
        for future in futures:
            with pytest.raises(StoreNotWritable, match=r"No space left on device\. Nothing was acknowledged"):
                future.result(20)
    assert "could not be stored" in caplog.text
    assert told(writer.submit([item("a"), item("b")])) == [("accepted", "a"), ("accepted", "b")]
    assert writer.counts().waiting_scores == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_program_leaves_nobody_waiting(tmp_path: Path, start: Start) -> None:
    def broken(_: int) -> None:
        raise ZeroDivisionError("a bug")

    writer = start(on_commit=broken)
    with held(tmp_path):
        futures = [writer.submit([item("a")])]
        wait_until_busy(writer)
        futures.append(writer.submit([item("b")]))
    for future in futures:
        with pytest.raises(StoreError, match="a bug"):
            future.result(20)
    with pytest.raises(StoreError, match="not written now"):
        writer.submit([item("c")])


def test_a_new_version_is_announced_before_its_senders_are_answered(start: Start) -> None:
    announced: list[int] = []
    writer = start(on_commit=announced.append)
    for number in range(3):
        (outcome,) = writer.submit([item(f"i{number}")]).result(20)
        assert announced == list(range(1, number + 2))
        assert outcome.revision == announced[-1]
    writer.submit([item("i0"), BAD]).result(20)  # nothing new
    assert announced == [1, 2, 3]


def test_the_end_stores_what_waits_and_takes_nothing_more(tmp_path: Path, start: Start) -> None:
    writer = start(push_commit_every_ms=10_000.0)
    futures = [writer.submit([item(f"i{number}")]) for number in range(3)]
    began_s = time.monotonic()
    writer.close()
    assert time.monotonic() - began_s < 5
    assert [told(future) for future in futures] == [[("accepted", f"i{number}")] for number in range(3)]
    with pytest.raises(StoreError, match="not written now"):
        writer.submit([item("late")])
    writer.close()
    assert len(stored_scores(open_store(tmp_path))) == 3


def test_rejections_alone_make_no_commit(tmp_path: Path, start: Start) -> None:
    writer = start()
    assert told(writer.submit([BAD, BAD])) == [("rejected", None), ("rejected", None)]
    assert told(writer.submit([BAD])) == [("rejected", None)]
    assert open_store(tmp_path).scores.version == 0
    (kept,) = (tmp_path / "rejected").iterdir()
    assert len(kept.read_text().splitlines()) == 3


def test_a_disk_without_room_for_rejected_rows_refuses_those_who_sent_them_and_goes_on_when_there_is_room(
    tmp_path: Path, start: Start
) -> None:
    writer = start()
    assert told(writer.submit([item("a"), BAD])) == [("accepted", "a"), ("rejected", None)]
    (kept,) = (tmp_path / "rejected").iterdir()
    before = kept.read_text("utf-8")
    kept.unlink()
    kept.symlink_to("/dev/full")
    with pytest.raises(StoreNotWritable, match="Make room"):
        writer.submit([item("b"), BAD]).result(20)
    kept.unlink()
    kept.write_text(before, "utf-8")
    assert told(writer.submit([item("b"), BAD])) == [("accepted", "b"), ("rejected", None)]
    assert len(kept.read_text("utf-8").splitlines()) == 2
    assert tally.read(tmp_path, tally.REJECTED) == {("push", BAD.reason): 2}, "what is kept is counted, nothing else"
