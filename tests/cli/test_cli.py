"""The command line, as a real process: exit codes, shapes of --json, and never a traceback."""

from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp import cli
from tests.conftest import Tickertone
from tests.stores import open_store, shown_buckets, stored_scores

ROWS = [
    {"id": "1", "ts": "2024-01-01T00:00:05Z", "text": "great gain", "ticker": "AAPL", "source": "wire"},
    {"id": "2", "ts": "2024-01-01T00:00:40Z", "text": "misses estimates", "ticker": "AAPL", "source": "posts"},
    {"id": "3", "ts": "2024-01-01T00:03:00Z", "text": "it is a day", "ticker": "AAPL", "source": "wire"},
    {"id": "4", "ts": "2024-01-02T12:00:00Z", "text": "good", "ticker": ["AAPL", "MSFT"], "source": "wire"},
]
BAD_ROWS = [
    {"id": "5", "ts": "4 hours ago", "text": "good", "ticker": "AAPL"},
    {"id": "6", "ts": "2024-01-01T00:00:00", "text": "good", "ticker": "AAPL"},
    {"id": "7", "ts": "2024-01-01T00:00:00Z", "text": "good", "ticker": "AAPL", "score": float("nan")},
]
RANGE = ("--start", "2024-01-01", "--end", "2024-01-03")
INGEST_KEYS = {"accepted", "duplicates", "rejected", "rejected_by_reason", "rejected_file", "revision"}
BUCKET_KEYS = {
    "ticker", "resolution", "timestamp", "open", "high", "low", "close", "count", "sum", "avg", "label_counts",
    "sources", "revision", "is_partial",
}  # fmt: skip


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Tickertone:
    """A command over a store of the good rows, rolled up but for the last; tests must not write to it."""
    folder = tmp_path_factory.mktemp("shared")
    command = Tickertone(data_dir=folder / "store", directory=folder)
    command("ingest", "-", stdin=jsonl(ROWS[:3]))
    command("rollup")
    command("ingest", "-", stdin=jsonl(ROWS[3:]))
    return command


def test_ingest_says_what_became_of_every_row_and_keeps_the_rejected_ones(
    tmp_path: Path, tickertone: Tickertone
) -> None:
    file = tmp_path / "news.jsonl"
    file.write_text(jsonl([*ROWS, ROWS[0], *BAD_ROWS]) + "{broken\n")

    summary = tickertone.json("ingest", file)

    assert set(summary) >= INGEST_KEYS
    assert (summary["accepted"], summary["duplicates"], summary["rejected"]) == (4, 1, 4)
    assert summary["revision"] == 1
    reasons = {"relative_time": 1, "no_zone": 1, "bad_json": 1}
    assert {name: summary["rejected_by_reason"].get(name) for name in reasons} == reasons
    assert sum(summary["rejected_by_reason"].values()) == 4
    kept_in = Path(summary["rejected_file"])
    assert kept_in.is_relative_to(tickertone.data_dir)
    kept = [json.loads(line) for line in kept_in.read_text("utf-8").splitlines()]
    assert [row["place"].rpartition(":")[2] for row in kept] == ["6", "7", "8", "9"]
    assert {row["reason"] for row in kept} == set(summary["rejected_by_reason"])
    assert json.loads(kept[0]["row"]) == BAD_ROWS[0]
    assert kept[3]["row"] == "{broken"
    assert all(row["message"] for row in kept)
    store = open_store(tickertone.data_dir)
    assert {(row["item_id"], row["ticker"]) for row in stored_scores(store)} == {
        ("1", "AAPL"), ("2", "AAPL"), ("3", "AAPL"), ("4", "AAPL"), ("4", "MSFT"),
    }  # fmt: skip

    text = tickertone("ingest", file)

    assert [line.split()[:2] for line in text.stdout.splitlines()[:3]] == [
        ["accepted", "0"],
        ["duplicates", "5"],
        ["rejected", "4"],
    ]
    assert "rejected rows, with reasons: " in text.stdout
    assert text.stderr == ""


