"""`tickertone backup` and `restore`: a consistent copy of a store that is in use, and the way back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from dashapp.clock import now_us
from dashapp.commands.output import emit
from dashapp.config import Settings
from dashapp.errors import UsageError
from dashapp.store.backup import back_up
from dashapp.store.backup import restore as restore_store
from dashapp.store.store import Store

DONE = 0


def add_backup_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `backup` and `restore` to the parser."""
    sub = command(
        "backup", backup, "Copy the store, while it is in use; again into the same folder copies what is new."
    )
    sub.add_argument("destination", metavar="DEST", help="a folder that is new, empty, or holds a backup of this store")
    sub = command("restore", restore, "Make the store of a backup, in a data folder that is empty or not there.")
    sub.add_argument("source", metavar="SRC", help="the folder that `backup` made")


def backup(asked: argparse.Namespace, settings: Settings) -> int:
    """Copy the store."""
    done = back_up(Store(settings), Path(asked.destination), now_us)
    emit(
        asked,
        asdict(done),
        f"revision {done.revision}: {done.files:,} files, {done.bytes / 1e6:,.1f} MB; {done.copied_files:,} of them, "
        f"{done.copied_bytes / 1e6:,.1f} MB, copied now",
    )
    return DONE


def restore(asked: argparse.Namespace, settings: Settings) -> int:
    """Make a store of a backup."""
    if settings.store_url:
        raise UsageError(
            "A backup is restored into a data folder: unset store_url, and copy the tables to where they shall lie."
        )
    done = restore_store(Path(asked.source), settings.data_dir)
    text = f"revision {done.revision}: {done.files:,} files, {done.bytes / 1e6:,.1f} MB, all as they were backed up"
    emit(asked, asdict(done), text)
    return DONE
