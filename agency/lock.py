"""One program of a kind for one agency: two ingests under one name take each other's place at the broker for ever."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import AlreadyRunning, ConfigError


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``; it is free again when this process ends, however it ends.

    Raises:
        AlreadyRunning: another process holds it.
        ConfigError: the file cannot be made.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError([f"cannot open {path}: {error.strerror}"]) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        words = f"another 'card-agency {path.stem}' works for {path.parent}: stop that one first"
        raise AlreadyRunning(words) from None
    finally:
        os.close(handle)
