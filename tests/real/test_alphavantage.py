"""A recorded answer of Alpha Vantage's NEWS_SENTIMENT: 56 items with 1,591 scores, taken as they are given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stores import open_store, stored_scores, verification

if TYPE_CHECKING:
    from tests.conftest import Tickertone

ITEMS, SCORES = 56, 1_591

pytestmark = pytest.mark.real


@pytest.fixture
def file(real_data: Path) -> Path:
    return real_data / "alphavantage" / "mock_news_an_sentiment.json"


def test_every_score_is_stored_as_given_at_its_time_in_utc(file: Path, tickertone: Tickertone) -> None:
    summary = tickertone.json("ingest", file, "--tz", "UTC")

    assert (summary["accepted"], summary["duplicates"], summary["rejected"], summary["scores"]) == (ITEMS, 0, 0, SCORES)
    expected = sorted(
        (
            mention["ticker"],
            int(datetime.strptime(item["time_published"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()) * 1_000_000,
            round(Decimal(mention["ticker_sentiment_score"]) * 1_000_000),
        )
        for item in json.loads(file.read_text("utf-8"))["feed"]
        for mention in item["ticker_sentiment"]
    )
    store = open_store(tickertone.data_dir)
    stored = stored_scores(store)
    assert len(expected) == SCORES
    assert sorted((row["ticker"], row["published_us"], row["score_e6"]) for row in stored) == expected
    assert {row["scorer"] for row in stored} == {"given@1"}
    assert len({row["item_id"] for row in stored}) == ITEMS
    assert "CRYPTO:NANO" in {row["ticker"] for row in stored}

    assert verification(store).differ == 0
    assert tickertone.json("rollup")["revision"] == summary["revision"]
    assert tickertone.json("verify")["differ"] == 0
    again = tickertone.json("ingest", file, "--tz", "UTC")
    assert (again["accepted"], again["duplicates"], again["scores"]) == (0, ITEMS, 0)


def test_without_a_zone_every_item_is_rejected_and_kept(file: Path, tickertone: Tickertone) -> None:
    summary = tickertone.json("ingest", file)
    assert (summary["accepted"], summary["rejected_by_reason"]) == (0, {"no_zone": ITEMS})
    kept = [json.loads(line) for line in Path(summary["rejected_file"]).read_text("utf-8").splitlines()]
    assert [row["reason"] for row in kept] == ["no_zone"] * ITEMS
    assert "--tz" in kept[0]["message"]
