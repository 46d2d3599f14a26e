"""What a live source is: it is asked again and again with the position it answered last, and answers a page each time.

A position is JSON that only its source understands. It is stored after the page's items are durable, so a page may be
asked for twice, never left out; items have the same id both times and count once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dashapp.errors import RowRejected, SourceError
from dashapp.ingest.columns import ColumnMapping, RowOptions, row_to_item
from dashapp.ingest.rejects import Rejection, raw_of, rejected, shown
from dashapp.ingest.sources.http import Http
from dashapp.ingest.sources.limits import Limits
from dashapp.ingest.text import is_plain
from dashapp.model.item import MAX_ID_CHARS, Item
from dashapp.model.time import EpochUs

Position = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What one call brought, and the position to ask with the next time.

    `next_poll_s` is when to ask again: 0 at once because there is more, None as usual, else at the earliest. `ignored`
    are rows that name no ticker, or none that was asked for. `error` is what went wrong with a part of the source,
    such as one symbol, while its position moves on for the others.
    """

    rows: Sequence[Item | Rejection]
    position: Position
    next_poll_s: float | None = None
    ignored: int = 0
    error: SourceError | None = None


class Source(Protocol):
    """A live source. `name` is unique in a feed; one `poll` is one call, `calls_per_round` bring it up to date."""

    name: str
    limits: Limits
    calls_per_round: int

    async def poll(self, position: Position) -> Page:
        """The page at a position, `{}` for the first; raises SourceError, and the position stays."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a source with an interface of its own is made with.

    `key` is empty where none is needed. No `tickers` means all, where the source can say that. `url` is where its
    interface begins, `lookback_us` how far back its first poll reads.
    """

    http: Http
    key: str
    tickers: tuple[str, ...]
    url: str
    limits: Limits
    lookback_us: int
    now_us: Callable[[], EpochUs]


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of a page as items and rejections; `pairs` has the row of each item, for what only the source needs."""

    rows: list[Item | Rejection]
    pairs: list[tuple[Mapping[str, Any], Item]]
    ignored: int


def read_rows(
    name: str,
    values: Iterable[object],
    mapping: ColumnMapping,
    options: RowOptions,
    *,
    id_of: Callable[[Mapping[str, Any]], str | None] | None = None,
    world: str | None = None,
) -> Read:
    """The rows of a source as items and rejections, whatever the rows hold.

    `id_of` finds the id of a row where no column holds it as it is. Ids begin with the `world` they are unique in, the
    source's name where none is given. A row that names no ticker has nothing to be counted for; it is ignored.
    """
    read = Read([], [], 0)
    ignored = 0
    for index, value in enumerate(values):
        try:
            if not isinstance(value, dict):
                raise rejected("not_an_object", f"the row is {shown(value)}")
            item = row_to_item(value, mapping, options)
        except RowRejected as error:
            if error.reason == "no_ticker":
                ignored += 1
            else:
                read.rows.append(Rejection(f"{name}:[{index}]", error.reason, str(error), raw_of(value)))
            continue
        given = id_of(value) if id_of else None
        item = replace(item, id=own_id(world or name, given or item.id))
        read.rows.append(item)
        read.pairs.append((value, item))
    return replace(read, ignored=ignored)


def own_id(world: str, text: str) -> str:
    """An id that is unique among all sources, since most of them count from 1; hashed where it could not be kept."""
    item_id = f"{world}:{text}"
    if len(item_id) <= MAX_ID_CHARS and is_plain(item_id):
        return item_id
    return f"{world}:h:{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def whole_number(value: object) -> int | None:
    """A stored or sent whole number, None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:19])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def section(position: Position, name: str) -> dict[str, Any]:
    """The named part of a position; empty when there is none, or something else in its place."""
    value = position.get(name)
    return value if isinstance(value, dict) else {}
