"""Puts the scripts of the page together into a few files among the assets, which a browser fetches in a third of the
time. Without npm, or a network, the page uses its scripts as they are. Never fails.

`tools/bundler/package-lock.json` says which esbuild does it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dashapp.web.app import ASSETS
from dashapp.web.modules import ENTRIES, MANIFEST, PLAIN, PREFIX, manifest, modules_of, tag_of

BUNDLER = Path(__file__).parent / "bundler"
LOCK = BUNDLER / "package-lock.json"
ESBUILD = BUNDLER / "node_modules" / ".bin" / "esbuild"
INSTALLED = BUNDLER / "node_modules" / ".package-lock.json"
NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=0")
MOST_S = 60
KEPT_S = 86_400


def installed() -> bool:
    """Whether esbuild is there, brought by npm if it can be."""
    if ESBUILD.exists() and INSTALLED.exists() and INSTALLED.stat().st_mtime >= LOCK.stat().st_mtime:
        return True
    if shutil.which("npm") is None:
        return False
    try:
        subprocess.run(
            NPM, cwd=BUNDLER, check=True, timeout=MOST_S, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        INSTALLED.touch()
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"npm did not bring what puts the scripts of the page together: {error}\n")
        return False
    return True


def tools() -> str:
    """A hash over what makes a bundle, and how."""
    return hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]


def bundle(assets: Path) -> None:
    """Make the bundle of the modules in a folder; raises OSError, subprocess.SubprocessError, and LookupError or
    ValueError where esbuild says what it never said."""
    of = tag_of(assets)
    with tempfile.TemporaryDirectory(dir=assets, prefix=PREFIX) as folder:
        said = Path(folder) / "said.json"
        subprocess.run(
            [
                str(ESBUILD), *(str(assets / f"{name}.mjs") for name in ENTRIES), "--bundle", "--splitting", "--minify",
                "--format=esm", "--charset=utf8", "--log-level=warning", "--out-extension:.js=.mjs",
                f"--outdir={folder}", f"--entry-names={PREFIX}[name]-[hash]", f"--chunk-names={PREFIX}[hash]",
                f"--metafile={said}",
            ],
            check=True, timeout=MOST_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        told = manifest(of, tools(), json.loads(said.read_bytes()))
        files = {*told["first"], *told["main"], *told["late"]}
        for name in files:
            (Path(folder) / f"{name}.mjs").replace(assets / f"{name}.mjs")
        # Last: a bundle that is named is whole.
        listed = Path(folder) / MANIFEST
        listed.write_text(json.dumps(told, indent=1) + "\n")
        listed.replace(assets / MANIFEST)
    for file in assets.glob(f"{PREFIX}*.mjs"):
        # A server that runs may have named them to browsers, which ask for them later.
        if file.stem not in files and time.time() - file.stat().st_mtime > KEPT_S:
            file.unlink(missing_ok=True)


def is_made(assets: Path) -> bool:
    """Whether the bundle is there, of these modules and by these tools."""
    if modules_of(assets) is PLAIN:
        return False
    return bool(json.loads((assets / MANIFEST).read_bytes()).get("by") == tools())


def main() -> None:
    """Make the bundle unless it is there."""
    try:
        if not is_made(ASSETS) and installed():
            bundle(ASSETS)
    except (OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
        sys.stderr.write(f"The page will use its scripts as they are: {error}\n")


if __name__ == "__main__":
    main()
