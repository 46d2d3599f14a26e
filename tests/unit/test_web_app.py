"""The page's server side: callbacks that never block the loop, and what they answer over a real store."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from dash import Dash, no_update
from fastapi import FastAPI

from dashapp.access.headers import script_hashes
from dashapp.config import Settings
from dashapp.errors import StoreMissing
from dashapp.model.time import EpochUs, parse_iso
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader, TickerInfo
from dashapp.web import layout
from dashapp.web.app import ASSETS, build_app
from dashapp.web.callbacks import answer, pulse_of
from dashapp.web.charts import Charts, Drawn, Moment
from dashapp.web.modules import PLAIN, Modules
from dashapp.web.theme import Look
from dashapp.web.view import parse_view
from tests.stores import append, open_store, score, series_reader

NINE = parse_iso("2014-06-03T09:00:00Z")
MINUTE_US = 60_000_000
NOW = EpochUs(NINE + 90 * MINUTE_US)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SeriesReader]:
    store = open_store(tmp_path / "store")
    scores = [score(f"i{n}", NINE + n * MINUTE_US, (-1) ** n * 100_001 * (n % 9), ticker="AAPL") for n in range(90)]
    append(store, [*scores, score("x", NINE, 250_000, ticker="BRK.B")])
    yield series_reader(store)
    store.close()


@pytest.fixture
def cache(tmp_path: Path) -> ResponseCache:
    return ResponseCache(tmp_path / "cache", 10_000_000)


@pytest.fixture
def charts(reader: SeriesReader, cache: ResponseCache) -> Charts:
    return Charts(reader, cache, lambda: NOW)


@pytest.fixture
def server() -> FastAPI:
    return FastAPI()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def app(server: FastAPI, reader: SeriesReader, cache: ResponseCache, pool: ThreadPoolExecutor) -> Dash:
    return build_app(
        server,
        reader,
        cache,
        pool,
        lambda: NOW,
        at=Settings(base_path="/under").at,
        store="a-store",
        simulated=True,
        is_bundled=False,
    )


def asked(**changes: Any) -> dict[str, Any]:
    return {"tickers": ["AAPL"], "resolution": "10m", "range": "fit", "start": None, "end": None, **changes}


def drawn(charts: Charts, ticker: str = "AAPL", **changes: Any) -> Drawn:
    view, moment = parse_view(asked(**changes)), charts.moment()
    return charts.draw(ticker, view.resolution, charts.window(view, moment), moment, Look())


def text_of(component: Any) -> str:
    """All text below a component."""
    if isinstance(component, (list, tuple)):
        return " ".join(text_of(each) for each in component)
    if component is None or isinstance(component, (str, int, float)):
        return str(component or "")
    return text_of(getattr(component, "children", None))


def test_no_callback_blocks_the_event_loop(app: Dash) -> None:
    servers = {name: each["callback"] for name, each in app.callback_map.items() if "callback" in each}
    assert len(servers) == 2
    for name, callback in servers.items():
        assert inspect.iscoroutinefunction(callback), f"{name} is not async: Dash would run it on the event loop"


def test_the_page_opens_no_websocket(app: Dash) -> None:
    assert app.backend.websocket_capability is False


def test_the_tab_keeps_its_title_while_callbacks_run(app: Dash) -> None:
    assert app.config.update_title is None


def test_every_function_that_a_callback_names_is_in_the_browser(app: Dash) -> None:
    named = {each["clientside_function"]["function_name"] for each in app._callback_list if each["clientside_function"]}
    main = (ASSETS / "main.mjs").read_text("utf-8")
    assert named
    for name in named:
        assert re.search(rf"^  {name}\(", main, re.MULTILINE), f"assets/main.mjs has no {name}"


def test_scripts_on_the_page_need_no_inline_code_but_what_is_hashed(app: Dash, server: FastAPI) -> None:
    html = ask(server).text
    inline = re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>(.*?)</script>", html, re.DOTALL)
    (import_map,) = (each for each in inline if each != layout.RENDERER)
    assert json.loads(import_map) == {"imports": layout.versions(ASSETS, PLAIN, Settings(base_path="/under").at)}
    hashes = [*app.csp_hashes(), *script_hashes(app.index_string)]
    assert {each for script in inline for each in script_hashes(f"<script>{script}</script>")} <= set(hashes)


def test_dash_is_brought_to_life_only_when_the_first_charts_are_drawn(app: Dash, server: FastAPI) -> None:
    html = ask(server).text
    (later,) = re.findall(r'<template id="later">(.*?)</template>', html, re.DOTALL)
    scripts = re.findall(r'<script[^>]*\bsrc="([^"]*)"', html.replace(later, ""))
    assert [each.split("?")[0] for each in scripts] == ["/under/assets/first.js", "/under/assets/start.mjs"]
    assert "dash_renderer" in later
    assert layout.RENDERER in later


def test_scripts_of_ours_are_named_with_what_is_in_them(tmp_path: Path) -> None:
    for name in ("first.js", "main.mjs", "not-of-the-page.mjs"):
        (tmp_path / name).write_text("1")
    modules = Modules("main", ["main"], [], [])
    before = layout.versions(tmp_path, modules, Settings().at)
    (tmp_path / "main.mjs").write_text("2")
    after = layout.versions(tmp_path, modules, Settings().at)
    assert len(after) == 2
    assert re.fullmatch(r"/assets/main\.mjs\?m=[0-9a-f]{12}", after["/assets/main.mjs"])
    assert [name for name in after if after[name] != before[name]] == ["/assets/main.mjs"]


def test_the_full_plotly_is_fetched_early_unless_a_smaller_one_is_there(tmp_path: Path) -> None:
    shutil.copytree(ASSETS, tmp_path, ignore=shutil.ignore_patterns("plotly*"), dirs_exist_ok=True)
    assert layout.PLOTLY_SCRIPT in layout.index(tmp_path, PLAIN, "a-store", Settings().at)
    (tmp_path / "plotly-finance.min.js").touch()
    assert layout.PLOTLY_SCRIPT not in layout.index(tmp_path, PLAIN, "a-store", Settings().at)


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_are_called_so(simulated: bool) -> None:
    assert ("Simulated data" in text_of(layout.page(simulated=simulated, log_out=None))) is simulated


def test_the_table_of_resolutions_reaches_the_browser_from_python() -> None:
    table = layout.table()
    assert [each["name"] for each in table["resolutions"]] == ["1m", "5m", "10m", "1h", "3h", "6h", "12h", "24h"]
    assert [each["width_ms"] for each in table["resolutions"]][-1] == 86_400_000
    assert [each["name"] for each in table["presets"]] == ["fit", "1d", "1w", "1M", "all"]


def test_the_browser_can_draw_before_dash_has_started(app: Dash, server: FastAPI) -> None:
    (told,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', ask(server).text, re.DOTALL)
    facts = json.loads(told)
    assert facts["about"] == {"store": "a-store", "form": layout.CHUNK_FORM, "simulated": True}
    assert facts["table"]["max_candles"] > facts["table"]["fit_candles"]
    assert facts["table"]["canvas"][1]["props"]["config"] == layout.GRAPH_CONFIG
    assert set(facts["blanks"]["traces"]) == {each["name"] for each in facts["table"]["resolutions"]}


def test_a_chart_holds_what_the_reader_answers(charts: Charts, reader: SeriesReader) -> None:
    made = drawn(charts)
    assert made.figure is not None
    candles = orjson.loads(orjson.dumps(made.figure["data"]))[0]
    (series,) = reader.series(["AAPL"], parse_view(asked()).resolution, NINE, NOW)
    assert candles["x"] == [start // 1000 for start in series.timestamp_us]
    assert [candles[name] for name in ("open", "high", "low", "close")] == [
        series.open,
        series.high,
        series.low,
        series.close,
    ]


def test_charts_come_from_the_cache_until_the_store_changes(tmp_path: Path, cache: ResponseCache) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", NINE, 100_000)])
    charts = Charts(series_reader(store), cache, lambda: NOW)
    first = drawn(charts)
    assert orjson.dumps(drawn(charts).figure) == orjson.dumps(first.figure)
    assert (cache.stats().hits, cache.stats().misses) == (1, 1)
    append(store, [score("b", NINE + MINUTE_US, -100_000)])
    assert orjson.dumps(drawn(charts).figure) != orjson.dumps(first.figure)
    assert cache.stats().misses == 2
    store.close()


def test_the_same_data_in_another_theme_come_from_the_cache(charts: Charts, cache: ResponseCache) -> None:
    view, moment = parse_view(asked()), charts.moment()
    made = [
        charts.draw("AAPL", view.resolution, charts.window(view, moment), moment, look)
        for look in (Look("light"), Look("dark"))
    ]
    assert [each.figure["layout"]["meta"]["theme"] for each in made if each.figure] == ["light", "dark"]
    assert cache.stats().misses == 1


def test_an_empty_range_says_so_and_offers_ranges_that_have_scores(charts: Charts) -> None:
    made = drawn(charts, range="custom", start="2012-01-01T00:00:00Z", end="2012-01-02T00:00:00Z")
    assert made.figure is None
    said = text_of(made.note)
    assert "No scores of AAPL from 2012-01-01 00:00 to 2012-01-02 00:00 UTC." in " ".join(said.split()).replace(
        "of AAPL  from", "of AAPL from"
    )
    assert "2014-06-03" in said
    assert "90 scores" in said


@pytest.mark.parametrize(("ticker", "said"), [("NOPE", "No score in this store names NOPE."), ("<b>", "not a ticker")])
def test_a_ticker_that_cannot_be_shown_is_explained_in_its_card(charts: Charts, ticker: str, said: str) -> None:
    assert said in text_of(drawn(charts, ticker).note)


def test_an_open_bucket_is_said_to_be_open(charts: Charts) -> None:
    strip = drawn(charts).strip
    assert strip is not None
    assert (strip[0].__dict__["data-start-ms"], strip[0].__dict__["data-end-ms"]) == (
        NOW // 1000,
        NOW // 1000 + 600_000,
    )
    closed = drawn(charts, range="custom", start="2014-06-03T09:00:00Z", end="2014-06-03T10:00:00Z").strip
    assert closed == [None, None]


def test_a_range_too_long_for_its_resolution_is_said_to_be_cut(charts: Charts) -> None:
    strip = drawn(
        charts, resolution="1m", range="custom", start="2014-05-01T00:00:00Z", end="2014-06-03T10:00:00Z"
    ).strip
    assert strip is not None
    assert "At 1m only the newest part of this range is shown, from 2014-06-02 09:00 UTC." in text_of(strip[1])
    assert "Show all of it at 1h" in text_of(strip[1])


def test_offers_are_the_stretches_nearest_to_what_was_asked_for(charts: Charts) -> None:
    view, moment = parse_view(asked()), charts.moment()
    window = charts.window(view, moment)
    day_us = 86_400_000_000
    stretches = [
        (EpochUs(NINE + n * 100 * day_us), EpochUs(NINE + n * 100 * day_us + day_us), n) for n in range(-9, 10)
    ]
    assert [count for _, _, count in layout.offered(stretches, window)] == [-2, -1, 0, 1]


def test_the_page_hears_only_what_is_new() -> None:
    info = TickerInfo("AAPL", "test@1", 90, NINE, NOW)
    moment = Moment(7, NOW, "test@1", {"AAPL": info})
    beat, known = pulse_of(moment, None, None)
    assert beat == {"revision": 7, "minute_ms": NOW // 1000}
    assert known == [["AAPL", 90, NINE // 1000, NOW // 1000]]
    assert pulse_of(moment, beat, known) == (no_update, no_update)
    later = Moment(8, EpochUs(NOW + 1), "test@1", {"AAPL": info})
    assert pulse_of(later, beat, known)[0]["revision"] == 8
    assert pulse_of(later, beat, known)[1] is no_update, "no ticker came or went"
    next_minute = Moment(7, EpochUs(NOW + MINUTE_US), "test@1", {"AAPL": info})
    assert pulse_of(next_minute, beat, known)[0] is not no_update, "a bucket may have closed"
    assert pulse_of(Moment(8, NOW, "test@1", {"AAPL": info, "FB": info}), beat, known)[1] is not no_update


def test_a_chart_that_is_there_moves_and_one_that_is_not_is_brought() -> None:
    there, new = Drawn(figure={"data": []}, strip=[]), Drawn(figure={"data": []}, strip=[])
    gone, same = Drawn(note="no scores"), "SAME"
    charted, cards = ["THERE", "GONE", same], ["THERE", "NEW", "GONE", same]
    figures, plots, strips = answer(charted, cards, {"THERE": there, "NEW": new, "GONE": gone})
    assert figures == [there.figure, no_update, no_update]
    assert plots[0] is no_update
    assert plots[1][1].id == {"type": "chart", "ticker": "NEW"}
    assert plots[2] == "no scores"
    assert plots[3] is no_update
    assert strips == [[], [], None, no_update]


def ask(server: FastAPI, body: dict[str, Any] | None = None) -> httpx.Response:
    """The page, or the answer of a callback."""

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://page") as client:
            return await (client.get("/") if body is None else client.post("/_dash-update-component", json=body))

    return asyncio.run(run())


def call_draw(app: Dash, server: FastAPI, view: dict[str, Any], cards: list[str]) -> dict[str, Any]:
    """What the browser gets for a view that has cards but no charts yet."""
    (output,) = [name for name in app.callback_map if "chart" in name and "notice" in name]
    ids = {kind: [{"type": kind, "ticker": ticker} for ticker in cards] for kind in ("plot", "strip")}
    body = {
        "output": output,
        "outputs": [
            [],
            [{"id": each, "property": "children"} for each in ids["plot"]],
            [{"id": each, "property": "children"} for each in ids["strip"]],
            {"id": "notice", "property": "children"},
        ],
        "inputs": [{"id": "asked", "property": "data", "value": {"tickers": cards, "view": view}}],
        "changedPropIds": ["asked.data"],
        "state": [
            {"id": "look", "property": "data"},
            [],
            [{"id": each, "property": "id", "value": each} for each in ids["plot"]],
        ],
    }
    answered = ask(server, body)
    assert answered.status_code == 200, answered.text
    response: dict[str, Any] = json.loads(answered.text)["response"]
    return response


def test_a_view_is_answered_over_http(app: Dash, server: FastAPI) -> None:
    response = call_draw(app, server, asked(tickers=["AAPL", "NOPE"]), ["AAPL", "NOPE"])
    chart = response['{"ticker":"AAPL","type":"plot"}']["children"][1]["props"]
    assert chart["figure"]["data"][0]["type"] == "candlestick"
    assert "No score in this store names NOPE." in json.dumps(response['{"ticker":"NOPE","type":"plot"}'])


def test_a_view_that_makes_no_sense_is_explained(app: Dash, server: FastAPI) -> None:
    response = call_draw(app, server, asked(resolution="7m"), ["AAPL"])
    assert response["notice"]["children"].startswith("resolution '7m' is unknown. Use one of: 1m, 5m,")


def test_no_ticker_chosen_is_no_error(app: Dash, server: FastAPI) -> None:
    response = call_draw(app, server, asked(tickers=[]), [])
    assert "Choose a ticker" in json.dumps(response["notice"])


def test_a_store_that_cannot_be_read_now_is_told_on_the_page(
    app: Dash, server: FastAPI, reader: SeriesReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> int:
        raise StoreMissing("there is no store at /srv/store")

    monkeypatch.setattr(reader, "refresh", missing)
    response = call_draw(app, server, asked(), ["AAPL"])
    assert response == {"notice": {"children": "there is no store at /srv/store"}}


def test_an_error_nobody_expected_reaches_the_log(
    app: Dash,
    server: FastAPI,
    reader: SeriesReader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> int:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(reader, "refresh", broken)
    with caplog.at_level(logging.ERROR):
        body = {
            "output": "..pulse.data...known.data...heard.data..",
            "outputs": [{"id": name, "property": "data"} for name in ("pulse", "known", "heard")],
            "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
            "changedPropIds": ["tick.n_intervals"],
            "state": [
                {"id": "pulse", "property": "data"},
                {"id": "known", "property": "data"},
                {"id": "url", "property": "search"},
            ],
        }
        answered = ask(server, body)
    assert "out of luck" in caplog.text
    assert "could not answer" in answered.text, "the page says so, too"
    assert "out of luck" not in answered.text, "but not what only the log may say"
