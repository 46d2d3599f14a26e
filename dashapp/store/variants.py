"""Reading variants: buckets of some of the texts only, folded from the raw scores when they are asked for.

Nothing of them is stored, so there is nothing that could differ from the scores. It costs reading the scores of the
range, and of the day before it where reprints are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.model.resolution import RESOLUTIONS, floor_us
from dashapp.model.time import US_PER_DAY, EpochUs
from dashapp.model.variant import LEAST_RELEVANCE, REPRINT_US, Variant
from dashapp.store.duck import FOLD_COLUMNS
from dashapp.store.tables import DataFile

if TYPE_CHECKING:
    from dashapp.store.reader import View

# Reads columns of the rows with their time in a range, of the tickers and the scorer of the question.
Read = Callable[[Sequence[str], int, int], pa.Table]


def counted_scores(read: Read, variant: Variant, start_us: int, end_us: int, limit: int | None) -> pa.Table:
    """The scores published in [start_us, end_us) that a variant counts: the columns a fold reads, unordered.

    With a limit as if only those of lower positions had come.
    """
    more = [name for name, is_read in (("story_id", variant.once), ("relevance", variant.relevant)) if is_read]
    rows = read((*FOLD_COLUMNS, *more), from_us(variant, start_us), end_us)
    if limit is not None:
        rows = rows.filter(pc.less(rows.column("position"), limit))
    if variant.relevant:
        rows = rows.filter(pc.fill_null(pc.greater_equal(rows.column("relevance"), LEAST_RELEVANCE), True))
    if variant.once:
        rows = rows.filter(pa.array(~reprints(rows))).filter(pc.field("published_us") >= start_us)
    return rows.select(FOLD_COLUMNS)


def reprints(rows: pa.Table) -> NDArray[np.bool_]:
    """Which of the rows are reprints of one among them.

    Most stories are told once; only the rows of the others are put in order, which compares ids as texts.
    """
    found = np.zeros(rows.num_rows, dtype=np.bool_)
    story = _numbers(rows.column("story_id"))
    told = np.flatnonzero(story >= 0)
    if not len(told):
        return found
    for name in ("ticker", "scorer"):
        texts = _numbers(rows.column(name))
        story = story * (int(texts.max()) + 1) + texts
    _, which, times = np.unique(story[told], return_inverse=True, return_counts=True)
    again = told[times[which] > 1]
    again = again[np.argsort(rows.column("item_id").take(pa.array(again)).to_numpy(zero_copy_only=False))]
    published_us = rows.column("published_us").to_numpy()
    again = again[np.lexsort((published_us[again], story[again]))]  # stable, so ties stay by item id
    same = story[again][1:] == story[again][:-1]
    found[again[1:][same & (np.diff(published_us[again]) < REPRINT_US)]] = True
    return found


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Equal numbers for equal texts, from 0; -1 where there is none."""
    encoded = column.combine_chunks().dictionary_encode()
    numbers: NDArray[np.int64] = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def from_us(variant: Variant, start_us: int) -> int:
    """From when on scores decide which of those at `start_us` and later a variant counts."""
    return start_us - REPRINT_US if variant.once else start_us


def files_between(view: View, start_us: int, end_us: int) -> list[DataFile]:
    """The files that may hold scores published in [start_us, end_us)."""
    return [
        file
        for file in view.score_files
        if file.bounds["published_us"][0] < end_us and file.bounds["published_us"][1] >= start_us
    ]


def complete_from(view: View, variant: Variant) -> EpochUs | None:
    """From when on a variant can be told, where older buckets are kept longer than their scores; None: from ever.

    Buckets of 24h tell how far back the store goes, the files of scores how far back it can be counted anew.
    """
    days = [file.bounds["start_us"][0] for file in view.bucket_files.get(RESOLUTIONS[-1].name, ())]
    scores = [file.bounds["published_us"][0] for file in view.score_files]
    if variant.is_all or not days or not scores:
        return None
    # Of what was reopened only some scores are here.
    first_us = max(floor_us(min(scores), RESOLUTIONS[-1]), view.sealed_us)
    if min(days) >= first_us:
        return None
    return EpochUs(first_us + (US_PER_DAY if variant.once else 0))
