"""The doctor over tables on an object store: it tells damaged copies from objects that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dashapp.clock import now_us
from dashapp.rollup.doctor import examine
from dashapp.rollup.job import rollup
from dashapp.rollup.repair import repair
from tests.stores import append, expected_buckets, same_day_scores, shown_buckets

if TYPE_CHECKING:
    from tests.storage.conftest import Site


def test_copies_are_fetched_again_and_buckets_made_anew(site: Site) -> None:
    store = site.open("a")
    settings = site.settings("a")
    append(store, same_day_scores(20))
    rollup(store)
    scores, buckets = store.scores.table.files()[0], store.buckets.table.files()[0]
    store.close()
    assert examine(settings, now_us()).is_healthy

    copy = Path(scores.path)
    copy.write_bytes(copy.read_bytes()[:100])
    site.client().delete(f"buckets/{buckets.relative}")
    kinds = [finding.kind for finding in examine(settings, now_us()).found]
    assert kinds == ["scores_damaged", "buckets_damaged"]

    repair(settings, examine(settings, now_us()), now_us)
    found = examine(settings, now_us())
    assert (found.is_healthy, found.differ) == (True, 0)
    again = site.open("a")
    assert shown_buckets(again) == expected_buckets(again)
