"""Stored texts, for scoring them again: each (item, ticker) once, whoever scored it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dashapp.store.reader import Reader, View
from dashapp.store.schema import SCORE_INPUT_SCHEMA
from dashapp.store.tables import paths

# Of several scorers' rows of one (item, ticker) the one that was accepted first has the text.
_SQL = """
SELECT item_id, ticker, published_us, source, text, url, relevance, story_id,
    bool_or(scorer = $scorer) OVER (PARTITION BY item_id, ticker) AS is_known
FROM read_parquet($files) WHERE published_us >= $start_us AND published_us < $end_us
QUALIFY row_number() OVER (PARTITION BY item_id, ticker ORDER BY position) = 1
ORDER BY published_us, item_id, ticker"""


@dataclass(frozen=True, slots=True)
class Unscored:
    """Rows that a scorer has not scored and that have a text; how many it has, and how many are without a text."""

    rows: pa.Table
    known: int
    without_text: int

    @property
    def texts(self) -> list[str]:
        """Their texts, in order."""
        texts: list[str] = self.rows.column("text").to_pylist()
        return texts

    def scored(self, scorer: str, scores_e6: NDArray[np.int32], confidences: Sequence[float | None]) -> pa.Table:
        """The rows with these scores by this scorer, as rows of SCORE_INPUT_SCHEMA."""
        made = {
            "scorer": pa.repeat(scorer, self.rows.num_rows),
            "score_e6": pa.array(scores_e6),
            "confidence": pa.array(confidences, pa.float64()),
        }
        columns = [made[name] if name in made else self.rows.column(name) for name in SCORE_INPUT_SCHEMA.names]
        return pa.table(columns, names=SCORE_INPUT_SCHEMA.names).cast(SCORE_INPUT_SCHEMA)


def unscored(reader: Reader, view: View, scorer: str, start_us: int, end_us: int) -> Unscored:
    """What was published in [start_us, end_us) and this scorer has not scored, by time, item id and ticker."""
    files = [
        file
        for file in view.score_files
        if file.bounds["published_us"][0] < end_us and file.bounds["published_us"][1] >= start_us
    ]
    params: dict[str, Any] = {"files": paths(files), "scorer": scorer, "start_us": start_us, "end_us": end_us}
    rows = reader.table(_SQL, params) if files else SCORE_INPUT_SCHEMA.empty_table()
    if not files:
        return Unscored(rows, 0, 0)
    is_known: NDArray[np.bool_] = rows.column("is_known").to_numpy()
    has_text = np.array([bool(text) for text in rows.column("text").to_pylist()], dtype=np.bool_)
    wanted = rows.filter(pa.array(~is_known & has_text))
    return Unscored(wanted, int(is_known.sum()), int((~is_known & ~has_text).sum()))
