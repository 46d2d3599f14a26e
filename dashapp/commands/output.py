"""What a command prints on stdout."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from dashapp.errors import OutputNotWritable


def emit(asked: argparse.Namespace, body: dict[str, Any], text: str) -> None:
    """One JSON object with --json, else the text; raises as `standard_output` does."""
    write((json.dumps(body) if asked.json else text) + "\n")


def write(text: str) -> None:
    """Print a text as it is; raises as `standard_output` does."""
    with standard_output() as file:
        file.write(text)


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Standard output, flushed at the end; what its encoding has no letters for is written as numbers.

    Raises OutputNotWritable, and BrokenPipeError where nobody reads it any more.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        mute_stdout()
        raise OutputNotWritable(f"Standard output cannot be written: {error.strerror}.") from error


def mute_stdout() -> None:
    """Drop what standard output still holds, which Python would try to write once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