def test_the_same_items_from_every_format_are_the_same_items(tmp_path: Path, tickertone: Tickertone) -> None:
    flat = [
        {**row, "ticker": ";".join([row["ticker"]] if isinstance(row["ticker"], str) else row["ticker"])}
        for row in ROWS
    ]
    plain = tmp_path / "a.jsonl"
    plain.write_text(jsonl(ROWS))
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(jsonl(ROWS).encode()))
    table = tmp_path / "c.csv"
    with table.open("w", newline="") as out:
        writer = csv.DictWriter(out, flat[0])
        writer.writeheader()
        writer.writerows(flat)
    parquet = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_pylist(flat), parquet)

    assert tickertone.json("ingest", table)["accepted"] == 4
    for file in (plain, packed, parquet):
        summary = tickertone.json("ingest", file)
        assert (summary["accepted"], summary["duplicates"], summary["rejected"]) == (0, 4, 0)
    piped = tickertone.json("ingest", "-", stdin=packed.read_bytes())
    assert (piped["accepted"], piped["duplicates"]) == (0, 4)
    both = tickertone.json("ingest", plain, parquet)
    assert (both["accepted"], both["duplicates"]) == (0, 8)
    assert both["revision"] == 1


def test_options_of_ingest_name_columns_zone_source_and_the_scorer_of_given_scores(tickertone: Tickertone) -> None:
    lines = "when,what,who,how\n2024-01-01 00:00:05,hello,msft,0.25\n2024-06-01,hello,msft,-1\n"
    summary = tickertone.json(
        "ingest", "-", "--format", "csv", "--map", "ts=when,text=what,ticker=who,score=how", "--tz", "America/New_York",
        "--date-only", "noon", "--source", "desk", "--given-scorer", "mine@3", stdin=lines,
    )  # fmt: skip
    assert (summary["accepted"], summary["rejected"]) == (2, 0)
    rows = sorted(stored_scores(open_store(tickertone.data_dir)), key=lambda row: row["published_us"])
    assert [(row["ticker"], row["scorer"], row["source"], row["score_e6"]) for row in rows] == [
        ("MSFT", "mine@3", "desk", 250_000),
        ("MSFT", "mine@3", "desk", -1_000_000),
    ]
    assert rows[0]["published_us"] == 1_704_085_205_000_000  # 05:00:05Z


def test_query_sees_what_was_ingested_before_any_rollup(tickertone: Tickertone) -> None:
    tickertone("ingest", "-", stdin=jsonl(ROWS))
    before = tickertone.json("query", "AAPL", "--resolution", "24h", *RANGE)
    assert [row["count"] for row in before["buckets"]] == [3, 1]
    assert tickertone.json("status")["rolled_up_to"] == 0
    rolled_up = tickertone.json("rollup")
    assert set(rolled_up) == {"revision", "buckets_changed", "seconds"}
    assert (rolled_up["revision"], rolled_up["buckets_changed"]) == (
        1,
        len(shown_buckets(open_store(tickertone.data_dir))),
    )
    assert tickertone.json("rollup")["buckets_changed"] == 0
    after = tickertone.json("query", "aapl", "--resolution", "24h", *RANGE)
    assert after["buckets"] == before["buckets"]


