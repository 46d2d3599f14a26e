"""A backup of tables on an object store, its way back into a folder, and what to do to have it there again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dashapp.clock import now_us
from dashapp.rollup.job import rollup
from dashapp.store.backup import back_up, restore
from tests.stores import append, expected_buckets, open_store, same_day_scores, shown_buckets, verification

if TYPE_CHECKING:
    from tests.conftest import Tickertone
    from tests.storage.conftest import Site


def test_a_backup_of_an_object_store_becomes_a_folder_that_can_be_copied_there_again(
    site: Site, tmp_path: Path, tickertone: Tickertone
) -> None:
    store = site.open("a")
    for number in range(11):  # a checkpoint and an entry after it
        append(store, same_day_scores(3, start=number * 3))
    rollup(store)
    assert back_up(store, tmp_path / "backup", now_us).revision == 11
    append(store, same_day_scores(4, start=900))
    done = back_up(store, tmp_path / "backup", now_us)
    assert (done.revision, done.rolled_up_to) == (12, 11)
    assert done.copied_files < done.files
    restore(tmp_path / "backup", tmp_path / "other")
    other = open_store(tmp_path / "other")
    assert shown_buckets(other) == expected_buckets(other) == shown_buckets(store)
    assert verification(other).differ == 0

    # Back to an object store: refused with the way, which works.
    place = {"TICKERTONE_STORE_URL": f"{site.url}-again", "TICKERTONE_STORE_ENDPOINT": site.s3.endpoint}
    refused = tickertone("restore", tmp_path / "backup", env=place, code=2)
    assert "unset store_url, and copy the tables" in refused.stderr
    assert not tickertone.data_dir.exists()
    again = type(site)(site.s3, tmp_path / "again", place["TICKERTONE_STORE_URL"])
    client = again.client()
    for path in sorted((tmp_path / "other").glob("*/**/*")):
        if path.is_file() and path.relative_to(tmp_path / "other").parts[0] in ("scores", "buckets"):
            client.put(str(path.relative_to(tmp_path / "other")), path.read_bytes())
    moved = again.open("b", create=False)
    assert shown_buckets(moved) == shown_buckets(store)
    assert all(append(moved, same_day_scores(4, start=900)))
    append(moved, same_day_scores(2, start=950))
    rollup(moved)
    assert verification(moved).differ == 0
