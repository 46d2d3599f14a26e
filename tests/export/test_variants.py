"""Exports of what a variant counts: as the oracle counts it at any revision, named in the manifest and proven by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dashapp.errors import BadExport, BadParameter, RevisionGone
from dashapp.model.resolution import parse_resolution
from dashapp.model.score import revision_of
from dashapp.model.time import from_datetime
from dashapp.model.variant import VARIANTS, Variant, parse_variant
from dashapp.query.export import Export, Question, export
from dashapp.query.exportcheck import check_export
from dashapp.query.takeout import Order, append, to_file, to_folder
from dashapp.rollup.job import rollup
from dashapp.store import extracts
from dashapp.store.compact import compact
from dashapp.store.store import Store
from tests import oracle
from tests.stores import DAY_US, HOUR_US, MINUTE_US, open_store, score, series_reader, stored_scores
from tests.stores import append as add

FIRST = 19_790 * DAY_US  # 2024-03-08
NAMES = [variant.name for variant in VARIANTS]
BATCHES = 4


def told(number: int) -> Any:
    """A story that is told again within a day and later, by either of two scorers, more or less relevant."""
    return score(
        f"i{number}",
        FIRST + number * 7_919_000_017 % (3 * DAY_US),
        number * 123_457 % 2_000_001 - 1_000_000,
        ticker=("AAPL", "MSFT", "BRK.B")[number % 3],
        scorer=("test@1", "test@1", "other@2")[number // 3 % 3],
        relevance=(None, 1.0, 0.2, 0.1)[number % 4 if number % 5 else 0],
        story_id=None if number % 7 == 0 else f"s{number % 17}",
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Four commits, some of them rolled up and put together."""
    made = open_store(tmp_path_factory.mktemp("variants") / "store")
    for batch in range(BATCHES):
        rows = [told(number) for number in range(240) if number % BATCHES == batch]
        add(made, rows, accepted_us=FIRST + 3 * DAY_US + batch * HOUR_US)
        if batch == 1:
            rollup(made)
            compact(made)
    yield made
    made.close()


def exported(store: Store, what: str, name: str | None, variant: str, **asked: Any) -> Export:
    resolution = None if name is None else parse_resolution(name)
    return export(series_reader(store), Question(what, resolution, variant=parse_variant(variant), **asked))


def rows_of(each: Export) -> list[dict[str, Any]]:
    return [row for table in each.tables() for row in table.to_pylist()]


def check_by_oracle(store: Store, variant: str, revision: int, scorer: str, tickers: tuple[str, ...] | None) -> None:
    come = [
        row
        for row in stored_scores(store)
        if revision_of(row["position"]) <= revision and (tickers is None or row["ticker"] in tickers)
    ]
    counted = [row for row in oracle.counted(come, variant) if row["scorer"] == scorer]
    asked: dict[str, Any] = {"revision": revision, "scorer": scorer, "tickers": tickers}
    for name in ("1m", "24h"):
        expected = oracle.buckets(counted, [name]).values()
        found = [
            (
                from_datetime(row["timestamp"]),
                row["ticker"],
                row["count"],
                row["sum_e6"],
                row["open_e6"],
                row["close_e6"],
            )
            for row in rows_of(exported(store, "buckets", name, variant, **asked))
        ]
        assert found == sorted(
            (row["start_us"], row["ticker"], row["count"], row["sum_e6"], row["open"][2], row["close"][2])
            for row in expected
        )
    scores = rows_of(exported(store, "scores", None, variant, **asked))
    assert [row["id"] for row in scores] == [
        row["item_id"] for row in sorted(counted, key=lambda row: (row["published_us"], row["ticker"], row["item_id"]))
    ]


@pytest.mark.parametrize("variant", NAMES)
def test_at_each_revision_there_is_what_the_oracle_counts(store: Store, variant: str) -> None:
    newest = exported(store, "scores", None, variant).revision
    for revision in (1, newest):
        check_by_oracle(store, variant, revision, "test@1", None)
    check_by_oracle(store, variant, newest, "other@2", ("AAPL", "BRK.B"))


@pytest.mark.parametrize("variant", NAMES)
def test_it_is_the_same_in_stretches_of_any_size(store: Store, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracts, "SCORE_ROWS", 7)
    monkeypatch.setattr(extracts, "BUCKET_ROWS", 7)
    check_by_oracle(store, variant, exported(store, "scores", None, variant).revision, "test@1", None)


def test_a_range_counts_what_was_told_the_day_before_it(store: Store) -> None:
    start_us, end_us = FIRST + DAY_US + 5 * HOUR_US, FIRST + 2 * DAY_US
    rows = rows_of(exported(store, "scores", None, "once", start="2024-03-09T05:00:00Z", end="2024-03-10"))
    counted = oracle.counted(stored_scores(store), "once")
    assert {row["id"] for row in rows} == {
        row["item_id"] for row in counted if row["scorer"] == "test@1" and start_us <= row["published_us"] < end_us
    }


def order(store: Store, what: str, variant: str, *names: str, **asked: Any) -> Order:
    chosen: Variant = parse_variant(variant)
    questions = [Question(what, parse_resolution(name), variant=chosen, **asked) for name in names]
    questions = questions or [Question(what, None, variant=chosen, **asked)]
    return Order(series_reader(store), questions, "parquet", store.scores.table.identity, lambda rows: None)


def differing(store: Store, path: Path) -> tuple[int, int | None]:
    found = check_export(series_reader(store), store.scores.table.identity, path)
    return found.differ, found.changed_since


