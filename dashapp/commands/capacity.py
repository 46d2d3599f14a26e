"""`tickertone capacity`: what a load needs and what it costs a month.

The figures it goes by are in capacity.json beside this module, as bench/capacity.py wrote it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashapp.commands.output import emit
from dashapp.config import Settings
from dashapp.errors import UsageError
from dashapp.model.capacity import KINDS, PRICES_OF, Costs, Load, bill, need


def add_capacity_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    sub = command("capacity", capacity, "Say what a load needs: cores, memory, disk, network, and money.")
    sub.add_argument("--tickers", type=float, default=13, metavar="N", help="tickers followed (default 13)")
    sub.add_argument("--items-per-day", type=float, default=10_000, metavar="N", help="texts a day (default 10000)")
    sub.add_argument("--users", type=float, default=100, metavar="N", help="who watch at the same time (default 100)")
    sub.add_argument("--keep-days", type=float, default=365, metavar="N", help="days that are kept (default 365)")


def capacity(asked: argparse.Namespace, settings: Settings) -> int:
    """Work out one load."""
    load = Load(
        tickers=_whole("--tickers", asked.tickers, low=1),
        items_per_day=_whole("--items-per-day", asked.items_per_day, low=0),
        users=_whole("--users", asked.users, low=0),
        keep_days=_whole("--keep-days", asked.keep_days, low=1),
    )
    needed = need(load, measured())
    bills = [bill(needed, kind) for kind in KINDS]
    body: dict[str, Any] = {
        "load": dataclasses.asdict(load),
        "need": {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(needed).items()
        },
        "bills": [
            {
                name: round(value, 2) if isinstance(value, float) else value
                for name, value in dataclasses.asdict(each).items()
            }
            for each in bills
        ],
        "prices_of": PRICES_OF,
    }
    lines = [
        f"scores a day    {needed.scores_per_day:>16,.0f}",
        f"buckets a day   {needed.buckets_per_day:>16,.0f}",
        f"commits a day   {needed.commits_per_day:>16,.0f}",
        f"cores           {needed.cores:>16,.2f}   in the busiest hour: ingest {needed.ingest_cores:,.2f}, "
        f"rollup {needed.rollup_cores:,.2f}, answers {needed.answer_cores:,.2f}, streams {needed.stream_cores:,.2f}",
        f"web processes   {needed.web_processes:>16,}",
        f"memory          {needed.memory_mb / 1e3:>13,.1f} GB",
        f"disk            {needed.disk_bytes / 1e9:>13,.1f} GB   for {load.keep_days:,} days",
        f"network         {needed.network_bytes_per_month / 1e9:>13,.1f} GB   a month",
        f"gives way first: {needed.bottleneck}, at {needed.used_share:.1%} of what it can",
        f"a month, by list prices such as those of {PRICES_OF}:",
        *(f"  {each.kind:28} {each.machines:>4,} x  {each.total_usd:>10,.0f} $" for each in bills),
    ]
    emit(asked, body, "\n".join(lines))
    return 0


def measured() -> Costs:
    """The measured costs."""
    return Costs(**json.loads(Path(__file__).with_name("capacity.json").read_bytes())["costs"])


def _whole(option: str, value: float, *, low: int) -> int:
    """A count, which may be written as 2e6."""
    if not low <= value <= 1e15 or value != int(value):
        raise UsageError(f"{option} {value:g} is not a whole number of at least {low}.")
    return int(value)
