"""Charts: from a view to what fills each card, through the server cache. Blocking; callbacks call it in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dashapp.errors import TickertoneError, UnknownTicker
from dashapp.model.resolution import Resolution
from dashapp.model.ticker import normalise_ticker
from dashapp.model.time import EpochUs
from dashapp.model.variant import ALL, Variant
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader, TickerInfo
from dashapp.web import figure, layout
from dashapp.web.theme import Look
from dashapp.web.view import View, Window, finest_for_all, window_of


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of the world that all charts of one answer are made from."""

    revision: int
    now_us: EpochUs
    scorer: str
    known: Mapping[str, TickerInfo]
    scorers: tuple[str, ...] = ()  # all that have scores here, the default one first


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one card shows: a figure and what stands around it, or a note."""

    figure: dict[str, Any] | None = None
    strip: list[Any] | None = None
    note: Any = None


class Charts:
    """Makes the charts of views; safe for use by several threads."""

    def __init__(self, reader: SeriesReader, cache: ResponseCache, now_us: Callable[[], EpochUs]) -> None:
        self._reader = reader
        self._cache = cache
        self._now_us = now_us

    def moment(self, asked: str | None = None) -> Moment:
        """The newest state of the store by a scorer, the default one without, and the time; raises UnknownScorer."""
        revision = self._reader.refresh()
        scorer = self._reader.scorer(asked)
        infos = self._reader.tickers()
        known = {info.ticker: info for info in infos if info.scorer == scorer}
        usual = scorer if asked is None else self._reader.scorer()
        others = sorted({info.scorer for info in infos} - {usual})
        return Moment(revision, self._now_us(), scorer, known, (usual, *others))

    def window(self, view: View, moment: Moment) -> Window:
        """The time that all charts of the view show."""
        infos = (moment.known.get(ticker) for ticker in view.tickers)
        return window_of(view, [info for info in infos if info is not None], moment.now_us)

    def draw(
        self, ticker: str, resolution: Resolution, window: Window, moment: Moment, look: Look, variant: Variant = ALL
    ) -> Drawn:
        """The chart of one ticker, or what there is to say instead."""
        try:
            symbol = normalise_ticker(ticker)
            if symbol not in moment.known:
                raise UnknownTicker(f"No score in this store names {symbol}.", ticker=symbol)
            about, traces = figure.split_data(self._data(symbol, resolution, window, moment, variant))
            if not about["rows"]:
                return self._empty(symbol, resolution, window, moment, variant)
        except TickertoneError as error:
            return Drawn(note=layout.trouble_note(error))
        frame = figure.figure(symbol, resolution, about, None, window, moment.now_us, look)
        frame["data"] = orjson.Fragment(traces)
        open_ms = frame["layout"]["meta"]["open_bucket_ms"]
        open_us = None if open_ms is None else EpochUs(open_ms * 1_000)
        strip = layout.strip(resolution, open_us, window, finest_for_all(window))
        return Drawn(figure=frame, strip=strip)

    def _data(self, ticker: str, resolution: Resolution, window: Window, moment: Moment, variant: Variant) -> bytes:
        def compute() -> bytes:
            (series,) = self._reader.series(
                [ticker], resolution, window.first_us, window.stop_us, scorer=moment.scorer, variant=variant
            )
            return figure.chart_data(series)

        where = f"{ticker}:{moment.scorer}:{variant.name}:{resolution.name}:{window.first_us}:{window.stop_us}"
        return self._cache.get_or_compute(f"chart:{where}:{moment.revision}", compute)[0]

    def _empty(self, ticker: str, resolution: Resolution, window: Window, moment: Moment, variant: Variant) -> Drawn:
        body, _ = self._cache.get_or_compute(
            f"coverage:{ticker}:{moment.scorer}:{moment.revision}",
            lambda: orjson.dumps(self._reader.coverage(ticker, moment.scorer)),
        )
        stretches = layout.offered([(start, stop, count) for start, stop, count in orjson.loads(body)], window)
        note = layout.empty_note(ticker, window, stretches, resolution, variant)
        return Drawn(note=note)
