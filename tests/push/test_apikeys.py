"""API keys: made once, shown once, kept hashed, valid until revoked, in every process at once."""

from __future__ import annotations

import json
import re
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashapp.errors import BadKeyName, StoreDamaged, StoreNotWritable, UnknownKey
from dashapp.store import secretfile as secretfile_module
from dashapp.store.apikeys import FILE_NAME, WRITE, ApiKeys

if TYPE_CHECKING:
    from tests.conftest import Tickertone


def test_a_key_is_valid_for_those_who_hold_it_and_for_no_other_text(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    text, key = keys.add("feed", now_us=7)
    other, _ = keys.add("other", now_us=8)
    assert re.fullmatch(r"tt_[0-9a-f]{8}_[0-9a-f]{64}", text)
    assert (key.name, key.created_us, key.scopes, key.revoked_us) == ("feed", 7, (WRITE,), None)
    assert keys.verify(text, WRITE) == key
    assert keys.verify(text, "admin") is None
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    crossed = f"tt_{key.id}_{other.rpartition('_')[2]}"
    unknown = "tt_00000000_" + "0" * 64
    for each in (wrong, crossed, unknown, "", "tt_", text.upper(), text + " ", text + "0", " " + text):
        assert keys.verify(each, WRITE) is None


def test_the_file_holds_no_secret_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "new" / "store")
    text, _ = keys.add("feed", now_us=0)
    path = tmp_path / "new" / "store" / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.rpartition("_")[2] not in path.read_text()
    keys.add("second", now_us=1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir() if each.is_file()] == [FILE_NAME]


def test_every_process_knows_a_new_key_at_once_and_forgets_a_revoked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(secretfile_module.time, "monotonic", lambda: now_s[0])
    server, command = ApiKeys(tmp_path), ApiKeys(tmp_path)
    assert server.verify("tt_00000000_" + "0" * 64, WRITE) is None
    text, key = command.add("feed", now_us=0)
    assert server.verify(text, WRITE) == key
    assert command.revoke("feed", now_us=9).revoked_us == 9
    now_s[0] += 0.6
    assert server.verify(text, WRITE) is None
    assert [(each.name, each.revoked_us) for each in server.all()] == [("feed", 9)]


def test_an_unchanged_file_is_not_looked_at_for_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(secretfile_module.time, "monotonic", lambda: now_s[0])
    keys = ApiKeys(tmp_path)
    text, key = keys.add("feed", now_us=0)
    assert keys.verify(text, WRITE) == key
    (tmp_path / FILE_NAME).unlink()
    assert keys.verify(text, WRITE) == key
    now_s[0] += 0.6
    assert keys.verify(text, WRITE) is None


def test_a_name_is_free_again_when_its_key_is_revoked(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    first, _ = keys.add("feed", now_us=0)
    with pytest.raises(BadKeyName, match=r"'feed' already.*tickertone keys revoke feed"):
        keys.add("feed", now_us=1)
    keys.revoke("feed", now_us=2)
    second, key = keys.add("feed", now_us=3)
    keys = ApiKeys(tmp_path)
    assert (keys.verify(first, WRITE), keys.verify(second, WRITE)) == (None, key)
    assert keys.revoke(key.id, now_us=4).name == "feed"
    for gone in ("feed", key.id, "nobody"):
        with pytest.raises(UnknownKey, match=gone):
            keys.revoke(gone, now_us=5)


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "ü", "a" * 65, "a/b", "a\n", "\x1b[31m"])
def test_a_name_that_could_not_be_shown_or_typed_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadKeyName):
        ApiKeys(tmp_path).add(name, now_us=0)
    assert ApiKeys(tmp_path).all() == []


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def make(number: int) -> None:
        for each in range(5):
            ApiKeys(tmp_path).add(f"k{number}.{each}", now_us=0)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ApiKeys(tmp_path).all()) == 40


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 2, "keys": []}', '{"version": 1, "keys": [{"id": 1}]}']
)
def test_a_damaged_file_is_said_and_not_taken_for_no_keys(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(StoreDamaged, match=f"{FILE_NAME} cannot be read.*tickertone keys add"):
        ApiKeys(tmp_path).all()
    with pytest.raises(StoreDamaged):
        ApiKeys(tmp_path).add("feed", now_us=0)
    assert (tmp_path / FILE_NAME).read_text() == content


def test_a_full_disk_leaves_the_keys_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ApiKeys(tmp_path)
    text, key = keys.add("feed", now_us=0)

    def broken(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(secretfile_module.os, "fsync", broken)
        with pytest.raises(StoreNotWritable, match="No space left"):
            keys.add("second", now_us=1)
    assert ApiKeys(tmp_path).verify(text, WRITE) == key
    assert [each.name for each in ApiKeys(tmp_path).all()] == ["feed"]
    keys.add("second", now_us=2)  # what the failed attempt left is no hindrance


def test_the_command_shows_a_key_once_lists_names_and_revokes(tickertone: Tickertone) -> None:
    made = tickertone("keys", "add", "feed")
    text = made.stdout.strip()
    assert ApiKeys(tickertone.data_dir).verify(text, WRITE) is not None
    assert "not shown again" in made.stderr

    second = tickertone.json("keys", "add", "second")
    assert second["key"].startswith(f"tt_{second['id']}_")
    assert (second["name"], second["scopes"], second["revoked"]) == ("second", ["write"], None)
    listed = tickertone("keys", "list").stdout
    assert "feed" in listed
    assert text not in listed
    assert text.rpartition("_")[2] not in json.dumps(tickertone.json("keys", "list"))

    assert tickertone.json("keys", "revoke", "feed")["revoked"].endswith("Z")
    assert ApiKeys(tickertone.data_dir).verify(text, WRITE) is None
    assert [(each["name"], each["revoked"] is None) for each in tickertone.json("keys", "list")["keys"]] == [
        ("feed", False),
        ("second", True),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("keys", "add"), 2, "tickertone keys add NAME"),
        (("keys", "revoke"), 2, "revoke NAME"),
        (("keys", "list", "x"), 2, "keys add NAME"),
        (("keys", "drop"), 2, "invalid choice"),
        (("keys", "add", "a b"), 2, "cannot be the name"),
        (("keys", "revoke", "nobody"), 1, "No valid key has the name or id 'nobody'"),
    ],
)
def test_wrong_use_of_the_command_is_told_by_exit_code_and_words(
    tickertone: Tickertone, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    done = tickertone(*arguments, code=code)
    assert complaint in done.stderr
    assert done.stdout == ""