def test_query_as_json_is_the_body_of_the_api(shared: Tickertone) -> None:
    body = shared.json("query", "AAPL", "--resolution", "1m", *RANGE)
    expected = {"ticker", "resolution", "buckets", "partial_bucket", "next_cursor", "has_more", "cache_hit", "revision"}
    assert set(body) >= expected
    assert (body["ticker"], body["resolution"], body["revision"]) == ("AAPL", "1m", 2)
    assert (body["partial_bucket"], body["next_cursor"], body["has_more"], body["cache_hit"]) == (
        None,
        None,
        False,
        False,
    )
    first, *others = body["buckets"]
    assert set(first) == BUCKET_KEYS
    assert [row["timestamp"] for row in body["buckets"]] == [
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:03:00Z",
        "2024-01-02T12:00:00Z",
    ]
    assert (first["count"], first["sources"], first["is_partial"]) == (2, ["posts", "wire"], False)
    assert (first["open"], first["close"]) == (first["high"], first["low"])
    assert first["open"] > 0 > first["close"]
    assert first["label_counts"] == {"positive": 1, "neutral": 0, "negative": 1}
    assert first["sum"] == pytest.approx(first["open"] + first["close"], abs=1e-12)
    assert first["avg"] == pytest.approx(first["sum"] / 2, abs=1e-12)
    assert [row["revision"] for row in body["buckets"]] == [1, 1, 2]
    assert others[0]["label_counts"] == {"positive": 0, "neutral": 1, "negative": 0}


def test_query_as_json_tells_the_time_it_took(shared: Tickertone) -> None:
    assert "query_time_ms" in shared.json("query", "AAPL", "--resolution", "1m", *RANGE)


def test_query_as_csv_has_the_columns_of_the_spec_and_the_values_of_json(shared: Tickertone) -> None:
    output = shared("query", "AAPL", "--resolution", "1h", *RANGE, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(output)))
    assert output.splitlines()[0] == (
        "ticker,resolution,timestamp,open,high,low,close,count,sum,avg,positive,neutral,negative,sources,is_partial"
    )
    expected = shared.json("query", "AAPL", "--resolution", "1h", *RANGE)["buckets"]
    assert len(rows) == len(expected) == 2
    for row, bucket in zip(rows, expected, strict=True):
        assert (row["ticker"], row["resolution"], row["timestamp"]) == ("AAPL", "1h", bucket["timestamp"])
        for name in ("open", "high", "low", "close", "sum", "avg"):
            assert float(row[name]) == bucket[name]
        counts = {name: int(row[name]) for name in ("positive", "neutral", "negative")}
        assert (int(row["count"]), counts) == (bucket["count"], bucket["label_counts"])
        assert (row["sources"].split(";"), row["is_partial"]) == (bucket["sources"], "false")


def test_query_as_a_table_shows_the_same_and_says_how_to_go_on(shared: Tickertone) -> None:
    whole = shared("query", "AAPL", *RANGE)
    assert whole.stdout.count("2024-01-0") == 3
    assert "posts, wire" in whole.stdout
    assert "\x1b" not in whole.stdout  # no colours where there is no terminal
    page = shared("query", "AAPL", *RANGE, "--limit", "2")
    assert page.stdout.count("2024-01-0") == 2
    cursor = page.stderr.split("--cursor ")[1].split()[0]
    rest = shared.json("query", "AAPL", *RANGE, "--cursor", cursor)
    assert [row["timestamp"] for row in rest["buckets"]] == ["2024-01-02T12:00:00Z"]


def test_the_open_bucket_is_partial_with_its_progress(tickertone: Tickertone) -> None:
    moment = int(time.time())
    tickertone("ingest", "-", stdin=jsonl([{"id": "now", "ts": moment, "text": "good", "ticker": "AAPL"}]))
    body = tickertone.json("query", "AAPL", "--resolution", "24h")
    partial = body["partial_bucket"]
    if partial is None:  # a day began in between
        pytest.skip("midnight came between ingest and query")
    assert body["buckets"] == []
    assert (partial["count"], partial["is_partial"]) == (1, True)
    assert 0 <= partial["progress_pct"] < 100
    assert partial["next_update_at"] > partial["timestamp"]


def test_verify_and_status_as_json(shared: Tickertone) -> None:
    assert {**shared.json("verify"), "worst": None} == {
        "checked": len(shown_buckets(open_store(shared.data_dir))),
        "differ": 0,
        "sealed": 0,
        "worst": None,
    }
    body = shared.json("status")
    assert (body["scores"], body["tickers"], body["revision"], body["rolled_up_to"]) == (5, 2, 2, 1)
    assert body["simulated"] is False


