"""API keys: which programs may read or push; hashed, in `api_keys.json` of the data folder.

A key is `tt_<id>_<secret>`. The secret is 256 random bits, so its plain SHA-256 is as hard to turn back as guessing it:
slow password hashes are for secrets that people think up. Every process looks whether the file was replaced at least
twice a second, so a revoked key stops working at once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dashapp.errors import BadKeyName, UnknownKey
from dashapp.store.secretfile import SecretFile

FILE_NAME = "api_keys.json"
# What a key may do: ask for what there is, push items, or everything.
READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)
MAX_NAME_CHARS = 64

_ID_BYTES = 4
_SECRET_BYTES = 32
_KEY = re.compile(rf"tt_(?P<id>[0-9a-f]{{{2 * _ID_BYTES}}})_(?P<secret>[0-9a-f]{{{2 * _SECRET_BYTES}}})")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
# A key that does not exist is compared with this, so that it takes the same time as one that does.
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key; `revoked_us` is None while it is valid."""

    id: str
    name: str
    sha256: str
    scopes: tuple[str, ...]
    created_us: int
    revoked_us: int | None = None

    def may(self, scope: str) -> bool:
        """Whether the key is good for this."""
        return self.revoked_us is None and (scope in self.scopes or ADMIN in self.scopes)


class ApiKeys:
    """The API keys of a data folder; safe for use by several threads and processes."""

    def __init__(self, data_dir: Path) -> None:
        self._file = SecretFile(
            data_dir.absolute() / FILE_NAME,
            parse=_parse,
            document=lambda keys: {"version": 1, "keys": [asdict(key) for key in keys.values()]},
            remedy="Give it back to the user of this service, or remove it and make new keys: `tickertone keys add`.",
        )

    def add(self, name: str, *, now_us: int, scopes: Sequence[str] = (WRITE,)) -> tuple[str, ApiKey]:
        """Make a key and return its text, which is kept nowhere, and what is kept of it.

        Raises BadKeyName when a valid key has that name, StoreNotWritable.
        """
        if not _NAME.fullmatch(name):
            raise BadKeyName(
                f"{name[:MAX_NAME_CHARS]!r} cannot be the name of a key: it must begin with a letter or digit and "
                f"hold only those and . _ - (at most {MAX_NAME_CHARS})."
            )
        with self._file.changing() as keys:
            if any(key.name == name and key.revoked_us is None for key in keys.values()):
                raise BadKeyName(
                    f"A valid key has the name {name!r} already. Revoke it first (tickertone keys revoke {name}), "
                    "or take another name."
                )
            key_id = secrets.token_hex(_ID_BYTES)
            while key_id in keys:
                key_id = secrets.token_hex(_ID_BYTES)
            secret = secrets.token_hex(_SECRET_BYTES)
            keys[key_id] = ApiKey(key_id, name, _hash(secret), tuple(scopes), now_us)
            return f"tt_{key_id}_{secret}", keys[key_id]

    def revoke(self, name_or_id: str, *, now_us: int) -> ApiKey:
        """End the validity of a key, named or by its id, at once and for good; raises UnknownKey, StoreNotWritable."""
        with self._file.changing() as keys:
            found = [key for key in keys.values() if name_or_id in (key.id, key.name) and key.revoked_us is None]
            if not found:
                raise UnknownKey(f"No valid key has the name or id {name_or_id[:MAX_NAME_CHARS]!r}.")
            # A name can be spelled like the id of another key; the name is what people choose by.
            key = next((key for key in found if key.name == name_or_id), found[0])
            keys[key.id] = replace(key, revoked_us=now_us)
            return keys[key.id]

    def all(self) -> list[ApiKey]:
        """Every key, also the revoked ones, in order of creation; raises StoreDamaged."""
        return sorted(self._file.current().values(), key=lambda key: (key.created_us, key.id))

    def verify(self, text: str, scope: str) -> ApiKey | None:
        """The key that a text is, None unless it is valid and has the scope; raises StoreDamaged.

        A revoked key is told as valid for half a second at most; a new one is known at once. 5 µs.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            return None
        key = self._file.find(found["id"])
        matches = hmac.compare_digest(_hash(found["secret"]), key.sha256 if key else _NO_HASH)
        return key if key and matches and key.may(scope) else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _parse(document: Any) -> dict[str, ApiKey]:
    if document["version"] != 1:
        raise ValueError(f"its version is {document['version']!r}, not 1")
    keys = (ApiKey(**{**each, "scopes": tuple(each["scopes"])}) for each in document["keys"])
    return {key.id: key for key in keys}
