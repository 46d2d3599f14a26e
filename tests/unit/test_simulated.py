"""The simulated feed: deterministic, split anywhere, and never mixed with real scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import append, score

from dashapp.config import Settings
from dashapp.embedded import Demo
from dashapp.errors import UnreadableInput, UsageError
from dashapp.ingest.sources.simulated import SOURCES, load_feed
from dashapp.model.time import US_PER_DAY, EpochUs
from dashapp.rollup.verify import verify
from dashapp.store.reader import Reader
from dashapp.store.store import Store

NOON_US = 20_000 * US_PER_DAY + US_PER_DAY // 2
HOUR_US = US_PER_DAY // 24


def test_the_same_seed_gives_the_same_items_wherever_the_range_is_cut() -> None:
    feed = load_feed(7)
    whole = list(feed.items(NOON_US, NOON_US + HOUR_US))
    cut_us = NOON_US + 17 * 60_000_000 + 31
    halves = [*load_feed(7).items(NOON_US, cut_us), *load_feed(7).items(cut_us, NOON_US + HOUR_US)]
    assert len(whole) > 100
    assert sorted(whole, key=lambda item: item.id) == sorted(halves, key=lambda item: item.id)
    assert all(NOON_US <= item.published_us < NOON_US + HOUR_US for item in whole)
    assert len({item.id for item in whole}) == len(whole)


def test_another_seed_gives_other_items() -> None:
    texts = [[item.text for item in load_feed(seed).items(NOON_US, NOON_US + HOUR_US)] for seed in (1, 2)]
    assert texts[0] != texts[1]


def test_every_item_says_that_it_is_simulated() -> None:
    items = list(load_feed(7).items(NOON_US, NOON_US + HOUR_US))
    assert {item.source for item in items} == set(SOURCES)
    assert all(item.source.startswith("simulated") for item in items)


def test_a_missing_seed_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"texts\.json"):
        load_feed(7, tmp_path / "texts.json")


def test_a_demo_that_is_started_again_goes_on_without_counting_twice(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, demo_days=0.05)
    clock = [EpochUs(NOON_US)]
    first = Demo(settings, load_feed(7), lambda: clock[0]).prepare()
    again = Demo(settings, load_feed(7), lambda: clock[0])
    assert first > 0
    assert again.prepare() == 0
    clock[0] = EpochUs(NOON_US + HOUR_US)
    added = again.catch_up()
    expected = {item.id for item in load_feed(7).items(NOON_US - int(0.05 * US_PER_DAY), clock[0])}
    assert first + added == len(expected)
    store = Store(settings)
    assert store.is_simulated
    result = verify(Reader(store, timeout_ms=60_000))
    assert result.checked > 0
    assert result.differ == 0


def test_a_demo_refuses_a_store_with_real_scores(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    append(Store(settings, create=True), [score("a", NOON_US, 1)])
    with pytest.raises(UsageError, match="not simulated"):
        Demo(settings, load_feed(7), lambda: EpochUs(NOON_US))
    assert not Store(settings).is_simulated
