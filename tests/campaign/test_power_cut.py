"""A power cut right after an acknowledgement: what was flushed is there, what was not may be gone; nothing is lost.

strace tells what a process wrote, named and flushed. From that the test builds the disk that a power cut may leave:
data not flushed is empty, names not flushed are gone (or there, as luck would have it). Then it opens the store.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dashapp.rollup.job import rollup
from tests.campaign.appender import batch
from tests.stores import append, expected_buckets, open_store, shown_buckets, stored_scores, verification

REPOSITORY = Path(__file__).resolve().parents[2]
CALLS = (
    "openat,creat,write,pwrite64,writev,ftruncate,fsync,fdatasync,link,linkat,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat"
)

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@dataclass
class Data:
    """What a name leads to: a folder, or the data of a file, flushed or not."""

    flushed: bool = True


@dataclass
class Disk:
    """The names below a folder, as the system shows them and as the disk holds them for sure.

    What is there at the beginning counts as flushed.
    """

    root: Path
    names: dict[Path, Data] = field(default_factory=dict)
    flushed_names: dict[Path, Data] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names |= {path: Data() for path in self.root.rglob("*")}
        self.flushed_names |= self.names

    def take(self, call: str, line: str) -> None:
        """Follow one system call that succeeded."""
        paths = [Path(text) for text in re.findall(r'"(/[^"]*)"', line)]
        opened = re.match(r"\w+\(\d+<([^>]*)>", line)
        match call:
            case "openat" | "creat" if "O_CREAT" in line or "O_TRUNC" in line:
                self.names.setdefault(paths[0], Data())
            case "mkdir" | "mkdirat":
                self.names[paths[0]] = Data()
            case "write" | "pwrite64" | "writev" | "ftruncate" if opened and Path(opened[1]) in self.names:
                self.names[Path(opened[1])].flushed = False
            case "link" | "linkat":
                self.names[paths[1]] = self.names[paths[0]]
            case "rename" | "renameat" | "renameat2":
                self.names[paths[1]] = self.names.pop(paths[0])
            case "unlink" | "unlinkat" if paths:
                self.names.pop(paths[0], None)
            case "fsync" | "fdatasync" if opened:
                self._flush(Path(opened[1]))

    def _flush(self, path: Path) -> None:
        if path in self.names:
            self.names[path].flushed = True
        for names in (self.names, self.flushed_names):
            for name in [name for name in names if name.parent == path]:
                if name in self.names:
                    self.flushed_names[name] = self.names[name]
                else:
                    del self.flushed_names[name]

    def left_behind(self, *, names_survive: bool) -> dict[Path, Data]:
        """The names a power cut leaves."""
        if names_survive:
            return dict(self.names)
        return {
            name: data
            for name, data in self.flushed_names.items()
            if all(
                parent in self.flushed_names
                for parent in name.parents
                if parent != self.root and self.root in parent.parents
            )
        }


def traced(script: str, root: Path, log: Path) -> Iterator[tuple[int, Disk]]:
    """Run Python under strace; yields the number of each acknowledgement with the disk as it was then."""
    command = [
        "strace", "-f", "-qq", "-y", "-s", "200", "-o", str(log), "-e", f"trace={CALLS}",
        sys.executable, "-c", script,
    ]  # fmt: skip
    disk = Disk(root)
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if "ptrace" in finished.stderr:
        pytest.skip(f"strace may not trace here: {finished.stderr.strip()}")
    assert finished.returncode == 0, finished.stderr
    pending: dict[str, str] = {}
    for raw in log.read_text(errors="replace").splitlines():
        thread, _, line = raw.partition(" ")
        line = line.strip()
        if line.endswith("<unfinished ...>"):
            pending[thread] = line.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>", line)
        if resumed:
            line = pending.pop(thread) + line[resumed.end() :]
        call = line.partition("(")[0]
        printed = re.match(r'write\(1<[^>]*>, "acknowledged (\d+)\\n"', line)
        if printed:
            yield int(printed[1]), disk
        elif str(root) in line and not re.search(r"= -1 E", line):
            disk.take(call, line)


def rebuild(disk: Disk, target: Path, *, names_survive: bool) -> Path:
    """The folder as the power cut left it; every file is written once, so its data of then is its data of now."""
    for name, data in sorted(disk.left_behind(names_survive=names_survive).items()):
        copy = target / name.relative_to(disk.root)
        if name.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif name.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(name.read_bytes() if data.flushed else b"")
    return target / "store"


def assert_holds(folder: Path, acknowledged: set[str]) -> None:
    store = open_store(folder)
    ids = [row["item_id"] for row in stored_scores(store)]
    assert not acknowledged - set(ids)
    assert len(ids) == len(set(ids))
    assert verification(store).differ == 0
    assert append(store, batch("x", 0, 4)) == [True] * 4
    rollup(store)
    assert shown_buckets(store) == expected_buckets(store)


def test_what_was_acknowledged_survives_a_power_cut_also_at_a_checkpoint(tmp_path: Path) -> None:
    root = tmp_path / "disk"
    store = open_store(root / "store")
    for number in range(96):
        append(store, batch("x", number, 4))
    script = f"""
from pathlib import Path
from dashapp.rollup.job import rollup
from tests.campaign.appender import batch
from tests.stores import append, open_store
store = open_store(Path({str(root)!r}) / "store")
for number in range(96, 101):
    append(store, [*batch("x", number - 1, 4), *batch("x", number, 4)])
    print(f"acknowledged {{number}}\\n", end="", flush=True)
    rollup(store)
"""
    looked_at = 0
    for number, disk in traced(script, root, tmp_path / "trace"):
        if number not in (96, 98, 100):  # entry 99 brings a checkpoint, with the acknowledgement 98
            continue
        acknowledged = {row.item_id for each in range(number + 1) for row in batch("x", each, 4)}
        for names_survive in (False, True):
            folder = rebuild(disk, tmp_path / f"{number}-{names_survive}", names_survive=names_survive)
            assert_holds(folder, acknowledged)
            looked_at += 1
    assert looked_at == 6


@pytest.mark.parametrize("names_survive", [False, True], ids=["names gone", "names survive"])
@pytest.mark.parametrize("following", [[1], [2], [1, 2]], ids=["the same again", "others", "both"])
def test_what_a_writer_killed_before_its_flush_left_is_durable_before_it_is_called_known_or_built_upon(
    tmp_path: Path, following: list[int], names_survive: bool
) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    script = f"""
import os
from pathlib import Path
from tests.campaign.appender import batch
from tests.stores import append, open_store
folder = Path({str(root)!r}) / "store"
append(open_store(folder), batch("x", 0, 4))
fsync, entry = os.fsync, str(folder / "scores" / "_delta_log" / f"{{2:020d}}.json")
os.fsync = lambda descriptor: None if os.path.exists(entry) else fsync(descriptor)  # as one killed after the commit
append(open_store(folder), batch("x", 1, 4))
os.fsync = fsync
append(open_store(folder), [row for number in {following} for row in batch("x", number, 4)])
print("acknowledged 0\\n", end="", flush=True)
"""
    (disk,) = (disk for _, disk in traced(script, root, tmp_path / "trace"))
    folder = rebuild(disk, tmp_path / "after", names_survive=names_survive)
    assert_holds(folder, {row.item_id for number in [0, *following] for row in batch("x", number, 4)})
