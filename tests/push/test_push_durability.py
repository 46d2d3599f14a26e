"""Many senders at once, servers killed and ended under load: what was acknowledged is stored, and counts once."""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from dashapp.store.apikeys import ApiKeys
from tests.push.sender import Sender, item
from tests.stores import open_store, stored_scores

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Server, ServerFactory, Tickertone

# Pushing faster than the machine is what these tests want.
ENV = {"TICKERTONE_PUSH_ITEMS_PER_S": "1000000", "TICKERTONE_PUSH_BURST_ITEMS": "1000000"}
GONE = (OSError, http.client.HTTPException)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


def stored_ids(data_dir: Path) -> Counter[str]:
    store = open_store(data_dir)
    ids = Counter(row["item_id"] for row in stored_scores(store))
    store.close()
    return ids


def test_fifty_senders_and_a_file_with_the_same_items_count_each_once(
    server: ServerFactory, tickertone: Tickertone, tmp_path: Path
) -> None:
    data_dir = tickertone.data_dir
    served = server("run", "--every", "300ms", data_dir=data_dir, env=ENV)
    key, _ = ApiKeys(data_dir).add("all", now_us=0)
    pool = [item(f"i{number}", number, ticker=("AAPL", "MSFT", "TSLA")[number % 3]) for number in range(1_200)]
    told: list[tuple[str, str]] = []
    pushes: list[int] = []

    def push(number: int) -> None:
        chance = random.Random(number)
        sending = Sender(served.port, key)
        for _ in range(12):
            chosen = chance.sample(pool, chance.choice([1, 1, 3, 40]))
            answer = sending.push_items(*chosen)
            assert answer.status == 200, answer
            told.extend(zip((each["id"] for each in chosen), answer.statuses, strict=True))
            pushes.append(answer.body["revision"])
        sending.close()

    file = tmp_path / "same.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in pool[::2]))
    summaries: list[Any] = []
    ingest = threading.Thread(target=lambda: summaries.append(tickertone.json("ingest", file, "--batch-rows", "50")))
    run_all([ingest, *(threading.Thread(target=push, args=(number,)) for number in range(50))])

    assert len(pushes) == 600
    accepted = Counter(item_id for item_id, status in told if status == "accepted")
    assert set(accepted.values()) == {1}
    assert {status for _, status in told} == {"accepted", "duplicate"}
    ids = stored_ids(data_dir)
    assert set(ids.values()) == {1}
    assert set(ids) == {item_id for item_id, _ in told} | {each["id"] for each in pool[::2]}
    assert len(accepted) + summaries[0]["accepted"] == len(ids)
    # One commit for each push would be 600, and those of the file.
    assert len(set(pushes)) < 300
    assert tickertone.json("verify")["differ"] == 0
    assert served.stop() == 0


class Pusher(threading.Thread):
    """Pushes batch after batch, each until it is acknowledged, whatever happens to the server meanwhile."""

    def __init__(self, number: int, port: int, key: str) -> None:
        super().__init__()
        self.acknowledged: set[str] = set()
        self.accepted: Counter[str] = Counter()
        self.unknown: list[str] = []
        self.ending = threading.Event()
        self._number = number
        self._port = port
        self._key = key
        self._chance = random.Random(number)

    def run(self) -> None:
        """Push until `ending`; what the last push became may stay unknown."""
        batch = 0
        while not self.ending.is_set():
            batch += 1
            names = [f"{self._number}-{batch}-{each}" for each in range(self._chance.choice([1, 1, 5, 60]))]
            items = [item(name, batch, ticker=("AAPL", "MSFT")[batch % 2]) for name in names]
            if not self._push(items, names):
                self.unknown += names

    def _push(self, items: list[dict[str, Any]], names: list[str]) -> bool:
        while not self.ending.is_set():
            sending = Sender(self._port, self._key)
            try:
                answer = sending.push_items(*items)
            except GONE:
                time.sleep(0.05)
                continue
            finally:
                sending.close()
            if answer.status == 200:
                assert set(answer.statuses) <= {"accepted", "duplicate"}
                self.acknowledged |= set(names)
                self.accepted.update(
                    name for name, status in zip(names, answer.statuses, strict=True) if status == "accepted"
                )
                return True
            assert answer.status == 503, answer
        return False


def end(pushers: list[Pusher]) -> None:
    for pusher in pushers:
        pusher.ending.set()
    for pusher in pushers:
        pusher.join(30)
        assert not pusher.is_alive()


def check(pushers: list[Pusher], data_dir: Path) -> int:
    ids = stored_ids(data_dir)
    acknowledged = set().union(*(pusher.acknowledged for pusher in pushers))
    unknown = {name for pusher in pushers for name in pusher.unknown}
    assert acknowledged - set(ids) == set(), "acknowledged and lost"
    assert set(ids) - acknowledged - unknown == set()
    assert set(ids.values()) == {1}
    for pusher in pushers:
        assert set(pusher.accepted.values()) <= {1}
    return len(acknowledged)


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_again_and_again(
    server: ServerFactory, tickertone: Tickertone, free_port: int
) -> None:
    data_dir = tickertone.data_dir
    key, _ = ApiKeys(data_dir).add("all", now_us=0)
    pushers = [Pusher(number, free_port, key) for number in range(12)]
    chance = random.Random(5)
    served: Server | None = None
    acknowledged = [0]
    try:
        for turn in range(5):
            served = server("run", "--every", "200ms", data_dir=data_dir, port=free_port, env=ENV)
            if turn == 0:
                for pusher in pushers:
                    pusher.start()
            time.sleep(chance.uniform(0.4, 1.2))
            served.process.send_signal(signal.SIGKILL)
            served.process.wait(10)
            acknowledged.append(sum(len(pusher.acknowledged) for pusher in pushers))
        assert acknowledged == sorted(acknowledged)
        assert acknowledged[-1] > acknowledged[1] > 0, "the servers were killed before they took anything"
        served = server("run", "--every", "200ms", data_dir=data_dir, port=free_port, env=ENV)
        time.sleep(0.5)
    finally:
        end(pushers)
    assert served.stop() == 0
    assert check(pushers, data_dir) > acknowledged[-1]
    verified = tickertone.json("verify")
    assert verified["differ"] == 0
    assert verified["checked"] > 0


def test_an_orderly_end_under_load_is_quick_and_answers_or_refuses_everybody(
    server: ServerFactory, tickertone: Tickertone, free_port: int
) -> None:
    data_dir = tickertone.data_dir
    key, _ = ApiKeys(data_dir).add("all", now_us=0)
    served = server("serve", data_dir=data_dir, port=free_port, env=ENV)
    pushers = [Pusher(number, free_port, key) for number in range(20)]
    for pusher in pushers:
        pusher.start()
    time.sleep(1.0)
    began_s = time.monotonic()
    code = served.stop()
    took_s = time.monotonic() - began_s
    end(pushers)
    assert (code, took_s < 5) == (0, True)
    assert check(pushers, data_dir) > 0
    assert "Traceback" not in served.log
    assert tickertone.json("verify")["differ"] == 0
