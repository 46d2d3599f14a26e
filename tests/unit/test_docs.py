"""The docs name every setting and every command as they are, or these tests fail."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dashapp.cli import build_parser
from dashapp.config import Settings, environment_name, load

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = fields(Settings)


def read(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def table_rows(markdown: str) -> list[list[str]]:
    """The cells of the table rows of a Markdown text, without the back quotes around them."""
    lines = [line for line in markdown.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def allowed(metadata: Any) -> str:
    low, high = metadata["low"], metadata["high"]
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    if low is not None and high is not None:
        return f"{low:g} to {high:g}" if high < 1_000_000 else f"{low} to {high}"
    return f"at least {low}" if low is not None else "any"


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def test_the_table_of_settings_says_what_the_code_says(tmp_path: Path) -> None:
    rows = table_rows(read("docs/settings.md"))
    assert [(name, unit, limits, variable, meaning) for name, _, unit, limits, variable, meaning in rows] == [
        (
            item.name,
            item.metadata["unit"],
            allowed(item.metadata),
            environment_name(item.name),
            item.metadata["help"],
        )
        for item in SETTINGS
    ]
    defaults = {variable: "" if default == "empty" else default for _, default, _, _, variable, _ in rows}
    assert load(environ=defaults, directory=tmp_path) == Settings()


def test_the_example_environment_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    given = dict(re.findall(r"^#(TICKERTONE_\w+)=(.*)$", read(".env.example"), re.MULTILINE))
    assert list(given) == [environment_name(item.name) for item in SETTINGS]
    assert load(environ=given, directory=tmp_path) == Settings()


def test_the_example_environment_changes_nothing_as_it_is() -> None:
    assert [line for line in read(".env.example").splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("name", list(commands()))
def test_every_command_stands_in_the_readme(name: str) -> None:
    assert re.search(rf"`?tickertone {name}\b", read("README.md")), f"README.md does not name `tickertone {name}`"


def test_the_readme_and_the_procfile_name_no_command_that_does_not_exist() -> None:
    # Where a command is meant, "tickertone" begins a line of a block, or code in a line of text.
    text = read("README.md") + read("Procfile")
    named = re.findall(r"(?:^(?:\$ |\w+: )?|`)tickertone ([a-z]+)", text, re.MULTILINE)
    assert set(named) - set(commands()) == set()


def test_every_command_and_every_option_has_a_help_text() -> None:
    without = [
        f"{name} {'/'.join(action.option_strings) or action.dest}"
        for name, parser in commands().items()
        for action in parser._actions
        if action.option_strings and not action.help
    ]
    assert without == []
    assert [name for name, parser in commands().items() if not parser.description] == []


def test_every_target_of_the_makefile_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)`", read("README.md"))) - targets == set()
