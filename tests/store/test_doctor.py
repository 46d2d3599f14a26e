"""The doctor: every kind of damage is found, named with its place and told what to do, and nothing is touched by
looking; what a repair leaves behind is right."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dashapp import cli
from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import JobRunning, StoreInUse, StoreMissing, StoreTooNew, UsageError
from dashapp.model.time import US_PER_SECOND, EpochUs
from dashapp.query.cache import ResponseCache
from dashapp.rollup.doctor import examine
from dashapp.rollup.job import rollup
from dashapp.rollup.repair import repair
from dashapp.rollup.retention import Rules, retain
from dashapp.store import keys as keys_module
from dashapp.store.apikeys import ApiKeys
from dashapp.store.backup import back_up
from dashapp.store.compact import compact
from dashapp.store.findings import Finding, Findings, Severity
from dashapp.store.lease import JobRecord, leased
from dashapp.store.migrations import FORMAT, FORMAT_NAME
from dashapp.store.placecheck import SET_ASIDE
from dashapp.store.presence import alone
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    open_store,
    plant,
    same_day_scores,
    score,
    shown_buckets,
    stored_scores,
    verification,
)

Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Flip a bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


def last_line_lost(path: Path) -> None:
    """As a log entry is that was cut between two lines."""
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:-1]))


def empty(path: Path) -> None:
    """As a power cut leaves what was not flushed."""
    path.write_bytes(b"")


def scrap(path: Path) -> None:
    path.write_bytes(b"no such thing")


def delete(path: Path) -> None:
    path.unlink()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all there is: checkpoints of both tables, a tail, files of keys, a cache, records, positions."""
    folder = tmp_path_factory.mktemp("doctor") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module, "FILE_RUN_KEYS", 4)
        store = open_store(folder)
        for number in range(13):
            append(store, same_day_scores(6, start=number * 6, day_us=number % 3 * DAY_US))
            if number < 12:
                rollup(store)
        store.close()
    for name, content in (("feed/rss.position.json", {"position": {}}), ("jobs/rollup.json", {"name": "rollup"})):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    ResponseCache(folder / "cache", 1_000_000).close()
    ApiKeys(folder).add("desk", now_us=0)
    return folder


