"""Copies of data files: right, few enough, and never taken from under a reader; and the mark of the newest version."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashapp.errors import StoreNotWritable
from dashapp.store.filecache import IN_USE_S, FileCache
from dashapp.store.watermark import Watermark


def age(path: str, seconds: float) -> None:
    """As if it was last used so long ago."""
    os.utime(path, (time.time() - seconds, Path(path).stat().st_mtime))


def test_a_copy_is_what_was_given_and_is_found_again(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "files", size_bytes=1_000)
    assert cache.held("a") is None
    path = cache.keep("a", [b"one ", memoryview(b"two")])
    assert Path(path).read_bytes() == b"one two"
    assert FileCache(tmp_path / "files", size_bytes=1_000).held("a") == path


def test_using_a_copy_leaves_the_time_it_was_written(tmp_path: Path) -> None:
    """DuckDB reads a footer again when that has changed."""
    cache = FileCache(tmp_path, size_bytes=1_000)
    path = Path(cache.keep("a", [b"x"]))
    os.utime(path, (1.0, 2.0))
    cache.held("a")
    assert path.stat().st_mtime == 2.0
    assert path.stat().st_atime > time.time() - 60


def test_what_was_not_used_for_longest_goes_first_and_what_is_in_use_stays(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, size_bytes=100)
    paths = {name: cache.keep(name, [b"x" * 40]) for name in ("old", "older", "used")}
    age(paths["older"], IN_USE_S * 3)
    age(paths["old"], IN_USE_S * 2)

    cache.keep("new", [b"x" * 40])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "used"]
    cache.keep("newer", [b"x" * 40])  # more than the size, but all of it is in use
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "newer", "used"]


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "a.1-1.partial").touch()
    (tmp_path / "b.1-1.partial").touch()
    os.utime(tmp_path / "a.1-1.partial", (0, 0))
    FileCache(tmp_path, size_bytes=100).keep("c", [b"x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.1-1.partial", "c"]


def test_a_copy_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()  # a folder where the file should be
    with pytest.raises(StoreNotWritable, match="a cannot be written"):
        FileCache(tmp_path, size_bytes=100).keep("a", [b"x"])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_news_is_asked_for_once_in_a_while_and_known_to_all_at_once(tmp_path: Path) -> None:
    one, other = (Watermark(tmp_path / "locks" / "t.version", every_s=60) for _ in range(2))
    assert not one.knows(0)
    one.is_not_there()
    assert not one.is_due()
    assert not other.is_due()
    code = "import sys; from dashapp.store.watermark import *; Watermark(Path(sys.argv[1]), every_s=1).is_there(7)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "locks" / "t.version")], check=True)
    assert other.knows(7)
    assert not other.knows(8)
    assert one.is_due()  # where there was one, there may be more
    one.is_there(3)
    assert other.knows(7)


def test_a_clock_that_was_put_back_does_not_keep_anybody_from_asking(tmp_path: Path) -> None:
    path = tmp_path / "t.version"
    watermark = Watermark(path, every_s=60)
    watermark.is_not_there()
    os.utime(path, (time.time() + 3_600,) * 2)
    assert watermark.is_due()
