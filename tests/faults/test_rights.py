"""A user who may not read or write the store: told what and whose, in one line, and nothing is changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dashapp import cli
from dashapp.rollup.job import rollup
from tests.stores import append, open_store, same_day_scores, verification

NOBODY = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A store of root's, in a place that others get to."""
    if os.geteuid():
        pytest.skip("only root may become another user")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    store = open_store(place / "store")
    append(store, same_day_scores(9))
    rollup(store)
    store.close()
    yield place / "store"
    shutil.rmtree(place)


@contextmanager
def another_user() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def run(folder: Path, *arguments: str) -> int:
    with another_user():
        return cli.main([*arguments, "--data-dir", str(folder)])


def test_who_may_read_only_can_ask_and_is_told_why_nothing_can_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    news = folder.parent / "news.csv"
    news.write_text("ts,ticker,text\n2024-05-01T10:00:00Z,AAPL,good\n")
    assert run(folder, "query", "AAPL", "--start", "1970-01-01", "--end", "1970-01-02") == 0
    assert run(folder, "verify") == 0
    capsys.readouterr()
    for arguments in (["ingest", str(news)], ["rollup"], ["maintain", "vacuum"], ["keys", "add", "desk"]):
        assert run(folder, *arguments) == 1
        printed = capsys.readouterr()
        told = printed.out + printed.err  # `maintain` says of each job how it went
        assert (len(told.splitlines()), str(folder) in told) == (1, True), told
        assert "Permission denied" in told
        assert "chown" in told
    assert run(folder, "doctor") == 1
    told = capsys.readouterr().out
    assert "may not read and write" in told
    assert "0 of" in told


@pytest.mark.parametrize("closed", ["", "scores", "scores/_delta_log", "buckets"])
def test_who_may_not_even_read_is_told_what(folder: Path, closed: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / closed).chmod(0o700)
    for command in ("verify", "doctor"):
        assert run(folder, command) == 1
        printed = capsys.readouterr()
        told = printed.out + printed.err
        assert str(folder / closed) in told, told
        assert "Traceback" not in told
        assert "ermission" in told or "may not" in told, told
    (folder / closed).chmod(0o755)
    store = open_store(folder)
    assert verification(store).differ == 0
    store.close()