@pytest.fixture(scope="module")
def kept(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    store = Store(Settings(data_dir=copied(sound, tmp_path_factory.mktemp("backed") / "store")))
    back_up(store, tmp_path_factory.mktemp("backup") / "kept", now_us)
    store.close()
    return next(tmp_path_factory.getbasetemp().glob("backup*/kept"))


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return copied(sound, tmp_path / "store")


def look(folder: Path, at_us: int | None = None) -> Findings:
    return examine(Settings(data_dir=folder), now_us() if at_us is None else EpochUs(at_us))


def mend(folder: Path, found: Findings | None = None, **how: Any) -> list[str]:
    return repair(Settings(data_dir=folder), found or look(folder), now_us, **how)


def bad(found: Findings) -> list[Finding]:
    return [finding for finding in found.found if finding.severity is not Severity.NOTE]


def one(folder: Path) -> Finding:
    """The one finding that is not good to know only."""
    (finding,) = bad(look(folder))
    assert all(len(text) > 10 and text.endswith((".", ")", "`")) for text in (finding.what, finding.meaning)), finding
    assert finding.remedy
    return finding


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its hash and the time it was changed."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def truth(folder: Path) -> tuple[list[str], dict[Any, Any]]:
    """The scores a store has, and the buckets it shows."""
    store = Store(Settings(data_dir=folder))
    told = sorted(map(str, stored_scores(store))), shown_buckets(store)
    store.close()
    return told


@pytest.fixture(scope="module")
def right(sound: Path) -> tuple[list[str], dict[Any, Any]]:
    return truth(sound)


def entry(folder: Path, table: str, version: int) -> Path:
    return folder / table / "_delta_log" / f"{version:020d}.json"


def test_a_sound_store_is_healthy_and_is_not_touched_by_looking(folder: Path) -> None:
    before = content(folder)
    found = look(folder)
    assert found.is_healthy
    assert found.found == []
    assert (found.differ, found.buckets > 0, found.log_files) == (0, True, 13 + 1 + 12 + 1 + 2)
    assert content(folder) == before


def data_files(table: str) -> Callable[[Path], Path]:
    """Finds the oldest data file of the newest version of a table: of scores one that the buckets have counted."""

    def find(folder: Path) -> Path:
        store = Store(Settings(data_dir=folder))
        files = (store.scores if table == "scores" else store.buckets).table.files()
        store.close()
        return min((Path(file.path) for file in files), key=lambda path: path.stat().st_mtime_ns)

    return find


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


def test_any_flipped_bit_is_found_or_changes_nothing(
    sound: Path, tmp_path: Path, right: tuple[list[str], dict[Any, Any]]
) -> None:
    flips_anywhere(sound, tmp_path, right, 5)


@pytest.mark.slow
def test_any_of_many_flipped_bits_is_found_or_changes_nothing(
    sound: Path, tmp_path: Path, right: tuple[list[str], dict[Any, Any]]
) -> None:
    flips_anywhere(sound, tmp_path, right, 1_000)


def flips_anywhere(sound: Path, tmp_path: Path, right: tuple[list[str], dict[Any, Any]], count: int) -> None:
    chance = random.Random()
    files = [path for table in ("scores", "buckets") for path in sorted((sound / table).rglob("*")) if path.is_file()]
    for _ in range(count):
        seed = chance.getrandbits(64)
        choice = random.Random(seed)
        damaged = choice.choice(files).relative_to(sound)
        folder = copied(sound, tmp_path / "flipped")
        data = bytearray((folder / damaged).read_bytes())
        bit = choice.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        (folder / damaged).write_bytes(bytes(data))
        if look(folder).is_healthy:
            assert truth(folder) == right, f"bit {bit} of {damaged}, seed {seed}"
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (cut, data_files("buckets")),
        (delete, data_files("buckets")),
        (cut, lambda folder: entry(folder, "buckets", 12)),
        (cut, lambda folder: entry(folder, "buckets", 3)),
        (cut, lambda folder: entry(folder, "scores", 3)),
        (cut, lambda folder: folder / f"scores/_delta_log/{9:020d}.checkpoint.parquet"),
        (flip, lambda folder: max((folder / "keys").rglob("*.u64"))),
    ],
    ids=[
        "cut buckets",
        "no buckets",
        "newest entry of buckets",
        "old entry of buckets",
        "old entry of scores",
        "checkpoint",
        "keys",
    ],
)
def test_what_is_derived_is_repaired_and_all_is_as_it_was(
    folder: Path, right: tuple[list[str], dict[Any, Any]], damage: Damage, where: Callable[[Path], Path]
) -> None:
    damaged = where(folder)
    damage(damaged)
    held = damaged.read_bytes() if damaged.exists() else None
    assert mend(folder)
    found = look(folder)
    assert (bad(found), found.differ) == ([], 0)
    # Never deleted: it lies where it lay, or is set aside.
    if held is not None:
        assert held in [path.read_bytes() for path in folder.rglob(damaged.name)]
    store = open_store(folder)
    assert shown_buckets(store) == right[1]
    assert append(store, [*same_day_scores(1), score("new", 0, 1)]) == [True, False]
    rollup(store)
    assert shown_buckets(store) == expected_buckets(store)
    store.close()


def test_small_files_that_can_be_done_without_are_told_and_set_aside(
    folder: Path, right: tuple[list[str], dict[Any, Any]]
) -> None:
    names = ["cache/cache.db", "feed/rss.position.json", "jobs/rollup.json", "scores/_delta_log/_last_checkpoint"]
    for name in names:
        scrap(folder / name)
    found = look(folder)
    kinds = ["cache_damaged", "checkpoint_hint_damaged", "position_damaged", "record_damaged"]
    assert sorted(finding.kind for finding in bad(found)) == kinds
    mend(folder, found)
    assert look(folder).is_healthy
    (aside,) = (folder / SET_ASIDE).iterdir()
    assert [str(path.relative_to(aside)) for path in sorted(aside.rglob("*")) if path.is_file()] == names
    assert truth(folder) == right


