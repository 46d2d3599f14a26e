"""The crash campaign: every process that writes to a store is killed with -9, at its own moments and at system calls.

`python -m tests.campaign.crash --kills 500 [--seed 1] [--folder DIR]`. Each round starts processes on one store, kills
one or more of them, and looks at what is left. Rounds are of two kinds:

- together: pushes into a server, a file, a live source, a rollup, compaction and retention run side by side; some of
  them die after a random time.
- call: one of them dies when it enters its n-th system call of a kind that writes (strace injects the signal), n going
  up through all there are.

After each kill, without anything being mended by hand: no acknowledged item is missing, none is there twice, `verify`
finds nothing, the buckets of every resolution count what was ever stored, and what was killed runs again to its end.
All the while a reader looks: no snapshot may show one resolution without the others, or less than was acknowledged.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dashapp.clock import now_us
from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.time import MAX_US, MIN_US, to_iso
from dashapp.model.variant import ALL
from dashapp.store.apikeys import ApiKeys
from dashapp.store.reader import Reader
from tests.conftest import free_port_number
from tests.push.sender import Sender, item
from tests.sources.newsstand import Newsstand, Reply
from tests.stores import DAY_US, append, open_store, score, stored_scores, verification

REPOSITORY = Path(__file__).resolve().parents[2]
GONE = (OSError, http.client.HTTPException)
# A store of some thousand scores is checked in a second; then a new one begins.
ROUNDS_PER_STORE = 25
OLD_DAYS = 400
# The kinds of system calls that write; strace counts each kind for itself.
KINDS = {
    "write": "write,pwrite64,writev,ftruncate",
    "flush": "fsync,fdatasync",
    "name": "rename,renameat,renameat2,link,linkat",
    "remove": "unlink,unlinkat",
    "make": "mkdir,mkdirat",
}
ONCE = ("ingest", "rollup", "full", "compaction", "retention", "upkeep", "feed", "backup")
TOGETHER = ("serve", "ingest", "feed", "rollup", "compaction", "retention")


@dataclass(frozen=True)
class Work:
    """A command line, and the items it acknowledges by ending well."""

    command: list[str]
    promised: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Running:
    """A process, and where it prints to."""

    process: subprocess.Popen[bytes]
    work: Work
    log_path: Path

    def end(self, timeout_s: float = 300) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(timeout_s)

    def kill(self) -> bool:
        """kill -9 it with its group; says whether it was still running."""
        was_running = self.process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        return was_running


@dataclass
class Campaign:
    """One store and everything that is known of it."""

    folder: Path
    draw: random.Random
    stand: Newsstand
    acknowledged: set[str] = field(default_factory=set)
    old: set[str] = field(default_factory=set)
    number: int = 0
    started: list[Running] = field(default_factory=list)
    port: int = 0
    key: str = ""

    @property
    def store(self) -> Path:
        """The data folder."""
        return self.folder / "store"

    def begin(self) -> None:
        """Make the store, with scores of many days for retention to drop."""
        store = open_store(self.store)
        scores = [
            score(f"old-{day}-{n}", now_us() - day * DAY_US, n * 100_000, ticker="AAPL")
            for day in range(60, OLD_DAYS, 4)
            for n in range(2)
        ]
        append(store, scores)
        store.close()
        self.old = {each.item_id for each in scores}
        self.key, _ = ApiKeys(self.store).add("crash", now_us=0)

    def items(self, name: str, count: int) -> list[dict[str, Any]]:
        """Scored items of the last ten days, two tickers."""
        return [
            {**item(f"{name}-{n}", ticker=("AAPL", "MSFT")[n % 2], score=self.draw.uniform(-1, 1)),
             "ts": to_iso(now_us() - self.draw.randrange(10 * DAY_US))}
            for n in range(count)
        ]  # fmt: skip

    def work(self, name: str, *, for_ever: bool = False) -> Work:
        """What a process of this name does in this round."""
        match name:
            case "ingest":
                rows = self.items(f"f{self.number}", 60)
                file = self.folder / f"{self.number}.jsonl"
                file.write_text("".join(json.dumps(row) + "\n" for row in rows))
                return Work(["ingest", str(file), "--batch-rows", "10"], frozenset(row["id"] for row in rows))
            case "feed":
                self.stand.at("/rss", _news(self.number))
                promised = frozenset(f"rss:https://example.com/{self.number}-{n}" for n in range(10))
                return Work(["feed"] if for_ever else ["feed", "--once"], promised)
            case "rollup":
                return Work(["rollup", "--every", "50ms"] if for_ever else ["rollup"])
            case "full":
                return Work(["rollup", "--full"])
            case "upkeep":
                return Work(["maintain", "vacuum", "logs"])
            case "backup":
                return Work(["backup", str(self.folder / "backup")])
            case "serve":
                self.port = free_port_number()
                return Work(["serve", "--host", "127.0.0.1", "--port", str(self.port)])
            case _:
                return Work(["maintain", name, *(["--every", "100ms"] if for_ever else [])])

    def environment(self) -> dict[str, str]:
        """Retention drops two weeks more each round; jobs run as often as they can."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TICKERTONE_")}
        kept = max(50, OLD_DAYS - 14 * (self.number % ROUNDS_PER_STORE + 1))
        named = {
            "DATA_DIR": self.store, "RETENTION_SCORES_DAYS": kept, "COMPACT_EVERY_S": 1, "UPKEEP_EVERY_S": 1,
            "RETENTION_EVERY_S": 1, "VACUUM_AFTER_S": 600, "LOG_KEPT_S": 600, "FEED_RSS_URLS": f"{self.stand.url}/rss",
            "FEED_EVERY_S": 0.1, "FEED_LIMITS": "rss=100000/minute",
            "PUSH_ITEMS_PER_S": 1_000_000, "PUSH_BURST_ITEMS": 1_000_000,
        }  # fmt: skip
        return {**inherited, **{f"TICKERTONE_{name}": str(value) for name, value in named.items()}}

    def start(self, work: Work, around: Sequence[str] = ()) -> Running:
        """Start a process in a group of its own, so that strace and what it traces end together."""
        log_path = self.folder / f"{len(self.started)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*around, sys.executable, "-m", "dashapp", *work.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=REPOSITORY, env=self.environment(), start_new_session=True,
            )  # fmt: skip
        self.started.append(Running(process, work, log_path))
        return self.started[-1]

    def end(self) -> None:
        """Leave nothing running, whatever went wrong, and nothing on the disk."""
        for each in self.started:
            each.kill()
        shutil.rmtree(self.folder)

    def check(self) -> None:
        """What holds after every kill."""
        store = open_store(self.store)
        ids = Counter(row["item_id"] for row in stored_scores(store))
        assert set(ids.values()) <= {1}, [each for each, count in ids.items() if count > 1]
        missing = self.acknowledged - set(ids)
        assert not missing, f"{len(missing)} acknowledged items are missing: {sorted(missing)[:5]}"
        assert verification(store).differ == 0
        counts = _counts(Reader(store, timeout_ms=60_000))
        assert counts == dict.fromkeys(counts, len(set(ids) | self.old)), counts
        store.close()


