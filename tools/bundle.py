"""Puts the scripts of the page together into a few files among the assets, which a browser fetches in a third of the
time. Without npm, or a network, the page uses its scripts as they are. Never fails.

`tools/bundler/package-lock.json` says which esbuild does it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dashapp.web.app import ASSETS
from dashapp.web.modules import ENTRIES, MANIFEST, PLAIN, PREFIX, manifest, modules_of, tag_of

BUNDLER = Path(__file__).parent / "bundler"
ESBUILD = BUNDLER / "node_modules" / ".bin" / "esbuild"
INSTALLED = BUNDLER / "node_modules" / ".package-lock.json"
NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=0")
MOST_S = 60


def installed() -> bool:
    """Whether esbuild is there, brought by npm if it can be."""
    lock = BUNDLER / "package-lock.json"
    if ESBUILD.exists() and INSTALLED.exists() and INSTALLED.stat().st_mtime >= lock.stat().st_mtime:
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


def bundle(assets: Path) -> None:
    """Make the bundle of the modules in a folder; raises OSError, subprocess.SubprocessError."""
    of = tag_of(assets)
    with tempfile.TemporaryDirectory(dir=assets) as folder:
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
        told = manifest(of, json.loads(said.read_bytes()))
        files = {*told["first"], *told["main"], *told["late"]}
        for name in files:
            (Path(folder) / f"{name}.mjs").replace(assets / f"{name}.mjs")
        # Last: a bundle that is named is whole.
        listed = Path(folder) / MANIFEST
        listed.write_text(json.dumps(told, indent=1) + "\n")
        listed.replace(assets / MANIFEST)
    for file in assets.glob(f"{PREFIX}*.mjs"):
        if file.stem not in files:
            file.unlink(missing_ok=True)


def main() -> None:
    """Make the bundle unless it is there."""
    if modules_of(ASSETS) is not PLAIN:
        return
    try:
        if installed():
            bundle(ASSETS)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"The page will use its scripts as they are: {error}\n")


if __name__ == "__main__":
    main()