def test_the_damaged_table_of_buckets_is_set_aside_whole_under_a_name_that_says_so(folder: Path) -> None:
    for path in (folder / "buckets" / "_delta_log").iterdir():
        scrap(path)
    before = {path.name for path in (folder / "buckets").rglob("*") if path.is_file()}
    assert any("set aside: the table of buckets" in line for line in mend(folder))
    (aside,) = (folder / SET_ASIDE).glob("*/buckets")
    assert {path.name for path in aside.rglob("*") if path.is_file()} == before
    found = look(folder)
    assert (found.is_healthy, found.differ, [each.kind for each in found.found]) == (True, 0, ["set_aside"])


def test_planted_wrong_buckets_are_found_and_made_right(folder: Path, right: tuple[list[str], dict[Any, Any]]) -> None:
    store = open_store(folder)
    plant(store, "1h", lambda rows: [{**rows[0], "high_e6": 1_000_000}, *rows[1:]])
    store.close()
    finding = one(folder)
    assert (finding.kind, finding.rows) == ("buckets_differ", 1)
    assert "high_e6" in finding.what
    mend(folder)
    assert look(folder).differ == 0
    assert truth(folder) == right


def test_a_store_without_buckets_is_told_and_gets_them(folder: Path, right: tuple[list[str], dict[Any, Any]]) -> None:
    shutil.rmtree(folder / "buckets")
    assert one(folder).kind == "no_buckets"
    mend(folder)
    assert look(folder).is_healthy
    assert truth(folder) == right


def test_damaged_scores_are_told_with_their_time_and_number_and_a_repair_without_backup_leaves_all(
    folder: Path,
) -> None:
    path = data_files("scores")(folder)
    flip(path)
    finding = one(folder)
    assert finding.rows == 6
    assert "6 scores published 1970-01-0" in finding.meaning
    assert "--from BACKUP" in finding.remedy
    before = content(folder)
    assert mend(folder) == []
    assert {name: what for name, what in content(folder).items() if "locks" not in name} == {
        name: what for name, what in before.items() if "locks" not in name
    }
    # Candles that were counted before are shown as ever.
    store = Store(Settings(data_dir=folder))
    assert len(shown_buckets(store)) > 0
    store.close()


@pytest.mark.parametrize(
    "where",
    [
        data_files("scores"),
        lambda folder: entry(folder, "scores", 12),
        lambda folder: entry(folder, "scores", 3),
        lambda folder: folder / "api_keys.json",
    ],
    ids=["scores", "newest entry", "old entry", "api keys"],
)
def test_a_backup_gives_back_what_only_it_has(
    folder: Path, kept: Path, right: tuple[list[str], dict[Any, Any]], where: Callable[[Path], Path]
) -> None:
    path = where(folder)
    whole = path.read_bytes()
    cut(path)
    assert mend(folder, backup=kept) == [f"put back from the backup: {path.relative_to(folder)}"]
    assert path.read_bytes() == whole
    assert look(folder).is_healthy
    assert truth(folder) == right


def test_a_backup_of_another_store_or_another_course_of_it_gives_nothing(folder: Path, tmp_path: Path) -> None:
    path = data_files("scores")(folder)
    other = open_store(tmp_path / "other")
    append(other, same_day_scores(3))
    back_up(other, tmp_path / "of another", now_us)
    other.close()
    cut(path)
    found = look(folder)
    for source, why in ((tmp_path / "of another", "another course"), (tmp_path / "nothing", "no backup")):
        with pytest.raises(UsageError, match=why):
            mend(folder, found, backup=source)
    assert one(folder).kind == "scores_damaged"


def test_buckets_that_count_what_an_empty_entry_brought_are_not_made_anew_without_it(
    folder: Path, kept: Path, right: tuple[list[str], dict[Any, Any]]
) -> None:
    empty(entry(folder, "scores", 11))
    found = look(folder)
    assert [finding.kind for finding in bad(found)] == ["buckets_differ", "keys_damaged", "log_entry_empty"]
    assert mend(folder, found) == ["set aside: the index of keys"]
    mend(folder, found, backup=kept)
    assert look(folder).is_healthy
    assert truth(folder) == right


def test_a_loss_that_is_accepted_leaves_the_rest_right_and_what_was_lost_can_come_again(folder: Path) -> None:
    flip(data_files("scores")(folder))
    done = mend(folder, accept_loss=True)
    assert any(line.startswith("gave up 6 scores") for line in done)
    found = look(folder)
    assert (found.is_healthy, found.differ) == (True, 0)
    store = open_store(folder)
    assert len(stored_scores(store)) == 12 * 6
    again = [each for number in range(13) for each in same_day_scores(6, start=number * 6, day_us=number % 3 * DAY_US)]
    assert store.scores.append(scores_to_arrow(again), accepted_us=0).accepted == 6
    rollup(store)
    assert verification(store).differ == 0
    store.close()


