"""The one way to ask a live source over HTTP: bounded in time and size, conditional, silent about keys.

A call ends after `timeout_s` whatever the server does, and holds at most `max_bytes` of an unpacked answer. What went
wrong becomes a SourceError whose message holds no key, even where the source repeats the key in its own words.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import httpx
import orjson

from dashapp import __version__
from dashapp.errors import SourceError, SourceGarbled, SourceLimited, SourceRefused, SourceUnreachable
from dashapp.model.time import from_datetime

# What a source may ask us to wait at most: more is a broken clock on its side.
MAX_RETRY_AFTER_S = 86_400.0
_MAX_REDIRECTS = 5
_MAX_SAID_CHARS = 200
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_TAG = re.compile(r"<[^>]*>")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Question:
    """One GET: `url` without a query, `params` and `headers` that may be shown, `secrets` that may not.

    `secret_params` and `secret_headers` are sent like the others. Redirects are followed only where no secret is sent,
    since they would carry it to somebody else.
    """

    source: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_params: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What tells this question from others; it cannot be turned back into a URL."""
        asked = json.dumps([self.url, sorted(self.params.items())])
        return hashlib.blake2b(asked.encode("utf-8"), digest_size=12).hexdigest()

    def without_secrets(self, text: str) -> str:
        """The text with every secret in it, as it is or as a URL holds it, replaced by `***`."""
        for secret in (*self.secret_params.values(), *self.secret_headers.values()):
            # A header says "Token abc"; a source that quotes the key says "abc".
            for spelling in {secret, secret.rpartition(" ")[2]}:
                for form in {spelling, quote(spelling, safe=""), quote_plus(spelling)}:
                    if form:
                        text = text.replace(form, "***")
        return text


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body, None when the source says that nothing changed since `validators` were given.

    `validators` are to be handed in with the same question the next time.
    """

    body: bytes | None
    validators: dict[str, str]
    content_type: str = ""


class Http:
    """A client for all live sources of one event loop; close it, or use it as a context."""

    def __init__(self, *, timeout_s: float, max_bytes: int) -> None:
        # It logs every URL, and one of the sources wants its key in there.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - `get` bounds the whole call, which httpx cannot
            max_redirects=_MAX_REDIRECTS,
            # gzip only: it is the one compression that is unpacked here, step by step, so that it stays bounded.
            headers={"User-Agent": f"tickertone/{__version__}", "Accept-Encoding": "gzip"},
        )

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(
        self, question: Question, validators: Mapping[str, object] | None = None, *, now_us: int = 0
    ) -> Answer:
        """The answer to a question; raises SourceError. `now_us` is for a Retry-After that names a point in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._get(question, validators or {}, now_us)
        except SourceError as error:
            raise type(error)(
                question.without_secrets(str(error)), retry_after_s=error.retry_after_s
            ) from error.__cause__
        except TimeoutError:
            raise SourceUnreachable(f"{question.source} gave no whole answer in {self._timeout_s:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, zlib.error, UnicodeError) as error:
            # `from None`: what httpx knows of the request, key and all, has no place in a traceback.
            said = question.without_secrets(str(error)) or type(error).__name__
            raise SourceUnreachable(f"{question.source} at {place_of(question.url)} failed: {said}.") from None

    async def _get(self, question: Question, validators: Mapping[str, object], now_us: int) -> Answer:
        has_secrets = bool(question.secret_params or question.secret_headers)
        request = self._client.build_request(
            "GET",
            question.url,
            # A URL with a query of its own (RSS) loses it where params are given, even empty ones.
            params={**question.params, **question.secret_params} or None,
            headers={**question.headers, **question.secret_headers, **_conditions(question, validators)},
        )
        response = await self._client.send(request, stream=True, follow_redirects=not has_secrets)
        try:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return Answer(None, {name: str(value) for name, value in validators.items()})
            body = await self._body(question, response)
        finally:
            await response.aclose()
        if not response.is_success:
            raise _refusal(question, response, body, now_us)
        return Answer(body, _validators(question, response), response.headers.get("content-type", ""))

    async def _body(self, question: Question, response: httpx.Response) -> bytes:
        packing = response.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip", "x-gzip", "deflate"):
            raise SourceGarbled(f"{question.source} answered compressed as {packing!r}, which was not asked for.")
        unpacker = None if packing == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)
        body = bytearray()
        async for chunk in response.aiter_raw():
            rest = chunk
            while rest:
                if unpacker is None:
                    body += rest
                    break
                body += unpacker.decompress(rest, self._max_bytes + 1 - len(body))
                if len(body) > self._max_bytes or unpacker.eof:
                    break
                rest = unpacker.unconsumed_tail
            if len(body) > self._max_bytes:
                raise SourceGarbled(
                    f"{question.source} answered with more than {self._max_bytes} bytes. "
                    "TICKERTONE_FEED_MAX_ANSWER_BYTES sets the limit."
                )
        if unpacker is not None and not unpacker.eof and body:
            raise SourceUnreachable(f"{question.source} broke off in the middle of a compressed answer.")
        return bytes(body)


