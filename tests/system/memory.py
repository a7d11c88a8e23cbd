"""What a core dump of a running process would hold of its own, without a debugger: every mapping it can write to.

What it cannot write to are files, which are looked at as files.
"""

import os
import re
import signal
from pathlib import Path

_WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")


def memory_of(pid: int) -> bytes:
    """Return the memory of a process; it stands still for a moment only, or who waits for it would end it.

    Raises:
        PermissionError: it belongs to somebody else.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        handle = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        try:
            stretches = [(int(found[1], 16), int(found[2], 16)) for found in map(_WRITABLE.match, maps) if found]
            return b"\0".join(_stretch(handle, start, end) for start, end in stretches)
        finally:
            os.close(handle)
    finally:
        os.kill(pid, signal.SIGCONT)


def _stretch(handle: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end:
        try:
            piece = os.pread(handle, end - start, start)
        except OSError:  # a page that nobody may read
            break
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def find_in_memory(pid: int, needles: list[bytes]) -> list[bytes]:
    """Return which of ``needles`` the memory of a process holds."""
    memory = memory_of(pid)
    return sorted(needle for needle in set(needles) if needle in memory)
