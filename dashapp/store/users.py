"""Users: the people who may log in; in `users.json` of the data folder, with hashes of their passwords.

Whoever makes and compares those hashes is not here: this keeps them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dashapp.errors import BadUserName, UnknownUser
from dashapp.store.secretfile import SecretFile

FILE_NAME = "users.json"
MAX_NAME_CHARS = 64

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@+-]{{0,{MAX_NAME_CHARS - 1}}}")


@dataclass(frozen=True, slots=True)
class User:
    """What is kept of a user; `changed_us` is when the password was set."""

    name: str
    password_hash: str
    changed_us: int


class Users:
    """The users of a data folder; safe for use by several threads and processes."""

    def __init__(self, data_dir: Path) -> None:
        self._file = SecretFile(
            data_dir.absolute() / FILE_NAME,
            parse=_parse,
            document=lambda users: {"version": 1, "users": [asdict(user) for user in users.values()]},
            remedy="Give it back to the user of this service, or remove it and add users anew: `tickertone users add`.",
        )

    def put(self, name: str, password_hash: str, *, now_us: int) -> User:
        """Add a user, or give one another password; raises BadUserName, StoreNotWritable."""
        if not _NAME.fullmatch(name):
            raise BadUserName(
                f"{name[:MAX_NAME_CHARS]!r} cannot be the name of a user: it must begin with a letter or digit and "
                f"hold only those and . _ @ + - (at most {MAX_NAME_CHARS})."
            )
        user = User(name, password_hash, now_us)
        with self._file.changing() as users:
            users[name] = user
        return user

    def remove(self, name: str) -> User:
        """Take a user out, whose sessions end at once; raises UnknownUser, StoreNotWritable."""
        with self._file.changing() as users:
            if name not in users:
                raise UnknownUser(f"There is no user {name[:MAX_NAME_CHARS]!r}.")
            return users.pop(name)

    def find(self, name: str) -> User | None:
        """A user, as of half a second ago at most; raises StoreDamaged."""
        return self._file.find(name)

    def all(self) -> list[User]:
        """Every user by name; raises StoreDamaged."""
        return sorted(self._file.current().values(), key=lambda user: user.name)


def _parse(document: Any) -> dict[str, User]:
    if document["version"] != 1:
        raise ValueError(f"its version is {document['version']!r}, not 1")
    return {each["name"]: User(**each) for each in document["users"]}
