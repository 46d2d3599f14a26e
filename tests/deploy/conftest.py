"""A real nginx of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


def program(name: str, package: str) -> str:
    """The path of a program; skips the test where it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"no {name}: install Debian's {package}")
    return found


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 10) -> None:
    """Until something listens on a port of this machine."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"{process.args!r} does not listen on port {port}")


@dataclass
class Proxy:
    """A running nginx, and which paths it was asked for."""

    process: subprocess.Popen[bytes]
    access_log: Path

    @property
    def asked(self) -> list[str]:
        """The paths of all requests so far, the one of a stream once that ended."""
        return self.access_log.read_text("utf-8").split()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, int], Proxy]]:
    """Starts nginx with a configuration, the inside of `http {}`; the port is one it will listen on."""
    path = program("nginx", "nginx-light")
    started: list[Proxy] = []

    def start(configuration: str, port: int) -> Proxy:
        folder = tmp_path_factory.mktemp("nginx")
        log = folder / "access.log"
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy"))
        # Started by root its workers would be somebody who may not enter the folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user}daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;\n"
            "events {}\n"
            f"http {{\nlog_format path '$request_uri';\naccess_log {log} path;\n{temporary}{configuration}\n}}\n"
        )
        process = subprocess.Popen([path, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        started.append(Proxy(process, log))
        wait_for_port(port, process)
        return started[-1]

    yield start
    for each in started:
        each.process.terminate()
        each.process.wait(10)


@dataclass
class RedisServer:
    """A running redis-server that keeps nothing on the disk."""

    process: subprocess.Popen[bytes]
    url: str


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    path = program("redis-server", "redis-server")
    options = ["--port", str(free_port), "--bind", "127.0.0.1", "--save", "", "--maxmemory", "64mb"]
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen([path, *options, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    wait_for_port(free_port, process)
    yield RedisServer(process, f"redis://127.0.0.1:{free_port}/0")
    process.kill()
    process.wait(10)
