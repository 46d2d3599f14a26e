"""What the tests of the doctor and of repairs share: a store with all there is, to be damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.query.cache import ResponseCache
from dashapp.rollup.job import rollup
from dashapp.store import keys as keys_module
from dashapp.store.apikeys import ApiKeys
from dashapp.store.backup import back_up
from dashapp.store.store import Store
from tests.store.damage import Truth, truth
from tests.stores import DAY_US, append, open_store, same_day_scores


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all there is: checkpoints of both tables, a tail, files of keys, a cache, records, positions."""
    folder = tmp_path_factory.mktemp("doctor") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module, "FILE_RUN_KEYS", 4)
        store = open_store(folder)
        for number in range(13):
            append(store, same_day_scores(6, start=number * 6, day_us=number % 3 * DAY_US))
            if number < 12:
                rollup(store)
        store.close()
    for name, content in (("feed/rss.position.json", {"position": {}}), ("jobs/rollup.json", {"name": "rollup"})):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    ResponseCache(folder / "cache", 1_000_000).close()
    ApiKeys(folder).add("desk", now_us=0)
    return folder


@pytest.fixture(scope="session")
def kept(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    place = tmp_path_factory.mktemp("backup")
    store = Store(Settings(data_dir=shutil.copytree(sound, place / "store")))
    back_up(store, place / "kept", now_us)
    store.close()
    return place / "kept"


@pytest.fixture(scope="session")
def right(sound: Path) -> Truth:
    """Its scores, and the buckets it shows."""
    return truth(sound)


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return shutil.copytree(sound, tmp_path / "store")
