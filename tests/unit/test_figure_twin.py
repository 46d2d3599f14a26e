"""The browser fills in figures and works out windows by itself; both are the ones that the server makes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashapp.errors import UsageError
from dashapp.model.resolution import RESOLUTIONS, floor_us
from dashapp.model.time import US_PER_DAY, EpochUs, parse_iso, to_iso
from dashapp.query import answer
from dashapp.query.reply import inner_json, json_object
from dashapp.query.series import Series, TickerInfo
from dashapp.web import figure, layout
from dashapp.web.theme import Look
from dashapp.web.view import PRESETS, Window, parse_view, window_of
from tests.stores import candles_of

NOW = EpochUs(parse_iso("2026-03-01T12:34:56.789Z"))
TWIN = Path(__file__).parents[1] / "js" / "figure_twin.mjs"


@pytest.fixture(scope="module")
def random_() -> random.Random:
    return random.Random(4)


def in_browser(**cases: Any) -> Any:
    """What the modules of the page answer, run by Node."""
    if shutil.which("node") is None:
        pytest.skip("no Node: install Debian's nodejs")
    asked = json.dumps({"table": layout.table(), "blanks": figure.blanks(), **cases}, cls=PlotlyJSONEncoder)
    done = subprocess.run(["node", str(TWIN)], input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def some_series(random_: random.Random, resolution: Any, rows: int) -> Series:
    width_us = resolution.width_us
    end = floor_us(NOW, resolution) + width_us
    starts = sorted(random_.sample(range(240), rows))
    scores = [sorted(random_.randrange(-1_000_000, 1_000_001) / 1e6 for _ in range(4)) for _ in range(rows)]
    scores = [[each[0]] * 4 if random_.random() < 0.3 else each for each in scores]
    inner = [random_.sample(each[1:3], 2) for each in scores]
    return Series(
        ticker="BRK.B",
        scorer="vader@3.3.2",
        resolution=resolution,
        start_us=EpochUs(end - 240 * width_us),
        end_us=EpochUs(end),
        candles=candles_of(
            {
                "timestamp_us": [end - (240 - start) * width_us for start in starts],
                "open": [each[0] for each in inner],
                "high": [each[3] for each in scores],
                "low": [each[0] for each in scores],
                "close": [each[1] for each in inner],
                "count": [random_.randrange(1, 5_000) for _ in range(rows)],
                "sum": [0.5] * rows,
                "avg": [random_.uniform(-1, 1) for _ in range(rows)],
                "positive": [1] * rows,
                "neutral": [2] * rows,
                "negative": [3] * rows,
                "revision": [7] * rows,
            },
            sources=[[f"s{n}" for n in range(random_.randrange(1, 7))] for _ in range(rows)],
        ),
        has_more=False,
    )


def test_a_figure_that_the_browser_fills_in_is_the_one_that_the_server_makes(random_: random.Random) -> None:
    wanted, cases = [], []
    for number, resolution in enumerate((*RESOLUTIONS, *RESOLUTIONS)):
        series = some_series(random_, resolution, random_.choice((1, 2, 60, 240)))
        window = Window(series.start_us, series.end_us, series.start_us, series.end_us, series.start_us)
        look = Look("dark" if number % 2 else "light", touch=number % 3 == 0)
        now_us = NOW if number % 4 else series.end_us + 1
        about, traces = figure.split_data(figure.chart_data(series))
        made = figure.figure("BRK.B", resolution, about, json.loads(traces), window, now_us, look)
        wanted.append(json.loads(json.dumps(made)))
        cases.append(
            {
                "columns": orjson.loads(json_object(inner_json(answer.columns_of(series, now_us)))),
                "about": {
                    "ticker": "BRK.B",
                    "scorer": series.scorer,
                    "resolution": resolution.name,
                    "width_ms": resolution.width_us // 1_000,
                },
                "window": in_ms(window),
                "now_ms": now_us // 1_000,
                "look": {"theme": look.theme, "touch": look.touch},
            }
        )
    made = in_browser(figures=cases, windows=[])["figures"]
    for one, other in zip(made, wanted, strict=True):
        for mine, theirs in zip(one["data"], other["data"], strict=True):
            assert mine == theirs, theirs["name"]
        assert one["layout"] == other["layout"]


def in_ms(window: Window) -> dict[str, int]:
    return {
        "start_ms": window.start_us // 1_000,
        "end_ms": window.end_us // 1_000,
        "first_ms": window.first_us // 1_000,
        "stop_ms": window.stop_us // 1_000,
        "asked_ms": window.asked_start_us // 1_000,
    }


def test_the_browser_works_out_the_window_that_the_server_does(random_: random.Random) -> None:
    cases, wanted = [], []
    for _ in range(400):
        first = random_.randrange(NOW - 4_000 * US_PER_DAY, NOW) // 1_000_000 * 1_000_000
        last = random_.choice((first, NOW - 60_000_000, NOW + US_PER_DAY, random_.randrange(first, NOW + 1)))
        last = max(first, last // 1_000_000 * 1_000_000)
        infos = [TickerInfo("AAPL", "test@1", 5, EpochUs(first), EpochUs(last))] * random_.randrange(2)
        span_us = random_.choice((3_600_000_000, US_PER_DAY, 90 * US_PER_DAY, 9_000 * US_PER_DAY))
        begin = random_.randrange(NOW - 5_000 * US_PER_DAY, NOW) // 1_000_000 * 1_000_000
        preset = random_.choice((None, *PRESETS))
        asked = {
            "tickers": ["AAPL"],
            "resolution": random_.choice(RESOLUTIONS).name,
            "range": preset.name if preset else "custom",
            "start": None if preset else to_iso(begin),
            "end": None if preset else to_iso(begin + span_us),
        }
        wanted.append(in_ms(window_of(parse_view(asked), infos, NOW)))
        known = [[info.ticker, info.count, info.first_us // 1_000, info.last_us // 1_000] for info in infos]
        cases.append({"asked": asked, "known": known, "now_ms": NOW // 1_000})
    made = in_browser(figures=[], windows=cases)["windows"]
    for case, one, other in zip(cases, made, wanted, strict=True):
        # The server counts in microseconds, the browser does not.
        assert one == other, case


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": "7m"},
        {"range": "2w"},
        {"range": "custom", "start": "yesterday", "end": "2014-06-13T00:00:00Z"},
        {"range": "custom", "start": "2014-06-01T00:00:00", "end": "2014-06-13T00:00:00Z"},
        {"range": "custom", "start": "2014-06-13T00:00:00Z", "end": None},
        {"range": "custom", "start": "2014-06-13T00:00:00Z", "end": "2014-06-13T00:00:00Z"},
    ],
)
def test_what_the_server_refuses_the_browser_leaves_to_it(changes: dict[str, Any]) -> None:
    asked = {"tickers": ["AAPL"], "resolution": "1h", "range": "fit", "start": None, "end": None, **changes}
    with pytest.raises(UsageError):
        parse_view(asked)
    case = {"asked": asked, "known": [], "now_ms": NOW // 1_000}
    assert in_browser(figures=[], windows=[case])["windows"] == [None]
