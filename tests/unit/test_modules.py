"""The modules of the page: each is fetched when it is needed, and a bundle only used while it is of those there are."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from dashapp.config import Settings
from dashapp.web import layout
from dashapp.web.app import ASSETS
from dashapp.web.modules import ENTRIES, MANIFEST, PLAIN, Modules, manifest, modules_of, tag_of
from tools.bundle import bundle, installed, is_made

WORKERS = {"service-worker", "stream-worker"}


def needed_by(name: str) -> set[str]:
    """The modules that one needs to run, itself among them."""
    needed, new = set[str](), {name}
    while new:
        needed |= new
        texts = [(ASSETS / f"{each}.mjs").read_text("utf-8") for each in new]
        imported = r'^(?:import|export|}).*"\./([\w-]+)\.mjs";$'
        new = {each for text in texts for each in re.findall(imported, text, re.MULTILINE)} - needed
    return needed


def test_every_module_is_fetched_when_it_is_needed_and_no_sooner() -> None:
    first, main, late = (needed_by(name) for name in ENTRIES)
    assert set(PLAIN.first) == first
    assert set(PLAIN.main) == main - first
    assert set(PLAIN.late) == late - main - first
    assert len(PLAIN.all) == len(set(PLAIN.all))
    there = {path.stem for path in ASSETS.glob("*.mjs") if not path.name.startswith("bundle-")}
    assert there == {*PLAIN.all} | WORKERS


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """All modules and a bundle of them."""
    for name in (*PLAIN.all, "bundle-start-1", "bundle-main-2"):
        (tmp_path / f"{name}.mjs").write_text(f"// {name}")
    told = {"of": tag_of(tmp_path), "start": "bundle-start-1", "first": ["bundle-start-1"], "main": ["bundle-main-2"]}
    (tmp_path / MANIFEST).write_text(json.dumps({**told, "late": []}))
    return tmp_path


def test_a_bundle_is_used(assets: Path) -> None:
    assert modules_of(assets) == Modules("bundle-start-1", ("bundle-start-1",), ("bundle-main-2",), ())


@pytest.mark.parametrize("change", ["another text", "a module less", "a file less", "half a list", "no list"])
def test_a_bundle_of_other_modules_or_in_parts_is_not_used(assets: Path, change: str) -> None:
    if change == "another text":
        (assets / "main.mjs").write_text("// newer")
    elif change == "a module less":
        (assets / "late.mjs").unlink()
    elif change == "a file less":
        (assets / "bundle-main-2.mjs").unlink()
    elif change == "half a list":
        (assets / MANIFEST).write_bytes((assets / MANIFEST).read_bytes()[:50])
    else:
        (assets / MANIFEST).unlink()
    assert modules_of(assets) is PLAIN


def test_a_bundle_is_fetched_in_the_order_in_which_it_is_needed() -> None:
    def output(entry: str | None, *imports: tuple[str, str]) -> dict[str, object]:
        kinds = [{"path": f"x/{name}.mjs", "kind": kind} for name, kind in imports]
        return {**({"entryPoint": f"assets/{entry}.mjs"} if entry else {}), "imports": kinds}

    static, dynamic = "import-statement", "dynamic-import"
    outputs = {
        "s1": output("start", ("shared", static), ("m1", dynamic)),
        "m1": output("main", ("shared", static), ("two", static), ("l1", dynamic)),
        "l1": output("late", ("two", static), ("three", static)),
        "shared": output(None),
        "two": output(None, ("shared", static)),
        "three": output(None),
    }
    told = manifest("tag", "tools", {"outputs": {f"x/{name}.mjs": each for name, each in outputs.items()}})
    assert told == {
        "of": "tag", "by": "tools", "start": "s1", "first": ["s1", "shared"], "main": ["m1", "two"],
        "late": ["l1", "three"],
    }  # fmt: skip


def test_the_bundle_of_this_page_is_a_few_files_that_name_each_other(tmp_path: Path) -> None:
    if not installed():
        pytest.skip("esbuild is not here, and npm cannot bring it")
    for name in (*PLAIN.all, *WORKERS):
        (tmp_path / f"{name}.mjs").write_bytes((ASSETS / f"{name}.mjs").read_bytes())
    (tmp_path / "first.js").touch()
    for name, age_s in (("old", 100_000), ("new", 1_000)):
        (before := tmp_path / f"bundle-{name}.mjs").touch()
        os.utime(before, (time.time() - age_s,) * 2)

    bundle(tmp_path)

    made = modules_of(tmp_path)
    assert made is not PLAIN
    assert len(made.first) <= 3
    assert len(made.all) <= 8
    there = {path.stem for path in tmp_path.glob("bundle-*")}
    assert there == {*made.all, "bundle-new"}, "a server that runs may still name those of this day"
    assert is_made(tmp_path)
    named = {
        each
        for name in made.all
        for each in re.findall(r'"\./([\w-]+)\.mjs"', (tmp_path / f"{name}.mjs").read_text("utf-8"))
    }
    assert named == {*made.all} - {made.start}
    html = layout.index(tmp_path, made, "a-store", Settings().at)
    assert set(re.findall(r"/assets/([\w-]+)\.mjs\?m=", html)) == set(made.all)
