"""The files that start the processes elsewhere: each command exists, each setting exists, nothing runs as root."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashapp.cli import build_parser
from dashapp.config import Settings, environment_name
from tests.conftest import REPOSITORY

SETTINGS = {environment_name(item.name) for item in fields(Settings)}
UNITS = sorted((REPOSITORY / "deploy/systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PROCESSES = {"web": "serve", "feed": "feed", "rollup": "rollup", "upkeep": "maintain"}


def read(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def parses(arguments: list[str]) -> None:
    """That the command line takes these; argparse exits where it does not."""
    try:
        build_parser().parse_args(arguments)
    except SystemExit:
        pytest.fail(f"`tickertone {shlex.join(arguments)}` is not understood")


def commands_of_procfile() -> dict[str, list[str]]:
    lines = [line for line in read("Procfile").splitlines() if line and not line.startswith("#")]
    return {name.strip(): shlex.split(command) for name, _, command in (line.partition(":") for line in lines)}


def test_the_procfile_names_each_process_with_a_command_that_exists() -> None:
    found = commands_of_procfile()
    assert {name: words[:2] for name, words in found.items()} == {
        name: ["tickertone", command] for name, command in PROCESSES.items()
    }
    for words in found.values():
        parses(words[1:])


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_each_service_starts_what_the_procfile_starts(unit: Path) -> None:
    text = unit.read_text("utf-8")
    (start,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    program, *arguments = shlex.split(start)
    assert program.endswith("/bin/tickertone")
    parses(arguments)
    name = unit.stem.removeprefix("tickertone-")
    assert arguments[0] == PROCESSES[name]
    assert set(re.findall(r"TICKERTONE_\w+", text)) <= SETTINGS
    assert re.search(r"^User=(?!root)", text, re.MULTILINE)


def test_systemd_takes_every_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze: install Debian's systemd")
    assert [unit.stem.removeprefix("tickertone-") for unit in SERVICES] == sorted(PROCESSES)
    for unit in UNITS:
        # Where it will be installed there is a program; here another has to stand for it.
        text = unit.read_text("utf-8").replace("/opt/tickertone/.venv/bin/tickertone", sys.executable)
        (tmp_path / unit.name).write_text(text)
    copies = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run([analyze, "verify", "--man=no", *copies], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "tickertone" in line]
    assert (done.returncode, complaints) == (0, [])


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with their continuation lines."""
    text = re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(words[0], words[1].strip()) for words in (line.split(maxsplit=1) for line in lines) if words]


def test_the_image_is_slim_pinned_and_does_not_run_as_root() -> None:
    found = instructions()
    bases = [value.split()[0] for name, value in found if name == "FROM"]
    assert all(re.fullmatch(r"python:\d+\.\d+-slim-\w+", base) for base in bases)
    last = dict(found)
    user = re.fullmatch(r"(\d+):\d+", last["USER"])
    assert user is not None
    assert int(user[1]) > 0
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert "/healthz" in last["HEALTHCHECK"]
    assert all("--constraint constraints.txt" in value for name, value in found if "pip install" in value)
    order = [name for name, _ in found]
    assert order.index("USER") < order.index("ENTRYPOINT")
    (arguments,) = (yaml.safe_load(value) for name, value in found if name == "CMD")
    parses(arguments)


def test_what_the_image_copies_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    copied = [
        source.rstrip("/")
        for name, value in instructions()
        if name == "COPY" and "--from" not in value
        for source in value.split()[:-1]
    ]
    assert len(copied) > 5
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert source in allowed, f".dockerignore keeps {source} back"
    assert read(".dockerignore").splitlines()[1] == "*", "what is not named stays out, such as .env"


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "Procfile"])
def test_settings_named_exist_and_no_secret_is_among_them(name: str) -> None:
    named = set(re.findall(r"TICKERTONE_\w+", read(name)))
    assert named <= SETTINGS
    said = re.sub(r"^#.*$", "", read(name), flags=re.MULTILINE)
    assert not re.search(r"(?i)(password|secret|token|_key)\s*[=:]\s*\S", said)


def test_compose_runs_the_processes_over_one_store() -> None:
    composed: dict[str, Any] = yaml.safe_load(read("compose.yaml"))
    services = composed["services"]
    assert {name: each["command"][0] for name, each in services.items()} == PROCESSES
    for name, each in services.items():
        parses(each["command"])
        assert each["volumes"] == ["store:/var/lib/tickertone"]
        assert each["stop_grace_period"] == "15s"
        assert each["read_only"]
        assert each["cap_drop"] == ["ALL"]
        assert each.get("healthcheck", {}).get("disable", False) is (name != "web")
        assert all(port.startswith("127.0.0.1:") for port in each.get("ports", []))
    assert list(composed["volumes"]) == ["store"]


def test_a_feed_without_sources_stays_so_that_its_siblings_are_not_ended(tmp_path: Path) -> None:
    environment = {"TICKERTONE_DATA_DIR": str(tmp_path / "store"), "PATH": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashapp", "feed", "--stay"],
        cwd=REPOSITORY,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "No live source is chosen" in process.stderr.readline()
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0