def _news(number: int) -> Reply:
    entries = "".join(
        f"<item><guid>https://example.com/{number}-{n}</guid><title>$TSLA beats, up {n} %</title>"
        f"<pubDate>{time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime(time.time() - 60 * n))}</pubDate></item>"
        for n in range(10)
    )
    return Reply(f'<?xml version="1.0"?><rss version="2.0"><channel>{entries}</channel></rss>')


def _counts(reader: Reader) -> dict[str, int]:
    """How many scores one snapshot's buckets count, for each resolution."""
    view = reader.view()
    return {
        each.name: sum(reader.audit(view, each, MIN_US, MAX_US + 1, ALL).column("count").to_pylist())
        for each in RESOLUTIONS
    }


@contextmanager
def watching(campaign: Campaign) -> Iterator[None]:
    """A reader looks again and again at what is there; what it saw wrong fails the round."""
    over = threading.Event()
    wrong: list[str] = []

    def look() -> None:
        store = open_store(campaign.store)
        reader = Reader(store, timeout_ms=60_000)
        while not over.wait(0.05):
            least = len(campaign.acknowledged | campaign.old)
            counts = _counts(reader)
            if len(set(counts.values())) != 1 or min(counts.values()) < least:
                wrong.append(f"of {least} acknowledged scores a reader saw {counts}")
        store.close()

    def guarded() -> None:
        try:
            look()
        except Exception as error:  # noqa: BLE001  told in the thread that checks
            wrong.append(repr(error))

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(120)
    assert not wrong, wrong[:3]


@contextmanager
def pushing(campaign: Campaign, server: Running, name: str) -> Iterator[None]:
    """Four senders push into a server as soon as it answers, until it is gone; what it answered is acknowledged."""
    over = threading.Event()
    wrong: list[str] = []

    def push(sender: int) -> None:
        turn = 0
        while not over.wait(0.05) and server.process.poll() is None:
            sending = Sender(campaign.port, campaign.key)
            with contextlib.suppress(*GONE):  # it does not answer yet, or not any more
                while not over.is_set():
                    rows = campaign.items(f"{name}-{sender}-{turn}", 1 + turn % 7)
                    turn += 1
                    answer = sending.push_items(*rows)
                    if answer.status != 200:
                        wrong.append(repr(answer))
                        return
                    campaign.acknowledged |= {row["id"] for row in rows}
            sending.close()

    senders = [threading.Thread(target=push, args=(sender,)) for sender in range(4)]
    for each in senders:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in senders:
            each.join(60)
    assert not wrong, wrong[:3]


