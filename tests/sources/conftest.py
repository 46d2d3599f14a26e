"""What the tests of the live sources share: a web server of their own, settings that lead to it, and no keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashapp.config import Settings
from dashapp.ingest.sources.live import KEYS
from tests.sources.feeds import FAST
from tests.sources.newsstand import Newsstand, newsstand


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of whoever runs the tests do not reach them."""
    for key in KEYS.values():
        monkeypatch.delenv(f"TICKERTONE_{key}", raising=False)


@pytest.fixture
def stand() -> Iterator[Newsstand]:
    """A web server on a port of this machine; script it with `at`."""
    with newsstand() as running:
        yield running


@pytest.fixture
def settings(stand: Newsstand, tmp_path: Path) -> Callable[..., Settings]:
    """Settings that lead every source to the test's own server."""

    def make(**more: Any) -> Settings:
        urls = {f"{name}_url": stand.url for name in KEYS}
        paces = {"feed_every_s": 0.05, "feed_limits": FAST, "feed_timeout_s": 5.0}
        return Settings(**{"data_dir": tmp_path / "store", "feed_tickers": "TSLA", **urls, **paces, **more})

    return make
