"""DuckDB: the one engine that folds, merges and reads, as an in-memory session over Parquet files.

SQL texts here are constants; values go in as parameters. The one thing formatted into a text is the width of a
resolution, a number out of our own table: as a parameter it costs `time_bucket` its constant path (measured: three
times the whole fold).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from numpy.typing import NDArray

from dashapp.errors import StoreDamaged, StoreError
from dashapp.model.resolution import RESOLUTIONS, Resolution
from dashapp.model.score import LABEL_THRESHOLD_E6


class Duck:
    """A DuckDB session; `cursor()` is safe to call from any thread, a cursor belongs to one thread at a time."""

    def __init__(self, *, threads: int, memory_bytes: int, spill_dir: Path) -> None:
        self._memory_bytes = memory_bytes
        self._spill_dir = spill_dir
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{memory_bytes}B",
                "temp_directory": str(spill_dir),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        # Files of the store never change once written, so what their footers said stays true.
        self._connection.execute("SET parquet_metadata_cache = true")

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A cursor with its own temporary tables, closed at the end."""
        raw = self._connection.cursor()
        try:
            yield Cursor(raw)
        except duckdb.InterruptException as error:
            raise StoreError("The query took too long and was stopped; ask for a shorter range.") from error
        except duckdb.OutOfMemoryException as error:
            raise StoreError("The query needs more memory than the setting duckdb_memory_bytes allows.") from error
        except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
            raise  # our SQL is wrong, not the store
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0]
            raise StoreDamaged(f"A file of the store cannot be read: {first_line}") from error
        finally:
            raw.close()

    def single(self) -> Duck:
        """Another session whose queries run on the thread that asks, and on no other.

        For where several threads ask at once anyway: DuckDB's own would only get in their way (measured on a rebuild of
        10 million scores: 9.2 s of processor time against 7.8 s).
        """
        return Duck(threads=1, memory_bytes=self._memory_bytes, spill_dir=self._spill_dir)

    def close(self) -> None:
        """End the session."""
        self._connection.close()


class Cursor:
    """One DuckDB cursor."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query, as tuples."""
        return self._raw.execute(sql, dict(params or {})).fetchall()

    def table(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """All rows of a query, as an Arrow table."""
        return self._raw.sql(sql, params=dict(params or {})).to_arrow_table()

    def arrays(self, sql: str) -> list[NDArray[Any]]:
        """The columns of a query without nulls; 2 ms less than as an Arrow table."""
        return list(self._raw.execute(sql).fetchnumpy().values())

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name."""
        self._raw.register(name, table)

    @contextmanager
    def limited(self, timeout_ms: int) -> Iterator[None]:
        """Stop what runs inside after this time."""
        timer = threading.Timer(timeout_ms / 1000, self._raw.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def bucket_start(column: str, resolution: Resolution) -> str:
    """SQL for the start, in microseconds, of the bucket that holds the moment in `column`."""
    return f"epoch_us(time_bucket(INTERVAL '{resolution.seconds:d} seconds', make_timestamp({column})))"


# The columns of a scores file that a fold reads.
FOLD_COLUMNS = ("ticker", "scorer", "published_us", "item_id", "score_e6", "source", "position")
_FOLD_COLUMNS = ", ".join(FOLD_COLUMNS)

# What brings rows into the order that decides open and close. `ord` compares within one date only, which is enough: no
# bucket is longer than a day. Comparing integers is what makes arg_min fast (measured on 10 million scores: 2.3 s
# against 3.7 s with (published_us, item_id) as the key).
ORD = "row_number() OVER (ORDER BY ticker, scorer, published_us, item_id) AS ord"
IN_ORDER_SQL = f"""
    SELECT {_FOLD_COLUMNS} FROM read_parquet($files) WHERE position >= $from_position
    ORDER BY time_bucket(INTERVAL '1 day', make_timestamp(published_us)), ticker, scorer, published_us, item_id"""

# The bucket of each resolution, a column each, that holds `moment_us` of the table `moments`, in its order.
BUCKET_STARTS_SQL = f"""
    SELECT {", ".join(f'{bucket_start("moment_us", each)} AS "{each.name}"' for each in RESOLUTIONS)} FROM moments"""

_LABEL_COUNTS = f"""
        count_if(score_e6 >= {LABEL_THRESHOLD_E6:d})::BIGINT AS positive,
        count_if(abs(score_e6) < {LABEL_THRESHOLD_E6:d})::BIGINT AS neutral,
        count_if(score_e6 <= -{LABEL_THRESHOLD_E6:d})::BIGINT AS negative"""


def fold_sql(rows: str, resolution: Resolution) -> str:
    """SQL that folds score rows with `ord` into buckets."""
    return f"""
    SELECT ticker, scorer, {bucket_start("published_us", resolution)} AS start_us,
        arg_min(score_e6, ord) AS open_e6, min(published_us) AS open_us, arg_min(item_id, ord) AS open_item_id,
        max(score_e6) AS high_e6, min(score_e6) AS low_e6,
        arg_max(score_e6, ord) AS close_e6, max(published_us) AS close_us, arg_max(item_id, ord) AS close_item_id,
        count(*) AS count, sum(score_e6)::BIGINT AS sum_e6, sum(score_e6::BIGINT * score_e6) AS sumsq_e12,
        {_LABEL_COUNTS},
        list_sort(list(DISTINCT source)) AS sources, min(position) AS first_position, max(position) AS last_position
    FROM ({rows}) GROUP BY ALL"""
