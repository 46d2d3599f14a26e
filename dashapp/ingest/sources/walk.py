"""Reading a source that answers newest first: back from the newest page to what is known already.

Each row has a key that rises with time (a crawl time, a message id). Everything up to `since` is stored. A walk begins
with the newest page and goes to older ones until it meets `since`; only then does `since` rise, to the newest key met.
So a walk that is cut off by a kill leaves no gap, and what arrives meanwhile is found by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dashapp.ingest.sources.poll import whole_number

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a walk is; `oldest` is the lowest key it has met, None while none is going on."""

    since: int
    newest: int
    oldest: int | None = None
    pages: int = 0
    rows: int = 0

    @classmethod
    def of(cls, stored: Mapping[str, Any], since: int) -> Walk:
        """The walk of a stored position; `since` is where to begin when there is none."""
        found = {item.name: whole_number(stored.get(item.name)) for item in fields(cls)}
        known = found["since"] if found["since"] is not None else since
        return cls(known, max(known, found["newest"] or 0), found["oldest"], found["pages"] or 0, found["rows"] or 0)

    def stored(self) -> dict[str, Any]:
        """The walk as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def step(self, keys: Collection[int], *, rows: int, known: int, is_last: bool, max_pages: int, name: str) -> Walk:
        """The walk after a page with these keys.

        `known` is the key below which nothing new is expected: `since`, less what may come late. `is_last` says that
        there is no older page, or that the page brought nothing that the one before had not.
        """
        newest = max([self.newest, *keys])
        if is_last or not keys or min(keys) <= known:
            return Walk(newest, newest)
        if self.pages + 1 >= max_pages:
            log.warning("%s: more than %d pages are new; older rows are left out", name, max_pages)
            return Walk(newest, newest)
        oldest = min(keys) if self.oldest is None else min(self.oldest, *keys)
        return Walk(self.since, newest, oldest, self.pages + 1, self.rows + rows)
