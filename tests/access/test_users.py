"""Users: who may see the page; passwords kept by argon2 alone."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashapp.access.passwords import hash_password, matches
from dashapp.errors import BadPassword, BadUserName, UnknownUser
from dashapp.store.users import FILE_NAME, Users

if TYPE_CHECKING:
    from tests.conftest import Tickertone

GOOD = "correct horse battery"


def test_a_password_is_known_again_and_no_other_is() -> None:
    hashed = hash_password(GOOD)
    assert hashed.startswith("$argon2id$")
    assert matches(hashed, GOOD)
    assert not matches(hashed, GOOD + " ")
    assert not matches(None, GOOD)  # nobody of that name, which takes as long
    assert hash_password(GOOD) != hashed


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 1025, "nul\0" * 5])
def test_a_password_that_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(BadPassword):
        hash_password(password)


def test_composed_and_decomposed_letters_are_the_same_password() -> None:
    assert matches(hash_password("caf\u00e9 au lait au lait"), "cafe\u0301 au lait au lait")


def test_a_user_is_added_replaced_and_removed(tmp_path: Path) -> None:
    users = Users(tmp_path)
    assert users.find("ann") is None
    users.put("ann", "hash 1", now_us=5)
    assert Users(tmp_path).find("ann").password_hash == "hash 1"  # type: ignore[union-attr]
    users.put("ann", "hash 2", now_us=6)
    users.put("bob@example.com", "hash 3", now_us=7)
    assert [(each.name, each.password_hash) for each in Users(tmp_path).all()] == [
        ("ann", "hash 2"),
        ("bob@example.com", "hash 3"),
    ]
    users.remove("ann")
    assert [each.name for each in Users(tmp_path).all()] == ["bob@example.com"]
    with pytest.raises(UnknownUser, match="ann"):
        users.remove("ann")
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "<b>", "x" * 65, "../x", "a b"])
def test_a_name_that_could_be_mistaken_for_something_else_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadUserName):
        Users(tmp_path).put(name, "hash", now_us=0)


def test_the_command_line_takes_the_password_from_standard_input_and_never_shows_it(tickertone: Tickertone) -> None:
    done = tickertone("users", "add", "ann", stdin=GOOD + "\n")
    assert "ann" in done.stdout
    kept = Users(tickertone.data_dir).find("ann")
    assert kept is not None
    assert matches(kept.password_hash, GOOD)
    assert GOOD not in done.stdout + done.stderr + (tickertone.data_dir / FILE_NAME).read_text()
    assert [each["name"] for each in tickertone.json("users", "list")["users"]] == ["ann"]
    refused = tickertone("users", "add", "bob", stdin="short\n", code=2)
    assert "at least 12" in refused.stderr
    assert tickertone.json("users", "remove", "ann")["name"] == "ann"
    assert tickertone("users", "remove", "ann", code=1).stderr.count("\n") == 1
