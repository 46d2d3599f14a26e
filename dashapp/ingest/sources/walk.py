"""Reading a source that answers newest first: back from the newest page to what is known already.

Each row has a key that rises with time (a crawl time, a message id). Everything up to `since` is stored. A walk begins
with the newest page and goes to older ones until it meets `since`; only then does `since` rise, to the newest key met.
So a walk that is cut off by a kill leaves no gap, and what arrives meanwhile is found by the next one, which follows at
once where this one took long.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dashapp.ingest.sources.poll import whole_number
from dashapp.model.time import US_PER_SECOND

log = logging.getLogger(__name__)

# A walk that took longer, for the source's limits or a restart, has left more behind it than a pause would.
LONG_US = 60 * US_PER_SECOND


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a walk is; `oldest` is the lowest key it has met, None while none is going on.

    `began_us` is when the walk began that is going on, or has just ended.
    """

    since: int
    newest: int
    oldest: int | None = None
    pages: int = 0
    rows: int = 0
    began_us: int = 0

    @classmethod
    def of(cls, stored: Mapping[str, Any], since: int) -> Walk:
        """The walk of a stored position; `since` is where to begin when there is none."""
        found = {item.name: whole_number(stored.get(item.name)) for item in fields(cls)}
        known = found["since"] if found["since"] is not None else since
        newest = max(known, found["newest"] or 0)
        return cls(known, newest, found["oldest"], found["pages"] or 0, found["rows"] or 0, found["began_us"] or 0)

    def stored(self) -> dict[str, Any]:
        """The walk as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def step(
        self,
        keys: Collection[int],
        *,
        lowest: int | None,
        rows: int,
        known: int,
        is_last: bool,
        max_pages: int,
        name: str,
        now_us: int,
    ) -> Walk:
        """The walk after a page whose good rows have these keys.

        `lowest` is the lowest key of all its rows, since behind a page of bad ones there may be good ones. `known` is
        the key below which nothing new is expected: `since`, less what may come late. `is_last` says that there is no
        older page, or that the page brought nothing that the one before had not.
        """
        newest = max([self.newest, *keys])
        began_us = now_us if self.oldest is None else self.began_us
        if is_last or lowest is None or lowest <= known:
            return Walk(newest, newest, began_us=began_us)
        if self.pages + 1 >= max_pages:
            log.warning("%s: more than %d pages are new; older rows are left out", name, max_pages)
            return Walk(newest, newest, began_us=began_us)
        oldest = lowest if self.oldest is None else min(self.oldest, lowest)
        return Walk(self.since, newest, oldest, self.pages + 1, self.rows + rows, began_us)

    def next_poll_s(self, now_us: int) -> float | None:
        """0 when there is more to walk, or the walk that has ended began long ago; else None: as usual."""
        return 0 if self.oldest is not None or now_us - self.began_us > LONG_US else None
