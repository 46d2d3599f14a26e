"""What a command prints on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def emit(asked: argparse.Namespace, body: dict[str, Any], text: str) -> None:
    """One JSON object with --json, else the text."""
    sys.stdout.write((json.dumps(body) if asked.json else text) + "\n")
    sys.stdout.flush()
