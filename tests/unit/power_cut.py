"""What a power cut would leave: only what was forced to the disk, contents by their files and names by their folders.

It watches this process. SQLite forces its own files by itself, unseen: of those only the names are known here.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class PowerCut:
    """Remembers what was forced, and which names were given to files whose content was not.

    Args:
        patch: undoes the watching.
        root: a folder that is on the disk already, with all that is in it now.
    """

    def __init__(self, patch: pytest.MonkeyPatch, root: Path) -> None:
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self.torn: list[str] = []
        self.settle()
        force = os.fsync

        def fsync(handle: int) -> None:
            force(handle)
            self._note(Path(f"/proc/self/fd/{handle}").resolve())

        patch.setattr(os, "fsync", fsync)
        for name in ("rename", "replace", "link"):
            patch.setattr(os, name, self._watched(getattr(os, name)))

    def settle(self) -> None:
        """Let the disk write everything, as it does by itself after a while."""
        for path in (self._root, *self._root.rglob("*")):
            self._note(path)

    def leaves(self, path: Path) -> bytes | None:
        """Return what ``path`` would hold; None where its name would not be there."""
        if not self.leaves_name(path):
            return None
        return self._contents.get(path.stat().st_ino, b"")

    def leaves_name(self, path: Path) -> bool:
        """Say whether a file or folder would have its present name."""
        if path == self._root:
            return True
        if not self.leaves_name(path.parent):
            return False
        there = self._names.get(path.parent.stat().st_ino, {}).get(path.name)
        return there == (path.stat().st_ino if path.exists() else None)

    def _note(self, path: Path) -> None:
        number = path.stat().st_ino
        if path.is_dir():
            self._names[number] = {entry.name: entry.inode() for entry in os.scandir(path)}
        elif path.is_file():
            self._contents[number] = path.read_bytes()

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def act(source: Any, target: Any, **options: Any) -> Any:
            result = function(source, target, **options)
            path = Path(target)
            if path.is_file() and self._contents.get(path.stat().st_ino) != path.read_bytes():
                self.torn.append(path.name)
            return result

        return act


def open_handles() -> int:
    """Return how many files this process holds open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def power_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PowerCut:
    return PowerCut(monkeypatch, tmp_path)
