"""Passwords: hashed by argon2id with the library's parameters, those RFC 9106 gives for machines of little memory."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from dashapp.errors import BadPassword

MIN_CHARS = 12
# Long enough for any sentence; hashing megabytes would be a way to keep the server busy.
MAX_CHARS = 1024

_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """The hash to keep of a password; 50 ms and 64 MiB. Raises BadPassword."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise BadPassword(f"A password has at least {MIN_CHARS} characters and at most {MAX_CHARS}.")
    if not password.isprintable():
        raise BadPassword("A password holds no control characters.")
    return _HASHER.hash(_same_form(password))


def matches(password_hash: str | None, password: str) -> bool:
    """Whether this is the password; None, for a user that does not exist, takes as long and is never."""
    try:
        _HASHER.verify(password_hash or _nobody(), _same_form(password[: MAX_CHARS + 1]))
    except (Argon2Error, InvalidHashError):
        return False
    return password_hash is not None


def _same_form(password: str) -> str:
    """Keyboards write the same letter in several ways."""
    return unicodedata.normalize("NFC", password)


@lru_cache(1)
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")
