"""What a pushed body holds: one item, an array, or lines; broken rows cost themselves and no others."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import TooLarge
from dashapp.ingest.rejects import REASONS, Rejection
from dashapp.ingest.sources.push import read_push
from dashapp.model.item import Item

ROW = {"id": "a", "ts": "2014-05-13T16:53:20Z", "text": "up", "tickers": ["AAPL"]}


def read(body: bytes | str, sender: str = "feed") -> list[Item | Rejection]:
    return read_push(body.encode() if isinstance(body, str) else body, sender, max_items=1_000, max_scores=5_000)


def named(rows: list[Item | Rejection]) -> list[str]:
    """The ids of items, the reasons of rejections."""
    return [row.id if isinstance(row, Item) else row.reason for row in rows]


def row(**fields: Any) -> str:
    return json.dumps({**ROW, **fields})


def test_one_item_may_stand_on_one_line_or_on_several() -> None:
    (item,) = read(row(score=0.25, url="https://x.com/1", tickers=["aapl", "$MSFT"]))
    assert isinstance(item, Item)
    assert (item.id, item.published_us, item.text, item.source, item.url) == (
        "a",
        1_400_000_000_000_000,
        "up",
        "feed",
        "https://x.com/1",
    )
    assert [(mention.ticker, mention.score) for mention in item.mentions] == [("AAPL", 0.25), ("MSFT", 0.25)]
    assert item.scorer == "given@1"
    assert read(json.dumps({**ROW}, indent=2)) == read(row())


def test_lines_arrays_and_objects_one_after_the_other_hold_the_same_items() -> None:
    rows = [row(id=f"i{number}") for number in range(5)]
    expected = read("\n".join(rows))
    assert named(expected) == ["i0", "i1", "i2", "i3", "i4"]
    documents = [
        "\r\n".join(rows) + "\r\n\r\n",
        "\n\n".join(rows),
        "\ufeff" + "\n".join(rows),
        f"[{','.join(rows)}]",
        json.dumps([json.loads(each) for each in rows], indent=1),
        "\n".join(json.dumps(json.loads(each), indent=1) for each in rows),
        json.dumps({"items": [json.loads(each) for each in rows]}),
    ]
    assert [read(document) for document in documents] == [expected] * len(documents)


def test_each_row_is_judged_by_itself() -> None:
    lines = [
        row(id="good"),
        "{broken",
        row(id="no zone", ts="2014-05-13T16:53:20"),
        json.dumps({"id": "other names", "published_at": 1_400_000_000, "title": "$TSLA up", "link": "https://x"}),
        json.dumps({"text": "$AAPL without a time"}),
        "[1, 2]",
        '"text"',
        row(id="x" * 600),
        '{"id": "nan", "ts": "2014-05-13T16:53:20Z", "ticker": "AAPL", "score": NaN}',
        "not json",
        row(id="last", score=2),
        row(id="also good"),
    ]
    rows = read("\n".join(lines))
    assert named(rows) == [
        "good", "bad_json", "no_zone", "other names", "missing_time", "not_an_object", "not_an_object", "id_too_long",
        "score_nan", "bad_json", "score_out_of_range", "also good",
    ]  # fmt: skip
    rejection = rows[2]
    assert isinstance(rejection, Rejection)
    assert (rejection.place, rejection.raw) == ("push/feed:3", lines[2])
    rows = read("[" + ",".join([lines[0], '{"id": }', lines[2], lines[11]]) + "]")
    assert named(rows) == ["good", "bad_json", "no_zone", "also good"]
    places = [(each.place, each.raw) for each in rows if isinstance(each, Rejection)]
    assert places == [("push/feed:[1]", '{"id": }'), ("push/feed:[2]", lines[2])]


def test_a_row_without_an_id_has_the_same_one_whoever_sends_it_however_often() -> None:
    bare = {name: value for name, value in ROW.items() if name != "id"}
    (first,), (second,) = read(json.dumps(bare), "feed"), read(json.dumps([bare]), "another")
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.id.startswith("h:")
    assert (first.id, first.source, second.source) == (second.id, "feed", "another")
    (other,) = read(json.dumps({**bare, "text": "down"}))
    assert isinstance(other, Item)
    assert other.id != first.id


@pytest.mark.parametrize("body", [b"", b" \n\t\r\n ", b"\xef\xbb\xbf", b"[]", b"[ ]"])
def test_nothing_holds_no_rows(body: bytes) -> None:
    assert read(body) == []


def test_more_items_or_tickers_than_allowed_are_refused_before_all_are_read() -> None:
    lines = "\n".join([row()] * 11)
    with pytest.raises(TooLarge, match="at most 10 items") as refused:
        read_push(lines.encode(), "feed", max_items=10, max_scores=1_000)
    assert refused.value.http_status == 413
    assert len(read_push(lines.encode(), "feed", max_items=11, max_scores=11)) == 11
    many = row(tickers=[f"T{number}" for number in range(101)])
    for body in (many, f"[{many}]"):
        with pytest.raises(TooLarge, match="at most 100 tickers"):
            read_push(body.encode(), "feed", max_items=10, max_scores=100)
    with pytest.raises(TooLarge):
        read_push(b"[" + b"{}," * 3_000_000 + b"{}]", "feed", max_items=10, max_scores=100)


def test_a_row_longer_than_rows_may_be_is_rejected_wherever_it_stands() -> None:
    long = row(id="long", note="n" * (1 << 20))
    for body in ("\n".join([row(), long, row(id="b")]), f"[{row()},{long},{row(id='b')}]"):
        assert named(read(body)) == ["a", "row_too_long", "b"]


def test_deep_nesting_is_no_way_to_break_it() -> None:
    for body in ("[" * 100_000, '{"a":' * 100_000, '[{"id":' + "[" * 5_000 + "]" * 5_000 + "}]"):
        assert all(isinstance(each, Rejection) for each in read(body))


@given(st.binary(max_size=300))
def test_any_bytes_are_items_or_rejections_with_a_known_reason(body: bytes) -> None:
    for each in read(body):
        assert isinstance(each, Item) or each.reason in REASONS


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "ts", "text", "tickers", "score", "source", "url", "confidence"]),
            st.recursive(
                st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-2, 2) | st.text(max_size=8)
                | st.just("2014-05-13T16:53:20Z") | st.just("AAPL"),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
                max_leaves=4,
            ),
        ),
        min_size=1,
        max_size=6,
    )
)  # fmt: skip
def test_lines_and_arrays_of_the_same_rows_say_the_same(rows: list[dict[str, Any]]) -> None:
    lines = [orjson.dumps(each) for each in rows]
    by_line = read(b"\n".join(lines))
    by_array = read(b"[" + b",".join(lines) + b"]")
    assert named(by_line) == named(by_array)
    assert [each for each in by_line if isinstance(each, Item)] == [each for each in by_array if isinstance(each, Item)]
