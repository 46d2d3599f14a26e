"""What the product is made of: docs/sbom.cdx.json (CycloneDX) and docs/licences.md, from the installed environment.

Only what `pip install tickertone` brings is listed, not what its tests need. Needs the extra `audit`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[1]
ROOT = "tickertone"
# Packages that name their licence neither as an expression nor by a classifier, as their licence files say.
TOLD_ELSEWHERE: dict[str, str] = {}
HEAD = """# Licences

Tickertone is under the Apache License 2.0. What it needs to run, with the licence each names for itself; `make audit`
writes this list and [sbom.cdx.json](sbom.cdx.json), the same as a bill of materials (CycloneDX). plotly.js (MIT) comes
inside of the package plotly, React (MIT) inside of dash, Swagger UI (Apache-2.0) inside of fastapi-swagger.

| package | version | licence |
|---|---|---|
"""


def closure(root: str = ROOT) -> dict[str, metadata.Distribution]:
    """What a package needs on this machine, itself left out, by canonical name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(root, frozenset[str]())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        distribution = metadata.distribution(name)
        found[canonicalize_name(name)] = distribution
        for line in distribution.requires or []:
            wanted = Requirement(line)
            holds = wanted.marker is None or any(wanted.marker.evaluate({"extra": each}) for each in {"", *extras})
            following = (str(canonicalize_name(wanted.name)), frozenset(wanted.extras))
            if holds and following not in seen:
                seen.add(following)
                waiting.append(following)
    del found[canonicalize_name(root)]
    return dict(sorted(found.items()))


def licence(distribution: metadata.Distribution) -> str:
    """The licence a package names for itself, in a few words."""
    told = distribution.metadata
    named = told.get("License-Expression")
    if not named:
        classifiers = [
            each.split(" :: ")[-1] for each in told.get_all("Classifier", []) if each.startswith("License ::")
        ]
        named = "; ".join(each for each in classifiers if each != "OSI Approved")
    if not named:
        first = (told.get("License") or "").strip().split("\n")[0]
        named = first if len(first) < 60 else ""
    return named or TOLD_ELSEWHERE.get(canonicalize_name(told["Name"]), "")


def main() -> None:
    """Write both files; exits with 1 when a package does not say what its licence is."""
    packages = closure()
    pinned = "".join(f"{name}=={each.version}\n" for name, each in packages.items())
    made = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "requirements", "-", "--output-reproducible"],
        input=pinned, capture_output=True, text=True, check=True,
    )  # fmt: skip
    bill = json.loads(made.stdout)
    for component in bill["components"]:
        component.pop("externalReferences", None)  # where to fetch it is no part of what it is
        component["licenses"] = [{"license": {"name": licence(packages[canonicalize_name(component["name"])])}}]
    (REPOSITORY / "docs" / "sbom.cdx.json").write_text(json.dumps(bill, indent=1) + "\n", "utf-8")
    rows = "".join(f"| `{name}` | {each.version} | {licence(each)} |\n" for name, each in packages.items())
    (REPOSITORY / "docs" / "licences.md").write_text(HEAD + rows, "utf-8")
    silent = [name for name, each in packages.items() if not licence(each)]
    if silent:
        sys.exit(f"These do not say what their licence is; look, and note it in TOLD_ELSEWHERE: {', '.join(silent)}")


if __name__ == "__main__":
    main()