@pytest.mark.parametrize("variant", NAMES[1:])
@pytest.mark.parametrize("what", ["buckets", "scores", "items"])
def test_the_manifest_names_scorer_and_variant_and_proves_both(
    store: Store, tmp_path: Path, what: str, variant: str
) -> None:
    names = ["1h"] if what == "buckets" else []
    path = tmp_path / "out.parquet"
    manifest = to_file(order(store, what, variant, *names, scorer="test@1"), path, force=False)
    assert (manifest.scorer, manifest.variant) == ("test@1", variant)
    about = json.loads(pq.read_schema(path).metadata[b"tickertone"])
    assert (about["scorer"], about["variant"]) == ("test@1", variant)
    assert differing(store, path) == (0, None if "once" in variant else 0)
    held = path.with_name("out.parquet.manifest.json")
    text = held.read_text("utf-8")
    for name, other in (("scorer", "other@2"), *(("variant", each) for each in NAMES if each != variant)):
        held.write_text(json.dumps({**json.loads(text), name: other}), "utf-8")
        assert differing(store, path)[0] > 0, (name, other)
    held.write_text(json.dumps({**json.loads(text), "variant": "twice"}), "utf-8")
    with pytest.raises(BadExport, match=r"variant 'twice' is unknown"):
        differing(store, path)


def test_a_file_stays_proven_whatever_comes_later(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    add(store, [score("b", FIRST + MINUTE_US, 2, story_id="s"), score("c", FIRST + DAY_US, 3)])
    folder = tmp_path / "out"
    to_folder(order(store, "buckets", "once", "1m", "1h", "24h"), folder, force=False)
    whole = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # What came first was told before.
    add(store, [score("a", FIRST, 1, story_id="s")])
    rollup(store)
    assert differing(store, folder) == (0, None)
    to_folder(order(store, "buckets", "once", "1m", "1h", "24h", revision=1), folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == whole
    assert [row["id"] for row in rows_of(exported(store, "scores", None, "once"))] == ["a", "c"]


def test_what_would_have_to_be_taken_back_is_not_exported_in_parts(store: Store, tmp_path: Path) -> None:
    for variant in ("once", "once-relevant"):
        with pytest.raises(BadParameter, match=f"variant {variant} can only be exported whole"):
            exported(store, "scores", None, variant, since=1)
        with pytest.raises(BadParameter, match="can only be exported whole"):
            append(order(store, "scores", variant), tmp_path / "out", tmp_path / "state.json")
    assert list(tmp_path.iterdir()) == []
    before, after = (
        rows_of(exported(store, "scores", None, "relevant", **each)) for each in ({"revision": 2}, {"since": 2})
    )
    whole = rows_of(exported(store, "scores", None, "relevant"))
    assert before
    assert after
    assert sorted(row["id"] for row in (*before, *after)) == sorted(row["id"] for row in whole)


def test_runs_of_relevant_texts_make_the_whole_and_are_of_one_variant(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    out, state = tmp_path / "out", tmp_path / "state.json"
    for batch in range(3):
        rows = [told(number) for number in range(90) if number % 3 == batch]
        add(store, rows, accepted_us=FIRST + 3 * DAY_US + batch * HOUR_US)
        append(order(store, "scores", "relevant", scorer="test@1"), out, state)
    assert differing(store, out) == (0, 0)
    counted = [row for row in oracle.counted(stored_scores(store), "relevant") if row["scorer"] == "test@1"]
    assert sorted(pq.read_table(out).column("id").to_pylist()) == sorted(row["item_id"] for row in counted)
    with pytest.raises(BadExport, match="other variant"):
        append(order(store, "scores", "all", scorer="test@1"), out, state)


def test_where_texts_are_gone_the_error_says_from_when_on_a_variant_can_be_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    add(store, [score("a", FIRST, 1, story_id="s"), score("b", FIRST + DAY_US, 2, story_id="s")])
    add(store, [score("c", FIRST + 2 * DAY_US, 3)])
    rollup(store)
    gone = [file for file in store.scores.table.files() if file.bounds["published_us"][1] < FIRST + DAY_US]
    store.scores.table.commit([], gone)
    with pytest.raises(RevisionGone, match="2024-03-10T00:00:00Z"):
        exported(store, "buckets", "1h", "once")
    assert len(rows_of(exported(store, "buckets", "1h", "once", start="2024-03-10"))) == 1
    with pytest.raises(RevisionGone, match="2024-03-09T00:00:00Z"):
        exported(store, "scores", None, "relevant", start="2024-03-08")
    assert len(rows_of(exported(store, "buckets", "24h", "all"))) == 3


def test_the_command_takes_a_variant_and_says_what_it_cannot_tell(
    store: Store, run: Callable[..., tuple[int, str, str]]
) -> None:
    asked = ["export", "scores", "--scorer", "test@1", "--variant"]
    rows = [json.loads(run(*asked, name, "--out", f"{name}.parquet", "--json")[1])["rows"] for name in NAMES]
    counted = [oracle.counted(stored_scores(store), name) for name in NAMES]
    assert rows == [sum(row["scorer"] == "test@1" for row in each) for each in counted]
    code, out, _ = run("verify", "--export", "once.parquet")
    assert (code, out.splitlines()[-1]) == (0, "what has changed in the store since is not told of each story once")
    code, _, complaint = run(*asked, "twice", "--out", "twice.parquet")
    assert (code, "Use one of: all, once" in complaint) == (2, True)
