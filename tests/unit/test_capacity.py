"""The model of what a load needs: it grows with the load, agrees with what was measured, and is cheap where small."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashapp import cli
from dashapp.commands import capacity as command
from dashapp.config import Settings
from dashapp.model.capacity import (
    CORE_SHARE,
    KINDS,
    PRICES_OF,
    ROLLUP_EVERY_S,
    STREAMS_PER_PROCESS,
    TICKERS_PER_ITEM,
    Load,
    Need,
    bill,
)
from dashapp.model.capacity import need as need_at
from tests.conftest import REPOSITORY

COSTS = command.measured()
SMALL = Load(tickers=13, items_per_day=10_000, users=100)
GROWING = (
    "cores",
    "web_processes",
    "memory_mb",
    "disk_bytes",
    "network_bytes_per_month",
    "commits_per_day",
    "used_share",
)

loads = st.builds(
    Load,
    tickers=st.integers(1, 10_000),
    items_per_day=st.integers(0, 10**9),
    users=st.integers(0, 10**6),
    keep_days=st.integers(1, 4_000),
)


def need(load: Load) -> Need:
    """What a load needs at the measured costs."""
    return need_at(load, COSTS)


@settings(max_examples=60)
@given(load=loads, more=st.floats(1, 50), name=st.sampled_from(["items_per_day", "users", "keep_days"]))
def test_more_load_never_needs_less(load: Load, more: float, name: str) -> None:
    less = asdict(need(load))
    greater = asdict(need(replace(load, **{name: int(getattr(load, name) * more) + 1})))
    assert {figure: less[figure] for figure in GROWING if less[figure] > greater[figure] * (1 + 1e-9)} == {}


@settings(max_examples=60)
@given(load=loads, more=st.integers(1, 1_000))
def test_more_tickers_never_make_fewer_buckets_or_a_smaller_disk(load: Load, more: int) -> None:
    few, many = need(load), need(replace(load, tickers=load.tickers + more))
    assert few.buckets_per_day <= many.buckets_per_day * (1 + 1e-9)
    assert few.disk_bytes <= many.disk_bytes * (1 + 1e-9)


def test_it_goes_by_the_settings_as_they_come() -> None:
    usual = Settings()
    assert (usual.rollup_every_s, usual.live_max_connections) == (ROLLUP_EVERY_S, STREAMS_PER_PROCESS)


@settings(max_examples=60)
@given(load=loads)
def test_a_machine_holds_what_it_is_paid_for(load: Load) -> None:
    needed = need(load)
    for kind in KINDS:
        paid = bill(needed, kind)
        largest = max(size[0] for size in kind.sizes)
        assert paid.machines >= needed.cores / CORE_SHARE / largest - 1e-6
        assert paid.total_usd >= kind.sizes[0][2]


def test_the_bill_of_thirteen_tickers_and_a_hundred_users_is_far_below_sixty_dollars() -> None:
    totals = {kind.name: bill(need(SMALL), kind).total_usd for kind in KINDS}
    assert max(totals.values()) < 45, totals


def test_each_bucket_of_a_day_is_counted_once_a_resolution() -> None:
    crowded = need(Load(tickers=2, items_per_day=10**9, users=0))
    assert crowded.buckets_per_day == pytest.approx(2 * (1440 + 288 + 144 + 24 + 8 + 4 + 2 + 1))
    lonely = need(Load(tickers=1_000_000, items_per_day=100, users=0))
    assert lonely.buckets_per_day == pytest.approx(lonely.scores_per_day * 8, rel=0.01)


def figures() -> dict[str, Any]:
    """All that was measured."""
    found: dict[str, Any] = json.loads(Path(command.__file__).with_name("capacity.json").read_bytes())
    return found


def test_the_model_gives_the_buckets_of_the_measured_store_within_a_third() -> None:
    store = figures()["store"]
    per_day = store["scores"] / store["days"] / TICKERS_PER_ITEM
    day = need(Load(store["tickers"], per_day, 0, keep_days=store["days"]))
    assert day.buckets_per_day * store["days"] == pytest.approx(store["buckets"], rel=0.33)


def test_a_million_costs_no_more_in_a_store_ten_times_as_large() -> None:
    found = figures()
    small, large = found["store_of_a_tenth"], found["store"]
    for name in ("append_cpu_s_per_million", "rebuild_cpu_s_per_million", "verify_cpu_s_per_million"):
        # The small one pays what each commit and each partition costs over a tenth of the rows.
        assert large[name] <= small[name] * 1.2


def test_the_page_shows_what_was_measured_and_what_the_command_says_of_it() -> None:
    page = (REPOSITORY / "docs/capacity.md").read_text("utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", page, re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in shown.items()} == asdict(COSTS)
    for kind in KINDS:
        assert f"| {kind.name} | {bill(need(SMALL), kind).total_usd:.0f} $ |" in page
    for load in (SMALL, Load(500, 2_000_000, 1_000), Load(1_000, 10**7, 10_000), Load(5_000, 10**8, 100_000)):
        needed = need(load)
        assert f"| {load.tickers:,} | {load.items_per_day:,} | {load.users:,} | {needed.cores:,.2f} |" in page
        assert needed.bottleneck in page
    assert PRICES_OF in page


def test_the_command_says_the_same_as_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["capacity", "--tickers", "500", "--items-per-day", "2e6", "--users", "1000"]
    assert cli.main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["need"]["cores"] == pytest.approx(need(Load(500, 2_000_000, 1_000)).cores, abs=1e-4)
    assert [each["kind"] for each in told["bills"]] == [kind.name for kind in KINDS]
    assert cli.main(asked) == 0
    text = capsys.readouterr().out
    assert "gives way first" in text
    assert cli.main(["capacity", "--tickers", "0"]) == 2
    assert cli.main(["capacity", "--users", "1.5"]) == 2
    assert cli.main(["capacity", "--items-per-day", "nan"]) == 2
