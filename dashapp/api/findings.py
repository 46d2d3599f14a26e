"""What is wrong with a server and its store, in words, and what to do about it: from what jobs, sources, disk and
counters tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from dashapp.api.sources import OVERDUE_S, SourceHealth
from dashapp.errors import StoreDamaged, StoreError, StoreTooNew, StoreUnreachable
from dashapp.model.time import US_PER_SECOND, to_iso
from dashapp.store.findings import CLOCK_TOLERANCE_S, LEAST_FREE_BYTES
from dashapp.store.lease import JobRecord

# A job that is due for longer is nobody's; one that takes longer most likely hangs.
_JOB_LATE_S = 180
_JOB_LONG_S = 3_600
# A rollup takes a million scores a second or two; so many that nobody counts make every question slower.
_MANY_SCORES = 100_000
# Below these nothing goes wrong yet, but will soon; and below those commits may fail at any moment.
_LITTLE_DISK, _LITTLE_DISK_BYTES = 0.05, 2_000_000_000
_NO_DISK = 0.01
# One bad row is its sender's business.
_MANY_REJECTED, _SHARE_REJECTED = 20, 0.1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: since it is `bad` something is not done, `soon` something will not be."""

    about: str
    severity: Literal["bad", "soon"]
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at a moment; the counts are of the hour before it, or since the server was started."""

    now_us: int
    store_error: StoreError | None = None
    waiting_scores: int = 0
    jobs: Iterable[JobRecord] = ()
    sources: Iterable[SourceHealth] = ()
    disk_free_bytes: int = 0
    disk_total_bytes: int = 0
    is_writable: bool = True
    data_dir: str = "the data folder"
    taken: int = 0
    rejected: int = 0
    refused: int = 0
    is_writing: bool = True
    clock_back_s: float = 0.0


def findings(facts: Facts) -> list[Finding]:
    """All that is wrong, the worst first."""
    found = [
        *_of_store(facts),
        *_of_disk(facts),
        *_of_jobs(facts),
        *_of_sources(facts),
        *_of_traffic(facts),
        *_of_clock(facts),
    ]
    return sorted(found, key=lambda each: each.severity != "bad")


def _of_store(facts: Facts) -> Iterator[Finding]:
    error = facts.store_error
    if error is not None:
        remedy = "`tickertone doctor` says what is wrong; nothing that is in the store is lost by waiting."
        if isinstance(error, StoreDamaged):
            remedy = (
                "`tickertone doctor` says which files are damaged and what repairs them. Buckets are made anew from "
                "the scores by `tickertone rollup --full`; scores come back from a backup (`tickertone restore`)."
            )
        elif isinstance(error, StoreUnreachable):
            remedy = "Look at the network, the credentials and store_endpoint; the server goes on by itself."
        elif isinstance(error, StoreTooNew):
            remedy = "Install the version of Tickertone that made the store, or a later one."
        yield Finding("store", "bad", f"The store cannot be read: {error}", remedy)
    if not facts.is_writing:
        yield Finding(
            "store",
            "bad",
            "Pushed items are not written: the thread that writes them has ended.",
            "The log says why. Start the server anew; senders were told that nothing was taken, and send again.",
        )


def _of_disk(facts: Facts) -> Iterator[Finding]:
    if not facts.is_writable:
        yield Finding(
            "disk",
            "bad",
            f"{facts.data_dir} cannot be written: the disk is mounted read-only, or the folder is another user's.",
            "Give the folder to the user the server runs as, or mount the disk for writing. Reading goes on meanwhile.",
        )
    if not facts.disk_total_bytes:
        return
    share = facts.disk_free_bytes / facts.disk_total_bytes
    left = (
        f"{_bytes(facts.disk_free_bytes)} of {_bytes(facts.disk_total_bytes)} are free on the disk of {facts.data_dir}"
    )
    remedy = (
        "Make room, or give the store a larger disk. `tickertone maintain vacuum logs` deletes what nobody needs any "
        "more; retention_scores_days and retention_buckets_days say what may be dropped."
    )
    if share < _NO_DISK or facts.disk_free_bytes < LEAST_FREE_BYTES:
        yield Finding("disk", "bad", f"The disk is full, or nearly: {left}. Items are refused when it is.", remedy)
    elif facts.disk_free_bytes < _LITTLE_DISK_BYTES or (
        share < _LITTLE_DISK and facts.disk_free_bytes < 10 * _LITTLE_DISK_BYTES
    ):
        yield Finding("disk", "soon", f"The disk will soon be full: {left}.", remedy)


def _of_jobs(facts: Facts) -> Iterator[Finding]:
    records = {record.name: record for record in facts.jobs}
    for name, record in records.items():
        by_hand = "`tickertone rollup`" if name == "rollup" else f"`tickertone maintain {name}`"
        if record.consecutive_failures:
            times = (
                "the last time" if record.consecutive_failures == 1 else f"{record.consecutive_failures} times in a row"
            )
            again = f" It is tried again at {_moment(record.next_run_us)}." if record.next_run_us else ""
            yield Finding(
                f"job {name}",
                "bad",
                f"The {name} failed {times}: {record.last_error}",
                f"Do what the message says, then try by hand: {by_hand}.{again}",
            )
        since_us = record.started_us
        if since_us is not None and record.is_running(facts.now_us) and _since_s(facts, since_us) > _JOB_LONG_S:
            yield Finding(
                f"job {name}",
                "soon",
                f"{record.holder} has been at the {name} for {_span(_since_s(facts, since_us))}, and keeps others off.",
                "If that process does nothing any more, end it: another takes over in a minute, and nothing is lost.",
            )
        lag_s = record.lag_s(facts.now_us) or 0.0
        if lag_s > _JOB_LATE_S:
            command = "rollup --every 30s" if name == "rollup" else f"maintain {name} --every"
            yield Finding(
                f"job {name}",
                "bad" if name == "rollup" else "soon",
                f"The {name} is {_span(lag_s)} late: no process does it.",
                f"Start one: `tickertone run` does all jobs beside the server, `tickertone {command}` this one alone.",
            )
    rollup = records.get("rollup")
    is_told = rollup is not None and (rollup.consecutive_failures or (rollup.lag_s(facts.now_us) or 0) > _JOB_LATE_S)
    if facts.waiting_scores > _MANY_SCORES and not is_told and not (rollup and rollup.is_running(facts.now_us)):
        yield Finding(
            "rollup",
            "soon",
            f"{facts.waiting_scores:,} scores wait to be folded into buckets. Charts show them, but are slow to come.",
            "Run `tickertone rollup` once, or let `tickertone run` or `tickertone rollup --every 30s` go on doing it.",
        )


def _of_sources(facts: Facts) -> Iterator[Finding]:
    for source in facts.sources:
        due_us = source.next_poll_us
        if source.is_failing:
            again = f" It is asked again by itself at {_moment(due_us)}." if due_us is not None else ""
            since = f" since {_moment(source.last_success_us)}" if source.last_success_us is not None else ""
            yield Finding(
                f"source {source.name}",
                "bad" if source.consecutive_failures > 2 else "soon",
                f"{source.name} has given nothing{since} ({source.consecutive_failures} tries): {source.last_error}",
                f"Look at its key, its plan and the network (docs/sources.md).{again} The other sources go on.",
            )
        elif due_us is not None and _since_s(facts, due_us) > OVERDUE_S:
            yield Finding(
                f"source {source.name}",
                "bad",
                f"Nobody polls {source.name}: its poll was due {_span(_since_s(facts, due_us))} ago.",
                "Start `tickertone feed --stay`, or `tickertone run`. It goes on where it ended.",
            )
        seen = source.accepted + source.duplicates + source.rejected
        if source.rejected >= _MANY_REJECTED and source.rejected > _SHARE_REJECTED * seen:
            yield Finding(
                f"source {source.name}",
                "soon",
                f"{source.rejected:,} of the last {seen:,} rows of {source.name} were rejected.",
                f"The rows stand in {facts.data_dir}/rejected with the reasons: its answers may have another form now.",
            )


def _of_traffic(facts: Facts) -> Iterator[Finding]:
    if facts.rejected >= _MANY_REJECTED and facts.rejected > _SHARE_REJECTED * (facts.taken + facts.rejected):
        yield Finding(
            "rejected items",
            "soon",
            f"{facts.rejected:,} of {facts.taken + facts.rejected:,} pushed items of the last hour were rejected.",
            f"Their sender was told why, and they stand in {facts.data_dir}/rejected, each with its reason.",
        )
    if facts.refused:
        yield Finding(
            "load",
            "soon",
            f"{facts.refused:,} requests of the last hour were told to come back, since too many waited already.",
            "Ask less often, add web processes (docs/deploy.md), or raise query_threads where processors are idle.",
        )


def _of_clock(facts: Facts) -> Iterator[Finding]:
    ahead_s = facts.clock_back_s
    for moment_us in [record.last_start_us for record in facts.jobs] + [
        source.last_poll_us for source in facts.sources
    ]:
        if moment_us is not None:
            ahead_s = max(ahead_s, (moment_us - facts.now_us) / US_PER_SECOND)
    if ahead_s > CLOCK_TOLERANCE_S:
        yield Finding(
            "clock",
            "soon",
            f"The clock of this machine is {_span(ahead_s)} behind what it, or a machine beside it, has shown before.",
            "Let the machines set their clocks by NTP. Buckets go by the times of the texts and stay right; until the "
            "clock is right, what is open and what is late is told wrongly.",
        )


def _moment(moment_us: int) -> str:
    """To the second: nobody needs to know more."""
    return to_iso(moment_us - moment_us % US_PER_SECOND)


def _since_s(facts: Facts, moment_us: int) -> float:
    return (facts.now_us - moment_us) / US_PER_SECOND


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _bytes(number: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:,} bytes"
