"""The format of a store, and how one of an older format is brought up to date.

The number is recorded in the log of the scores table, as the app transaction `format`, so it is of the tables and moves
with them. A store without one is of format 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dashapp import __version__
from dashapp.errors import StoreTooNew
from dashapp.store.locks import exclusive

if TYPE_CHECKING:
    from dashapp.store.store import Store

FORMAT = 1
# By the format it is for, what makes a store of the next format of it. Each must be fit to be done again after a kill
# in the middle, since the new number is recorded at its end.
MIGRATIONS: Mapping[int, Callable[[Store], None]] = {}

# Who records it, as Delta has it.
FORMAT_NAME = "format"


def bring_up_to_date(store: Store) -> None:
    """Migrate a store of an older format; raises StoreTooNew for one of a newer format."""
    if _format_of(store) == FORMAT:
        return
    with exclusive(store.data_dir / "locks" / "migration.lock"):
        store.scores.table.refresh()
        while (found := _format_of(store)) < FORMAT:
            MIGRATIONS[found](store)
            store.scores.table.refresh()
            store.scores.table.commit([], metadata={"migrated": found}, transactions={FORMAT_NAME: found + 1})
    if found > FORMAT:
        raise StoreTooNew(
            f"The store at {store.data_dir} is of format {found}; Tickertone {__version__} reads up to {FORMAT}. "
            "Install the version that made it, or a later one."
        )


def _format_of(store: Store) -> int:
    return store.scores.table.transaction_version(FORMAT_NAME) or 1
