"""The list of what the product is made of is of this very version, and every pin is exact."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]


def _bill() -> Any:
    spec = importlib.util.spec_from_file_location("bill", REPOSITORY / "tools" / "bill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_whatever_is_needed_to_run_is_listed_with_its_version_and_a_licence() -> None:
    bill = _bill()
    needed = {str(name): each.version for name, each in bill.closure().items()}
    rows = re.findall(r"^\| `([^`]+)` \| (\S+) \| (.+) \|$", (REPOSITORY / "docs/licences.md").read_text("utf-8"), re.M)
    assert {name: version for name, version, _ in rows}.items() >= needed.items()
    assert all(licence.strip() for _, _, licence in rows)
    components = json.loads((REPOSITORY / "docs/sbom.cdx.json").read_text("utf-8"))["components"]
    assert {(each["name"], each["version"]) for each in components} == {(name, version) for name, version, _ in rows}


def test_everything_needed_is_pinned_to_one_version() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!-]+", line) for line in lines)
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    for name, each in _bill().closure().items():
        assert pinned[name] == each.version, name