def again(campaign: Campaign, work: Work) -> None:
    """What was killed runs to its end, without any help; then its promise holds."""
    finished = campaign.start(work)
    assert finished.end() == 0, f"{work.command} after a kill: {finished.log_path.read_text()}"
    campaign.acknowledged |= work.promised


def together(campaign: Campaign) -> Counter[str]:
    """Everything at once; all are killed, in any order and with pauses, and the one-off ones run again."""
    names = campaign.draw.sample(TOGETHER, len(TOGETHER))
    running: dict[str, Running] = {}
    done: Counter[str] = Counter()
    with watching(campaign):
        for name in names:
            if name != "ingest":  # a file is over soon: it begins when the others are at work
                running[name] = campaign.start(campaign.work(name, for_ever=True))
        with pushing(campaign, running["serve"], f"p{campaign.number}"):
            _until_something_is_pushed(campaign, running["serve"])
            running["ingest"] = campaign.start(campaign.work("ingest"))
            time.sleep(campaign.draw.uniform(0, 4))
            for name in campaign.draw.sample(names, len(names)):
                each = running[name]
                if each.kill():
                    done[name] += 1
                else:
                    assert each.process.returncode == 0, f"{name} ended by itself: {each.log_path.read_text()}"
                    campaign.acknowledged |= each.work.promised
                time.sleep(campaign.draw.choice([0, 0.05, 0.5]))
    campaign.check()
    again(campaign, running["ingest"].work)
    again(campaign, replace(running["feed"].work, command=["feed", "--once"]))
    again(campaign, campaign.work("rollup"))
    campaign.check()
    return done


def _until_something_is_pushed(campaign: Campaign, server: Running, timeout_s: float = 60) -> None:
    before, deadline = len(campaign.acknowledged), time.monotonic() + timeout_s
    while len(campaign.acknowledged) < before + 20:
        assert server.process.poll() is None, server.log_path.read_text()
        assert time.monotonic() < deadline, f"nothing was pushed in {timeout_s} s: {server.log_path.read_text()}"
        time.sleep(0.05)


def at_call(campaign: Campaign, name: str, kind: str, call: int) -> bool:
    """One process dies when it enters its n-th call of a kind; says whether there are so many."""
    calls = KINDS[kind]
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={call}"]
    work = campaign.work(name)
    with watching(campaign):
        one = campaign.start(work, ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", *inject])
        code = one.end()
    campaign.check()
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        again(campaign, work)
    else:
        assert code == 0, f"{name}: {one.log_path.read_text()}"
        campaign.acknowledged |= work.promised
    campaign.check()
    return code != 0


def run(folder: Path, kills: int, seed: int, told: Callable[[str], None] = print) -> Counter[str]:
    """Rounds until so many kills; returns how often each process died.

    Raises AssertionError at the first thing wrong.
    """
    draw = random.Random(seed)
    done: Counter[str] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    open_pairs = [(name, kind) for name in ONCE for kind in KINDS]
    draw.shuffle(open_pairs)
    stand = Newsstand()
    number = 0
    with contextlib.ExitStack() as stack:
        stack.callback(stand.close)
        while done.total() < kills:
            if number % ROUNDS_PER_STORE == 0:
                campaign = Campaign(folder / f"s{number}", draw, stand)
                campaign.folder.mkdir(parents=True)
                stack.callback(campaign.end)
                campaign.begin()
            campaign.number = number
            if open_pairs and number % 3 and shutil.which("strace"):
                name, kind = open_pairs[number % len(open_pairs)]
                calls[name, kind] += 1
                if at_call(campaign, name, kind, calls[name, kind]):
                    done[f"{name} at a call that {kind}s"] += 1
                else:
                    open_pairs.remove((name, kind))
            else:
                done += together(campaign)
            number += 1
            told(f"{done.total()} kills in {number} rounds, {len(campaign.acknowledged)} items acknowledged")
    return done


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it, and print what died how often."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.crash", description="Kill everything that writes.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as made:
        done = run(asked.folder or Path(made), asked.kills, asked.seed, lambda line: print(line, flush=True))
    print(json.dumps({"kills": done.total(), **dict(done.most_common())}, indent=2))


if __name__ == "__main__":
    main()
