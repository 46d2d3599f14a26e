"""Asking a source symbol by symbol: one call is one symbol, and a round asks each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from dashapp.errors import SourceError
from dashapp.ingest.sources.poll import Page, Position, section


class SymbolSource(Protocol):
    """Asks for one symbol at the symbol's own position; a page with `next_poll_s` 0 has more to give."""

    async def ask(self, symbol: str, position: Position) -> Page:
        """The page of one symbol; raises SourceError."""


async def poll_round(source: SymbolSource, symbols: Sequence[str], position: Position) -> Page:
    """The page of the symbol whose turn it is; the rest of the round waits in the position.

    A symbol that has more comes again after the others. One that fails is asked again in the next round, so it does not
    hold up the others.
    """
    left = position.get("round")
    waiting = [symbol for symbol in left if symbol in symbols] if isinstance(left, list) else []
    symbol, *waiting = waiting or list(symbols)
    cursors = {name: cursor for name, cursor in section(position, "symbols").items() if name in symbols}
    try:
        page = await source.ask(symbol, section(cursors, symbol))
    except SourceError as error:
        page = Page((), section(cursors, symbol), error=error)
    if page.next_poll_s == 0:
        waiting.append(symbol)
    moved: dict[str, Any] = {"round": waiting, "symbols": {**cursors, symbol: dict(page.position)}}
    return replace(page, position=moved, next_poll_s=0 if waiting else None)