def parse_json(question: Question, answer: Answer) -> Any:
    """The JSON value of the answer to a question; raises SourceGarbled, which shows how it begins."""
    body = answer.body or b""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        # What Python's own reader takes besides, such as NaN, is judged value by value later.
        return json.loads(body.decode("utf-8"), strict=False)
    except (ValueError, RecursionError) as error:  # ValueError: also not UTF-8, and integers of thousands of digits
        kind = answer.content_type.partition(";")[0] or "an answer without a type"
        said = in_words(question.without_secrets(body.decode("utf-8", "replace")))
        raise SourceGarbled(
            f"{question.source} answered with {kind} that is not JSON ({str(error)[:80]}); it begins {said!r}."
        ) from None


def _conditions(question: Question, validators: Mapping[str, object]) -> dict[str, str]:
    if validators.get("of") != question.digest:  # those of another question say nothing about this one
        return {}
    names = {"etag": "If-None-Match", "modified": "If-Modified-Since"}
    return {header: value for name, header in names.items() if isinstance(value := validators.get(name), str)}


def _validators(question: Question, response: httpx.Response) -> dict[str, str]:
    given = {"etag": response.headers.get("etag", ""), "modified": response.headers.get("last-modified", "")}
    # What cannot be sent back as it came is no use, and would spoil every later call.
    kept = {name: value for name, value in given.items() if 0 < len(value) <= 1_000 and value.isascii()}
    return {"of": question.digest, **kept} if kept else {}


def _refusal(question: Question, response: httpx.Response, body: bytes, now_us: int) -> SourceError:
    status = response.status_code
    retry_after_s = _retry_after_s(response.headers.get("retry-after", ""), now_us)
    said = in_words(question.without_secrets(body.decode("utf-8", "replace")))
    message = f"{question.source} at {place_of(question.url)} answered {status}{': ' + said if said else ''}."
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return SourceLimited(message, retry_after_s=retry_after_s)
    if status >= 500:
        return SourceUnreachable(message, retry_after_s=retry_after_s)
    return SourceRefused(message, retry_after_s=retry_after_s)


def _retry_after_s(text: str, now_us: int) -> float:
    """Seconds of a Retry-After header, in either of its forms; 0 when there is none that can be understood."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if at.tzinfo is None:  # "-0000", which means UTC of an unknown place
        return 0.0
    return min(max(0.0, (from_datetime(at) - now_us) / 1_000_000), MAX_RETRY_AFTER_S)


def place_of(url: str) -> str:
    """The URL as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def in_words(text: str) -> str:
    """The beginning of an answer, for a message; secrets must be out of it before it is cut here."""
    words = _BLANKS.sub(" ", _TAG.sub(" ", text[: 20 * _MAX_SAID_CHARS])).strip()
    return "".join(character for character in words if character.isprintable())[:_MAX_SAID_CHARS]
