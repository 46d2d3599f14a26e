"""What to do about a disk that does not let itself be written, as the end of an error's message."""

from __future__ import annotations

import errno
import re

_REMEDIES = {
    errno.ENOSPC: "Make room on that disk; nothing has to be restarted.",
    errno.EDQUOT: "Make room within the quota of this user; nothing has to be restarted.",
    errno.EROFS: "The disk is mounted read-only: see why (dmesg) and mount it writable; nothing has to be restarted.",
    errno.EACCES: "Give the data folder to the user that runs this: chown -R USER FOLDER.",
    errno.EPERM: "Give the data folder to the user that runs this: chown -R USER FOLDER.",
    errno.EIO: "The disk fails: check it (dmesg, smartctl), and have a backup.",
}
# How the Delta library tells the number.
_NUMBER = re.compile(r"\(os error (\d+)\)")


def remedy(error: Exception) -> str:
    """What to do about an error of the operating system, with a blank before it; empty where nothing is known."""
    told = _NUMBER.search(str(error))
    number = error.errno if isinstance(error, OSError) and error.errno else int(told[1]) if told else None
    known = _REMEDIES.get(number) if number is not None else None
    return f" {known}" if known else ""
