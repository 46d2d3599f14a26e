"""The doctor: every kind of damage is found, named with its place and told what to do, and nothing is touched by
looking."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dashapp import cli
from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import StoreMissing, StoreTooNew
from dashapp.model.time import US_PER_SECOND
from dashapp.rollup.job import rollup
from dashapp.store.compact import compact
from dashapp.store.findings import Severity
from dashapp.store.migrations import FORMAT, FORMAT_NAME
from dashapp.store.store import Store
from tests.store.damage import (
    Damage,
    Truth,
    bad,
    content,
    cut,
    data_files,
    delete,
    entry,
    flip,
    last_line_lost,
    look,
    mend,
    one,
    truth,
)
from tests.stores import DAY_US, append, open_store, score


def test_a_sound_store_is_healthy_and_is_not_touched_by_looking(folder: Path) -> None:
    before = content(folder)
    found = look(folder)
    assert found.is_healthy
    assert found.found == []
    assert (found.differ, found.buckets > 0, found.log_files) == (0, True, 13 + 1 + 12 + 1 + 2)
    assert content(folder) == before


@pytest.mark.parametrize(
    ("kind", "where", "damage"),
    [
        ("scores_damaged", data_files("scores"), cut),
        ("scores_damaged", data_files("scores"), flip),
        ("scores_damaged", data_files("scores"), delete),
        ("buckets_damaged", data_files("buckets"), cut),
        ("buckets_damaged", data_files("buckets"), flip),
        ("log_entry_damaged", lambda folder: entry(folder, "scores", 12), cut),
        ("log_entry_damaged", lambda folder: entry(folder, "scores", 11), delete),
        ("log_entry_damaged", lambda folder: entry(folder, "scores", 5), flip),
        ("log_entry_damaged", lambda folder: entry(folder, "buckets", 11), last_line_lost),
        ("log_entry_damaged", lambda folder: entry(folder, "scores", 11), last_line_lost),
        ("checkpoint_damaged", lambda folder: folder / f"scores/_delta_log/{9:020d}.checkpoint.parquet", cut),
    ],
)
def test_damage_is_found_where_it_is_and_nothing_is_touched(
    folder: Path, kind: str, where: Callable[[Path], Path], damage: Damage
) -> None:
    path = where(folder)
    damage(path)
    before = content(folder)
    finding = one(folder)
    assert finding.kind == kind
    assert Path(finding.place) == path
    assert content(folder) == before


@pytest.mark.parametrize(
    ("action", "name"),
    [
        *(("add", name) for name in ("path", "partitionValues", "stats", "size")),
        ("remove", "path"),
        ("txn", "appId"),
        ("txn", "version"),
    ],
)
def test_an_action_that_lacks_what_is_read_of_it_is_found(folder: Path, action: str, name: str) -> None:
    path = entry(folder, "buckets", 11)
    lines = path.read_text("utf-8").splitlines()
    number = next(number for number, line in enumerate(lines) if line.startswith(f'{{"{action}"'))
    damaged = lines[number].replace(f'"{name}"', f'"{name[:-1]}~"', 1)
    assert damaged != lines[number]
    path.write_text("\n".join([*lines[:number], damaged, *lines[number + 1 :]]), "utf-8")
    assert one(folder).kind == "log_entry_damaged"


def test_any_flipped_bit_is_found_or_changes_nothing(sound: Path, tmp_path: Path, right: Truth) -> None:
    flips_anywhere(sound, tmp_path, right, 5)


@pytest.mark.slow
def test_any_of_many_flipped_bits_is_found_or_changes_nothing(sound: Path, tmp_path: Path, right: Truth) -> None:
    flips_anywhere(sound, tmp_path, right, 1_000)


def flips_anywhere(sound: Path, tmp_path: Path, right: Truth, count: int) -> None:
    chance = random.Random()
    files = [path for table in ("scores", "buckets") for path in sorted((sound / table).rglob("*")) if path.is_file()]
    for _ in range(count):
        seed = chance.getrandbits(64)
        choice = random.Random(seed)
        damaged = choice.choice(files).relative_to(sound)
        folder = shutil.copytree(sound, tmp_path / "flipped")
        data = bytearray((folder / damaged).read_bytes())
        bit = choice.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        (folder / damaged).write_bytes(bytes(data))
        if look(folder).is_healthy:
            assert truth(folder) == right, f"bit {bit} of {damaged}, seed {seed}"
        shutil.rmtree(folder)


def test_a_clock_that_went_back_is_told(folder: Path) -> None:
    (finding,) = bad(look(folder, at_us=now_us() - 3600 * US_PER_SECOND))
    assert (finding.kind, finding.severity) == ("clock", Severity.WARNING)
    assert "timedatectl" in finding.remedy


def test_a_newer_format_is_told_and_nothing_is_repaired(folder: Path) -> None:
    store = open_store(folder)
    store.scores.table.commit([], transactions={FORMAT_NAME: FORMAT + 1})
    store.close()
    finding = one(folder)
    assert finding.kind == "store_too_new"
    assert mend(folder) == []
    with pytest.raises(StoreTooNew):
        Store(Settings(data_dir=folder))


def test_what_nobody_knows_and_what_killed_processes_left_is_good_to_know_only(folder: Path) -> None:
    orphan = folder / "scores" / "date=1970-01-01" / "left.parquet"
    shutil.copy(data_files("scores")(folder), orphan)
    (folder / "notes.txt").write_text("mine")
    (folder / "rejected").mkdir()
    (folder / "rejected" / "a.partial").write_text("")
    for path in (orphan, folder / "rejected" / "a.partial"):
        os.utime(path, (0, 0))
    found = look(folder)
    assert found.is_healthy
    assert {finding.kind for finding in found.found} == {"orphans", "unknown_file", "leftovers"}


def test_a_place_without_a_store_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(StoreMissing, match="no store"):
            look(folder)
    assert list(tmp_path.iterdir()) == []


def test_scores_without_a_log_are_told(folder: Path) -> None:
    shutil.rmtree(folder / "scores" / "_delta_log")
    assert "log_gone" in [finding.kind for finding in bad(look(folder))]


def test_exit_codes_and_the_two_forms_of_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = cli.main(["doctor", "--data-dir", str(folder), *arguments])
        return code, capsys.readouterr().out

    assert run() == (
        0,
        "27 data files and 29 files of the logs read; 0 of 462 buckets differ from their scores.\nHealthy.\n",
    )
    path = data_files("buckets")(folder)
    cut(path)
    code, told = run()
    assert code == 1
    assert told.splitlines()[0] == f"damage: {path}"
    assert told.splitlines()[3].startswith("  -> `tickertone doctor --repair`")
    assert run("--accept-loss")[0] == 2
    code, told = run("--repair", "--json")
    body = json.loads(told)
    assert (code, body["healthy"], body["differ"], body["findings"]) == (0, True, 0, [])
    assert "buckets anew" in body["repaired"][0]


def test_looking_beside_those_who_write_compact_and_clean_up_finds_nothing(folder: Path) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            store = open_store(folder)
            for number in itertools.count(1_000):
                if stop.is_set():
                    break
                append(store, [score(f"n{number}", number % 3 * DAY_US, 1)])
                rollup(store)
                if number % 10 == 0:
                    compact(store)
                    for table in (store.scores.table, store.buckets.table):
                        table.clean_log(kept_s=0, now_s=now_us() / US_PER_SECOND)
            store.close()
        except BaseException as error:  # noqa: BLE001 - told below, in the thread of the test
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            assert [finding.kind for finding in bad(look(folder))] == []
    finally:
        stop.set()
        writer.join()
    assert failed == []
