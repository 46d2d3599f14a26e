"""The modules of the page, and which of them are fetched when: as they lie in the assets, or as `tools/bundle.py` has
put them together into a few files.

Thirty small files take a browser longer to fetch than all that the first chart needs besides. A bundle names the
modules it was made of by a hash; of other ones it is not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What the files of a bundle are named with, and the file that says which there are.
PREFIX = "bundle-"
MANIFEST = "bundle.json"
# Modules that import the next one of these only when they run.
ENTRIES = ("start", "main", "late")
# What they bring, as Modules and the manifest name it.
_PARTS = ("first", "main", "late")


@dataclass(frozen=True, slots=True)
class Modules:
    """Names of modules: what starts the page, what it needs, what the first chart needs beside, and the rest."""

    start: str
    first: Sequence[str]
    main: Sequence[str]
    late: Sequence[str]

    @property
    def all(self) -> list[str]:
        """Every one that the page runs."""
        return [*self.first, *self.main, *self.late]


PLAIN = Modules(
    "start",
    (
        "start", "address", "arrangement", "axis", "brush", "cache", "candles", "chart", "choice", "chunks", "clock",
        "element", "evidence", "frame", "ground", "preload", "readout", "session", "shelf", "sketch", "sketches",
        "stage", "stream", "theme", "ticks", "view", "watchlist", "zone", "zones",
    ),
    (
        "main", "action", "average", "board", "crosshair", "desk", "effect", "link", "live", "offline", "painter",
        "place", "recount", "shade",
    ),
    (
        "late", "counting", "glide", "lists", "mend", "menu", "picture", "prose", "reader", "reorder", "share",
        "sources", "speech", "texts", "walk",
    ),
)  # fmt: skip


def modules_of(assets: Path) -> Modules:
    """The bundle among the assets if it was made of the modules that are there, else these themselves."""
    try:
        told = json.loads((assets / MANIFEST).read_bytes())
        bundle = Modules(told["start"], *(tuple(told[each]) for each in _PARTS))
        is_of_these = told["of"] == tag_of(assets)
    except (OSError, ValueError, LookupError, TypeError):  # nobody has made one, or not to its end
        return PLAIN
    is_whole = all((assets / f"{name}.mjs").is_file() for name in bundle.all)
    return bundle if is_of_these and is_whole else PLAIN


def tag_of(assets: Path) -> str:
    """A hash over the modules that a bundle is made of; raises OSError."""
    hashed = hashlib.sha256()
    for name in sorted(PLAIN.all):
        content = (assets / f"{name}.mjs").read_bytes()
        hashed.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return hashed.hexdigest()[:16]


def manifest(of: str, by: str, made: dict[str, Any]) -> dict[str, Any]:
    """What MANIFEST says of a bundle of modules `of` a tag, made `by` tools of another, by what esbuild says of it: its
    outputs, with their imports and entry points."""
    outputs = {Path(path).stem: output for path, output in made["outputs"].items()}
    entries = {Path(output["entryPoint"]).stem: name for name, output in outputs.items() if "entryPoint" in output}

    def needed_by(name: str) -> list[str]:
        found = [name]
        for each in found:
            imports = outputs[each]["imports"]
            found += [
                needed
                for needed in (Path(one["path"]).stem for one in imports if one["kind"] == "import-statement")
                if needed not in found
            ]
        return list(dict.fromkeys(found))

    told: dict[str, Any] = {"of": of, "by": by, "start": entries["start"]}
    before: list[str] = []
    for part, entry in zip(_PARTS, ENTRIES, strict=True):
        told[part] = [each for each in needed_by(entries[entry]) if each not in before]
        before += told[part]
    return told
