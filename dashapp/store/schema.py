"""The columns of the two tables, with their units; data/README.md says what they mean."""

from __future__ import annotations

import pyarrow as pa

# What a sender of scores provides. `score_e6` is in millionths; times are microseconds since 1970 UTC.
SCORE_INPUT_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("scorer", pa.string(), nullable=False),
        pa.field("published_us", pa.int64(), nullable=False),
        pa.field("score_e6", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("confidence", pa.float64()),
        pa.field("relevance", pa.float64()),
        pa.field("story_id", pa.string()),
    ]
)
SCORE_TABLE_SCHEMA = pa.schema(
    [
        pa.field("date", pa.date32(), nullable=False),
        *SCORE_INPUT_SCHEMA,
        pa.field("label", pa.string(), nullable=False),
        pa.field("accepted_us", pa.int64(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
    ]
)

# A row is one `dashapp.model.bucket.Bucket`; resolution and period are the partition.
BUCKET_ROW_SCHEMA = pa.schema(
    [
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("scorer", pa.string(), nullable=False),
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("open_e6", pa.int32(), nullable=False),
        pa.field("open_us", pa.int64(), nullable=False),
        pa.field("open_item_id", pa.string(), nullable=False),
        pa.field("high_e6", pa.int32(), nullable=False),
        pa.field("low_e6", pa.int32(), nullable=False),
        pa.field("close_e6", pa.int32(), nullable=False),
        pa.field("close_us", pa.int64(), nullable=False),
        pa.field("close_item_id", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("sum_e6", pa.int64(), nullable=False),
        pa.field("sumsq_e12", pa.decimal128(38, 0), nullable=False),
        pa.field("positive", pa.int64(), nullable=False),
        pa.field("neutral", pa.int64(), nullable=False),
        pa.field("negative", pa.int64(), nullable=False),
        pa.field("sources", pa.list_(pa.string()), nullable=False),
        pa.field("first_position", pa.int64(), nullable=False),
        pa.field("last_position", pa.int64(), nullable=False),
    ]
)
# The same rows on their way into a file and out of it: recurring texts as numbers of a dictionary, which spares writer
# and reader to look up each text. In a file both look the same.
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_ENCODED_TYPES = {"ticker": _ENCODED, "scorer": _ENCODED, "sources": pa.list_(_ENCODED)}


def encoded(schema: pa.Schema) -> pa.Schema:
    """These columns on their way into files and out of them."""
    return pa.schema([field.with_type(_ENCODED_TYPES.get(field.name, field.type)) for field in schema])


ENCODED_BUCKET_ROW_SCHEMA = encoded(BUCKET_ROW_SCHEMA)
BUCKET_TABLE_SCHEMA = pa.schema(
    [
        pa.field("resolution", pa.string(), nullable=False),
        pa.field("period", pa.string(), nullable=False),
        *BUCKET_ROW_SCHEMA,
    ]
)

# Between the names of sources where several are one text: a control character, which no source has.
SOURCE_SEPARATOR = chr(31)
