"""Verify: every bucket, recomputed from the raw scores by another way, against what readers are shown.

The other way is this file: NumPy over sorted scores, each resolution straight from the scores. It shares no code with
the fold it judges (DuckDB's GROUP BY, coarser from finer, merged into what was stored). Work goes month by month; no
bucket spans two. What retention has sealed or dropped has no scores to compare with, and is left out.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashapp.model.resolution import RESOLUTIONS, Resolution, parse_resolution
from dashapp.model.score import LABEL_THRESHOLD_E6
from dashapp.model.time import MAX_US, US_PER_DAY, EpochUs, date_of, from_datetime, to_datetime, to_iso
from dashapp.model.variant import LEAST_RELEVANCE, REPRINT_US, VARIANTS, Variant
from dashapp.store.reader import Reader, View
from dashapp.store.schema import SOURCE_SEPARATOR
from dashapp.store.variants import complete_from

Columns = dict[str, NDArray[Any]]

WORST = 10

_VARIANTS_AT = parse_resolution("1h")
_BITS = 62  # sources to a mask: what an int64 holds without its sign
_MILLION = 1_000_000
_NUMBERS = (
    "open_e6", "open_us", "high_e6", "low_e6", "close_e6", "close_us", "count", "sum_e6",
    "positive", "neutral", "negative", "first_position", "last_position",
)  # fmt: skip
SUMSQ_PARTS = ("sumsq_high", "sumsq_low")


@dataclass(slots=True)
class Verification:
    """`checked`: buckets that exist on either side, `checked_variants` those of variants; `differ`: those of both that
    are not the same; `worst`: some of them, in words. `sealed`: buckets that are all that is left of their scores, and
    so were not checked."""

    checked: int = 0
    checked_variants: int = 0
    differ: int = 0
    sealed: int = 0
    worst: list[str] = field(default_factory=list)


def verify(
    reader: Reader,
    *,
    spans: Callable[[View], Iterable[tuple[EpochUs, EpochUs]]] | None = None,
    progress: Callable[[str], None] = lambda date: None,
) -> Verification:
    """Recompute and compare all buckets of all resolutions, and those of 1h of all variants; about a million scores a
    second and core.

    Variants differ in which scores they count, and share the rest, so one resolution tells. `spans` chooses stretches
    of whole days to check, by default all months with anything in them. `progress` is told of each (YYYY-MM-DD) before
    it is checked.
    """
    view = reader.view()
    result, of_variants = Verification(), Verification()
    result.sealed = reader.sealed_buckets(view)
    for start_us, end_us in (spans or months)(view):
        start_us = EpochUs(max(start_us, view.sealed_us))
        if start_us >= end_us:
            continue
        progress(date_of(start_us))
        names = _Names()
        # With the day before, since what was told then is a reprint now.
        known = _sorted_scores(reader.scores(view, start_us - REPRINT_US, end_us), names)
        scores = _taken(known, known["published_us"] >= start_us)
        for resolution in RESOLUTIONS:
            shown = _shown_buckets(reader.audit(view, resolution, start_us, end_us), names)
            expected = _recomputed(scores, resolution, names)
            is_kept = expected["start_us"] >= view.kept_from_us[resolution.name]
            expected = {name: values[is_kept] for name, values in expected.items()}
            _compare(expected, shown, resolution.name, names, result)
        for variant in VARIANTS[1:]:
            from_us = max(start_us, complete_from(view, variant) or start_us)
            counts = _counts(known, variant) & (known["published_us"] >= from_us)
            shown = _shown_buckets(reader.audit(view, _VARIANTS_AT, start_us, end_us, variant), names)
            expected = _recomputed(_taken(known, counts), _VARIANTS_AT, names)
            _compare(expected, shown, f"{_VARIANTS_AT.name} {variant.name}", names, of_variants)
    result.checked_variants = of_variants.checked
    result.differ += of_variants.differ
    result.worst = [*result.worst, *of_variants.worst][:WORST]
    return result


def _taken(scores: Columns, rows: NDArray[np.bool_]) -> Columns:
    return {name: values[rows] for name, values in scores.items()}


def _counts(scores: Columns, variant: Variant) -> NDArray[np.bool_]:
    """Which of the sorted scores a variant counts."""
    counts: NDArray[np.bool_] = np.ones(len(scores["ticker"]), dtype=np.bool_)
    if variant.relevant:
        counts &= ~(scores["relevance"] < LEAST_RELEVANCE)  # which unknown ones, as NaN, are not
    if not variant.once:
        return counts
    told_us: dict[tuple[int, int, int], int] = {}
    rows = np.flatnonzero(counts & (scores["story_id"] >= 0))
    columns = (scores[name][rows].tolist() for name in ("ticker", "scorer", "story_id", "published_us"))
    for row, ticker, scorer, story, published_us in zip(rows.tolist(), *columns, strict=True):
        before_us = told_us.get((ticker, scorer, story))
        counts[row] = before_us is None or published_us - before_us >= REPRINT_US
        told_us[ticker, scorer, story] = published_us
    return counts


def sample(days: int, chance: random.Random) -> Callable[[View], list[tuple[EpochUs, EpochUs]]]:
    """Spans for `verify`: so many of the days that have scores, at random, and the newest one."""

    def choose(view: View) -> list[tuple[EpochUs, EpochUs]]:
        dates = sorted({file.bounds["published_us"][0] // US_PER_DAY for file in view.score_files})
        chosen = {*dates[-1:], *chance.sample(dates, min(days, len(dates)))}
        return [(EpochUs(day * US_PER_DAY), EpochUs((day + 1) * US_PER_DAY)) for day in sorted(chosen)]

    return choose


class _Names:
    """Texts as numbers: each ticker, scorer and source once."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.text: list[str] = []

    def encode(self, column: Any) -> NDArray[np.int64]:
        """The numbers of an Arrow column of texts; -1 where there is none."""
        encoded = column.combine_chunks().dictionary_encode()
        numbers = [*(self.number_of(text) for text in encoded.dictionary.to_pylist()), -1]
        indices = encoded.indices.fill_null(len(numbers) - 1).to_numpy()
        codes: NDArray[np.int64] = np.asarray(numbers, dtype=np.int64)[indices]
        return codes

    def number_of(self, text: str) -> int:
        """The number of one text."""
        if text not in self.number:
            self.number[text] = len(self.text)
            self.text.append(text)
        return self.number[text]