USAGE = [
    (["query", "AAPL", "--resolution", "2m"], ["'2m'", "1m, 5m, 10m, 1h, 3h, 6h, 12h, 24h"]),
    (["query", "AAPL", "--start", "2024-01-02", "--end", "2024-01-01"], ["2024-01-02T00:00:00Z is not before"]),
    (["query", "AAPL", "--start", "2024-01-01T00:00:00"], ["2024-01-01T00:00:00", "zone"]),
    (["query", "AAPL", "--limit", "0"], ["limit is 0"]),
    (["query", "AAPL", "--cursor", "page 2"], ["'page 2'", "next_cursor"]),
    (["query", "no ticker"], ["'no ticker'"]),
    (["rollup", "--every", "nan"], ["pause"]),
    (["rollup", "--every", "1e400"], ["pause"]),
    (["rollup", "--every", "soon"], ["'soon'", "30s"]),
    (["ingest", "-", "--tz", "Mars/Olympus"], ["Mars/Olympus"]),
    (["ingest", "-", "--map", "who=x"], ["who=x"]),
    (["ingest", "-", "--batch-rows", "0"], ["ingest_batch_rows", "0"]),
    (["ingest", "-", "--scorer", "oracle"], ["--scorer", "'oracle'", "vader"]),
    (["score", "great", "--scorer", "vader@0"], ["--scorer", "'vader@0'", "is not installed"]),
    (["ingest", "-", "--given-scorer", "mine"], ["'mine'", "NAME@VERSION"]),
    (["ingest", "-", "--given-scorer", "a\x1fb@1"], [r"'a\x1fb@1'", "NAME@VERSION"]),
    (["ingest", "-", "--given-scorer", "m@" + "1" * 99], ["100 characters"]),
    (["ingest", "-", "--source", "a\x1fb"], [r"'a\x1fb'", "control character"]),
    (["ingest", "-", "--source", " "], ["' '", "1 to 200"]),
    (["ingest"], ["FILE"]),
    (["dance"], ["dance"]),
    ([], ["COMMAND"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_bad_usage_is_2_and_says_what_and_the_remedy(
    shared: Tickertone,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(shared.directory)
    monkeypatch.setenv("TICKERTONE_DATA_DIR", str(shared.data_dir))
    try:
        code = cli.main(arguments)
    except SystemExit as ended:  # argparse
        code = ended.code  # type: ignore[assignment]
    output, errors = capsys.readouterr()
    assert (code, output) == (2, "")
    assert all(word in errors for word in words), errors


@pytest.mark.parametrize(("arguments", "words"), USAGE[:2], ids=["resolution", "range"])
def test_bad_usage_is_2_as_a_process_too(shared: Tickertone, arguments: list[str], words: list[str]) -> None:
    finished = shared(*arguments, code=2)
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1
    assert all(word in finished.stderr for word in words), finished.stderr


def test_a_setting_of_the_environment_that_cannot_be_is_2(shared: Tickertone) -> None:
    finished = shared("status", code=2, env={"TICKERTONE_QUERY_TIMEOUT_MS": "soon"})
    assert "query_timeout_ms has value 'soon'" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["query", "TSLA"], ["'TSLA'"]),
        (["query", "AAPL", "--scorer", "nobody@1"], ["'nobody@1'", "finance@"]),
        (["ingest", "nowhere.jsonl"], ["nowhere.jsonl", "No such file"]),
        (["ingest", "."], ["Is a directory"]),
    ],
)
def test_what_cannot_be_done_is_1_and_says_why(shared: Tickertone, arguments: list[str], words: list[str]) -> None:
    finished = shared(*arguments, code=1)
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    assert all(word in finished.stderr for word in words), finished.stderr


@pytest.mark.parametrize("command", [["query", "AAPL"], ["verify"], ["rollup"], ["status"]], ids=lambda each: each[0])
def test_a_missing_store_is_1_names_the_place_and_is_not_made(tickertone: Tickertone, command: list[str]) -> None:
    finished = tickertone(*command, code=1)
    assert f"no store at {tickertone.data_dir}" in finished.stderr
    assert "TICKERTONE_DATA_DIR" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not tickertone.data_dir.exists()


@pytest.mark.parametrize("place", ["", "scores", "keys", "locks"])
def test_a_store_that_cannot_be_written_is_1_and_names_the_place(tickertone: Tickertone, place: str) -> None:
    blocked = tickertone.data_dir / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")
    finished = tickertone("ingest", "-", stdin=jsonl(ROWS), code=1)
    assert (finished.stdout, "Traceback" in finished.stderr) == ("", False)
    assert str(blocked) in finished.stderr


def test_a_full_disk_is_1_says_so_and_what_was_stored_stays(shared: Tickertone, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(shared.data_dir, folder)
    command = Tickertone(data_dir=folder, directory=tmp_path)
    news = tmp_path / "news.jsonl"
    news.write_text(jsonl([{**ROWS[0], "id": "new"}]))
    for arguments in (["ingest", str(news)], ["rollup"]):
        finished = subprocess.run(
            command.command(*arguments, "--data-dir", folder),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            # No file can grow, for root neither.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
        assert finished.returncode == 1, finished.stderr
        assert "Traceback" not in finished.stderr
        assert "cannot be written" in finished.stderr
    assert command.json("verify")["differ"] == 0
    assert {row["item_id"] for row in stored_scores(open_store(folder))} == {"1", "2", "3", "4"}
    assert command.json("ingest", news)["accepted"] == 1


@pytest.mark.parametrize("pattern", ["scores/date=*/*.parquet", "scores/_delta_log/*1.json"])
def test_a_damaged_store_is_1_in_one_line_and_names_the_place(shared: Tickertone, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(shared.data_dir, folder)
    for path in folder.glob(pattern):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for command in (["verify"], ["rollup", "--full"]):
        finished = shared(*command, data_dir=folder, code=1)
        assert (finished.stdout, "Traceback" in finished.stderr) == ("", False)
        assert str(folder / "scores") in finished.stderr
        assert "tickertone doctor" in finished.stderr
        assert len(finished.stderr.splitlines()) == 1


def test_one_unreadable_file_does_not_stop_the_others_and_is_told_by_the_exit_code(
    tmp_path: Path, tickertone: Tickertone
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(jsonl(ROWS))
    finished = tickertone("ingest", "missing.jsonl", file, "--json", code=1)
    assert json.loads(finished.stdout)["accepted"] == 4
    assert "missing.jsonl" in finished.stderr


def test_a_file_that_ends_too_early_is_used_as_far_as_it_goes_and_accounted_for(
    tmp_path: Path, tickertone: Tickertone
) -> None:
    file = tmp_path / "cut.jsonl.gz"
    rows = [{**ROWS[0], "id": str(number), "text": f"good {number * 7919}"} for number in range(3_000)]
    file.write_bytes(gzip.compress(jsonl(rows).encode())[:-200])
    summary = tickertone.json("ingest", file)
    assert 1_000 < summary["accepted"] < 3_000
    assert summary["rejected_by_reason"] == {"file_damaged": 1}


def test_the_folder_of_the_store_comes_from_environment_file_or_option(
    tmp_path: Path, shared: Tickertone, tickertone: Tickertone
) -> None:
    assert shared.json("status")["data_dir"] == str(shared.data_dir)
    by_option = tickertone.json("status", "--data-dir", shared.data_dir)  # wins over TICKERTONE_DATA_DIR
    assert by_option["data_dir"] == str(shared.data_dir)
    (tickertone.directory / "tickertone.toml").write_text(f'data_dir = "{tmp_path / "elsewhere"}"\n')
    assert f"no store at {tickertone.data_dir}" in tickertone("status", code=1).stderr


@pytest.fixture
def repeating(tickertone: Tickertone) -> Iterator[subprocess.Popen[str]]:
    """A rollup that repeats; it has reported once."""
    process = tickertone.start("rollup", "--every", "0.2s", "--json")
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_repeating_rollup_follows_the_store_and_ends_cleanly_on_a_signal(
    tickertone: Tickertone, repeating: subprocess.Popen[str], number: signal.Signals
) -> None:
    tickertone("ingest", "-", stdin=jsonl(ROWS))
    assert repeating.stdout is not None
    deadline = time.monotonic() + 20
    while json.loads(repeating.stdout.readline())["revision"] < 1:
        assert time.monotonic() < deadline
    began = time.monotonic()
    repeating.send_signal(number)
    rest, complaints = repeating.communicate(timeout=20)
    assert (repeating.returncode, complaints) == (0, "")
    assert time.monotonic() - began < 5
    assert all(set(json.loads(line)) == {"revision", "buckets_changed", "seconds"} for line in rest.splitlines())
    assert tickertone.json("status")["rolled_up_to"] == 1


def test_a_signal_that_comes_while_the_event_is_waited_for_is_heard() -> None:
    code = """
import signal
from dashapp.commands.signals import stopped_by_signal
stop = stopped_by_signal()
with stop._cond:  # as in the middle of stop.wait()
    signal.raise_signal(signal.SIGINT)
assert stop.wait(10)
"""
    subprocess.run([sys.executable, "-c", code], timeout=20, check=True)


def test_a_reader_that_goes_away_is_no_error(shared: Tickertone) -> None:
    finished = subprocess.run(
        f"{' '.join(shared.command('query', 'AAPL', *RANGE, '--format', 'csv', '--data-dir', shared.data_dir))} | true",
        shell=True,
        cwd=shared.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, "Traceback" in finished.stderr) == (0, False)


def test_output_that_cannot_be_written_is_1_and_says_so(shared: Tickertone) -> None:
    for arguments in (["query", "AAPL", *RANGE, "--format", shape] for shape in ("table", "json", "csv")):
        with Path("/dev/full").open("w") as full:
            finished = subprocess.run(
                shared.command(*arguments, "--data-dir", shared.data_dir),
                cwd=shared.directory,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert finished.returncode == 1
        assert finished.stderr == "tickertone: Standard output cannot be written: No space left on device.\n"


def test_a_source_that_the_terminal_has_no_letters_for_is_shown_by_numbers(tickertone: Tickertone) -> None:
    tickertone("ingest", "-", stdin=jsonl([{**ROWS[0], "source": "ä😀"}]))
    for shape in ("table", "csv"):
        shown = tickertone("query", "AAPL", *RANGE, "--format", shape, env={"PYTHONIOENCODING": "ascii"}).stdout
        assert r"\xe4\U0001f600" in shown


def test_score_and_version_answer_without_a_store(tickertone: Tickertone) -> None:
    body = tickertone.json("score", "a great gain")
    assert set(body) == {"score", "label", "confidence"}
    assert (body["label"], 0.05 <= body["score"] <= 1) == ("positive", True)
    assert tickertone("--version").stdout.startswith("tickertone ")
    assert not tickertone.data_dir.exists()


def test_the_console_script_is_the_same_command(shared: Tickertone) -> None:
    script = Path(sys.executable).with_name("tickertone")
    if not script.exists():
        pytest.skip("the package is not installed beside this Python")
    done = subprocess.run(
        [script, "status", "--json", "--data-dir", shared.data_dir],
        capture_output=True,
        cwd=shared.directory,
        check=True,
    )
    assert json.loads(done.stdout) == shared.json("status")
