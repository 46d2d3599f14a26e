"""API keys: who may push items; in `api_keys.json` of the data folder, hashed, for this service's eyes only.

A key is `tt_<id>_<secret>`. The secret is 256 random bits, so its plain SHA-256 is as hard to turn back as guessing it:
slow password hashes are for secrets that people think up. The file is replaced as a whole under a lock, and every
process looks whether it was at least twice a second, so a revoked key stops working at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dashapp.errors import BadKeyName, StoreDamaged, StoreNotWritable, UnknownKey
from dashapp.store import durable
from dashapp.store.locks import exclusive

FILE_NAME = "api_keys.json"
PUSH = "push"  # the scope of those who may push items; others may follow
MAX_NAME_CHARS = 64

_ID_BYTES = 4
_SECRET_BYTES = 32
_KEY = re.compile(rf"tt_(?P<id>[0-9a-f]{{{2 * _ID_BYTES}}})_(?P<secret>[0-9a-f]{{{2 * _SECRET_BYTES}}})")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
# Looking more often would cost a busy server a third of a millisecond for each request, most of it waiting for the
# interpreter to come back.
_LOOK_EVERY_S = 0.5
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


class ApiKeys:
    """The API keys of a data folder; safe for use by several threads and processes."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir.absolute() / FILE_NAME
        self._lock_path = data_dir.absolute() / "locks" / "api_keys.lock"
        # What the file said when it was read last, and the marks by which another file is told from it.
        self._held: tuple[tuple[int, int, int] | None, dict[str, ApiKey]] = (None, {})
        self._looked_s = -_LOOK_EVERY_S

    def add(self, name: str, *, now_us: int, scopes: tuple[str, ...] = (PUSH,)) -> tuple[str, ApiKey]:
        """Make a key and return its text, which is kept nowhere, and what is kept of it.

        Raises BadKeyName when a valid key has that name, StoreNotWritable.
        """
        if not _NAME.fullmatch(name):
            raise BadKeyName(
                f"{name[:MAX_NAME_CHARS]!r} cannot be the name of a key: it must begin with a letter or digit and "
                f"hold only those and . _ - (at most {MAX_NAME_CHARS})."
            )
        with self._changing() as keys:
            if any(key.name == name and key.revoked_us is None for key in keys.values()):
                raise BadKeyName(
                    f"A valid key has the name {name!r} already. Revoke it first (tickertone keys revoke {name}), "
                    "or take another name."
                )
            key_id = secrets.token_hex(_ID_BYTES)
            while key_id in keys:
                key_id = secrets.token_hex(_ID_BYTES)
            secret = secrets.token_hex(_SECRET_BYTES)
            keys[key_id] = ApiKey(key_id, name, _hash(secret), scopes, now_us)
            return f"tt_{key_id}_{secret}", keys[key_id]

    def revoke(self, name_or_id: str, *, now_us: int) -> ApiKey:
        """End the validity of a key, named or by its id, at once and for good; raises UnknownKey, StoreNotWritable."""
        with self._changing() as keys:
            found = [key for key in keys.values() if name_or_id in (key.id, key.name) and key.revoked_us is None]
            if not found:
                raise UnknownKey(f"No valid key has the name or id {name_or_id[:MAX_NAME_CHARS]!r}.")
            # A name can be spelled like the id of another key; the name is what people choose by.
            key = next((key for key in found if key.name == name_or_id), found[0])
            keys[key.id] = replace(key, revoked_us=now_us)
            return keys[key.id]

    def all(self) -> list[ApiKey]:
        """Every key, also the revoked ones, in order of creation; raises StoreDamaged."""
        return sorted(self._current().values(), key=lambda key: (key.created_us, key.id))

    def verify(self, text: str, scope: str) -> ApiKey | None:
        """The key that a text is, None unless it is valid and has the scope; raises StoreDamaged.

        A revoked key is told as valid for half a second at most; a new one is known at once. 5 µs.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            return None
        key = self._held[1].get(found["id"])
        if key is None or time.monotonic() > self._looked_s + _LOOK_EVERY_S:
            key = self._current().get(found["id"])
        matches = hmac.compare_digest(_hash(found["secret"]), key.sha256 if key else _NO_HASH)
        return key if key and matches and key.revoked_us is None and scope in key.scopes else None

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ApiKey]]:
        """A copy of the keys, to be changed under the lock; it is the file's new content afterwards."""
        with exclusive(self._lock_path):
            keys = dict(self._current())
            yield keys
            self._write(keys)

    def _current(self) -> dict[str, ApiKey]:
        self._looked_s = time.monotonic()
        try:
            status = self._path.stat()
            marks = (status.st_ino, status.st_mtime_ns, status.st_size)
            held, keys = self._held
            if marks == held:
                return keys
            keys = _parse(json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            self._held = (None, {})
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreDamaged(
                f"{self._path} cannot be read: {error}. Give it back to the user of this service, or remove it and "
                "make new keys with `tickertone keys add`."
            ) from error
        self._held = (marks, keys)
        return keys

    def _write(self, keys: dict[str, ApiKey]) -> None:
        text = json.dumps({"version": 1, "keys": [asdict(key) for key in keys.values()]}, indent=1)
        # Under the lock, so what bears this name is of a process that was killed.
        partial = self._path.with_suffix(".partial")
        try:
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
            durable.sync_folder(self._path.parent)
        except OSError as error:
            raise StoreNotWritable(f"{self._path} cannot be written: {error.strerror}.") from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _parse(document: Any) -> dict[str, ApiKey]:
    if document["version"] != 1:
        raise ValueError(f"its version is {document['version']!r}, not 1")
    keys = (ApiKey(**{**each, "scopes": tuple(each["scopes"])}) for each in document["keys"])
    return {key.id: key for key in keys}
