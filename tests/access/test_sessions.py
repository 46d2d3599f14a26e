"""Sessions: a signed text that says who is logged in, until when, and by which password."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from dashapp.access.sessions import LASTS_S, Sessions, read_secret
from dashapp.model.time import US_PER_SECOND, EpochUs
from dashapp.store.ended import FILE_NAME, EndedSessions
from dashapp.store.secretfile import LOOK_EVERY_S

NOW_US = EpochUs(1_700_000_000 * US_PER_SECOND)
SECRET = b"s" * 32


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(SECRET, EndedSessions(tmp_path))


def test_a_session_is_read_back_until_it_ends(sessions: Sessions) -> None:
    text = sessions.begin("ann", "hash 1", NOW_US)
    for seconds, name in ((0, "ann"), (LASTS_S - 1, "ann"), (LASTS_S, None), (-10, None)):
        assert sessions.user(text, EpochUs(NOW_US + seconds * US_PER_SECOND), lambda _: "hash 1") == name


def test_a_session_ends_with_the_password_or_the_user_it_was_begun_by(sessions: Sessions) -> None:
    text = sessions.begin("ann", "hash 1", NOW_US)
    assert sessions.user(text, NOW_US, lambda _: "hash 2") is None
    assert sessions.user(text, NOW_US, lambda _: None) is None


def test_a_session_that_was_ended_is_over_for_whoever_holds_it(tmp_path: Path) -> None:
    first, other = (Sessions(SECRET, EndedSessions(tmp_path)) for _ in range(2))  # two processes
    mine, theirs = (first.begin("ann", "hash 1", NOW_US) for _ in range(2))
    assert other.user(mine, NOW_US, lambda _: "hash 1") == "ann"
    first.end(mine, NOW_US)
    for nothing in ("", "x", mine[:-1]):
        first.end(nothing, NOW_US)
    time.sleep(LOOK_EVERY_S + 0.05)
    for each in (first, other):
        assert each.user(mine, NOW_US, lambda _: "hash 1") is None
        assert each.user(mine + "=", NOW_US, lambda _: "hash 1") is None  # the same in another spelling
        assert each.user(theirs, NOW_US, lambda _: "hash 1") == "ann"
    # What would be over anyway is forgotten.
    later = EpochUs(NOW_US + (LASTS_S + 1) * US_PER_SECOND)
    first.end(first.begin("ann", "hash 1", later), later)
    assert (tmp_path / FILE_NAME).read_text("utf-8").count(":") == 3


def test_no_text_that_was_not_signed_here_is_a_session(sessions: Sessions, tmp_path: Path) -> None:
    text = sessions.begin("ann", "hash 1", NOW_US)
    others = [
        "",
        ".",
        "x",
        text[:-1],
        text + "x",
        text.swapcase(),
        Sessions(b"t" * 32, EndedSessions(tmp_path)).begin("ann", "hash 1", NOW_US),
    ]
    others += [text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :] for place in range(len(text) - 1)]
    for other in others:
        assert sessions.user(other, NOW_US, lambda _: "hash 1") is None, other


def test_the_session_says_nothing_of_the_password(sessions: Sessions) -> None:
    assert "hash 1" not in sessions.begin("ann", "hash 1", NOW_US)


def test_a_form_counts_for_its_own_browser_and_an_hour(sessions: Sessions) -> None:
    mark = sessions.form_mark("browser 1", NOW_US)
    assert sessions.is_form_of(mark, "browser 1", NOW_US)
    assert not sessions.is_form_of(mark, "browser 2", NOW_US)
    assert not sessions.is_form_of(mark, "browser 1", EpochUs(NOW_US + 3_601 * US_PER_SECOND))
    assert not sessions.is_form_of("", "browser 1", NOW_US)
    # A mark is no session, nor the other way round.
    assert sessions.user(mark, NOW_US, lambda _: "") is None


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = read_secret(tmp_path / "store")
    assert len(first) == 32
    assert read_secret(tmp_path / "store") == first
    assert read_secret(tmp_path / "other") != first
    (path,) = (each for each in (tmp_path / "store").iterdir() if each.is_file())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_that_was_cut_short_is_not_used(tmp_path: Path) -> None:
    from dashapp.errors import StoreDamaged

    read_secret(tmp_path)
    (path,) = (each for each in tmp_path.iterdir() if each.is_file())
    path.write_bytes(b"short")
    with pytest.raises(StoreDamaged, match="remove it"):
        read_secret(tmp_path)
