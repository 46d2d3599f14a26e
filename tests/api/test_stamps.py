"""Stamps: where an answer changed, its stamp did; where scores arrived elsewhere, the stamp stayed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.rollup.job import rollup
from dashapp.store import reader as reader_module
from dashapp.store.disk import Disk
from dashapp.store.index import BucketIndex
from dashapp.store.tables import DataFile
from tests.api.conftest import FIRST
from tests.stores import DAY_US, HOUR_US, append, open_store, score, series_reader


@pytest.mark.parametrize("rows_in_memory", [0, 200_000])
def test_answers_with_the_same_stamp_are_the_same_whatever_happens_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_in_memory: int
) -> None:
    monkeypatch.setattr(reader_module, "TAIL_ROWS_IN_MEMORY", rows_in_memory)
    draw = random.Random(5)
    store = open_store(tmp_path / "store")
    reader = series_reader(store)
    tickers = ("AAPL", "MSFT", "T")
    append(store, [score("first", FIRST, 1, ticker=ticker) for ticker in tickers])
    seen: dict[tuple[object, ...], object] = {}
    kept = 0
    for number in range(25):
        change = draw.random()
        if change < 0.2:
            rollup(store, full=change < 0.05)
        elif change < 0.8:
            moment_us = FIRST + draw.choice([0, 40, 400]) * DAY_US + draw.randrange(2 * DAY_US)
            append(store, [score(f"i{number}", moment_us, draw.randrange(1_000), ticker=draw.choice(tickers))])
        view = reader.view()
        for resolution in draw.sample(RESOLUTIONS, 3):
            for start_us, days in ((FIRST, 1), (FIRST, 3), (FIRST + 39 * DAY_US, 10), (FIRST, 500)):
                asked = reader.ask(view, tickers, resolution, start_us, start_us + days * DAY_US)
                for ticker, stamp, series in zip(tickers, asked.stamps, reader.answer(asked), strict=True):
                    key = (ticker, resolution.name, start_us, days, stamp)
                    kept += key in seen
                    assert seen.setdefault(key, series) == series
    assert kept > 100


def test_a_stamp_changes_for_the_ticker_and_the_range_that_a_score_arrived_in(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", FIRST + HOUR_US, 1), score("a", FIRST + HOUR_US, 1, ticker="MSFT")])
    rollup(store)
    reader = series_reader(store)
    hour = parse_resolution("1h")

    def stamps(start_us: int = FIRST) -> tuple[str, ...]:
        return reader.ask(reader.view(), ["AAPL", "MSFT"], hour, start_us, start_us + DAY_US).stamps

    before, later = stamps(), stamps(FIRST + 2 * DAY_US)
    append(store, [score("b", FIRST + 2 * HOUR_US, 1)])
    assert (stamps()[0] != before[0], stamps()[1], stamps(FIRST + 2 * DAY_US)) == (True, before[1], later)
    before = stamps()
    append(store, [score("c", FIRST + 2 * HOUR_US + 1, 1)])
    assert (stamps()[0] != before[0], stamps()[1]) == (True, before[1])
    before = stamps()
    append(store, [score("d", FIRST + 2 * HOUR_US, 1, scorer="other@2")])
    assert stamps() == before


def made_file(resolution: str, low_us: int, high_us: int) -> DataFile:
    return DataFile(
        Disk(Path()), f"{resolution}-{low_us}", {"resolution": resolution}, 1, 1, {"start_us": (low_us, high_us)}
    )


@pytest.mark.parametrize("resolution", ["1m", "1h", "24h"])
def test_the_index_finds_the_files_that_looking_at_all_would_find(resolution: str) -> None:
    draw = random.Random(9)
    width = parse_resolution(resolution)
    period_us = {"1m": DAY_US, "1h": 28 * DAY_US, "24h": 365 * DAY_US}[resolution]
    files = []
    for number in draw.sample(range(-50, 50), 60):
        low_us = number * period_us + draw.randrange(period_us // 2)
        files.append(made_file(resolution, low_us, draw.randrange(low_us, (number + 1) * period_us)))
    index = BucketIndex({resolution: files})
    for _ in range(300):
        start_us = draw.randrange(-60 * period_us, 60 * period_us)
        end_us = start_us + draw.randrange(1, draw.choice([2, 20 * period_us]))
        expected = [
            file for file in files if file.bounds["start_us"][0] < end_us and file.bounds["start_us"][1] >= start_us
        ]
        found = index.within(width, start_us, end_us)
        assert found == sorted(expected, key=lambda file: file.bounds["start_us"][0])
    assert index.within(parse_resolution("6h"), 0, DAY_US) == []
