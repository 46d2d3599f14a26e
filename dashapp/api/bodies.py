"""The bodies of answers, for the OpenAPI document. Answers are made in `dashapp.query`; tests hold them to these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dashapp.api.negotiate import MEDIA_TYPES
from dashapp.model.score import Label

_Score = Field(ge=-1, le=1)
_COMPLETE_FROM = "A variant has no candles before this: their texts are not kept; null where they all are"


class Body(BaseModel):
    """A body has these members and no others."""

    model_config = ConfigDict(extra="forbid")


class Problem(Body):
    """An error: a fixed word for programs, a sentence for people, and the values it is about."""

    error: str
    message: str
    details: dict[str, Any]


class LabelCounts(Body):
    """The scores of a bucket by label; they add up to its count."""

    positive: int
    neutral: int
    negative: int


class Bucket(Body):
    """The scores of one ticker in one interval: a candle."""

    ticker: str
    resolution: str
    timestamp: str = Field(description="Start of the interval, inclusive")
    open: float = _Score
    high: float = _Score
    low: float = _Score
    close: float = _Score
    count: int = Field(ge=1)
    sum: float
    avg: float = _Score
    label_counts: LabelCounts
    sources: list[str]
    revision: int = Field(description="The store's version at which it last changed")
    is_partial: bool


class PartialBucket(Bucket):
    """The bucket whose interval is not over yet."""

    progress_pct: float = Field(ge=0, lt=100)
    next_update_at: str = Field(description="The end of the interval")


class Page(Body):
    """What every answer with rows says about itself."""

    next_cursor: str | None
    has_more: bool
    cache_hit: bool
    query_time_ms: float
    revision: int = Field(description="The store's version that the answer is of")


class Range(Page):
    """What every answer about a range says."""

    resolution: str
    scorer: str
    variant: str
    complete_from: str | None = Field(description=_COMPLETE_FROM)
    start: str
    end: str


class Rows(Body):
    """The candles of one ticker: closed ones, ascending, and the open one."""

    ticker: str
    buckets: list[Bucket]
    partial_bucket: PartialBucket | None


class Timeseries(Range, Rows):
    """The candles of one ticker."""


class TimeseriesOfMany(Range):
    """The candles of several tickers."""

    series: list[Rows]


class Columns(Body):
    """The candles of one ticker as arrays of equal length, ascending; the first `closed` ones are closed."""

    ticker: str
    closed: int
    start_ms: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    count: list[int]
    sum: list[float]
    avg: list[float]
    positive: list[int]
    neutral: list[int]
    negative: list[int]
    revisions: list[int]
    sources: list[int] = Field(description="For each candle the place of its sources in `source_sets`")
    source_sets: list[list[str]]


class ColumnsOfOne(Range, Columns):
    """The candles of one ticker as arrays."""


class ColumnsOfMany(Range):
    """The candles of several tickers as arrays."""

    series: list[Columns]


class Word(Body):
    """One word of a text, and what it did to the score; the shares of all words add up to the score."""

    word: str
    share: float


class Item(Body):
    """One text as it was scored for the ticker."""

    id: str
    ticker: str
    published: str
    accepted: str
    scorer: str
    score: float = _Score
    label: Label
    confidence: float | None
    relevance: float | None
    source: str
    url: str | None
    text: str
    story_id: str | None
    counts: bool = Field(description="Whether the variant counts it: it is no reprint, and relevant, as was asked for")
    position: int = Field(description="Orders scores by acceptance; shifted right by 20 bits it is the revision")
    words: list[Word] | None = Field(
        default=None, description="With explain=true: the words of the text in order; null where the scorer cannot tell"
    )


class Items(Page):
    """The texts behind candles, newest first."""

    ticker: str
    scorer: str
    variant: str
    complete_from: str | None = Field(description=_COMPLETE_FROM)
    start: str | None
    end: str | None
    items: list[Item]


class Ticker(Body):
    """What the store holds of a ticker."""

    ticker: str
    scorer: str
    count: int
    first: str
    last: str


class Tickers(Page):
    """The tickers of the store, by name."""

    scorer: str
    scorers: list[str] = Field(description="All that have scores here")
    tickers: list[Ticker]


class Source(Body):
    """How one live source is; counts are since the process that polls it was started."""

    name: str
    is_failing: bool = Field(description="The last poll failed")
    is_overdue: bool = Field(description="The poll that is due was not made: nobody polls at the moment")
    last_poll: str | None
    last_success: str | None
    last_item: str | None = Field(description="When the newest item was published")
    lag_s: float | None = Field(description="How old the newest item was when it was stored")
    last_error: str | None
    last_error_at: str | None
    consecutive_errors: int = Field(description="Polls that failed since the last good one")
    errors: int
    calls: int
    items: int = Field(description="Items accepted")
    duplicates: int
    rejected: int
    ignored: int = Field(description="Rows about no ticker, or none that was asked for")
    next_poll: str | None
    waiting_for: str = Field(description="What the next poll waits for: turn, limit (of calls), failure (a pause)")


class Sources(Body):
    """The live sources, and the server's time."""

    timestamp: str
    sources: list[Source]


