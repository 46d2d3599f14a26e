"""Retention: what is old goes, what remains is as it was, and nothing counts twice for it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import BadSetting, SealedBucketsLost, StoreDamaged
from dashapp.model.change import Place
from dashapp.model.resolution import RESOLUTIONS, parse_resolution, period_of, period_start_us
from dashapp.model.time import MIN_US, EpochUs, to_iso
from dashapp.rollup.job import rollup
from dashapp.rollup.retention import Rules, retain, rules_of
from dashapp.store.compact import compact
from dashapp.store.follow import Follower, Watch
from dashapp.store.reader import Reader
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store
from tests.stores import (
    DAY_US,
    HOUR_US,
    append,
    examples,
    expected_buckets,
    open_store,
    plant,
    same_day_scores,
    score,
    shown_buckets,
    stored_scores,
    verification,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone

FOR_EVER = Rules(None, {})
# 2024-03-10: in the middle of a month and a year, so partitions of hours and days are half sealed.
FIRST_DAY_US = 19_792 * DAY_US
NOW_US = EpochUs(FIRST_DAY_US + 10 * DAY_US + 5 * HOUR_US)


def days_of(kept: float, **buckets: float) -> Rules:
    return Rules(kept, {parse_resolution(name.lstrip("r")): days for name, days in buckets.items()})


def filled(folder: Path, *, days: int = 10, per_day: int = 12) -> Store:
    """A store of some days before NOW_US, half of it rolled up."""
    store = open_store(folder)
    for day in range(days):
        append(store, same_day_scores(per_day, start=day * 1_000, day_us=FIRST_DAY_US + day * DAY_US))
        if day == days // 2:
            rollup(store)
    return store


def reopened(store: Store, scores: list[Any]) -> Any:
    return store.scores.append(scores_to_arrow(scores), accepted_us=0, reopen=True)


def test_old_scores_go_and_every_candle_stays(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = shown_buckets(store)
    early = Reader(open_store(tmp_path), timeout_ms=60_000)
    assert early.view().seen < store.scores.table.version

    done = retain(store, days_of(4), NOW_US)

    assert (done.scores, done.score_files, done.sealed_before) == (72, 6, "2024-03-16T00:00:00Z")
    assert len(stored_scores(store)) == 48
    assert shown_buckets(store) == before
    assert early.view().sealed_us == FIRST_DAY_US + 6 * DAY_US
    checked = verification(store)
    assert (checked.differ, checked.sealed, checked.checked + checked.sealed) == (
        0,
        sum(key[3] < FIRST_DAY_US + 6 * DAY_US for key in before),
        len(before),
    )
    assert retain(store, days_of(4), NOW_US).scores == 0
    assert retain(store, FOR_EVER, NOW_US).sealed_before == "2024-03-16T00:00:00Z"


def test_a_full_rebuild_keeps_what_is_sealed_and_mends_the_rest(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = shown_buckets(store)
    retain(store, days_of(4), NOW_US)
    sealed_us = store.scores.sealed_us

    def wrong(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "count": row["count"] + 1} if row["start_us"] >= sealed_us else row for row in rows]

    for resolution in ("1h", "24h"):
        plant(store, resolution, wrong)
    assert verification(store).differ > 0

    rollup(store, full=True)

    assert shown_buckets(store) == before
    assert verification(store).differ == 0


def test_a_full_rebuild_without_any_scores_left_keeps_everything(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = shown_buckets(store)
    retain(store, days_of(1), EpochUs(NOW_US + 30 * DAY_US))
    assert stored_scores(store) == []
    rollup(store, full=True)
    append(store, same_day_scores(5, start=90_000, day_us=NOW_US // DAY_US * DAY_US))
    rollup(store, full=True)
    after = shown_buckets(store)
    assert len(after) > len(before)
    assert {key: after[key] for key in before} == before
    assert verification(store).differ == 0


def test_a_commit_that_takes_from_sealed_buckets_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    retain(store, days_of(4), NOW_US)
    before = shown_buckets(store)
    sealed_us = store.scores.sealed_us
    for file in store.buckets.table.files():
        if file.bounds["start_us"][0] < sealed_us:
            with pytest.raises(SealedBucketsLost, match=file.partition["period"]):
                store.buckets.commit([], [file], seen=store.buckets.seen, sealed_us=sealed_us)
    assert shown_buckets(open_store(tmp_path)) == before


def test_what_was_dropped_is_still_known_also_when_the_index_of_keys_is_lost(tmp_path: Path) -> None:
    store = filled(tmp_path)
    retain(store, days_of(4), NOW_US)
    retain(store, days_of(2), NOW_US)
    again = [each for day in range(10) for each in same_day_scores(12, start=day * 1_000)]  # on another date
    assert all(append(store, again))
    store.close()
    shutil.rmtree(tmp_path / "keys")
    fresh = open_store(tmp_path)
    assert all(append(fresh, again))
    assert reopened(fresh, again).accepted == 0
    assert append(fresh, [score("new", NOW_US, 1)]) == [False]


def test_what_comes_for_a_sealed_period_is_refused_unless_it_is_reopened(tmp_path: Path) -> None:
    store = filled(tmp_path)
    retain(store, days_of(4), NOW_US)
    sealed_us = store.scores.sealed_us
    late = [score("late", sealed_us - 1, 500_000), score("in time", sealed_us, 500_000)]
    before = shown_buckets(store)

    appended = store.scores.append(scores_to_arrow(late), accepted_us=0)

    assert (appended.sealed.tolist(), appended.accepted) == ([True, False], 1)
    assert {key: row for key, row in shown_buckets(store).items() if key[3] + DAY_US <= sealed_us} == {
        key: row for key, row in before.items() if key[3] + DAY_US <= sealed_us
    }
    assert reopened(store, late).accepted == 1
    (key,) = [key for key in before if key[2] == "24h" and key[0] == "AAPL" and key[1] == "test@1"
              and key[3] == sealed_us - DAY_US]  # fmt: skip
    for step in (lambda: None, lambda: rollup(store), lambda: rollup(store, full=True), lambda: retain(
        store, days_of(4), NOW_US)):  # fmt: skip
        step()
        assert shown_buckets(store)[key]["count"] == before[key]["count"] + 1
        assert verification(store).differ == 0
    assert reopened(store, late).accepted == 0


def test_a_full_rebuild_counts_what_was_reopened_and_not_rolled_up_yet(tmp_path: Path) -> None:
    store = filled(tmp_path)
    retain(store, days_of(4), NOW_US)
    reopened(store, [score("late", FIRST_DAY_US, 500_000)])
    before = shown_buckets(store)
    rollup(store, full=True)
    assert shown_buckets(store) == before


def test_nothing_is_sealed_that_is_not_what_its_scores_say(tmp_path: Path) -> None:
    store = filled(tmp_path)
    rollup(store)
    plant(store, "5m", lambda rows: [{**row, "high_e6": 1_000_000} for row in rows])
    with pytest.raises(StoreDamaged, match=r"about to be sealed.*rollup --full"):
        retain(store, days_of(4), NOW_US)
    assert len(stored_scores(store)) == 120
    assert store.scores.sealed_us == MIN_US


def test_buckets_go_whole_periods_at_a_time_and_stay_away(tmp_path: Path) -> None:
    store = filled(tmp_path)
    rollup(store)
    before = shown_buckets(store)
    done = retain(store, Rules(None, {RESOLUTIONS[0]: 3, parse_resolution("1h"): 3, RESOLUTIONS[-1]: 400}), NOW_US)
    day = FIRST_DAY_US + 7 * DAY_US
    assert done.kept_from == {"1m": "2024-03-17T00:00:00Z"}
    kept = {key: row for key, row in before.items() if key[2] != "1m" or key[3] >= day}
    assert shown_buckets(store) == kept
    assert (done.buckets, done.bucket_files) == (len(before) - len(kept), 7)
    assert verification(store).differ == 0

    append(store, [score("late", day - 1, 5)])  # the scores are all here, so other resolutions take it

    expected = {key: row for key, row in expected_buckets(store).items() if key[2] != "1m" or key[3] >= day}
    for step in (lambda: None, lambda: rollup(store), lambda: rollup(store, full=True)):
        step()
        assert shown_buckets(store) == expected
        assert verification(store).differ == 0


def test_listeners_who_missed_what_was_dropped_since_begin_anew_and_others_do_not(tmp_path: Path) -> None:
    store = filled(tmp_path)
    follower = Follower(store, Reader(store, timeout_ms=60_000), timeout_ms=60_000)
    watch = Watch(frozenset({60}), None, "test@1")
    assert follower.touched(follower.view(), Place(2, 0), watch, most_rows=1_000, most=1_000) is not None
    retain(store, days_of(4), NOW_US)
    view = follower.view()
    assert follower.touched(view, Place(5, 0), watch, most_rows=1_000, most=1_000) is None
    assert follower.touched(view, Place(7, 0), watch, most_rows=1_000, most=1_000) is not None


@pytest.mark.parametrize("text", ["1m", "1m=0", "2m=5", "1m=nan", "1m=5;5m=6", "=3"])
def test_a_rule_that_cannot_be_is_said(text: str) -> None:
    with pytest.raises(BadSetting, match="RESOLUTION=DAYS"):
        rules_of(Settings(retention_buckets_days=text))


def test_the_rules_are_those_of_the_settings() -> None:
    assert rules_of(Settings()) == FOR_EVER
    given_rules = rules_of(Settings(retention_scores_days=400.0, retention_buckets_days="1m=90, 24h=3650"))
    assert given_rules == Rules(400.0, {RESOLUTIONS[0]: 90.0, RESOLUTIONS[-1]: 3_650.0})


def test_ingest_says_of_each_row_that_its_period_is_sealed(tickertone: Tickertone) -> None:
    today_us = now_us() // DAY_US * DAY_US
    rows = [{"id": f"a{day}", "ts": to_iso(today_us - day * DAY_US), "text": "good", "ticker": "AAPL"}
            for day in range(6)]  # fmt: skip
    file = tickertone.directory / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tickertone("ingest", file)
    done = tickertone.json("maintain", "retention", env={"TICKERTONE_RETENTION_SCORES_DAYS": "2"})["retention"]
    assert (done["scores"], done["score_files"]) == (3, 3)
    file.write_text("".join(json.dumps({**row, "id": row["id"] + "b"}) + "\n" for row in rows[2:4]))
    summary = tickertone.json("ingest", file)
    assert (summary["accepted"], summary["rejected_by_reason"]) == (1, {"sealed_period": 1})
    (kept,) = map(json.loads, Path(summary["rejected_file"]).read_text().splitlines())
    assert "--reopen" in kept["message"]
    file.write_text(kept["row"])
    assert tickertone.json("ingest", file, "--reopen")["accepted"] == 1
    assert tickertone.json("verify")["differ"] == 0
    assert tickertone.json("verify", "--sample", "2")["differ"] == 0


STEPS = st.sampled_from(("append", "rollup", "full", "retain", "compact", "late", "again"))


@examples(5)
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 9)), max_size=10), kept=st.integers(1, 9))
def test_retention_at_any_moment_changes_nothing_of_what_remains(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], kept: int
) -> None:
    folder = tmp_path_factory.mktemp("moments")
    store, twin = open_store(folder / "store"), open_store(folder / "twin")
    try:
        number = 0
        for step, day in [("append", 0), *steps, ("retain", 9), ("again", 0)]:
            rows = same_day_scores(4, start=number, day_us=FIRST_DAY_US + day * DAY_US)
            if step in ("append", "late"):
                number += 4
                fresh = store.scores.append(scores_to_arrow(rows), accepted_us=0, reopen=step == "late").fresh
                append(twin, [row for row, is_fresh in zip(rows, fresh, strict=True) if is_fresh])
            elif step == "retain":
                retain(store, days_of(kept), EpochUs(FIRST_DAY_US + day * DAY_US + kept * DAY_US))
            elif step == "again":
                known = same_day_scores(number, day_us=NOW_US // DAY_US * DAY_US)
                known = [row for row in known if row.item_id in {each["item_id"] for each in stored_scores(twin)}]
                assert all(append(store, known))
            elif step == "compact":
                compact(store)
            else:
                rollup(store, full=step == "full")
        assert _without_places(shown_buckets(store)) == _without_places(expected_buckets(twin))
        assert verification(store).differ == 0
    finally:
        store.close()
        twin.close()
        shutil.rmtree(folder)


def _without_places(buckets: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Buckets but for their positions, which tell of other commits in the other store."""
    return {
        key: {name: value for name, value in row.items() if not name.endswith("_position")}
        for key, row in buckets.items()
    }


def periods() -> Iterator[tuple[str, int]]:
    chance = random.Random(5)
    for resolution in RESOLUTIONS:
        for _ in range(5):
            yield resolution.name, chance.randrange(-40 * 366 * DAY_US, 60 * 366 * DAY_US)


@pytest.mark.parametrize(("name", "moment_us"), list(periods()))
def test_a_period_begins_where_its_name_does(name: str, moment_us: int) -> None:
    resolution = parse_resolution(name)
    start_us = period_start_us(moment_us, resolution)
    assert start_us <= moment_us
    assert period_of(start_us, resolution) == period_of(moment_us, resolution)
    assert period_of(start_us - 1, resolution) < period_of(start_us, resolution)
