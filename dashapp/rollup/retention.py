"""Retention: what is older than the settings say is dropped, whole partitions at a time; candles never shrink for it.

Scores go only after the buckets have counted them and were found right. From then on those buckets are sealed: they are
all that is left, no rebuild touches them, and what is published in their time is refused unless it is reopened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashapp.config import Settings
from dashapp.errors import BadSetting, CommitConflict, StoreDamaged
from dashapp.model.resolution import RESOLUTIONS, Resolution, period_start_us
from dashapp.model.time import MIN_US, US_PER_DAY, EpochUs, to_iso
from dashapp.rollup.job import rollup
from dashapp.rollup.verify import months, verify
from dashapp.store.locks import exclusive
from dashapp.store.reader import PATIENT_MS, Reader
from dashapp.store.scores import Dropped
from dashapp.store.store import Store

# Scores that come in late, for a time that is about to be sealed, are counted first; they are rare.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """How many days scores and the buckets of each resolution are kept after their time; what is not named is kept for
    ever."""

    scores_days: float | None
    buckets_days: Mapping[Resolution, float]


@dataclass(frozen=True, slots=True)
class Retained:
    """What was dropped, and the moments before which scores and buckets are gone now, None where none ever were."""

    scores: int
    score_files: int
    buckets: int
    bucket_files: int
    sealed_before: str | None
    kept_from: dict[str, str]


def rules_of(settings: Settings) -> Rules:
    """The rules that the settings give; raises BadSetting."""
    by_name = {resolution.name: resolution for resolution in RESOLUTIONS}
    days: dict[Resolution, float] = {}
    for part in filter(None, (part.strip() for part in settings.retention_buckets_days.split(","))):
        name, _, number = part.partition("=")
        resolution = by_name.get(name.strip())
        try:
            kept_days = float(number)
        except ValueError:
            kept_days = 0.0
        if resolution is None or not 1 <= kept_days <= 1_000_000:
            raise BadSetting(
                f"setting retention_buckets_days holds {part!r}; write RESOLUTION=DAYS, at least 1 day, such as "
                f"1m=90,5m=400. Resolutions: {', '.join(by_name)}."
            )
        days[resolution] = kept_days
    return Rules(settings.retention_scores_days or None, days)


def retain(store: Store, rules: Rules, now_us: EpochUs) -> Retained:
    """Drop what is older than the rules allow; readers, writers and rollups go on beside it.

    Raises StoreDamaged when buckets about to be sealed are not what their scores say, StoreNotWritable, and
    CommitConflict when others, on other machines, kept committing first; nothing is dropped then.
    """
    dropped = Dropped()
    if rules.scores_days is not None:
        dropped = _drop_scores(store, _before(now_us, rules.scores_days) // US_PER_DAY * US_PER_DAY)
    kept_from = {
        resolution: period_start_us(_before(now_us, days), resolution)
        for resolution, days in rules.buckets_days.items()
    }
    with exclusive(store.data_dir / "locks" / "rollup.lock"):
        store.buckets.table.refresh()
        files = store.buckets.drop(kept_from)
    sealed_us = store.scores.sealed_us
    return Retained(
        scores=dropped.scores,
        score_files=dropped.files,
        buckets=sum(file.rows for file in files),
        bucket_files=len(files),
        sealed_before=to_iso(sealed_us) if sealed_us > MIN_US else None,
        kept_from={name: to_iso(us) for name, us in store.buckets.kept_from_us().items() if us > MIN_US},
    )


def _before(now_us: int, days: float) -> int:
    return max(MIN_US, now_us - int(days * US_PER_DAY))


def _drop_scores(store: Store, before_us: int) -> Dropped:
    store.scores.table.refresh()
    if not store.scores.expired(before_us):
        return Dropped()
    reader = Reader(store, timeout_ms=PATIENT_MS)
    for _ in range(_ATTEMPTS):
        rollup(store)
        # What is sealed can never be checked again.
        checked = verify(
            reader, spans=lambda view: [(start, EpochUs(min(end, before_us))) for start, end in months(view)]
        )
        if checked.differ:
            raise StoreDamaged(
                f"{checked.differ:,} buckets that are about to be sealed are not what their scores say, such as "
                f"{checked.worst[0]}. Nothing was dropped. `tickertone rollup --full` builds them anew."
            )
        dropped = store.scores.drop(before_us, counted=store.buckets.seen)
        if dropped is not None:
            return dropped
    raise CommitConflict(f"Scores published before {to_iso(before_us)} kept coming in; nothing was dropped.")
