"""The real command in a process that was forked after its imports, as tests run it some hundred times.

Importing takes 0.8 s of processor time for a command and 2 s for a server, of a start's 3 s. So each
process of tests has one other, the nursery, that has imported everything, does nothing, and forks where a command is
wanted. What it forks is handed to the process of tests as its child: it can be waited for and killed as any other, has
its own group, folder, environment and files, and runs `dashapp.cli.main` to its end.

What a fork cannot show is shown by tests that start the interpreter: whatever sets more than TICKERTONE_ variables,
more than one worker, the campaigns of kills, the Procfile, and systems other than Linux.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

_PR_SET_CHILD_SUBREAPER = 36
_MOST_MESSAGE_BYTES = 1 << 20


class Process(Protocol):
    """What tests use of subprocess.Popen."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start(
    arguments: Sequence[str],
    *,
    files: tuple[IO[bytes] | int, IO[bytes] | int, IO[bytes] | int],
    cwd: Path,
    env: Mapping[str, str],
) -> Process:
    """Start `tickertone` with these arguments, in a group of its own; `files` are stdin, stdout and stderr."""
    if _can_fork(env):
        return _Forked(*_nursery().start(arguments, files, cwd, env))
    stdin, stdout, stderr = files
    return subprocess.Popen(
        [sys.executable, "-m", "dashapp", *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        start_new_session=True,
    )


def _can_fork(env: Mapping[str, str]) -> bool:
    if sys.platform != "linux":
        return False
    others = {name: value for name, value in env.items() if not name.startswith("TICKERTONE_")}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TICKERTONE_")}
    return others == {**ours, "PYTHONUNBUFFERED": "1"} and "TICKERTONE_SERVE_WORKERS" not in env


class _Forked:
    """A child that another process forked for this one; used as a Popen is."""

    def __init__(self, pid: int, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._arguments = arguments
        self._ends = os.pidfd_open(pid)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._ends)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None and not select.select([self._ends], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(list(self._arguments), timeout or 0)
        while (code := self.poll()) is None:  # it has ended; its exit code is there at once
            time.sleep(0.001)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Nursery:
    """The process that has imported everything and forks, and the socket to ask it by."""

    def __init__(self) -> None:
        # Whoever of our descendants loses its parent becomes our child: so do those that the nursery forks.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parents[1],
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()

    def start(
        self, arguments: Sequence[str], files: Sequence[IO[bytes] | int], cwd: Path, env: Mapping[str, str]
    ) -> tuple[int, Sequence[str]]:
        order = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}).encode()
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            numbers = [
                nothing if file == subprocess.DEVNULL else file if isinstance(file, int) else file.fileno()
                for file in files
            ]
            socket.send_fds(self._socket, [order], numbers)
        finally:
            os.close(nothing)
        answer = self._socket.recv(64)
        if not answer:
            raise RuntimeError("the process that forks commands for tests has ended; its messages are above")
        return int(answer), arguments


@functools.cache
def _nursery() -> _Nursery:
    return _Nursery()


def _serve(orders: socket.socket) -> None:
    """Fork for whoever asks, until nobody can any more."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, _MOST_MESSAGE_BYTES, 3)
        if not message:
            return
        # A child of a child: when the first one ends, the second is given to the process of tests.
        receives, sends = os.pipe()
        between = os.fork()
        if not between:
            pid = os.fork()
            if pid:
                os.write(sends, str(pid).encode())
                os._exit(0)
            os.close(receives)
            os.close(sends)
            orders.close()
            _become(json.loads(message), descriptors)
        os.close(sends)
        os.waitpid(between, 0)
        orders.send(os.read(receives, 64))
        for descriptor in (receives, *descriptors):
            os.close(descriptor)


def _become(order: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Be the command from here on."""
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = ["tickertone", *order["arguments"]]
    try:
        code = importlib.import_module("dashapp.cli").main()
    except SystemExit as end:  # argparse's, for --help and bad usage
        code = end.code if isinstance(end.code, int) else 1
    # As the interpreter ends, but for taking each module apart: half a second, of pages that a fork has to copy first.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in ("asgi", "cli", "ingest.feed", "web.server"):  # all that commands import, the late ones, too
        importlib.import_module(f"dashapp.{module}")
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    _serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)
