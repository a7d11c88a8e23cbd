"""What commands have in common: data to standard output, words to standard error, progress for what takes long."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agency.streams import say_line

_QUIET_S = 2.0


def say(words: str) -> None:
    """Tell the person something."""
    say_line(words)


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number and its noun; ``more`` is the plural where it is not ``one`` with an s."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def show_json(value: Any) -> None:
    """Print data as JSON."""
    print(json.dumps(value, ensure_ascii=False, indent=1))


def show_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows with aligned columns; ``-`` for nothing."""
    cells = [[str(row[name]) if row[name] not in (None, "") else "-" for name in columns] for row in rows]
    widths = [max(len(line[at]) for line in [list(columns), *cells]) for at in range(len(columns))]
    for line in [list(columns), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def progress(what: str, total: int | None = None) -> Callable[[int], None]:
    """Return a function that says how far a long task is: first after two seconds, then every two."""
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _QUIET_S:
            last = time.monotonic()
            say(f"{what}: {done}" + (f" of {total}" if total else ""))

    return tell
