"""Exports to files: whole or not there, proven by their manifests, growing without a gap, readable by everybody."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.errors import BadExport, OutputExists, OutputNotWritable
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.query import outfile, takeout
from dashapp.query.export import FORMS, Question, export
from dashapp.query.exportcheck import Checked, check_export
from dashapp.query.takeout import Order, append, to_file, to_folder
from dashapp.rollup.job import rollup
from dashapp.store.compact import compact
from dashapp.store.store import Store
from tests.conftest import Tickertone
from tests.stores import MINUTE_US, open_store, same_day_scores, series_reader
from tests.stores import append as add

DAY = 1_709_164_800_000_000  # 2024-02-29
SUMS = 'count(*), sum(sum_e6)::BIGINT, sum("count")::BIGINT'


def filled(folder: Path, scores: int = 300) -> Store:
    store = open_store(folder)
    add(store, same_day_scores(scores * 2 // 3, day_us=DAY), accepted_us=DAY + 60 * MINUTE_US)
    rollup(store)
    add(store, same_day_scores(scores // 3, start=1_000, day_us=DAY), accepted_us=DAY + 720 * MINUTE_US)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return filled(tmp_path_factory.mktemp("takeout") / "store")


def order(store: Store, what: str = "buckets", *names: str, form: str = "parquet", **asked: Any) -> Order:
    resolutions = [parse_resolution(name) for name in names] or [None if what != "buckets" else RESOLUTIONS[0]]
    questions = [Question(what, each, **asked) for each in resolutions]
    return Order(series_reader(store), questions, form, store.scores.table.identity, lambda rows: None)


def checked(store: Store, path: Path) -> Checked:
    return check_export(series_reader(store), store.scores.table.identity, path)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sums_of(store: Store, name: str) -> tuple[int, int, int]:
    made = export(series_reader(store), Question("buckets", parse_resolution(name)))
    rows = [row for table in made.tables() for row in table.to_pylist()]
    return len(rows), sum(row["sum_e6"] for row in rows), sum(row["count"] for row in rows)


@pytest.mark.parametrize(
    ("what", "form"), [*(("buckets", form) for form in FORMS), ("scores", "parquet"), ("items", "csv.gz")]
)
def test_a_file_is_the_same_each_time_and_proven(store: Store, tmp_path: Path, what: str, form: str) -> None:
    path = tmp_path / f"out.{form}"
    manifest = to_file(order(store, what, form=form), path, force=False)
    assert manifest.rows > 100
    whole = files_in(tmp_path)
    assert sorted(whole) == [path.name, f"{path.name}.manifest.json"]
    found = checked(store, path)
    assert (found.differ, found.rows, found.files, found.changed_since) == (0, manifest.rows, 1, 0)
    to_file(order(store, what, form=form), path, force=True)
    assert files_in(tmp_path) == whole
    # A flipped bit is found by its hash; one whose hash fits all the same, by the store.
    damaged = bytearray(whole[path.name])
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(bytes(damaged))
    assert checked(store, path).differ == 1


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv", "jsonl.gz"])
def test_a_number_that_was_changed_with_its_hash_is_found(store: Store, tmp_path: Path, form: str) -> None:
    path, other = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
    other_store = filled(tmp_path / "store", 240)
    to_file(order(store, form=form), path, force=False)
    changed = to_file(order(other_store, form=form), other, force=False)
    shutil.move(other, path)
    manifest = path.with_name(f"{path.name}.manifest.json")
    entry = json.loads(manifest.read_text())
    (mine,) = changed.files
    entry |= {"files": [{**entry["files"][0], "sha256": mine.sha256, "bytes": mine.bytes, "rows": mine.rows}]}
    entry |= {"bytes": mine.bytes, "rows": mine.rows}
    manifest.write_text(json.dumps(entry))
    found = checked(store, path)
    assert found.differ > 10
    assert any("the store" in line for line in found.worst)


def test_csv_has_the_columns_and_lines_of_query(store: Store, tmp_path: Path) -> None:
    command = Tickertone(data_dir=store.data_dir, directory=tmp_path)
    common = ("--resolution", "1h", "--format", "csv", "--scorer", "test@1")
    said = command("export", "buckets", "--tickers", "AAPL", "--out", "-", *common)
    asked = command("query", "AAPL", "--start", "2024-02-29", "--end", "2024-03-01", *common)
    mine, theirs = (list(csv.DictReader(io.StringIO(each.stdout))) for each in (said, asked))
    for row in mine:
        # Open when its revision was accepted, at noon; by now it is not.
        assert row["is_partial"] == str(row["timestamp"] > "2024-02-29T11:59").lower()
    assert len(mine) > 10
    assert [{**row, "is_partial": ""} for row in mine] == [{**row, "is_partial": ""} for row in theirs]


def test_a_folder_is_read_by_duckdb_polars_and_pandas(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = to_folder(order(store, "buckets", "1m", "1h", "24h"), out, force=False)
    assert {str(Path(file.path).parent) for file in manifest.files} == {
        "resolution=1m/period=2024-02-29",
        "resolution=1h/period=2024-02",
        "resolution=24h/period=2024",
    }
    expected = tuple(map(sum, zip(*(sums_of(store, name) for name in ("1m", "1h", "24h")), strict=True)))
    hive = f"SELECT {SUMS} FROM read_parquet($files, hive_partitioning = true)"
    assert duckdb.sql(hive, params={"files": str(out / "**/*.parquet")}).fetchall() == [expected]
    table = pq.read_table(out)
    assert set(table.column("resolution").unique().to_pylist()) == {"1m", "1h", "24h"}
    assert table.num_rows == expected[0]
    if importlib.util.find_spec("polars"):
        import polars as pl

        frame = pl.scan_parquet(out / "**/*.parquet", hive_partitioning=True)
        sums = frame.select(pl.len(), pl.col("sum_e6").sum(), pl.col("count").sum()).collect()
        assert sums.row(0) == expected
    if importlib.util.find_spec("pandas"):
        import pandas as pd

        frame = pd.read_parquet(out)
        assert (len(frame), int(frame["sum_e6"].sum()), int(frame["count"].sum())) == expected
    assert checked(store, out).differ == 0


def test_a_partition_that_is_gone_or_too_many_is_found(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = to_folder(order(store, "scores"), out, force=False)
    (file,) = manifest.files
    assert file.path == "date=2024-02-29/part-0.parquet"
    (out / file.path).unlink()
    assert checked(store, out).differ == 1
    body = json.loads((out / "_manifest.json").read_text())
    (out / "_manifest.json").write_text(json.dumps({**body, "files": [], "rows": 0, "bytes": 0}))
    assert checked(store, out).differ == file.rows


def test_what_is_there_is_not_replaced_without_force(store: Store, tmp_path: Path) -> None:
    path, out, strange = tmp_path / "a.csv", tmp_path / "out", tmp_path / "strange"
    path.write_text("mine")
    strange.mkdir()
    (strange / "thesis.txt").write_text("mine")
    for make, place in ((to_file, path), (to_folder, strange)):
        with pytest.raises(OutputExists):
            make(order(store, form="csv"), place, force=False)
    with pytest.raises(OutputExists, match="not an export"):
        to_folder(order(store), strange, force=True)
    assert (path.read_text(), (strange / "thesis.txt").read_text()) == ("mine", "mine")
    to_folder(order(store, "buckets", "1m", "1h"), out, force=False)
    to_folder(order(store, "buckets", "1h"), out, force=True)
    assert sorted(path.name for path in out.iterdir()) == ["_manifest.json", "resolution=1h"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out", "strange"]


@pytest.mark.parametrize("what", ["file", "folder", "run"])
def test_a_full_disk_leaves_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    limit = 20_000

    def few(path: Path, pieces: Any) -> Any:
        def counted() -> Any:
            size_bytes = 0
            for piece in pieces:
                size_bytes += len(piece[0])
                if size_bytes > limit:
                    with outfile.refusing(path):
                        raise OSError(28, "No space left on device", str(path))
                yield piece

        return outfile_write(path, counted())

    outfile_write = outfile.write_durable
    monkeypatch.setattr(takeout, "write_durable", few)
    out = tmp_path / "export"
    ordered = order(store, "scores", form="csv")
    make = {
        "file": lambda: to_file(ordered, out, force=False),
        "folder": lambda: to_folder(ordered, out, force=False),
        "run": lambda: append(ordered, out, tmp_path / "state.json"),
    }[what]
    with pytest.raises(OutputNotWritable, match="No space left"):
        make()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == ([tmp_path / "state.json"] if what == "run" else [])
    if what == "run":
        monkeypatch.undo()
        make()
        assert checked(store, out).differ == 0


def test_runs_add_what_is_new_and_together_make_the_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    out, state = tmp_path / "out", tmp_path / "state.json"
    scores = same_day_scores(300, day_us=DAY)
    seen: dict[str, bytes] = {}
    for done in range(0, 300, 60):
        add(store, scores[done : done + 60], accepted_us=DAY + (done + 60) * 4 * MINUTE_US)
        if done % 120 == 0:
            rollup(store)
            compact(store)
        (run,) = append(order(store, "buckets", "1m", "24h"), out, state)
        assert run.rows > 40
        held = files_in(out)
        assert seen.items() <= held.items(), "what is there stays as it is"
        seen = held
        assert append(order(store, "buckets", "1m", "24h"), out, state) == []
        assert files_in(out) == seen
    found = checked(store, out)
    assert (found.differ, found.changed_since) == (0, 0)
    for name in ("1m", "24h"):
        newest = duckdb.sql(
            f"""SELECT {SUMS} FROM (
                SELECT * FROM read_parquet($files) QUALIFY row_number()
                OVER (PARTITION BY ticker, scorer, timestamp ORDER BY revision DESC, is_partial) = 1)""",
            params={"files": str(out / f"resolution={name}/**/*.parquet")},
        ).fetchall()
        assert newest == [sums_of(store, name)]


def test_a_state_file_is_of_one_export_and_one_store(store: Store, tmp_path: Path) -> None:
    out, state = tmp_path / "out", tmp_path / "state.json"
    append(order(store, "scores"), out, state)
    with pytest.raises(BadExport, match="other tickers"):
        append(order(store, "scores", tickers=("AAPL",)), out, state)
    other = order(filled(tmp_path / "store"), "scores")
    with pytest.raises(BadExport, match="another store"):
        append(other, out, state)
    with pytest.raises(BadExport, match="is missing"):
        append(order(store, "scores"), out, tmp_path / "new.json")
    state.write_text("{}")
    with pytest.raises(BadExport, match="not a state file"):
        append(order(store, "scores"), out, state)


@pytest.mark.parametrize("step", ["put", "put_text", "_write_state"])
def test_a_run_that_ends_between_any_two_steps_is_done_again_just_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = filled(tmp_path / "store")
    whole = tmp_path / "whole"
    append(order(store, "buckets", "1m", "1h", "24h"), whole, tmp_path / "whole.json")
    expected = files_in(whole)
    done = getattr(takeout, step)
    for killed_at in range(4):
        out, state = tmp_path / f"out{killed_at}", tmp_path / f"state{killed_at}.json"
        calls = 0

        def dying(*arguments: Any, killed_at: int = killed_at) -> Any:
            nonlocal calls
            if calls == killed_at:
                raise KeyboardInterrupt
            calls += 1
            return done(*arguments)

        monkeypatch.setattr(takeout, step, dying)
        try:
            append(order(store, "buckets", "1m", "1h", "24h"), out, state)
        except KeyboardInterrupt:
            # What comes meanwhile waits for its own run.
            assert expected.items() >= files_in(out).items()
        monkeypatch.setattr(takeout, step, done)
        append(order(store, "buckets", "1m", "1h", "24h"), out, state)
        assert files_in(out) == expected


def test_kill_9_at_any_moment_loses_and_repeats_nothing(store: Store, tmp_path: Path) -> None:
    out, state = tmp_path / "out", tmp_path / "state.json"
    arguments = ["export", "scores", "--scorer", "test@1", "--out", str(out), "--state", str(state), "--json"]
    command = [sys.executable, "-m", "dashapp", *arguments]
    environment = {**os.environ, "TICKERTONE_DATA_DIR": str(store.data_dir)}
    for number in range(3):
        running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        watched = (state, out / "date=2024-02-29", out / "_manifests")[number]
        while not watched.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        running.send_signal(signal.SIGKILL)
        running.communicate()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["revision"] in (None, 2)
    found = checked(store, out)
    assert (found.differ, found.changed_since) == (0, 0)
    assert (
        found.rows
        == pq.read_table(out).num_rows
        == sum(number % 5 != 0 for number in (*range(200), *range(1_000, 1_100)))
    )


def test_the_command_says_what_it_did_and_what_is_wrong(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    body = json.loads(run("export", "items", "--out", "items.jsonl.gz", "--scorer", "test@1", "--json")[1])
    assert set(body) == {"out", "rows", "files", "bytes", "revision", "seconds"}
    lines = gzip.decompress((tmp_path / "items.jsonl.gz").read_bytes()).splitlines()
    assert len(lines) == body["rows"]
    code, out, _ = run("verify", "--export", "items.jsonl.gz", "--json")
    assert (code, json.loads(out)["differ"]) == (0, 0)
    for code, *arguments in (
        (2, "items", "--out", "items.jsonl.gz"),
        (2, "items", "--out", "x.docx"),
        (2, "items", "--out", "-"),
        (2, "items", "--out", "x.csv", "--resolution", "1m"),
        (2, "buckets", "--out", "x.csv", "--resolution", "1m,1h"),
        (2, "buckets", "--out", "x.csv", "--revision", "77"),
        (2, "buckets", "--out", "x.csv", "--start", "2024-03-01", "--end", "2024-02-01"),
        (1, "buckets", "--out", "x.csv", "--tickers", "NEVER"),
        (1, "buckets", "--out", "/proc/none/x.csv"),
    ):
        found, out, complaint = run("export", *arguments)
        assert (found, out) == (code, ""), complaint
        assert complaint.startswith("tickertone: ")
    code, out, summary = run("export", "scores", "--out", "-", "--format", "csv", "--scorer", "test@1")
    assert (code, len(out.splitlines())) == (0, body["rows"] + 1)
    assert "rows in 1 files" in summary
    (tmp_path / "items.jsonl.gz").write_bytes(b"")
    assert run("verify", "--export", "items.jsonl.gz")[0] == 1


def test_an_arrow_file_can_be_mapped_and_a_stream_be_read(store: Store, tmp_path: Path) -> None:
    to_file(order(store, form="arrow"), tmp_path / "a.arrow", force=False)
    to_file(order(store, form="arrows"), tmp_path / "a.arrows", force=False)
    with pa.memory_map(str(tmp_path / "a.arrow")) as file, pa.ipc.open_file(file) as reader:
        mapped = reader.read_all()
    assert mapped.equals(pa.ipc.open_stream(tmp_path / "a.arrows").read_all())
    assert json.loads(mapped.schema.metadata[b"tickertone"])["units"]["open"] == "sentiment, -1 to 1"
