"""What the tests of tables on an object store share: a server, and machines that share a store there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashapp.config import Settings
from dashapp.store.store import Store
from tests.storage.s3_server import BUCKET, CREDENTIALS, S3, s3_server

_PREFIXES = (f"store-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A running server of the S3 interface."""
    with s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, s3: S3) -> Iterator[None]:
    """The usual variables, and an end of all troubles."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield
    s3.trouble()


@dataclass(frozen=True)
class Site:
    """A store on the object store, as several machines see it: each has a data folder of its own."""

    s3: S3
    folder: Path
    url: str

    def settings(self, machine: str, **more: object) -> Settings:
        """What a machine is set to."""
        given = {"store_url": self.url, "store_endpoint": self.s3.endpoint, "store_poll_ms": 1, **more}
        return Settings(data_dir=self.folder / machine, **given)  # type: ignore[arg-type]

    def open(self, machine: str = "a", *, create: bool = True, **more: object) -> Store:
        """The store as a machine opens it."""
        return Store(self.settings(machine, **more), create=create)

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process."""
        return {"TICKERTONE_STORE_URL": self.url, "TICKERTONE_STORE_ENDPOINT": self.s3.endpoint}

    def log_entries(self, table: str) -> int:
        """How many entries the log of a table has."""
        names = [found["path"] for page in self.client().list(f"{table}/_delta_log") for found in page]
        return sum(name.endswith(".json") for name in names)

    def client(self):  # type: ignore[no-untyped-def]
        """A client of the store's own folder."""
        from obstore.store import S3Store

        return S3Store.from_url(
            self.url, config={"aws_endpoint": self.s3.endpoint}, client_options={"allow_http": True}
        )


@pytest.fixture
def site(s3: S3, tmp_path: Path) -> Site:
    """A place where no store is yet."""
    return Site(s3, tmp_path, f"s3://{BUCKET}/{next(_PREFIXES)}")
