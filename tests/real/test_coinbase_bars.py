"""Candles against bars that somebody else made: a publisher's seconds rolled up are the publisher's minutes and days.

BTCUSD on Coinbase, 2016-10-07 to 09: 11,520 second bars, 4,216 minute bars and 3 daily bars. The publisher's bars all
agree with each other, so every one is compared and none is left out: open, high, low and close of each.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from dashapp.model.resolution import parse_resolution
from dashapp.model.score import Score, ScoreE6, quantise
from dashapp.model.time import EpochUs, parse_iso
from dashapp.rollup.job import rollup
from dashapp.store.store import Store
from tests.stores import DAY_US, MINUTE_US, append, open_store, series_reader, verification

DAYS = ("20161007", "20161008", "20161009")
SECONDS, MINUTES = 11_520, 4_216

pytestmark = pytest.mark.real

Bar = tuple[Decimal, Decimal, Decimal, Decimal]  # open, high, low, close


@dataclass
class Bars:
    """The publisher's bars by their start in microseconds since 1970, and the lowest and highest price of all."""

    seconds: dict[int, Bar]
    minutes: dict[int, Bar]
    days: dict[int, Bar]
    low: Decimal
    high: Decimal

    def score(self, price: Decimal) -> ScoreE6:
        """The price as a score: the lowest of all is -1, the highest 1."""
        return quantise(float(2 * (price - self.low) / (self.high - self.low) - 1))

    def mapped(self, bar: Bar) -> tuple[ScoreE6, ...]:
        return tuple(self.score(price) for price in bar)


def read(file: Path) -> list[tuple[str, Bar]]:
    with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as packed:
        rows = list(csv.reader(io.TextIOWrapper(packed, encoding="ascii")))
    return [(row[0], (Decimal(row[1]), Decimal(row[2]), Decimal(row[3]), Decimal(row[4]))) for row in rows]


@pytest.fixture(scope="module")
def bars(real_data: Path) -> Bars:
    folder = real_data / "bars_coinbase"
    seconds, minutes = (
        {
            start_of(day) + int(since_ms) * 1_000: bar
            for day in DAYS
            for since_ms, bar in read(folder / f"{width}_{day}_trade.zip")
        }
        for width in ("second", "minute")
    )
    days = {start_of(at[:8]): bar for at, bar in read(folder / "daily_btcusd_trade.zip") if at[:8] in DAYS}
    prices = [price for bar in seconds.values() for price in bar]
    return Bars(seconds, minutes, days, min(prices), max(prices))


def start_of(day: str) -> EpochUs:
    return parse_iso(f"{day[:4]}-{day[4:6]}-{day[6:]}")


@pytest.fixture(scope="module")
def store(bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four scores for each second: open at its first microsecond, low and high within, close at its last."""
    scores = [
        Score(f"{name}-{start}", "BTCUSD", "price@1", EpochUs(start + offset_us), bars.score(price), "coinbase")
        for start, (open_, high, low, close) in bars.seconds.items()
        for name, offset_us, price in (
            ("open", 0, open_),
            ("low", 300_000, low),
            ("high", 600_000, high),
            ("close", 999_999, close),
        )
    ]
    made = open_store(tmp_path_factory.mktemp("coinbase"))
    # Late ones and a second rollup: what is stored is merged, not only folded.
    append(made, scores[::2])
    rollup(made)
    append(made, scores[1::2])
    rollup(made)
    return made


def shown(store: Store, resolution: str, start_us: int, end_us: int) -> dict[int, tuple[int, ...]]:
    """Our candles: open, high, low, close in millionths, by start."""
    (series,) = series_reader(store).series(["BTCUSD"], parse_resolution(resolution), start_us, end_us)
    assert not series.has_more
    candles = zip(series.open, series.high, series.low, series.close, strict=True)
    return {
        start: tuple(round(value * 1_000_000) for value in candle)
        for start, candle in zip(series.timestamp_us, candles, strict=True)
    }


def test_the_mapping_of_prices_to_scores_loses_nothing(bars: Bars) -> None:
    prices = {price for bar in bars.seconds.values() for price in bar}
    assert len({bars.score(price) for price in prices}) == len(prices) == 789
    assert sorted(prices) == sorted(prices, key=bars.score)
    assert (bars.score(bars.low), bars.score(bars.high)) == (-1_000_000, 1_000_000)


def test_seconds_rolled_up_are_the_publishers_minutes(bars: Bars, store: Store) -> None:
    assert (len(bars.seconds), len(bars.minutes)) == (SECONDS, MINUTES)
    candles = shown(store, "1m", start_of(DAYS[0]), start_of(DAYS[-1]) + DAY_US)
    # The minutes without a trade have neither bar nor candle.
    assert candles == {start: bars.mapped(bar) for start, bar in bars.minutes.items()}
    assert len(candles) == MINUTES < 3 * DAY_US // MINUTE_US


def test_seconds_rolled_up_are_the_publishers_days(bars: Bars, store: Store) -> None:
    candles = shown(store, "24h", start_of(DAYS[0]), start_of(DAYS[-1]) + DAY_US)
    assert candles == {start: bars.mapped(bar) for start, bar in bars.days.items()}
    assert len(candles) == 3


def test_the_resolutions_between_are_the_publishers_minutes_put_together(bars: Bars, store: Store) -> None:
    for resolution in ("5m", "10m", "1h", "3h", "6h", "12h"):
        width_us = parse_resolution(resolution).width_us
        together: dict[int, Bar] = {}
        for start, (open_, high, low, close) in sorted(bars.minutes.items()):
            at = start // width_us * width_us
            first, highest, lowest, _ = together.get(at, (open_, high, low, close))
            together[at] = (first, max(highest, high), min(lowest, low), close)
        candles = shown(store, resolution, start_of(DAYS[0]), start_of(DAYS[-1]) + DAY_US)
        assert candles == {start: bars.mapped(bar) for start, bar in together.items()}


def test_verify_finds_no_difference(store: Store) -> None:
    assert verification(store).differ == 0
