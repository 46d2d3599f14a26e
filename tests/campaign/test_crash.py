"""The crash campaign, a few kills of it; `python -m tests.campaign.crash` runs it at any length."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.campaign import crash


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: it makes the kills at calls")
@pytest.mark.parametrize("kills", [7, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(7_200)])])
def test_whatever_is_killed_nothing_is_lost_or_counted_twice_and_no_hand_is_needed(tmp_path: Path, kills: int) -> None:
    done = crash.run(tmp_path, kills, seed=1)
    assert done.total() >= kills
    # A file may have been read to its end before its turn came.
    assert all(done[name] for name in crash.TOGETHER if name != "ingest")
    assert sum(count for name, count in done.items() if " at a call " in name)
