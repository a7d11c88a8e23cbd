"""Room kept back on the disk, so that a full disk still takes the one event that says so.

The reserve is a folder of a few files whose blocks are really allocated: together a megabyte, and as many inodes as
SQLite's own files need. When nothing more can be stored, the files are deleted and the event goes into their place;
that the reserve is gone then says that it has been spent. Cards are taken again only when it could be made anew,
which proves that there is room by more than one write.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from appliance.errors import OutboxFull, OutboxUnavailable, StoreError

FOLDER_NAME = "reserve"
FILES = 4  # the log, its index, a lock and one to spare
FILE_BYTES = 256 * 1024
NEARLY_NOTHING_BYTES = 512 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def refusal(error: OSError, what: str) -> StoreError:
    """Return the error of this project for one of the operating system's."""
    why = error.strerror or type(error).__name__
    if error.errno in _NO_ROOM:
        return OutboxFull(f"{what}: no room on the disk: free space or inodes")
    return OutboxUnavailable(f"{what}: {why}")


def shortage(folder: Path) -> str | None:
    """Return what the file system under ``folder`` has run out of: ``disk``, ``inodes`` or None for nothing."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    if found.f_files and not found.f_favail:
        return "inodes"
    return "disk" if found.f_bavail * found.f_frsize < NEARLY_NOTHING_BYTES else None


class Reserve:
    """The room kept back in one state directory.

    Args:
        state: the state directory.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER_NAME

    @property
    def is_whole(self) -> bool:
        """Say whether all of it is there."""
        return all(_size_of(path) == FILE_BYTES for path in self._paths())

    def keep(self) -> None:
        """Make what is missing of it.

        Raises:
            OutboxFull: there is no room for it.
            OutboxUnavailable: the disk takes nothing.
        """
        if self.is_whole:
            return
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for path in self._paths():
                _allocate(path)
            _sync(self._folder)
        except OSError as error:
            self.release()
            raise refusal(error, "the reserve cannot be made") from None

    def release(self) -> bool:
        """Give the room back to the disk; say whether there was any. Never raises: there is no other place to go."""
        was_there = any(_size_of(path) for path in self._paths())
        with suppress(OSError):
            shutil.rmtree(self._folder)
            _sync(self._folder.parent)
        return was_there

    def _paths(self) -> list[Path]:
        return [self._folder / str(number) for number in range(FILES)]


def _allocate(path: Path) -> None:
    """Make a file whose blocks are on the disk: nothing sparse, nothing that compresses away."""
    if _size_of(path) == FILE_BYTES:
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(FILE_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
