"""Disks for tests, inside ``scripts/private``: small, without inodes, read-only, failing. None outlives its test."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK_BYTES = 4096
IMAGE_BYTES = 24 << 20


def run(*command: str) -> None:
    """Run a program of the machine, which must not fail."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def need_mounts() -> None:
    """Skip where nothing may be mounted."""
    if os.environ.get("CARD_STATION_PRIVATE") != "1":
        pytest.skip("mounts only inside scripts/private")
    if os.geteuid() != 0:
        pytest.skip("only root may mount")


@dataclass
class Disk:
    """A file system of its own at ``folder``."""

    folder: Path

    def fill(self) -> None:
        """Write until there is no room, to the last block."""
        with contextlib.suppress(OSError), (self.folder / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * BLOCK_BYTES)
        with contextlib.suppress(OSError), (self.folder / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(b"x")

    def take_inodes(self) -> None:
        """Make files until there are no more inodes."""
        with contextlib.suppress(OSError):
            for number in range(10_000):
                (self.folder / f"filler{number}").touch(exist_ok=False)

    def free(self) -> None:
        """Delete what filled it."""
        for path in self.folder.glob("filler*"):
            path.unlink()

    def read_only(self, is_read_only: bool) -> None:
        """Mount it anew, read-only or not."""
        run("mount", "-o", f"remount,{'ro' if is_read_only else 'rw'}", str(self.folder))


@contextlib.contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Disk]:
    """Mount a disk in memory."""
    need_mounts()
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        run("umount", "-l", str(folder))


@dataclass
class FailingDisk(Disk):
    """An ext4 on a loop device, whose backing file can be cut off under it.

    Args:
        under: the disk that the backing file lies on.
    """

    under: Disk

    @property
    def image(self) -> Path:
        return self.under.folder / "image"

    def lose(self) -> None:
        """Let every write fail (EIO): the backing file is cut off, and there is no room for it to grow again."""
        os.truncate(self.image, 0)
        self.under.fill()

    def come_back(self, kept: bytes) -> None:
        """Put the content back and mount it again, as a machine does that starts anew."""
        run("umount", "-l", str(self.folder))
        self.under.free()
        self.image.unlink()
        again = self.image.with_name("image-again")  # a file of the same name would be the failed disk once more
        again.write_bytes(kept)
        mount_image(again, self.folder)


def mount_image(image: Path, folder: Path) -> None:
    run("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))


@contextlib.contextmanager
def ext4(folder: Path) -> Iterator[FailingDisk]:
    """Mount an ext4 that lies in a file on a disk in memory."""
    with tmpfs(folder.with_name("under"), f"size={IMAGE_BYTES + BLOCK_BYTES * 64}") as under:
        folder.mkdir()
        made = FailingDisk(folder, under)
        with made.image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", str(made.image))
        try:
            mount_image(made.image, folder)
        except AssertionError as error:
            pytest.skip(f"no loop device here: {error}")
        try:
            yield made
        finally:
            run("umount", "-l", str(folder))
