"""Storage in a bucket of S3-compatible storage, by URL: durable when the request that wrote it has been answered.

A log entry is created on the condition that there is none of its name (`If-None-Match: *`), which the store decides:
of several writers on several machines exactly one makes a version. Data files are read through copies on the local
disk.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dashapp.errors import BadSetting, StoreDamaged, StoreError, StoreNotWritable, StoreUnreachable
from dashapp.store import durable
from dashapp.store.filecache import FileCache
from dashapp.store.storage import LOG, Found, Unwritten, cause, entry_name
from dashapp.store.watermark import Watermark

SCHEME = "s3://"
# Requests are waiting, not work; more at once than this gain nothing on one machine's line.
_REQUESTS = 8
# A request that is not answered is asked again, all in all for so long. The defaults wait for three minutes.
_RETRIES = 4
_RETRY_S, _CONNECT_S, _REQUEST_S = 20, 5, 60
# How often to look whether the log was cleaned away from under this process: entries are kept for ten minutes at least.
_LOOKED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is: `url` is s3://bucket/prefix; an empty endpoint or region is what AWS_* variables say."""

    url: str
    endpoint: str
    region: str

    @property
    def is_plain(self) -> bool:
        """Whether requests go there unencrypted."""
        return self.endpoint.startswith("http://")

    def place(self) -> dict[str, str]:
        """What both clients are told of it; the credentials they take from the AWS_* variables."""
        # What makes commits exact is said here, whatever the environment says.
        told = {"aws_conditional_put": "etag", "aws_endpoint": self.endpoint, "aws_region": self.region}
        return {key: value for key, value in told.items() if value}

    def options(self) -> dict[str, str]:
        """What the Delta library is told."""
        options = {
            **self.place(),
            "max_retries": str(_RETRIES),
            "retry_timeout": f"{_RETRY_S}s",
            "connect_timeout": f"{_CONNECT_S}s",
            "timeout": f"{_REQUEST_S}s",
        }
        if self.endpoint:
            options["aws_allow_http"] = str(self.is_plain).lower()
        return options


