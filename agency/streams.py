"""Standard streams that never end a command in a traceback: closed, full, or in an encoding that holds no Thai."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

_THAI = "ก"


def mend() -> None:
    """Open what is closed on the null device, and write what an encoding cannot hold as ``\\uXXXX``.

    A closed descriptor must not stay free: the next file opened, such as the database, would get its number. To a
    closed output nothing can be written: what prints data fails, what prints none does not.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number: this one
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _holds_everything(stream):
            stream.reconfigure(errors="backslashreplace")


def _holds_everything(stream: TextIO) -> bool:
    if stream.errors == "strict":
        return False  # even UTF-8 has no lone surrogates, which names of files may hold
    try:
        _THAI.encode(stream.encoding, stream.errors or "strict")
    except (UnicodeError, LookupError):
        return False
    return True


def drop_broken_output() -> None:
    """Give up standard output if it cannot be written, or the interpreter complains at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _to_null(sys.stdout)


@contextlib.contextmanager
def as_far_as_read() -> Iterator[None]:
    """Print what somebody may stop reading: the exit code still counts."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_broken_output()


def say_line(line: str) -> None:
    """Write a line for the person; where nobody can read it, nothing else fails."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _to_null(sys.stderr)


def _to_null(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
