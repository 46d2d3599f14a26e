"""What a load needs and costs: one model of cores, memory, disk, network and money, from measured constants.

It is meant to be right within a factor of two, on the side of too much, and to name what gives way first. The costs are
measured by bench/capacity.py; docs/capacity.md explains each line and says where the model ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.time import US_PER_DAY, US_PER_SECOND

DAY_S = US_PER_DAY // US_PER_SECOND


@dataclass(frozen=True, slots=True)
class Costs:
    """What things cost, as bench/capacity.py measures it."""

    ingest_cpu_s_per_million: float  # headlines from JSONL, scored by `finance`, stored
    push_cpu_s_per_million: float  # by HTTP, in batches of 100, scored already
    rebuild_cpu_s_per_million: float  # scores into buckets of all resolutions
    rollup_round_cpu_s: float  # one round with few new scores
    bytes_per_score: float  # with its headline
    bytes_per_bucket: float
    uncached_cpu_ms: float  # an answer: one ticker, a day of 1m
    cached_cpu_ms: float
    answer_bytes: float  # the same, as it goes over the network
    stream_cpu_ms_per_viewer_s: float  # a stream that changes all the time
    stream_bytes_per_viewer_s: float
    web_mb: float  # one web process
    idle_cpu: float


# Assumed, not measured; docs/capacity.md gives the reasons.
TICKERS_PER_ITEM = 1.3
BUSIEST_HOUR_TIMES = 4.0  # the busiest hour of a day against its mean
VIEWED_TICKERS = 4
QUESTIONS_PER_VIEWER_HOUR = 60.0
CACHED_SHARE = 0.8
VIEWING_HOURS_PER_DAY = 8.0
ROLLUP_EVERY_S = 30.0
SENDS_PER_S = 10.0  # updates of a stream are merged for 100 ms
SENT_EVENTS = 13  # tickers that changed in the measured stream
STREAMS_PER_PROCESS = 2_000
PAGE_BYTES = 2_500_000.0  # first visit of a day, compressed
OTHER_PROCESSES_MB = 900.0  # feed, rollup and upkeep
SYSTEM_MB = 500.0
CORE_SHARE = 0.6  # what of a core may be used in the busiest hour


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of an installation; `users` are those who watch at the same time in the busiest hour."""

    tickers: int
    items_per_day: float
    users: int
    keep_days: int = 365


@dataclass(frozen=True, slots=True)
class Need:
    """What a load needs in its busiest hour; disk is for all that is kept, network for a month."""

    scores_per_day: float
    buckets_per_day: float
    commits_per_day: float
    ingest_cores: float
    rollup_cores: float
    answer_cores: float
    stream_cores: float
    cores: float
    web_processes: int
    memory_mb: float
    disk_bytes: float
    network_bytes_per_month: float
    bottleneck: str
    used_share: float


