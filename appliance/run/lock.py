"""One process of a kind on one state directory: a second one would record each visit twice."""

import fcntl
import os
from pathlib import Path

from appliance.errors import AlreadyRunning
from appliance.outbox.reserve import refusal


def hold(path: Path) -> int:
    """Take the lock file at ``path`` until this process ends; return its descriptor.

    Raises:
        AlreadyRunning: another process holds it.
        StoreError: the file cannot be made now.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)  # on a read-only disk, too
    except OSError as error:
        raise refusal(error, f"{path} cannot be opened") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise AlreadyRunning(f"another {path.stem} process works with {path.parent}: stop that one first") from None
    return handle
