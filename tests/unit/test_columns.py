"""Columns found and mapped, and rows made into items or rejected with the reason."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from dashapp.errors import BadMapping, RowRejected
from dashapp.ingest.columns import (
    COLUMNS,
    ColumnMapping,
    RowOptions,
    complete_mapping,
    guess_mapping,
    parse_mapping,
    row_to_item,
)
from dashapp.ingest.rejects import MAX_RAW_CHARS, REASONS, raw_of, rejected, shown
from dashapp.model.item import MAX_ID_CHARS, MAX_TEXT_CHARS, Item, Mention

TS = "2014-01-01T03:59:03Z"
TS_US = 1_388_548_743_000_000


def item_of(row: dict[str, object], mapping: str = "", **options: object) -> Item:
    complete = complete_mapping(parse_mapping(mapping), row)
    return row_to_item(row, complete, RowOptions(**options))


def reason_of(row: dict[str, object], mapping: str = "") -> str:
    with pytest.raises(RowRejected) as caught:
        item_of(row, mapping)
    assert REASONS[caught.value.reason] in str(caught.value)
    str(caught.value).encode("utf-8")
    return caught.value.reason


def row(**values: object) -> dict[str, object]:
    return {"id": "1", "ts": TS, "text": "up", "ticker": "AAPL", **values}


# Mappings.


def test_a_mapping_names_columns_and_remembers_which() -> None:
    mapping = parse_mapping("ts=created_at, text=title+summary,ticker=symbols ,score=")
    assert mapping == ColumnMapping(
        ts="created_at", text=("title", "summary"), ticker="symbols", given=frozenset({"ts", "text", "ticker", "score"})
    )


def test_an_empty_mapping_names_nothing() -> None:
    assert parse_mapping(" ") == ColumnMapping()


@pytest.mark.parametrize("text", ["time=x", "ts", "ts=a,,id=b", "=x", "ts=a,ts=b", "ts=a;id=b\ud800,x"])
def test_a_bad_mapping_lists_what_is_allowed_or_what_is_twice(text: str) -> None:
    with pytest.raises(BadMapping) as caught:
        parse_mapping(text)
    assert "twice" in str(caught.value) or all(f"{name}=COLUMN" in str(caught.value) for name in COLUMNS)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["id", "created_at", "ticker", "text"],
            ColumnMapping(id="id", ts="created_at", ticker="ticker", text=("text",)),
        ),
        (  # Tiingo
            ["publishedDate", "title", "url", "description", "source", "tickers", "tags", "crawlDate", "id"],
            ColumnMapping(
                id="id", ts="publishedDate", ticker="tickers", text=("title", "description"), source="source", url="url"
            ),
        ),
        (  # Finnhub
            ["category", "datetime", "headline", "id", "image", "related", "source", "summary", "url"],
            ColumnMapping(
                id="id", ts="datetime", ticker="related", text=("headline", "summary"), source="source", url="url"
            ),
        ),
        (  # Alpaca
            ["id", "headline", "author", "created_at", "updated_at", "summary", "content", "symbols", "source", "url"],
            ColumnMapping(
                id="id", ts="created_at", ticker="symbols", text=("headline", "summary"), source="source", url="url"
            ),
        ),
        (["Published At", "TITLE"], ColumnMapping(ts="Published At", text=("TITLE",))),
        (["date", "time"], ColumnMapping(ts="time")),
        (["Text", "text", "label"], ColumnMapping(text=("Text",))),
        ([], ColumnMapping()),
    ],
)
def test_usual_names_are_guessed_whatever_their_case_and_marks(names: list[str], expected: ColumnMapping) -> None:
    assert guess_mapping(names) == expected


def test_a_given_column_wins_over_a_guess_and_the_rest_is_guessed() -> None:
    complete = complete_mapping(parse_mapping("ts=seen,score="), ["id", "ts", "seen", "score", "text"])
    assert (complete.id, complete.ts, complete.score, complete.text) == ("id", "seen", None, ("text",))


# Items.


def test_a_row_becomes_an_item() -> None:
    assert item_of(
        row(source="Reuters", url="https://x.y/z", sentiment="-0.25", confidence=0.5, relevance="7")
    ) == Item(
        id="1",
        published_us=TS_US,
        text="up",
        mentions=(Mention("AAPL", score=-0.25, confidence=0.5, relevance=7.0),),
        source="Reuters",
        url="https://x.y/z",
        scorer="given@1",
    )


def test_an_item_without_a_score_names_no_scorer_and_one_with_it_the_callers() -> None:
    assert item_of(row()).scorer is None
    assert item_of(row(score=0), scorer="desk@3").scorer == "desk@3"


@pytest.mark.parametrize(
    ("tickers", "expected"),
    [
        ("AAPL", ["AAPL"]),
        ("$aapl", ["AAPL"]),
        ("AAPL,MSFT", ["AAPL", "MSFT"]),
        ("AAPL MSFT;GOOG|FB,\tT", ["AAPL", "MSFT", "GOOG", "FB", "T"]),
        ("['AAPL', 'MSFT']", ["AAPL", "MSFT"]),
        ('["AAPL"]', ["AAPL"]),
        ("AAPL,aapl,$AAPL", ["AAPL"]),
        (["googl", "aapl", "googl"], ["GOOGL", "AAPL"]),
        ([{"id": 1, "symbol": "TSLA"}, {"ticker": "BRK-A"}], ["TSLA", "BRK-A"]),
        ({"symbol": "TSLA"}, ["TSLA"]),
        (700, ["700"]),
        ([700, "T"], ["700", "T"]),
    ],
)
def test_several_tickers_fan_out_each_once_in_order(tickers: object, expected: list[str]) -> None:
    assert [mention.ticker for mention in item_of(row(ticker=tickers)).mentions] == expected


@pytest.mark.parametrize("tickers", [None, "", " , ", [], "[]"])
def test_without_a_ticker_the_cashtags_of_the_text_count(tickers: object) -> None:
    found = item_of(row(ticker=tickers, text="$AAPL &amp; $msft for U$D 5"))
    assert [mention.ticker for mention in found.mentions] == ["AAPL", "MSFT"]
    assert reason_of(row(ticker=tickers, text="no cashtag, U$D")) == "no_ticker"


def test_without_a_ticker_column_the_cashtags_of_the_text_count() -> None:
    assert item_of({"ts": TS, "text": "$T"}).mentions == (Mention("T"),)
    assert reason_of({"ts": TS, "text": "T"}) == "no_ticker"


@pytest.mark.parametrize(
    "tickers", ["AAPL,no good!", ["AAPL", "A B"], ["AAPL", None], [["AAPL"]], [{"name": "Apple"}], True, 1.5, {}]
)
def test_one_wrong_ticker_rejects_the_row(tickers: object) -> None:
    assert reason_of(row(ticker=tickers)) == "bad_ticker"


def test_tickers_with_their_own_scores_keep_them() -> None:
    scored = [
        {"ticker": "ACCD", "relevance_score": "0.56217", "ticker_sentiment_score": "0.56613"},
        {"ticker": "WFC", "relevance_score": "0.395012", "ticker_sentiment_score": "-0.01408"},
        {"ticker": "T"},
    ]
    found = item_of({"time_published": TS, "title": "A", "ticker_sentiment": scored, "score": 0.5})
    assert found.mentions == (
        Mention("ACCD", score=0.56613, relevance=0.56217),
        Mention("WFC", score=-0.01408, relevance=0.395012),
        Mention("T", score=0.5),
    )


def test_equal_scores_of_one_ticker_fold_and_different_ones_reject() -> None:
    twice = [{"ticker": "T", "score": 0.5}, {"ticker": "t", "score": "0.5"}]
    assert item_of(row(ticker=twice)).mentions == (Mention("T", score=0.5),)
    twice[1]["score"] = 0.25
    assert reason_of(row(ticker=twice)) == "conflicting_scores"


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (0, 0.0),
        (1, 1.0),
        (-1.0, -1.0),
        ("0.087768", 0.087768),
        (" -1 ", -1.0),
        ("1e-3", 0.001),
        (Decimal("0.5"), 0.5),
        (None, None),
        ("", None),
        ("  ", None),
    ],
)
def test_a_score_is_a_number_or_a_text_of_one_and_may_be_left_out(value: object, score: float | None) -> None:
    assert item_of(row(score=value)).mentions[0].score == score


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "score_nan"),
        ("NaN", "score_nan"),
        (math.inf, "score_infinite"),
        ("-inf", "score_infinite"),
        (10**400, "score_infinite"),
        (1.0000001, "score_out_of_range"),
        (-2, "score_out_of_range"),
        ("87", "score_out_of_range"),
        ("0_1", "score_not_a_number"),
        ("0,5", "score_not_a_number"),
        ("Bullish", "score_not_a_number"),
        (True, "score_not_a_number"),
        ([0.5], "score_not_a_number"),
        ({"basic": "Bullish"}, "score_not_a_number"),
    ],
)
def test_a_score_that_is_none_is_rejected_with_its_own_reason(value: object, reason: str) -> None:
    assert reason_of(row(score=value)) == reason


@pytest.mark.parametrize("value", [1.5, -0.1, "nan", "sure", True])
def test_a_confidence_outside_0_to_1_is_rejected(value: object) -> None:
    assert reason_of(row(confidence=value)) == "bad_confidence"


@pytest.mark.parametrize("value", ["nan", math.inf, "high", True])
def test_a_relevance_that_is_no_number_is_rejected(value: object) -> None:
    assert reason_of(row(relevance=value)) == "bad_relevance"


def test_a_score_column_can_be_left_unread() -> None:
    assert item_of(row(score=4_711), mapping="score=").mentions == (Mention("AAPL"),)


def test_a_row_needs_a_text_or_a_score_for_every_ticker() -> None:
    assert item_of({"ts": TS, "ticker": "T", "score": 0.5}).text == ""
    assert reason_of({"ts": TS, "ticker": "T"}) == "missing_text"
    assert reason_of(row(text=" \x00\t ")) == "missing_text"
    assert reason_of({"ts": TS, "ticker": [{"ticker": "T", "score": 0}, "V"]}) == "missing_text"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AT&amp;T &lt;b&gt; &quot;x&quot; it&#39;s &#x27;", "AT&T <b> \"x\" it's '"),
        ("&amp;amp; &amp;#39; &amp;lt;", "& ' <"),
        ("&amp;amp;amp;", "&amp;"),
        ("S&P; R&D &unknown; &copy", "S&P; R&D &unknown; &copy"),
        ("http://x.y/?a=1&copy=2&section=3&lt=4", "http://x.y/?a=1&copy=2&section=3&lt=4"),
        ("&#0;a&#xD800;b&#8;c&#128;", "\ufffda\ufffdbc€"),
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        ("a\x00b\x07c\x7fd\x92e", "abcde"),
        ("a\ud83db", "a\ufffdb"),
        ("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "😀"),
        ("  a  b  ", "a  b"),
    ],
)
def test_a_text_is_decoded_and_freed_of_what_cannot_be_shown(text: str, expected: str) -> None:
    assert item_of(row(text=text)).text == expected


def test_a_text_may_be_several_columns_of_which_repeats_and_gaps_are_left_out() -> None:
    values = {"ts": TS, "title": "Up", "summary": "Up &amp; away", "body2": "Up", "none": None, "symbols": ["T"]}
    assert item_of(values, mapping="text=title+summary+body2+none").text == "Up\nUp & away"


@pytest.mark.parametrize("text", [5, ["a"], {"a": "b"}, b"a", True])
def test_a_text_that_is_none_is_rejected(text: object) -> None:
    assert reason_of(row(text=text)) == "bad_text"


def test_a_text_is_kept_up_to_its_limit_and_rejected_beyond() -> None:
    assert len(item_of(row(text="x" * MAX_TEXT_CHARS)).text) == MAX_TEXT_CHARS
    assert reason_of(row(text="x" * (MAX_TEXT_CHARS + 1))) == "text_too_long"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(418229860210057216, "418229860210057216"), (0, "0"), (" a b ", "a b"), (12.0, "12"), ("x" * MAX_ID_CHARS,) * 2],
)
def test_an_id_is_a_text_or_a_whole_number(value: object, expected: str) -> None:
    assert item_of(row(id=value)).id == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "bad_id"),
        (4.18229860210057216e17, "bad_id"),  # a float that has lost digits
        (True, "bad_id"),
        (["1"], "bad_id"),
        ("a\nb", "bad_id"),
        ("a\x00", "bad_id"),
        ("a\ud800", "bad_id"),
        ("x" * (MAX_ID_CHARS + 1), "id_too_long"),
    ],
)
def test_an_id_that_identifies_nothing_is_rejected(value: object, reason: str) -> None:
    assert reason_of(row(id=value)) == reason


def test_without_an_id_the_same_row_has_the_same_id_and_another_row_another() -> None:
    plain = {"ts": TS, "text": "$T up", "source": "s", "url": "http://x.y"}
    own = item_of(plain).id
    assert own == "h:124d9a5ce441c289972a1c2871e5cb5e", "ids already stored must be found again by later versions"
    assert item_of({**plain, "id": None}).id == own
    assert item_of({**plain, "id": " "}).id == own
    assert item_of({**plain, "ts": "2014-01-01T04:59:03+01:00"}).id == own
    assert item_of({**plain, "ticker": "MSFT"}).id == own, "one text under several tickers is one item"
    assert item_of({**plain, "source": None}, source="s").id == own
    changed = [{"ts": "2014-01-01T03:59:04Z"}, {"text": "$T down"}, {"source": "t"}, {"url": "http://x.z"}]
    assert len({own, *(item_of({**plain, **change}).id for change in changed)}) == 5


def test_the_name_of_a_file_is_no_part_of_an_id() -> None:
    plain = {"ts": TS, "text": "$T up"}
    first, second = item_of(plain, place_name="a"), item_of(plain, place_name="b")
    assert (first.source, second.source) == ("a", "b")
    assert first.id == second.id


def test_bare_scores_of_one_moment_have_ids_of_their_own() -> None:
    ids = {item_of({"ts": TS, "ticker": ticker, "score": score}).id for ticker in ("T", "V") for score in (0, 0.5)}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Benzinga", "Benzinga"),
        ({"id": 1149, "title": "StockTwits for iOS", "url": "http://x"}, "StockTwits for iOS"),
        ({"id": None, "name": "Reuters"}, "Reuters"),
        ({}, "file"),
        (" AT&amp;T\nNews ", "AT&T News"),
        (None, "file"),
        ("", "file"),
    ],
)
def test_a_source_is_a_name_or_an_object_with_one(value: object, expected: str) -> None:
    assert item_of(row(source=value), source="file").source == expected


@pytest.mark.parametrize("value", [5, ["a"], "x" * 201])
def test_a_source_that_is_no_short_text_is_rejected(value: object) -> None:
    assert reason_of(row(source=value)) == "bad_source"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://x.y/z?a=1", "https://x.y/z?a=1"),
        ("HTTP://X.Y", "HTTP://X.Y"),
        ("javascript:alert(1)", None),
        ("ftp://x.y", None),
        ("//x.y", None),
        ("http://x.y/ z", None),
        ("http://x.y/\nz", None),
        ("http://x.y/\ud800", None),
        ("http://x.y/" + "z" * 2_048, None),
        (5, None),
        (None, None),
    ],
)
def test_a_url_is_kept_only_when_it_can_be_followed(value: object, expected: str | None) -> None:
    assert item_of(row(url=value)).url == expected


def test_a_path_reaches_into_objects_and_lists_unless_a_column_has_that_very_name() -> None:
    nested = {"meta": {"at": TS, "by": {"name": "R"}}, "body": "up", "symbols": [{"symbol": "T"}, {"symbol": "V"}]}
    found = item_of(nested, mapping="ts=meta.at,source=meta.by.name,ticker=symbols.symbol")
    assert (found.published_us, found.source) == (TS_US, "R")
    assert [mention.ticker for mention in found.mentions] == ["T", "V"]
    assert item_of({"meta.at": TS, "meta": {}, "text": "$T"}, mapping="ts=meta.at").published_us == TS_US
    assert reason_of({"meta": "x", "text": "$T"}, mapping="ts=meta.at") == "missing_time"
    assert reason_of({**nested, "symbols": ["T"]}, mapping="ts=meta.at,ticker=symbols.symbol") == "bad_ticker"


# Rejections.


def test_a_rejection_can_only_give_a_reason_of_the_table() -> None:
    with pytest.raises(KeyError):
        rejected("no_such_reason", "x")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": 1}', '{"a": 1}'),
        (b"\xff\x00\xe4", "\\xff\x00\\xe4"),
        ("a\ud800", "a\\ud800"),
        ({"a": b"\xff", "b": math.nan, "c": "\ud800"}, '{"a": "b\'\\\\xff\'", "b": NaN, "c": "\\ud800"}'),
    ],
)
def test_a_row_is_kept_as_it_came_in_valid_unicode(raw: object, expected: str) -> None:
    assert raw_of(raw) == expected


@pytest.mark.parametrize("raw", ["x" * 3_000, b"x" * 3_000, "😀".encode() * 3_000, {"a": "x" * 3_000}, b"\xff" * 9_000])
def test_a_long_row_is_cut(raw: object) -> None:
    kept = raw_of(raw)
    assert len(kept) == MAX_RAW_CHARS
    assert kept.endswith("…")


def test_a_value_is_shown_short_whatever_it_holds() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    for value in ("x" * 999, b"\xff" * 999, "\ud800", deep, {"a": deep}, 10**999, None, math.nan):
        assert len(shown(value).encode("utf-8")) < 300
