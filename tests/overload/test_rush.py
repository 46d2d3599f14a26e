"""More of everything than the machine can take, all at once: refused in order, nothing lost, and well again at once."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY
from dashapp.rollup.job import rollup
from dashapp.store.apikeys import ApiKeys
from tests.conftest import Server, ServerFactory
from tests.overload.rush import Rush
from tests.stores import append, open_store, score, stored_scores

SCORER = DEFAULT_SCORER_IDENTITY
JANUARY_US = 1_704_067_200_000_000
# Small, so that a rush of a few seconds finds every bound.
ENV = {
    "TICKERTONE_LIVE_MAX_CONNECTIONS": "20",
    "TICKERTONE_QUERY_QUEUE": "8",
    "TICKERTONE_PUSH_QUEUE_SCORES": "2000",
    "TICKERTONE_LIVE_HEARTBEAT_S": "1",
}


@pytest.fixture(scope="module")
def served(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("rushed") / "store"
    store = open_store(folder)
    minute_us = 60_000_000
    append(
        store,
        [
            score(
                f"old{number}",
                JANUARY_US + number // 8 * 7 * minute_us,
                number % 1_000,
                ticker=f"T{number % 8}",
                scorer=SCORER,
            )
            for number in range(16_000)
        ],
    )
    rollup(store)
    store.close()
    return server("serve", data_dir=folder, env=ENV)


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def rush(served: Server, seconds: float, *, rounds: int, size: int) -> Rush:
    """Some rounds of everything at once; what is asserted of all of them."""
    key, _ = ApiKeys(served.data_dir).add(f"rush{time.monotonic_ns()}", now_us=0)
    done = Rush(served.port, key)
    memory_mb = []
    for round_ in range(rounds):
        asyncio.run(
            done.run(seconds, pushers=size, streams=3 * size, readers=4 * size, exporters=size, tag=f"R{round_}")
        )
        memory_mb.append(resident_mb(served.process.pid))
        # At once well again: what was refused a moment ago is answered.
        began_s = time.monotonic()
        after = Rush(served.port, key)
        for number in range(5):
            asyncio.run(after.ask("query", f"/api/v2/timeseries/T1?resolution=1h&start=2024-01-0{number + 1}&limit=50"))
        recovered_s = time.monotonic() - began_s
        assert after.statuses == {"query": {200: 5}}
        assert recovered_s < 5, f"well again after {recovered_s:.1f} s only"
        print(f"well again: five new questions answered {recovered_s:.2f} s after the rush")
    for kind, statuses in sorted(done.statuses.items()):
        print(f"{kind:8} {dict(statuses)}")
    print(f"memory after each round, MB: {[round(each) for each in memory_mb]}")
    print(f"pushed and on the stream, s: {[round(each, 2) for each in sorted(done.live_s)]}")
    print(f"state, s: median {sorted(done.state_s)[len(done.state_s) // 2]:.3f}, longest {max(done.state_s):.3f}")
    assert done.broken == {}
    assert done.unmannerly == []
    assert {status for each in done.statuses.values() for status in each} <= {200, 429, 503}
    for kind in ("query", "stream", "export"):
        assert done.statuses[kind][200] > 0, kind
        assert done.statuses[kind][503] > 0, f"{kind}: this was no overload"
    assert done.statuses["state"].keys() == {200}
    assert done.live_s
    # Growth after the first round would go on: nothing is kept for those who were refused or have left.
    assert memory_mb[-1] - memory_mb[0] < 100, memory_mb
    store = open_store(served.data_dir)
    stored = [row["item_id"] for row in stored_scores(store) if not row["item_id"].startswith("old")]
    store.close()
    assert len(stored) == len(set(stored))
    assert done.acknowledged <= set(stored)
    assert "Traceback" not in served.log
    return done


def test_everything_at_once_is_refused_in_order_and_loses_nothing(served: Server) -> None:
    done = rush(served, 2, rounds=2, size=8)
    assert max(done.live_s) < 10


@pytest.mark.slow
def test_a_long_rush_of_many_leaves_the_server_as_it_was(served: Server) -> None:
    done = rush(served, 20, rounds=5, size=24)
    assert sorted(done.live_s)[len(done.live_s) // 2] < 5