class Job(Body):
    """How one job of the store is; counts are for all time."""

    name: str
    is_running: bool
    holder: str | None = Field(description="The machine and process that does it at this moment")
    last_run: str | None = Field(description="When the last run began")
    last_success: str | None = Field(description="When the last run that did not fail ended")
    seconds: float | None = Field(description="How long the last run took")
    lag_s: float | None = Field(description="How long ago it should have begun; null where nothing repeats it")
    next_run: str | None
    did: dict[str, Any] = Field(description="What the last run that did not fail did")
    last_error: str | None
    last_error_at: str | None
    consecutive_errors: int = Field(description="Runs that failed since the last that did not")
    errors: int
    runs: int


class Jobs(Body):
    """The jobs of the store, and the server's time."""

    timestamp: str
    jobs: list[Job]


class Finding(Body):
    """One thing that is wrong."""

    about: str
    severity: Literal["bad", "soon"] = Field(description="Something is not done, or soon will not be")
    what: str
    remedy: str = Field(description="What to do about it")


class Checkup(Body):
    """What is wrong, the worst first, and the server's time."""

    timestamp: str
    findings: list[Finding]


class Health(Body):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(Health):
    """The store can be read."""

    revision: int


def answers(forms: tuple[str, ...], model: type[Body] | None, columns: type[Body] | None = None) -> dict[int, Any]:
    """The `responses` of a route that gives a good answer in these forms: `model` is that of json."""
    content: dict[str, Any] = {}
    for form in forms:
        media_type = MEDIA_TYPES[form].partition(";")[0]
        if form == "json":
            content[media_type] = {}
        elif form == "columns" and columns is not None:
            content[media_type] = {"schema": _inlined(columns.model_json_schema())}
        elif form == "csv":
            content[media_type] = {"schema": {"type": "string"}}
        else:
            content[media_type] = {"schema": {"type": "string", "format": "binary"}}
    good: dict[str, Any] = {"description": "The answer", "content": content, "headers": _HEADERS}
    if model is not None:
        good["model"] = model
    return {200: good, 304: {"description": "What If-None-Match names is still the answer"}}


# For every route: 4XX keeps FastAPI from adding a 422 of its own, which is never sent.
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The question cannot be answered as it is; the body says why"},
    503: {"model": Problem, "description": "The store cannot answer now; try again later"},
}

_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "For If-None-Match"},
    "Tickertone-Revision": {"schema": {"type": "string"}, "description": "The store's version that the answer is of"},
    "Tickertone-Cache": {"schema": {"type": "string", "enum": ["hit", "miss"]}},
    "Tickertone-Next-Cursor": {"schema": {"type": "string"}, "description": "`next_cursor`, where there is more"},
}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with its definitions put where they are referred to, since here they have no place of their own."""
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolved(definitions[node["$ref"].rpartition("/")[2]])
        return {name: resolved(value) for name, value in node.items()}

    whole: dict[str, Any] = resolved(schema)
    return whole
