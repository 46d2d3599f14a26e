"""What the tests of files share: a folder to write them to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.files.rows import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