def months(view: View) -> Iterator[tuple[EpochUs, EpochUs]]:
    """The months that any score or bucket falls in, ascending."""
    days: set[int] = set()
    for file, bound in (
        *((file, "published_us") for file in view.score_files),
        *((file, "start_us") for files in view.bucket_files.values() for file in files),
    ):
        low, high = file.bounds[bound]
        days.update(range(low // US_PER_DAY, high // US_PER_DAY + 1))
    months = {(moment.year, moment.month) for moment in (to_datetime(day * US_PER_DAY) for day in days)}
    for year, month in sorted(months):
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        end_us = from_datetime(datetime(*following, 1, tzinfo=UTC)) if following[0] <= 9999 else EpochUs(MAX_US + 1)
        yield from_datetime(datetime(year, month, 1, tzinfo=UTC)), end_us


def _sorted_scores(table: Any, names: _Names) -> Columns:
    """The scores by ticker, scorer, published time and item id."""
    columns: Columns = {name: table.column(name).to_numpy() for name in ("published_us", "score_e6", "position")}
    columns = {name: values.astype(np.int64) for name, values in columns.items()}
    columns |= {name: names.encode(table.column(name)) for name in ("ticker", "scorer", "source", "story_id")}
    columns["relevance"] = table.column("relevance").to_numpy()
    item_id = table.column("item_id").to_numpy(zero_copy_only=False)
    order = np.lexsort((columns["published_us"], columns["scorer"], columns["ticker"]))
    keys = [columns[name][order] for name in ("ticker", "scorer", "published_us")]
    # Ties are few; only they are ordered by their ids.
    tied = np.flatnonzero(np.logical_and.reduce([key[1:] == key[:-1] for key in keys])) if len(order) else order
    for _, run in itertools.groupby(enumerate(tied.tolist()), lambda pair: pair[1] - pair[0]):
        rows = [row for _, row in run]
        run_rows = slice(rows[0], rows[-1] + 2)
        order[run_rows] = sorted(order[run_rows], key=lambda row: item_id[row])
    ordered = {name: values[order] for name, values in columns.items()}
    return {**ordered, "item_id": item_id[order]}


def _recomputed(scores: Columns, resolution: Resolution, names: _Names) -> Columns:
    """The buckets of sorted scores."""
    start_us = np.floor_divide(scores["published_us"], resolution.width_us) * resolution.width_us
    keys = (scores["ticker"], scores["scorer"], start_us)
    if not len(start_us):
        first = np.zeros(0, dtype=np.int64)
    else:
        changes = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
        first = np.concatenate([[0], np.flatnonzero(changes) + 1])
    last = np.concatenate([first[1:], [len(start_us)]])[: len(first)] - 1
    value = scores["score_e6"]
    squares = value * value

    def reduce(how: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        return how.reduceat(values, first) if len(first) else values[:0]

    sumsq_low = reduce(np.add, squares % _MILLION)
    positive = reduce(np.add, (value >= LABEL_THRESHOLD_E6).astype(np.int64))
    negative = reduce(np.add, (value <= -LABEL_THRESHOLD_E6).astype(np.int64))
    count = last - first + 1
    columns: Columns = {
        "ticker": scores["ticker"][first],
        "scorer": scores["scorer"][first],
        "start_us": start_us[first],
        "open_e6": value[first],
        "open_us": scores["published_us"][first],
        "open_item_id": scores["item_id"][first],
        "high_e6": reduce(np.maximum, value),
        "low_e6": reduce(np.minimum, value),
        "close_e6": value[last],
        "close_us": scores["published_us"][last],
        "close_item_id": scores["item_id"][last],
        "count": count,
        "sum_e6": reduce(np.add, value),
        "sumsq_high": reduce(np.add, squares // _MILLION) + sumsq_low // _MILLION,
        "sumsq_low": sumsq_low % _MILLION,
        "positive": positive,
        "neutral": count - positive - negative,
        "negative": negative,
        "first_position": reduce(np.minimum, scores["position"]),
        "last_position": reduce(np.maximum, scores["position"]),
    }
    columns["sources"] = _source_lists(scores["source"], reduce, len(first), names)
    return columns


def _source_lists(
    source: NDArray[Any], reduce: Callable[[np.ufunc, NDArray[Any]], NDArray[Any]], buckets: int, names: _Names
) -> NDArray[Any]:
    """For each bucket the number of the text that lists its distinct sources, sorted."""
    present = np.unique(source)
    masks = np.zeros((buckets, -(-len(present) // _BITS)), dtype=np.int64)
    place = np.searchsorted(present, source)
    for block in range(masks.shape[1]):
        inside = place // _BITS == block
        bits = np.where(inside, np.left_shift(np.int64(1), place % _BITS), 0)
        masks[:, block] = reduce(np.bitwise_or, bits)
    sets, which = np.unique(masks, axis=0, return_inverse=True)
    texts = []
    for row in sets.tolist():
        members = [block * _BITS + bit for block, mask in enumerate(row) for bit in range(_BITS) if mask >> bit & 1]
        texts.append(SOURCE_SEPARATOR.join(sorted(names.text[present[member]] for member in members)))
    return np.asarray([names.number_of(text) for text in texts], dtype=np.int64)[which.reshape(-1)]


def _shown_buckets(table: Any, names: _Names) -> Columns:
    """The buckets a reader is shown, by ticker, scorer and start."""
    columns: Columns = {
        name: table.column(name).to_numpy().astype(np.int64) for name in ("start_us", *_NUMBERS, *SUMSQ_PARTS)
    }
    columns |= {name: names.encode(table.column(name)) for name in ("ticker", "scorer", "sources")}
    columns |= {name: table.column(name).to_numpy(zero_copy_only=False) for name in ("open_item_id", "close_item_id")}
    order = np.lexsort((columns["start_us"], columns["scorer"], columns["ticker"]))
    return {name: values[order] for name, values in columns.items()}


def _compare(expected: Columns, shown: Columns, what: str, names: _Names, result: Verification) -> None:
    keys = ("ticker", "scorer", "start_us")
    shown = _each_once(shown, keys, what, names, result)
    same_keys = len(expected["ticker"]) == len(shown["ticker"]) and all(
        np.array_equal(expected[name], shown[name]) for name in keys
    )
    if not same_keys:
        rows_expected, rows_shown = (
            {key: row for row, key in enumerate(zip(*(side[name].tolist() for name in keys), strict=True))}
            for side in (expected, shown)
        )
        for how, here, there in (
            ("is missing", rows_expected, rows_shown),
            ("has no scores", rows_shown, rows_expected),
        ):
            alone = [key for key in here if key not in there]
            result.differ += len(alone)
            result.checked += len(alone)
            _describe(result, (f"{_place(key, what, names)} {how}" for key in alone))
        common = [key for key in rows_expected if key in rows_shown]
        expected = {name: values[[rows_expected[key] for key in common]] for name, values in expected.items()}
        shown = {name: values[[rows_shown[key] for key in common]] for name, values in shown.items()}
    unequal = {name: expected[name] != shown[name] for name in shown if name not in keys}
    wrong = np.flatnonzero(np.logical_or.reduce(list(unequal.values()))).tolist()
    result.checked += len(expected["ticker"])
    result.differ += len(wrong)
    _describe(result, (_difference(row, unequal, expected, shown, what, names) for row in wrong))


def _each_once(shown: Columns, keys: Sequence[str], what: str, names: _Names, result: Verification) -> Columns:
    """The buckets without those that are shown a second time, which are counted as differing."""
    repeated = np.zeros(len(shown["ticker"]), dtype=np.bool_)
    repeated[1:] = np.logical_and.reduce([shown[name][1:] == shown[name][:-1] for name in keys])
    if not repeated.any():
        return shown
    rows = zip(*(shown[name][repeated].tolist() for name in keys), strict=True)
    result.checked += int(repeated.sum())
    result.differ += int(repeated.sum())
    _describe(result, (f"{_place(key, what, names)} is shown twice" for key in rows))
    return {name: values[~repeated] for name, values in shown.items()}


def _describe(result: Verification, texts: Iterator[str]) -> None:
    result.worst += itertools.islice(texts, WORST - len(result.worst))


def _difference(row: int, unequal: Columns, expected: Columns, shown: Columns, what: str, names: _Names) -> str:
    key = tuple(int(expected[name][row]) for name in ("ticker", "scorer", "start_us"))
    fields = []
    for name, differs in unequal.items():
        if differs[row]:
            right, wrong = expected[name][row], shown[name][row]
            if name == "sources":
                right, wrong = (names.text[number].split(SOURCE_SEPARATOR) for number in (right, wrong))
            fields.append(f"{name} is {wrong}, the scores say {right}")
    return f"{_place(key, what, names)}: {'; '.join(fields)}"


def _place(key: tuple[int, ...], what: str, names: _Names) -> str:
    ticker, scorer, start_us = key
    return f"{names.text[ticker]} {what} {to_iso(start_us)} ({names.text[scorer]})"
