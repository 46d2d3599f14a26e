"""Sessions: signed texts in a cookie, so that every worker knows who is logged in without asking another.

What they cannot say is that somebody has logged out: those few are kept in a file until they would have ended.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from dashapp.errors import StoreDamaged, StoreNotWritable
from dashapp.model.time import US_PER_SECOND, EpochUs
from dashapp.store import durable
from dashapp.store.ended import EndedSessions
from dashapp.store.locks import exclusive
from dashapp.store.secretfile import SESSION_SECRET

# A working day: whoever comes back the next morning logs in again.
LASTS_S = 12 * 3600
FORM_LASTS_S = 3600

# The user, since when, by which password, and what tells the session from others.
_FIELDS, _ID_BYTES = 4, 12
_SECRET_BYTES = 32


class Sessions:
    """Makes and reads signed texts; whoever has the secret can make them, nobody else."""

    def __init__(self, secret: bytes, ended: EndedSessions) -> None:
        self._secret = secret
        self._ended = ended
        digest = {"digest_method": hashlib.sha256}
        self._session = URLSafeSerializer(secret, salt="session", signer_kwargs=digest)
        self._form = URLSafeSerializer(secret, salt="form", signer_kwargs=digest)

    def begin(self, user: str, password_hash: str, now_us: EpochUs) -> str:
        """The text of a new session."""
        told = [user, now_us // US_PER_SECOND, self._print_of(password_hash), secrets.token_urlsafe(_ID_BYTES)]
        return str(self._session.dumps(told))

    def end(self, text: str, now_us: EpochUs) -> None:
        """End a session before its time, whoever may hold a copy of it; raises StoreNotWritable, StoreDamaged."""
        told = _read(self._session, text)
        if len(told) == _FIELDS and _is_fresh(told[1], now_us, LASTS_S):
            self._ended.end(str(told[3]), until_s=told[1] + LASTS_S, now_s=now_us // US_PER_SECOND)

    def user(self, text: str, now_us: EpochUs, password_hash_of: Callable[[str], str | None]) -> str | None:
        """Whose session it is; None when it is none, has ended, or the user or the password is another by now.

        Raises StoreDamaged."""
        told = _read(self._session, text)
        if len(told) != _FIELDS or not _is_fresh(told[1], now_us, LASTS_S) or self._ended.has(str(told[3])):
            return None
        password_hash = password_hash_of(told[0])
        if password_hash is None or not hmac.compare_digest(told[2], self._print_of(password_hash)):
            return None
        return str(told[0])

    def form_mark(self, browser: str, now_us: EpochUs) -> str:
        """What a form has to bring back, to show that this browser was given it by this server."""
        return str(self._form.dumps([browser, now_us // US_PER_SECOND]))

    def is_form_of(self, mark: str, browser: str, now_us: EpochUs) -> bool:
        """Whether a mark was given to this browser less than an hour ago."""
        told = _read(self._form, mark)
        return bool(told) and _is_fresh(told[1], now_us, FORM_LASTS_S) and hmac.compare_digest(told[0], browser)

    def _print_of(self, password_hash: str) -> str:
        """Changes with the password, and tells nothing of it."""
        return hmac.new(self._secret, password_hash.encode(), hashlib.sha256).hexdigest()[:16]


def read_secret(data_dir: Path) -> bytes:
    """The secret of this data folder, made when there is none; raises StoreNotWritable, StoreDamaged."""
    path = data_dir.absolute() / SESSION_SECRET
    with exclusive(path.parent / "locks" / f"{SESSION_SECRET}.lock"):
        try:
            if not path.exists():
                partial = path.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(_SECRET_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
                durable.sync_folder(path.parent)
            secret = path.read_bytes()
        except OSError as error:
            raise StoreNotWritable(f"{path} cannot be made or read: {error.strerror}.") from error
    if len(secret) != _SECRET_BYTES:
        raise StoreDamaged(f"{path} is damaged; remove it, and everybody logs in again.")
    return secret


def _read(serializer: URLSafeSerializer, text: str) -> list[Any]:
    try:
        told = serializer.loads(text)
    except BadData:
        return []
    return list(told)


def _is_fresh(since_s: int, now_us: EpochUs, lasts_s: int) -> bool:
    return 0 <= now_us // US_PER_SECOND - since_s < lasts_s
