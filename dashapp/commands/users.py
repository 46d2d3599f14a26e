"""The command about users: the people who may log in, where the setting `login` asks for a password."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from typing import Any

from dashapp.access.passwords import MIN_CHARS, hash_password
from dashapp.clock import now_us
from dashapp.commands.output import emit
from dashapp.config import Settings
from dashapp.errors import BadPassword, UsageError
from dashapp.model.time import to_iso
from dashapp.store.users import User, Users

Run = Callable[[argparse.Namespace, Settings], int]
AddCommand = Callable[[str, Run, str], argparse.ArgumentParser]

DONE = 0


def add_users_command(command: AddCommand) -> None:
    """Add `users` to the parser of all commands."""
    sub = command("users", users, "Add, list or remove the people who may log in.")
    sub.add_argument(
        "action",
        choices=["add", "list", "remove"],
        help="`add` asks for a password, or reads one line from standard input; for a name that is there, a new one",
    )
    sub.add_argument("name", nargs="?", metavar="NAME", help="name of the user")


def users(asked: argparse.Namespace, settings: Settings) -> int:
    """Add, list or remove users."""
    held = Users(settings.data_dir)
    if (asked.name is None) != (asked.action == "list"):
        raise UsageError("tickertone users add NAME | list | remove NAME")
    if asked.action == "add":
        user = held.put(asked.name, hash_password(_password()), now_us=now_us())
        emit(asked, _user_json(user), f"{user.name} may log in where the setting login is password.")
    elif asked.action == "remove":
        user = held.remove(asked.name)
        emit(asked, _user_json(user), f"{user.name} may not log in any more.")
    else:
        found = [_user_json(user) for user in held.all()]
        emit(
            asked, {"users": found}, "\n".join(f"{each['changed']:27}  {each['name']}" for each in found) or "No users."
        )
    return DONE


def _password() -> str:
    """The password as typed twice on a terminal, or a line of standard input: never an argument, which others see."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password (at least {MIN_CHARS} characters): ")
    if getpass.getpass("Again: ") != password:
        raise BadPassword("The two were not the same.")
    return password


def _user_json(user: User) -> dict[str, Any]:
    return {"name": user.name, "changed": to_iso(user.changed_us)}
