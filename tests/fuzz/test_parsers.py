"""Every parser, fuzzed for a moment; longer in the slow run."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not here: it has no build for this platform")
@pytest.mark.parametrize(
    ("seconds", "least"), [(4, 500), pytest.param(120, 20_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
def test_no_input_breaks_a_parser(tmp_path: Path, seconds: int, least: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz.parsers", "--seconds", str(seconds), "--corpus", str(tmp_path / "c")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-5_000:]
    tried = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert tried is not None
    assert int(tried[1]) >= least
