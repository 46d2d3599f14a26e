"""Parameters: what routes take, as the OpenAPI document shows it, and the check that nothing else is asked for.

All of them come in as texts and are parsed by the functions that know what they mean, whose errors say what is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import WithJsonSchema

from dashapp.errors import BadParameter, BadRange
from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.ticker import MAX_TICKER_CHARS, normalise_ticker
from dashapp.model.variant import VARIANTS

MAX_TICKERS = 50

_LONGEST_TICKER = MAX_TICKER_CHARS + 2  # with a ^ or $ before it
_MAX_CHARS = {"tickers": MAX_TICKERS * (_LONGEST_TICKER + 1), "cursor": 4_300}
_MOST_CHARS = 128
_MAX_LIMIT_DIGITS = 9

_TICKER = {"type": "string", "pattern": r"^\$?\^?[A-Za-z0-9]+([.:/=_-][A-Za-z0-9]+)*$", "maxLength": MAX_TICKER_CHARS}
_TIME = {"type": "string", "format": "date-time", "maxLength": _MOST_CHARS}


RESOLUTION = WithJsonSchema({"type": "string", "enum": [each.name for each in RESOLUTIONS]})

TickerInPath = Annotated[
    str, WithJsonSchema(_TICKER), Path(description="The symbol, in any case: AAPL, BRK.B, BTC/USD")
]
TickerAsked = Annotated[str, WithJsonSchema(_TICKER), Query(description="The symbol, in any case")]
TickersAsked = Annotated[
    str,
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _MAX_CHARS["tickers"]}),
    Query(description=f"Up to {MAX_TICKERS} symbols joined by commas", examples=["AAPL,MSFT"]),
]
TickersOrAll = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _MAX_CHARS["tickers"]}),
    Query(description=f"Up to {MAX_TICKERS} symbols joined by commas; all tickers without"),
]
ResolutionAsked = Annotated[str, RESOLUTION, Query(description="The width of the buckets")]
PrefixAsked = Annotated[
    str,
    WithJsonSchema({"type": "string", "maxLength": _MOST_CHARS}),
    Query(description="The beginning of the symbol, in any case"),
]
StartAsked = Annotated[
    str | None,
    WithJsonSchema(_TIME),
    Query(description="From this time on, ISO-8601 with Z or an offset (its + is %2B), or a date alone"),
]
EndAsked = Annotated[str | None, WithJsonSchema(_TIME), Query(description="Up to and without this time")]
LimitAsked = Annotated[
    str | None,
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10**_MAX_LIMIT_DIGITS - 1}),
    Query(description="Most rows of the answer; there may be a lower bound, which `has_more` tells of"),
]
CursorAsked = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": r"^[sit][A-Za-z0-9._:/=^-]*$", "maxLength": _MAX_CHARS["cursor"]}),
    Query(description="`next_cursor` of the page before; all else as for that one"),
]
ScorerAsked = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "maxLength": _MOST_CHARS}),
    Query(description="name@version; the store's default without"),
]
VariantAsked = Annotated[
    str,
    WithJsonSchema({"type": "string", "enum": [each.name for each in VARIANTS]}),
    Query(description="Which texts count: all, each story once (no reprints within 24 hours), relevant ones, or both"),
]
_REVISION = WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 10**_MAX_LIMIT_DIGITS - 1})
RevisionAsked = Annotated[
    str | None, _REVISION, Query(description="As the store was at this revision; as it is without")
]
SinceRevisionAsked = Annotated[
    str | None, _REVISION, Query(description="Only what came, changed or was closed after this revision")
]

ExplainAsked = Annotated[
    str,
    WithJsonSchema({"type": "string", "enum": ["true", "false"]}),
    Query(
        alias="explain", description="Say of each text which words moved its score, in JSON, where the scorer can tell"
    ),
]

FORM_TEXT = "The form of the answer; what Accept says without"


def one_of(*names: str) -> WithJsonSchema:
    """The schema of a parameter that has one of these values."""
    return WithJsonSchema({"type": "string", "enum": list(names)})


def parse_explain(text: str) -> bool:
    """Whether explanations are asked for; raises BadParameter."""
    if text not in ("true", "false"):
        raise BadParameter(f"explain is {text[:40]!r}; it must be true or false.", explain=text[:40])
    return text == "true"


async def only_what_is_known(request: Request) -> None:
    """Raises BadParameter for a query that the route would not understand in full.

    An unknown name is most often a misspelt one, and the answer to another question is worse than none.
    """
    known = _names(request.scope["route"].dependant)
    seen = set()
    for name, value in request.query_params.multi_items():
        shown = name[:40]
        if name not in known:
            raise BadParameter(
                f"parameter {shown!r} is unknown here. Known ones: {', '.join(sorted(known)) or 'none'}.",
                parameter=shown,
                valid=sorted(known),
            )
        if name in seen:
            raise BadParameter(f"parameter {name} is given more than once.", parameter=name)
        seen.add(name)
        most = _MAX_CHARS.get(name, _MOST_CHARS)
        if len(value) > most:
            raise BadParameter(f"parameter {name} is {len(value)} characters long; at most {most}.", parameter=name)
        if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
            raise BadParameter(f"parameter {name} holds control characters.", parameter=name)


def _names(dependant: Any) -> set[str]:
    """The names of the query that a route takes, by itself or by what it depends on."""
    return {field.alias for field in dependant.query_params}.union(*map(_names, dependant.dependencies))


def parse_tickers(text: str) -> tuple[str, ...]:
    """The symbols of a list, each once, in its order; raises BadTicker, and BadRange for more than MAX_TICKERS."""
    tickers = tuple(dict.fromkeys(normalise_ticker(part) for part in text.split(",")))
    if len(tickers) > MAX_TICKERS:
        raise BadRange(
            f"{len(tickers)} tickers are asked for at once; at most {MAX_TICKERS}.",
            tickers=len(tickers),
            limit=MAX_TICKERS,
        )
    return tickers


def parse_revision(text: str | None, name: str) -> int | None:
    """The number; raises BadRange for what is none."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_LIMIT_DIGITS:
        raise BadRange(f"{name} {text[:40]!r} is not a revision, which is a whole number.", parameter=name)
    return int(text)


def parse_limit(text: str | None) -> int | None:
    """The number; raises BadRange for what is none."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_LIMIT_DIGITS:
        most = 10**_MAX_LIMIT_DIGITS - 1
        raise BadRange(f"limit {text[:40]!r} is not a whole number from 1 to {most}.", limit=text[:40])
    return int(text)