class Objects:
    """A table's objects; `name` is the folder of the table within the store."""

    def __init__(self, address: Address, name: str, cache: FileCache, watermarks: Path, *, poll_s: float) -> None:
        self.url = self.name = f"{address.url}/{name}" if name else address.url
        self.options = address.options()
        self._cache = cache
        self._client = _client(self.url, address)
        self._digest = hashlib.blake2b(f"{address.endpoint} {self.url}".encode(), digest_size=8).hexdigest()
        self._watermark = Watermark(watermarks / f"{self._digest}.version", every_s=poll_s)
        self._looked_s = time.monotonic()
        self._lock = threading.Lock()
        self._fetching: dict[str, Future[str]] = {}
        self._pool = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="objects")

    @property
    def missing(self) -> str:
        """Where there is no store, and what to do."""
        return f"There is no store at {self.name}. Ingest something first, or set TICKERTONE_STORE_URL."

    def prepare(self) -> None:
        """Make sure that the store refuses to write what is there already; raises StoreNotWritable where it does not.

        One that ignores the condition would lose commits without a word.
        """
        name = f"probe-{uuid.uuid4()}"
        with self._asking(StoreNotWritable, "cannot be written"):
            self._client.put(name, b"", mode="create")
        try:
            self._client.put(name, b"", mode="create")
        except self._errors.AlreadyExistsError:
            return
        except self._errors.BaseError as error:
            raise StoreNotWritable(f"{self.name} cannot be written: {cause(error)}") from error
        finally:
            with self._asking(StoreNotWritable, "cannot be written"):
                self._client.delete(name)
        raise StoreNotWritable(
            f"The storage at {self.name} overwrites an object it was asked to create only if there is none "
            "(If-None-Match: *), so two writers could lose each other's commits. Use one that keeps to it."
        )

    def mend(self) -> bool:
        """Nothing: an object is written whole or not at all."""
        return False

    def has_entry(self, version: int) -> bool:
        """Whether the log has the entry of a version, as far as this machine has asked; a request at most."""
        if not self._is_worth_asking(version):
            return False
        found = self._exists(entry_name(version))
        if found:
            self._watermark.is_there(version)
        else:
            self._watermark.is_not_there()
        return found

    def is_gone(self, version: int) -> bool:
        """Whether the log's entry of a version is not there any more; a request a minute."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOKED_EVERY_S:
            return False
        self._looked_s = now_s
        return not self._exists(entry_name(version))

    def entry(self, version: int) -> bytes | None:
        """The log's entry of a version, None while there is none as far as this machine has asked."""
        if not self._is_worth_asking(version):
            return None
        try:
            with self._asking(StoreUnreachable, "cannot be read"):
                content = bytes(self._client.get(entry_name(version)).bytes())
        except FileNotFoundError:
            self._watermark.is_not_there()
            return None
        self._watermark.is_there(version)
        return content

    def learn(self, version: int) -> None:
        """A version is there."""
        self._watermark.is_there(version)

    def has(self, name: str) -> bool:
        """Whether an object is there."""
        return self._cache.held(self._copy_name(name)) is not None or self._exists(name)

    def mark(self, name: str) -> None:
        """Make an empty object."""
        with self._asking(StoreNotWritable, "cannot be written"):
            self._client.put(name, b"")

    def local(self, names: Sequence[str]) -> list[str]:
        """Paths of copies of these objects; what is not here is fetched, several at once. Raises StoreDamaged where
        one is gone, StoreUnreachable."""
        found = [self._cache.held(self._copy_name(name)) for name in names]
        with self._lock:
            for name, path in zip(names, found, strict=True):
                if path is None and name not in self._fetching:
                    self._fetching[name] = self._pool.submit(self._fetch, name)
            fetching = {name: self._fetching[name] for name, path in zip(names, found, strict=True) if path is None}
        return [path or fetching[name].result() for name, path in zip(names, found, strict=True)]

    def write(self, new: Sequence[Unwritten], *, compression: str, settled: bool = True) -> list[int]:
        """Write files, several at once, and keep copies: whoever writes is the next to read."""

        def write_one(file: Unwritten) -> int:
            buffer = io.BytesIO()
            durable.encode(file.rows, buffer, compression=compression, row_group_rows=file.row_group_rows)
            content = buffer.getbuffer()
            with self._asking(StoreNotWritable, "cannot be written"):
                self._client.put(file.name, content)
            self._cache.keep(self._copy_name(file.name), [content])
            return len(content)

        return list(self._pool.map(write_one, new))

    def settle(self, names: Iterable[str]) -> None:
        """Nothing: what was answered is durable."""

    def flush(self, version: int) -> None:
        """Nothing: what was answered is durable."""

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects, those that are there."""
        with self._asking(StoreNotWritable, "cannot be written"):
            if names:
                self._client.delete(list(names))

    def data_files(self) -> Iterator[Found]:
        """Every Parquet object outside the log."""
        return (
            found
            for found in self._listed(None)
            if found.name.endswith(".parquet") and not found.name.startswith(f"{LOG}/")
        )

    def log_files(self) -> Iterator[Found]:
        """Every object of the log."""
        return self._listed(f"{LOG}/")

    def _listed(self, prefix: str | None) -> Iterator[Found]:
        with self._asking(StoreUnreachable, "cannot be listed"):
            for page in self._client.list(prefix):
                for each in page:
                    yield Found(each["path"], each["size"], each["last_modified"].timestamp())

    def _fetch(self, name: str) -> str:
        try:
            with self._asking(StoreUnreachable, "cannot be read"):
                return self._cache.keep(self._copy_name(name), self._client.get(name))
        except FileNotFoundError:
            raise StoreDamaged(f"A file of the store cannot be read: {self.name}/{name} is not there.") from None
        finally:
            with self._lock:
                del self._fetching[name]

    def _exists(self, name: str) -> bool:
        try:
            with self._asking(StoreUnreachable, "cannot be read"):
                self._client.head(name)
        except FileNotFoundError:
            return False
        return True

    def _is_worth_asking(self, version: int) -> bool:
        return self._watermark.knows(version) or self._watermark.is_due()

    def _copy_name(self, name: str) -> str:
        return f"{self._digest}-{name.rpartition('/')[2]}"

    @property
    def _errors(self) -> Any:
        import obstore.exceptions

        return obstore.exceptions

    @contextmanager
    def _asking(self, failure: type[StoreError], what: str) -> Iterator[None]:
        """Requests, whose errors are raised as `failure`, but for that of an object that is not there."""
        try:
            yield
        except FileNotFoundError:
            raise
        except self._errors.BaseError as error:
            raise failure(f"{self.name} {what}: {cause(error)}") from error


def address_of(url: str, *, endpoint: str, region: str) -> Address:
    """The address that settings name; raises BadSetting."""
    path = url.removeprefix(SCHEME).rstrip("/")
    if not url.startswith(SCHEME) or not path or "?" in path or "#" in path or "//" in path:
        raise BadSetting(f"Setting store_url has value {url!r}; it must be like s3://bucket or s3://bucket/prefix.")
    return Address(f"{SCHEME}{path}", endpoint.rstrip("/"), region)


def _client(url: str, address: Address) -> Any:
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise BadSetting(
            "Setting store_url needs the package obstore: install Tickertone with its extra s3 (tickertone[s3])."
        ) from error
    client_options: Any = {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "timeout": timedelta(seconds=_REQUEST_S),
    }
    if address.endpoint:
        client_options["allow_http"] = address.is_plain
    config: Any = address.place()
    return S3Store.from_url(
        url,
        config=config,
        client_options=client_options,
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_S)},
    )
