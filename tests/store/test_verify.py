"""The check of buckets against their scores: it finds damage of every kind, and a full rollup mends it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.model.resolution import RESOLUTIONS
from dashapp.rollup.job import rollup
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    open_store,
    plant,
    same_day_scores,
    score,
    shown_buckets,
    verification,
    without_tail,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone


# Each kind of damage: what is done to the rows of one partition, and what verify must say of it.
Rows = list[dict[str, Any]]


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[Rows], Rows]:
    return lambda rows: [{**rows[0], name: change(rows[0][name])}, *rows[1:]]


def _plus_one(value: Any) -> Any:
    return value + 1


DAMAGE: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    **{
        f"wrong {name}": (_changed(name, _plus_one), f"{name} is")
        for name in (
            "open_e6", "open_us", "high_e6", "low_e6", "close_e6", "close_us", "count", "sum_e6",
            "positive", "neutral", "negative", "first_position", "last_position",
        )
    },
    "wrong sum of squares": (_changed("sumsq_e12", _plus_one), "sumsq_low is"),
    "wrong sum of squares above 64 bits": (_changed("sumsq_e12", lambda value: value + 10**6), "sumsq_high is"),
    "wrong open id": (_changed("open_item_id", lambda value: value + "x"), "open_item_id is"),
    "wrong close id": (_changed("close_item_id", lambda value: value + "x"), "close_item_id is"),
    "one source more": (_changed("sources", lambda value: [*value, "zz"]), "sources is"),
    "one source less": (_changed("sources", lambda value: value[:-1]), "sources is"),
    "sources in another order": (_changed("sources", lambda value: value[::-1]), "sources is"),
    "a missing bucket": (lambda rows: rows[1:], "is missing"),
    "a missing partition": (lambda rows: [], "is missing"),
    "a bucket without scores": (lambda rows: [*rows, {**rows[0], "ticker": "TSLA"}], "TSLA .* has no scores"),
    "a bucket of another scorer": (lambda rows: [*rows, {**rows[0], "scorer": "x@1"}], r"\(x@1\) has no scores"),
    "a bucket at another time": (
        lambda rows: [*rows, {**rows[0], "start_us": rows[0]["start_us"] - 2 * DAY_US}],
        "has no scores",
    ),
    "a bucket shown twice": (lambda rows: [*rows, rows[0]], "is shown twice"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store that is right, all of it rolled up, with two sources in every bucket of a day."""
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(folder)
    append(store, [score(f"i{n}", n * 1_000_000, 70_000 * n - 200_000, source=f"s{n % 2}") for n in range(6)])
    append(store, [score(f"j{n}", DAY_US + n * 7_000_000, 5, ticker="MSFT", source="s0") for n in range(3)])
    rollup(store)
    store.close()
    return folder


@pytest.mark.parametrize(("number", "kind"), list(enumerate(DAMAGE)))
def test_verify_finds_damage_of_every_kind(tmp_path: Path, sound: Path, number: int, kind: str) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    store = open_store(tmp_path)
    resolution = ("1m", "3h", "24h")[number % 3]
    change, words = DAMAGE[kind]

    plant(store, resolution, change)

    found = verification(store)
    assert found.differ >= 1
    assert len(found.worst) == found.differ
    assert all(f" {resolution} " in line for line in found.worst)
    assert re.search(words, found.worst[0])


@pytest.mark.parametrize(
    "kind", ["wrong high_e6", "a missing partition", "a bucket without scores", "a bucket shown twice"]
)
def test_an_incremental_rollup_has_nothing_to_do_about_damage_and_a_full_one_mends_it(
    tmp_path: Path, sound: Path, kind: str
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    store = open_store(tmp_path)
    right = shown_buckets(store)
    assert (verification(store).checked, verification(store).differ) == (len(right), 0)
    plant(store, "1m", DAMAGE[kind][0])
    found = verification(store)

    assert rollup(store).buckets_changed == 0
    assert verification(store) == found
    rollup(store, full=True)

    assert verification(store).differ == 0
    assert without_tail(store) == right


@pytest.mark.parametrize("resolution", [each.name for each in RESOLUTIONS])
def test_verify_looks_at_every_resolution_also_through_the_tail(tmp_path: Path, sound: Path, resolution: str) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    store = open_store(tmp_path)
    append(store, [score("late", 3, 999_999), score("new", 40 * DAY_US, 1)])
    assert verification(store).differ == 0
    plant(store, resolution, _changed("count", _plus_one))
    found = verification(store)
    assert (found.differ, found.checked) == (1, len(expected_buckets(store)))
    assert f"AAPL {resolution} 1970-01-01T00:00:00Z (test@1): count is 8, the scores say 7" in found.worst[0]


def test_the_worst_are_listed_up_to_ten_and_all_are_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score(f"i{minute}", minute * 60_000_000, 1) for minute in range(30)])
    rollup(store)
    plant(store, "1m", lambda rows: [{**row, "high_e6": 77} for row in rows])
    found = verification(store)
    assert (found.differ, len(found.worst)) == (30, 10)


def test_verify_exits_with_1_and_names_the_worst_where_a_bucket_differs(
    tickertone: Tickertone,
) -> None:
    store = open_store(tickertone.data_dir)
    append(store, same_day_scores(20, day_us=16_070 * DAY_US))
    rollup(store)
    assert "0 of " in tickertone("verify").stdout
    plant(store, "1h", _changed("high_e6", _plus_one))

    text = tickertone("verify", code=1)
    body = tickertone.json("verify", code=1)

    total = len(expected_buckets(store))
    assert text.stdout.splitlines()[0] == f"1 of {total} buckets differ"
    assert "high_e6 is" in text.stdout.splitlines()[1]
    assert "rollup --full" in text.stdout
    assert (body["checked"], body["differ"]) == (total, 1)
    assert "Traceback" not in text.stderr
    tickertone("rollup", "--full")
    assert tickertone.json("verify") == {"checked": total, "differ": 0, "sealed": 0, "worst": []}
