"""Views: what one browser looks at (tickers, resolution, range), and the window of time that is.

A range is a preset, which follows the newest scores, or a fixed start and end. The address bar holds the view, so
everything here is what a user may have typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dashapp.errors import BadRange, UsageError
from dashapp.model.resolution import RESOLUTIONS, Resolution, ceil_us, floor_us, parse_resolution
from dashapp.model.time import MAX_US, MIN_US, US_PER_DAY, EpochUs, parse_iso, to_iso
from dashapp.model.variant import ALL, Variant, parse_variant
from dashapp.query.series import TickerInfo

# Candles a chart begins with: four to five pixels each on a chart that fills a laptop's screen.
FIT_CANDLES = 240
# Where the first score is more recent than that, a chart begins with it; but few candles alone would be a hand wide.
FEWEST_FIT_CANDLES = 60
# Buckets one chart may span; beyond it candles are thinner than a pixel and drawing takes longer than a blink.
MAX_CANDLES = 1_500
# A preset or a new resolution moves to a view with so many candles: fewer tell nothing, more cannot be read.
COMFORTABLE_CANDLES = (20, 750)
MAX_TICKERS = 50


@dataclass(frozen=True, slots=True)
class Preset:
    """A range that follows the newest scores; `span_us` 0 is FIT_CANDLES of the resolution, None is all there is."""

    name: str
    label: str
    title: str
    span_us: int | None


PRESETS: tuple[Preset, ...] = (
    Preset("fit", "Fit", f"The newest {FIT_CANDLES} candles", 0),
    Preset("1d", "1d", "The newest day", US_PER_DAY),
    Preset("1w", "1w", "The newest week", 7 * US_PER_DAY),
    Preset("1M", "1M", "The newest 30 days", 30 * US_PER_DAY),
    Preset("all", "All", "From the first score to the newest", None),
)
DEFAULT_PRESET = PRESETS[0]
DEFAULT_RESOLUTION = RESOLUTIONS[3]  # 1h: ten days of it fill a chart

_PRESET_BY_NAME = {preset.name: preset for preset in PRESETS}


@dataclass(frozen=True, slots=True)
class View:
    """What a browser looks at; either `preset` is set, or `start_us` and `end_us` are. `scorer` None is the default."""

    tickers: tuple[str, ...]
    resolution: Resolution
    preset: Preset | None
    start_us: EpochUs | None = None
    end_us: EpochUs | None = None
    variant: Variant = ALL
    scorer: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The time a chart shows, [start_us, end_us), and the buckets it needs, [first_us, stop_us), aligned around it.

    `asked_start_us` is earlier than `start_us` when the view asks for more than MAX_CANDLES buckets.
    """

    start_us: EpochUs
    end_us: EpochUs
    first_us: EpochUs
    stop_us: EpochUs
    asked_start_us: EpochUs

    @property
    def is_cut(self) -> bool:
        """Whether the view asks for more than is shown."""
        return self.asked_start_us < self.start_us


def parse_view(data: Mapping[str, Any]) -> View:
    """The view a browser sent; raises UnknownResolution, UnknownVariant, BadTime or BadRange for what cannot be shown.

    Its tickers are taken as they are: each is judged, and answered, alone.
    """
    resolution = parse_resolution(str(data.get("resolution")))
    tickers = tuple(str(ticker) for ticker in data.get("tickers") or ())
    if len(tickers) > MAX_TICKERS:
        raise BadRange(f"{len(tickers)} tickers are more than one page shows; choose up to {MAX_TICKERS}.")
    variant = parse_variant(str(data.get("variant") or ALL.name))
    scorer = str(data["scorer"]) if data.get("scorer") else None
    name = data.get("range")
    if name != "custom":
        preset = _PRESET_BY_NAME.get(str(name))
        if preset is None:
            raise UsageError(f"range {str(name)[:40]!r} is unknown. Use one of: {', '.join(_PRESET_BY_NAME)}.")
        return View(tickers, resolution, preset, variant=variant, scorer=scorer)
    start_us, end_us = parse_iso(str(data.get("start")), "start"), parse_iso(str(data.get("end")), "end")
    if start_us >= end_us:
        raise BadRange(f"start {to_iso(start_us)} is not before end {to_iso(end_us)}.")
    return View(tickers, resolution, None, start_us, end_us, variant, scorer)


def window_of(view: View, infos: Iterable[TickerInfo], now_us: int) -> Window:
    """The window of a view, given what the store holds of its tickers (none, where it holds nothing).

    A preset ends with the bucket of now while its tickers are being written about, and with their last score once they
    are not, so that a store of old texts opens on its texts.
    """
    infos = list(infos)
    resolution = view.resolution
    first_us = min((info.first_us for info in infos), default=now_us)
    last_us = min(now_us, max((info.last_us for info in infos), default=now_us))
    if view.preset is None:
        assert view.start_us is not None
        assert view.end_us is not None
        start, end = view.start_us, view.end_us
    elif view.preset.span_us is None:
        start, end = floor_us(min(first_us, last_us), resolution), _end_of(last_us, resolution)
    else:
        span_us = view.preset.span_us or FIT_CANDLES * resolution.width_us
        end = _end_of(now_us if now_us - last_us < span_us else last_us, resolution)
        start = EpochUs(end - span_us)
        if view.preset.span_us == 0:
            fewest = EpochUs(end - FEWEST_FIT_CANDLES * resolution.width_us)
            start = max(start, min(fewest, floor_us(first_us, resolution)))
    return _bounded(start, end, resolution, newest_us=last_us)


def finest_for_all(window: Window) -> Resolution:
    """The finest resolution at which everything that was asked for can be shown."""
    span_us = window.end_us - window.asked_start_us
    return next((each for each in RESOLUTIONS if span_us <= MAX_CANDLES * each.width_us), RESOLUTIONS[-1])


def _end_of(moment_us: int, resolution: Resolution) -> EpochUs:
    return EpochUs(floor_us(moment_us, resolution) + resolution.width_us)


def _bounded(start_us: EpochUs, end_us: EpochUs, resolution: Resolution, *, newest_us: int) -> Window:
    first = max(floor_us(MIN_US, resolution), floor_us(start_us, resolution))
    stop = min(ceil_us(MAX_US, resolution), ceil_us(end_us, resolution))
    if stop - first > MAX_CANDLES * resolution.width_us:
        # Years of nothing after the last score must not push everything there is out of the picture.
        if start_us < newest_us < end_us:
            end_us = stop = min(stop, _end_of(newest_us, resolution))
        first = max(first, EpochUs(stop - MAX_CANDLES * resolution.width_us))
    return Window(max(start_us, first), end_us, EpochUs(first), EpochUs(stop), start_us)
