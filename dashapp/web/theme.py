"""Colours and type of the page and of the charts, light and dark: the one table of them.

The page gets them as CSS custom properties, the charts as a Plotly template, so a colour is written down once. Rising
is blue and falling is orange, which stay apart for every common kind of colour blindness, in print and on a poor
projector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

Theme = Literal["light", "dark"]

FONT = 'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace'


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme; each becomes the custom property `--<name>` with dashes for underscores."""

    page: str  # behind everything
    panel: str  # behind a chart
    raised: str  # menus, hover labels
    line: str  # borders
    grid: str
    zero: str  # the line of neutral sentiment
    text: str
    muted: str
    accent: str  # focus and what is chosen
    rising: str
    falling: str
    flat: str  # a candle without a body
    average: str  # the line of the averages
    count: str  # the bars of the count panel
    open_bucket: str  # the band of the bucket that is not over
    warn: str
    warn_back: str


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        page="#f4f5f7",
        panel="#ffffff",
        raised="#ffffff",
        line="#dfe2e8",
        grid="#eff1f4",
        zero="#b6bcc8",
        text="#161a23",
        muted="#5e6675",
        accent="#1f5fd0",
        rising="#1769d2",
        falling="#b45309",
        flat="#6b7383",
        average="#6f7786",
        count="#c5cbd6",
        open_bucket="rgba(31, 95, 208, 0.11)",
        warn="#7a4a00",
        warn_back="#fff3dc",
    ),
    "dark": Palette(
        page="#0e1117",
        panel="#141821",
        raised="#1c212c",
        line="#272d39",
        grid="#1d222c",
        zero="#4b5362",
        text="#d5d9e0",
        muted="#8b93a3",
        accent="#6ea8fe",
        rising="#4c9dff",
        falling="#ff9a3d",
        flat="#98a1b3",
        average="#98a1b3",
        count="#39414f",
        open_bucket="rgba(110, 168, 254, 0.16)",
        warn="#ffcf87",
        warn_back="#33270f",
    ),
}


def css_variables() -> str:
    """The style sheet of the palettes: the system's choice, unless `data-theme` on the root element says otherwise."""
    light, dark = (_declarations(PALETTES[theme]) for theme in ("light", "dark"))
    fonts = f"--font: {FONT}; --mono: {MONO};"
    return (
        f":root {{ color-scheme: light; {fonts} {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}"
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What a chart has to know of the screen it is on; `touch` says that a finger is what points."""

    theme: Theme = "light"
    touch: bool = False


def parse_look(data: Mapping[str, Any] | None) -> Look:
    """The look a browser sent; what is missing or unknown is the default."""
    data = data or {}
    return Look("dark" if data.get("theme") == "dark" else "light", data.get("touch") is True)


@cache
def template(theme: Theme) -> dict[str, Any]:
    """How charts look in a theme, as a Plotly template; what a chart shows is in `figure`."""
    palette = PALETTES[theme]
    axis = {
        "gridcolor": palette.grid,
        "linecolor": palette.line,
        "zerolinecolor": palette.zero,
        "tickcolor": palette.line,
        "tickfont": {"color": palette.muted, "size": 11},
        "ticks": "",
        "zeroline": False,
    }
    candle = {
        side: {"line": {"color": colour, "width": 1.25}, "fillcolor": colour}
        for side, colour in (("increasing", palette.rising), ("decreasing", palette.falling))
    }
    return {
        "layout": {
            "paper_bgcolor": palette.panel,
            "plot_bgcolor": palette.panel,
            "font": {"family": FONT, "size": 12, "color": palette.text},
            "hoverlabel": {
                "bgcolor": palette.raised,
                "bordercolor": palette.line,
                "font": {"family": MONO, "size": 11.5, "color": palette.text},
                "align": "left",
            },
            "xaxis": axis,
            "yaxis": axis,
        },
        "data": {
            "candlestick": [{**candle, "whiskerwidth": 0}],
            "scatter": [
                {
                    "marker": {"symbol": "line-ew", "size": 6, "line": {"color": palette.flat, "width": 1.75}},
                    "line": {"color": palette.average, "width": 1.1},
                }
            ],
            "bar": [{"marker": {"color": palette.count, "line": {"width": 0}}}],
        },
    }


def _declarations(palette: Palette) -> str:
    return " ".join(f"--{field.name.replace('_', '-')}: {getattr(palette, field.name)};" for field in fields(palette))
