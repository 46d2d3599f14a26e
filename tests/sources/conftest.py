"""What the tests of the live sources share: a web server of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sources.newsstand import Newsstand, newsstand


@pytest.fixture
def stand() -> Iterator[Newsstand]:
    """A web server on a port of this machine; script it with `at`."""
    with newsstand() as running:
        yield running
