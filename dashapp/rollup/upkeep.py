"""Upkeep: small files put together, and files that nobody needs any more deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dashapp.model.time import EpochUs
from dashapp.store.compact import Compacted, compact
from dashapp.store.locks import exclusive
from dashapp.store.store import Store
from dashapp.store.tables import Vacuumed


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was done."""

    compacted: Compacted
    vacuumed: Vacuumed
    seconds: float


def maintain(store: Store, *, vacuum_after_s: float, now_us: EpochUs) -> Upkeep:
    """Compact the scores and vacuum both tables; a second one on the same machine waits for the first.

    Raises what `compact` and `Table.vacuum` do.
    """
    started = time.perf_counter()
    with exclusive(store.data_dir / "locks" / "upkeep.lock"):
        compacted = compact(store)
        now_s = now_us / 1e6
        each = [table.vacuum(kept_s=vacuum_after_s, now_s=now_s) for table in (store.scores.table, store.buckets.table)]
    vacuumed = Vacuumed(sum(one.files for one in each), sum(one.freed_bytes for one in each))
    return Upkeep(compacted, vacuumed, time.perf_counter() - started)