def need(load: Load, costs: Costs) -> Need:
    """What `load` needs. All of it grows with items, users and days; buckets and disk grow with tickers too."""
    scores = load.items_per_day * TICKERS_PER_ITEM
    peak_per_s = BUSIEST_HOUR_TIMES / DAY_S
    buckets = _buckets_per_day(scores, load.tickers)
    ingest = load.items_per_day * peak_per_s * (costs.ingest_cpu_s_per_million + costs.push_cpu_s_per_million) / 1e6
    rounds_per_s = min(1 / ROLLUP_EVERY_S, scores * peak_per_s)
    # Each round folds what is new and writes the touched partitions of the day again.
    rollup = rounds_per_s * costs.rollup_round_cpu_s + scores * peak_per_s * costs.rebuild_cpu_s_per_million / 1e6
    question_cpu_ms = CACHED_SHARE * costs.cached_cpu_ms + (1 - CACHED_SHARE) * costs.uncached_cpu_ms
    answers = load.users * QUESTIONS_PER_VIEWER_HOUR / 3_600 * question_cpu_ms / 1e3
    # How much of the time a stream has something to send, against one that always has, of the measured size.
    viewed = min(VIEWED_TICKERS, load.tickers)
    changes_per_s = scores * peak_per_s * viewed / load.tickers
    busy = (1 - math.exp(-changes_per_s / SENDS_PER_S)) * max(1.0, viewed / SENT_EVENTS)
    streams = load.users * busy * costs.stream_cpu_ms_per_viewer_s / 1e3
    web_cores = answers + streams + load.items_per_day * peak_per_s * costs.push_cpu_s_per_million / 1e6
    processes = max(1, math.ceil(load.users / STREAMS_PER_PROCESS), math.ceil(web_cores / CORE_SHARE))
    cores = ingest + rollup + answers + streams + processes * costs.idle_cpu
    kept_bytes = load.keep_days * (scores * costs.bytes_per_score + buckets * costs.bytes_per_bucket)
    mean_busy = (1 - math.exp(-changes_per_s / BUSIEST_HOUR_TIMES / SENDS_PER_S)) * max(1.0, viewed / SENT_EVENTS)
    viewer_day_bytes = PAGE_BYTES + VIEWING_HOURS_PER_DAY * (
        QUESTIONS_PER_VIEWER_HOUR * costs.answer_bytes + 3_600 * mean_busy * costs.stream_bytes_per_viewer_s
    )
    shares = {
        "the one writer of scores": ingest / CORE_SHARE,
        "the one rollup": rollup / CORE_SHARE,
        "answers of one web process": answers / CORE_SHARE,
        "streams of one web process": max(streams / CORE_SHARE, load.users / STREAMS_PER_PROCESS),
        "the disk of one machine": kept_bytes / 2e12,
    }
    bottleneck = max(shares, key=lambda name: shares[name])
    return Need(
        scores_per_day=scores,
        buckets_per_day=buckets,
        commits_per_day=min(load.items_per_day, DAY_S) + min(DAY_S / ROLLUP_EVERY_S, scores),
        ingest_cores=ingest,
        rollup_cores=rollup,
        answer_cores=answers,
        stream_cores=streams,
        cores=cores,
        web_processes=processes,
        memory_mb=SYSTEM_MB + OTHER_PROCESSES_MB + processes * costs.web_mb,
        disk_bytes=kept_bytes,
        network_bytes_per_month=30 * load.users * viewer_day_bytes,
        bottleneck=bottleneck,
        used_share=shares[bottleneck],
    )


def _buckets_per_day(scores: float, tickers: int) -> float:
    """How many buckets a day has, were the scores spread evenly: an upper bound, for real ones come in bursts."""
    each = scores / tickers
    slots = [DAY_S / resolution.seconds for resolution in RESOLUTIONS]
    return tickers * sum(count * -math.expm1(-each / count) for count in slots)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of machine with typical list prices in US dollars a month: examples of PRICES_OF, not offers."""

    name: str
    sizes: tuple[tuple[float, float, float], ...]  # cores that may be used all the time, GB of memory, price
    included_disk_gb: float
    disk_usd_per_gb: float
    included_network_gb: float
    network_usd_per_gb: float


PRICES_OF = "2026-11"
KINDS = (
    Kind("budget virtual server", ((1.5, 4, 8), (3, 8, 15), (6, 16, 30), (12, 32, 60)), 80, 0.05, 10_000, 0.002),
    Kind("burstable cloud machine", ((0.4, 4, 30), (0.8, 8, 60), (1.6, 16, 120), (3.2, 32, 240)), 0, 0.09, 100, 0.09),
    Kind("general cloud machine, ARM", ((1, 4, 25), (2, 8, 50), (4, 16, 100), (16, 64, 400)), 0, 0.09, 100, 0.09),
)


@dataclass(frozen=True, slots=True)
class Bill:
    """A month on one kind of machine."""

    kind: str
    machines: int
    machine_usd: float
    disk_usd: float
    network_usd: float
    total_usd: float


def bill(needed: Need, kind: Kind) -> Bill:
    """A month of what is needed on this kind: the smallest size that holds it, else so many of the largest."""
    counts = {
        size: max(math.ceil(needed.cores / (size[0] * CORE_SHARE)), math.ceil(needed.memory_mb / 1_000 / size[1]))
        for size in kind.sizes
    }
    size = next((size for size, count in counts.items() if count == 1), kind.sizes[-1])
    machines = counts[size]
    disk_usd = max(0.0, needed.disk_bytes / 1e9 + 10 - kind.included_disk_gb) * kind.disk_usd_per_gb
    beyond_gb = needed.network_bytes_per_month / 1e9 - kind.included_network_gb * machines
    network_usd = max(0.0, beyond_gb) * kind.network_usd_per_gb
    machine_usd = machines * size[2]
    return Bill(kind.name, machines, machine_usd, disk_usd, network_usd, machine_usd + disk_usd + network_usd)
