"""A repair: what it leaves behind is right, it deletes nothing, and what cannot be made again comes from a backup."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import JobRunning, StoreInUse, UsageError
from dashapp.model.time import EpochUs
from dashapp.rollup.job import rollup
from dashapp.rollup.retention import Rules, retain
from dashapp.store.backup import back_up
from dashapp.store.findings import Severity
from dashapp.store.lease import JobRecord, leased
from dashapp.store.placecheck import SET_ASIDE
from dashapp.store.presence import alone
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store
from tests.store.damage import (
    Damage,
    Truth,
    bad,
    content,
    cut,
    data_files,
    delete,
    empty,
    entry,
    flip,
    look,
    mend,
    one,
    scrap,
    truth,
)
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
    folder: Path, right: Truth, damage: Damage, where: Callable[[Path], Path]
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


def test_small_files_that_can_be_done_without_are_told_and_set_aside(folder: Path, right: Truth) -> None:
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


def test_planted_wrong_buckets_are_found_and_made_right(folder: Path, right: Truth) -> None:
    store = open_store(folder)
    plant(store, "1h", lambda rows: [{**rows[0], "high_e6": 1_000_000}, *rows[1:]])
    store.close()
    finding = one(folder)
    assert (finding.kind, finding.rows) == ("buckets_differ", 1)
    assert "high_e6" in finding.what
    mend(folder)
    assert look(folder).differ == 0
    assert truth(folder) == right


def test_a_store_without_buckets_is_told_and_gets_them(folder: Path, right: Truth) -> None:
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
    folder: Path, kept: Path, right: Truth, where: Callable[[Path], Path]
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
    folder: Path, kept: Path, right: Truth
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


def test_buckets_are_made_anew_beside_those_who_read_and_write(folder: Path, right: Truth) -> None:
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


def test_a_lease_of_a_clock_that_was_ahead_is_told_and_set_aside_unless_it_may_change_tables(folder: Path) -> None:
    def lend(job: str) -> Path:
        ahead = EpochUs(now_us() + DAY_US)
        path = folder / "jobs" / f"{job}.json"
        path.write_text(json.dumps(asdict(JobRecord(job, holder="elsewhere:1", expires_us=ahead, started_us=ahead))))
        assert one(folder).kind == "lease_in_the_future"
        return path

    retention = lend("retention")
    with pytest.raises(JobRunning):
        mend(folder)  # another machine may hold it, for all anybody knows
    retention.unlink()
    record = lend("rollup")
    assert len(mend(folder)) == 1
    assert not record.exists()
    assert look(folder).is_healthy


@pytest.mark.parametrize("name", ["api_keys.json", "cache"])
def test_what_others_may_look_into_is_told_and_closed(folder: Path, name: str) -> None:
    (folder / name).chmod(0o755)
    finding = one(folder)
    assert (finding.kind, finding.severity) == ("too_open", Severity.WARNING)
    mend(folder)
    assert (folder / name).stat().st_mode & 0o077 == 0
    assert look(folder).is_healthy
