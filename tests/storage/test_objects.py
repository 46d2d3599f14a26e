"""Tables on an object store: the same numbers, exact with several machines at once, whatever the store or a writer
suffers."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars
import pytest
from deltalake import DeltaTable

from dashapp.errors import BadSetting, CommitConflict, StoreDamaged, StoreMissing, StoreNotWritable, StoreUnreachable
from dashapp.rollup.job import rollup
from dashapp.store import compact as compact_module
from dashapp.store.reader import Reader
from tests.storage.conftest import Site
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    same_day_scores,
    score,
    shown_buckets,
    stored_scores,
    verification,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone


def files_on_disk(folder: Path) -> set[Path]:
    return set(folder.rglob("*.parquet"))


def test_another_machine_is_shown_what_the_scores_say(site: Site) -> None:
    here = site.open("a")
    append(here, same_day_scores(40))
    assert rollup(here).buckets_changed > 0
    append(here, same_day_scores(10, start=40))  # the tail

    there = site.open("b", create=False)

    assert shown_buckets(there) == expected_buckets(there) == shown_buckets(here)
    assert verification(there).differ == 0
    assert append(there, same_day_scores(51)) == [True] * 50 + [False]
    assert shown_buckets(here) == expected_buckets(here)  # and the first learns of it
    assert len(stored_scores(here)) == 51


def test_nothing_of_the_tables_lies_in_the_data_folder_but_copies(site: Site) -> None:
    store = site.open("a")
    append(store, same_day_scores(5))
    rollup(store)

    assert {path.name for path in (site.folder / "a").iterdir()} <= {"files", "keys", "locks", "spill"}
    for path in files_on_disk(site.folder / "a"):
        path.unlink()
    assert verification(store).differ == 0  # fetched again


def test_a_place_without_a_store_is_said_to_be_none(site: Site) -> None:
    with pytest.raises(StoreMissing, match=f"no store at {site.url}.*TICKERTONE_STORE_URL"):
        site.open(create=False)


@pytest.mark.parametrize("url", ["s3://", "gs://bucket", "bucket/prefix", "s3://bucket/a?b=c", "s3://bucket//a"])
def test_an_address_that_is_none_is_refused(site: Site, url: str) -> None:
    with pytest.raises(BadSetting, match="store_url"):
        site.open(store_url=url)


def test_of_two_commits_from_one_version_one_is_refused(site: Site) -> None:
    first, second = site.open("a"), site.open("b")
    late = second.scores.table.write([])
    append(first, [score("a", 0, 1)])

    with pytest.raises(CommitConflict, match=site.url):
        second.scores.table.commit(late, metadata={"late": True})

    assert site.log_entries("scores") == 2
    assert append(second, [score("a", 0, 1), score("b", 0, 1)]) == [True, False]


def test_a_commit_whose_answer_is_lost_counts_once_and_as_accepted(site: Site) -> None:
    store = site.open("a")
    append(store, [score("a", 0, 1)])
    site.s3.trouble("lost answer")  # the request is made again, and finds what it has made itself

    assert append(store, [score("b", 0, 1)]) == [False]

    assert store.scores.version == 2
    assert {row["item_id"] for row in stored_scores(site.open("b"))} == {"a", "b"}


def test_storage_that_ignores_the_condition_of_a_write_is_refused(site: Site) -> None:
    site.s3.trouble("unconditional")
    with pytest.raises(StoreNotWritable, match="lose each other's commits"):
        site.open()
    site.s3.trouble()
    with pytest.raises(StoreMissing):
        site.open(create=False)


def test_storage_that_gives_no_answer_is_reported_in_one_line_and_used_again_when_it_does(site: Site) -> None:
    store = site.open("a")
    append(store, same_day_scores(8))
    rollup(store)
    reader = Reader(store, timeout_ms=1_000)
    site.s3.trouble("down")
    time.sleep(0.002)  # longer than it is taken as known that nothing is new
    with pytest.raises(StoreUnreachable, match="cannot be read") as caught:
        reader.view()
    with pytest.raises(StoreNotWritable, match="cannot be written") as refused:
        store.scores.table.commit([], metadata={"nothing": True})
    assert "\n" not in str(caught.value) + str(refused.value)
    assert "\x1b" not in str(caught.value) + str(refused.value)
    site.s3.trouble()

    assert append(store, same_day_scores(9)) == [True] * 8 + [False]
    assert shown_buckets(store) == expected_buckets(store)


def test_a_data_file_that_is_gone_is_reported_as_damage(site: Site) -> None:
    store = site.open("a")
    append(store, [score("a", 0, 1)])
    (file,) = store.scores.table.files()
    site.client().delete(f"scores/{file.relative}")

    with pytest.raises(StoreDamaged, match="not there"):
        stored_scores(site.open("b"))


def test_compaction_and_vacuum_leave_the_same_rows_in_fewer_objects(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact_module, "FEWEST_FILES", 3)
    store, reading = site.open("a"), site.open("b")
    for number in range(2):
        append(store, [score(f"i{number}", number * 1_000, number)])
    rollup(store)
    append(store, [score("late", 9_000_000, 1)])
    rollup(store)  # leaves files that it has replaced
    before = shown_buckets(reading)

    compacted = compact_module.compact(store)
    for table in (store.scores.table, store.buckets.table):
        table.vacuum(kept_s=-60, now_s=time.time())

    assert (compacted.files_before, compacted.files_after) == (3, 1)
    named = {file.relative for table in (store.scores.table, store.buckets.table) for file in table.files()}
    there = {found.name for table in (store.scores.table, store.buckets.table) for found in table.storage.data_files()}
    assert there == named
    assert shown_buckets(reading) == before == expected_buckets(reading)
    assert verification(site.open("c")).differ == 0


def test_duckdb_deltalake_and_polars_read_the_same_tables(site: Site) -> None:
    store = site.open("a")
    append(store, same_day_scores(30))
    append(store, [score("next", DAY_US, 777)])
    rollup(store)
    options = {"aws_endpoint": site.s3.endpoint, "aws_allow_http": "true"}  # as docs/storage.md says
    expected = sorted((row["item_id"], row["ticker"], row["score_e6"]) for row in stored_scores(store))
    columns = ["item_id", "ticker", "score_e6"]

    by_delta = DeltaTable(f"{site.url}/scores", storage_options=options).to_pyarrow_dataset()
    by_duckdb = duckdb.connect().register("scores", by_delta).sql(f"SELECT {', '.join(columns)} FROM scores").fetchall()
    by_polars = polars.scan_delta(f"{site.url}/scores", storage_options=options).select(columns).collect()
    buckets = polars.read_delta(f"{site.url}/buckets", storage_options=options)

    assert sorted(by_duckdb) == sorted(by_polars.rows()) == expected
    assert buckets.filter(polars.col("resolution") == "24h")["count"].sum() == len(expected)
    assert buckets.height == len(shown_buckets(store))


def test_the_mark_of_simulated_scores_is_seen_by_every_machine(site: Site) -> None:
    store = site.open("a")
    assert not site.open("b").is_simulated
    store.mark_simulated()
    assert site.open("b").is_simulated


def test_a_machine_asks_for_news_once_in_a_while_for_all_its_processes(site: Site) -> None:
    readers = [Reader(site.open("a", store_poll_ms=60_000), timeout_ms=1_000) for _ in range(3)]
    for reader in readers:
        reader.view()
    site.s3.requests()
    for reader in readers * 5:
        reader.view()
    assert site.s3.requests() == {}

    writer = site.open("a", store_poll_ms=60_000)
    append(writer, [score("a", 0, 1)])  # what one process of the machine has committed the others know at once
    assert [reader.view().revision for reader in readers] == [1, 1, 1]


def test_buckets_are_never_ahead_of_the_scores_at_hand(site: Site) -> None:
    """A machine that has just asked for scores in vain learns of a rollup that counts newer ones."""
    reading = site.open("b", store_poll_ms=60_000)
    reader = Reader(reading, timeout_ms=1_000)
    reader.view()
    store = site.open("a")
    append(store, same_day_scores(6))
    rollup(store)
    reading.buckets.table.storage.learn(1)

    view = reader.view()

    assert (view.seen, view.revision) == (1, 1)
    assert sum(file.rows for file in view.score_files) == 6


def items(count: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"n{number}",
            "ts": f"2024-02-{28 + number % 2}T{number % 24:02d}:{number % 60:02d}:00Z",
            "text": "good news" if number % 3 else "bad news",
            "ticker": "AAPL",
        }
        for number in range(count)
    ]


def written(folder: Path, name: str, share: list[dict[str, object]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(item) + "\n" for item in share))
    return path


def test_machines_ingesting_at_once_lose_nothing_and_count_nothing_twice(site: Site, tickertone: Tickertone) -> None:
    shares = [random.Random(number).sample(items(60), 45) for number in range(2)]
    started = [
        tickertone.start(
            "ingest",
            written(site.folder, f"{number}.jsonl", share),
            "--json", "--batch-rows", "9", "--source", "wire", "--data-dir", site.folder / f"machine-{number}",
            env=site.environment,
        )
        for number, share in enumerate(shares)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=120) for process in started]

    assert [process.returncode for process in started] == [0, 0], outputs
    told = [json.loads(output) for output, _ in outputs]
    distinct = {item["id"] for share in shares for item in share}
    assert [each["accepted"] + each["duplicates"] for each in told] == [45, 45]
    assert sum(each["accepted"] for each in told) == len(distinct)
    assert min(each["accepted"] for each in told) > 0
    store = site.open("judge")
    assert sorted(row["item_id"] for row in stored_scores(store)) == sorted(distinct)
    rollup(store)
    assert tickertone.json("verify", env=site.environment)["differ"] == 0
    assert shown_buckets(store) == expected_buckets(store)


def test_a_writer_killed_in_the_middle_leaves_whole_commits_only(site: Site, tickertone: Tickertone) -> None:
    file = written(site.folder, "items.jsonl", items(120))
    command = ("ingest", file, "--json", "--batch-rows", "8", "--source", "wire")
    site.open("judge")
    process = tickertone.start(*command, env=site.environment)
    deadline_s = time.monotonic() + 60
    while site.log_entries("scores") < 4 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    store = site.open("judge")
    survived = len(stored_scores(store))
    assert 0 < survived < 120
    assert survived % 8 == 0
    summary = tickertone.json(*command[:2], *command[3:], env=site.environment)
    assert (summary["accepted"], summary["duplicates"]) == (120 - survived, survived)
    rollup(store)
    assert verification(store).differ == 0
    assert shown_buckets(store) == expected_buckets(store)
    assert len(stored_scores(store)) == 120