@pytest.mark.parametrize("damage", [cut, scrap])
def test_sealed_buckets_come_from_a_backup_only_and_their_table_is_left_where_it_is(
    folder: Path, tmp_path: Path, damage: Damage
) -> None:
    store = open_store(folder)
    rollup(store)
    retain(store, Rules(1, {}), EpochUs(4 * DAY_US))
    back_up(store, tmp_path / "kept", now_us)
    store.close()
    before = truth(folder)
    path = data_files("buckets")(folder) if damage is cut else max((folder / "buckets/_delta_log").glob("*.json"))
    damage(path)
    assert bad(look(folder))
    assert mend(folder) == []
    assert bad(look(folder))
    assert mend(folder, backup=tmp_path / "kept") == [f"put back from the backup: {path.relative_to(folder)}"]
    assert look(folder).is_healthy
    assert truth(folder) == before


def test_a_repair_that_moves_files_refuses_while_others_have_the_store_open(folder: Path) -> None:
    other = Store(Settings(data_dir=folder))
    scrap(max((folder / "buckets" / "_delta_log").glob("*.json")))
    before = content(folder)
    with pytest.raises(StoreInUse, match="Stop serve"):
        mend(folder)
    assert content(folder).keys() - before.keys() == {
        f"locks/job-{name}.lock" for name in ("compaction", "retention", "vacuum", "logs")
    }
    assert before.items() <= content(folder).items()
    other.close()
    mend(folder)
    assert look(folder).is_healthy


def test_buckets_are_made_anew_beside_those_who_read_and_write(
    folder: Path, right: tuple[list[str], dict[Any, Any]]
) -> None:
    store = open_store(folder)
    path = data_files("buckets")(folder)
    delete(path)
    mend(folder)
    assert shown_buckets(store) == right[1]
    assert append(store, [score("new", 0, 1)]) == [False]
    store.close()


def test_a_repair_refuses_while_a_job_that_changes_tables_runs_and_nobody_opens_a_store_under_repair(
    folder: Path,
) -> None:
    delete(data_files("buckets")(folder))
    with leased(folder, "compaction", now_us, wait_until=None), pytest.raises(JobRunning, match="compaction"):
        mend(folder)
    with alone(folder), pytest.raises(StoreInUse, match="being repaired"):
        Store(Settings(data_dir=folder))


def test_a_clock_that_went_back_is_told(folder: Path) -> None:
    (finding,) = bad(look(folder, at_us=now_us() - 3600 * US_PER_SECOND))
    assert (finding.kind, finding.severity) == ("clock", Severity.WARNING)
    assert "timedatectl" in finding.remedy


def test_a_lease_of_a_clock_that_was_ahead_is_told_and_set_aside(folder: Path) -> None:
    ahead = EpochUs(now_us() + DAY_US)
    record = JobRecord("retention", holder="elsewhere:1", expires_us=ahead, started_us=ahead)
    (folder / "jobs" / "retention.json").write_text(json.dumps(asdict(record)))
    assert one(folder).kind == "lease_in_the_future"
    with pytest.raises(JobRunning):
        mend(folder)  # another machine may hold it, for all anybody knows


def test_a_newer_format_is_told_and_nothing_is_repaired(folder: Path) -> None:
    store = open_store(folder)
    store.scores.table.commit([], transactions={FORMAT_NAME: FORMAT + 1})
    store.close()
    finding = one(folder)
    assert finding.kind == "store_too_new"
    assert mend(folder) == []
    with pytest.raises(StoreTooNew):
        Store(Settings(data_dir=folder))


@pytest.mark.parametrize("name", ["api_keys.json", "cache"])
def test_what_others_may_look_into_is_told_and_closed(folder: Path, name: str) -> None:
    (folder / name).chmod(0o755)
    finding = one(folder)
    assert (finding.kind, finding.severity) == ("too_open", Severity.WARNING)
    mend(folder)
    assert (folder / name).stat().st_mode & 0o077 == 0
    assert look(folder).is_healthy


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
