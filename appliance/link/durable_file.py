"""Files that are whole or not there at all, also after a power cut.

The content goes into a new file beside the target and is forced to the disk; one rename (or hard link) makes it the
target, and the folder is forced to the disk as well; so is whatever holds a folder that had to be made.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Put ``content`` in the place of whatever ``path`` holds. Raises OSError."""
    _settle(path, content, mode, lambda new: new.replace(path))


def create_once(path: Path, make: Callable[[], bytes]) -> bool:
    """Write what ``make`` returns, readable by the owner only, unless the file is there already.

    Where two processes try, the first one's content stays.

    Returns:
        Whether this call made the file.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists():
        return False
    try:
        _settle(path, make(), SECRET_MODE, path.hardlink_to)
    except FileExistsError:
        return False
    return True


def _settle(path: Path, content: bytes, mode: int, place: Callable[[Path], object]) -> None:
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        place(new)
    finally:
        new.unlink(missing_ok=True)
    for folder in (path.parent, *(one.parent for one in made)):
        _force(folder)


def _force(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
