"""The emulated machine: a Debian guest in QEMU without KVM, with a USB controller and nothing else to the world.

The host works it over three lines: QMP (plugging and unplugging), a serial port of its own on which the guest's
station answers JSON lines, and one socket a USB reader for the card that is in it (``tests.image.usb``).
"""

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GUEST = ROOT / ".cache" / "image-guest"
HERE = Path(__file__).parent
POLKIT_RULE = ROOT / "systemd" / "polkit" / "50-card-station.rules"

READERS = 2
BOOT_PATIENCE_S = 240.0


class MachineError(Exception):
    """The emulated machine did not do what it was told; the message holds what it said."""


class Line:
    """A socket that carries one JSON document a line."""

    def __init__(self, path: Path, patience_s: float = 20.0) -> None:
        self._socket = connected(path, patience_s)
        self._file = self._socket.makefile("rb")

    def send(self, document: dict[str, Any]) -> None:
        """Send one document."""
        self._socket.sendall(json.dumps(document).encode() + b"\n")

    def receive(self, patience_s: float) -> dict[str, Any]:
        """Return the next document. Raises MachineError where none comes in time."""
        self._socket.settimeout(patience_s)
        try:
            text = self._file.readline()
        except TimeoutError:
            raise MachineError(f"no answer within {patience_s} s") from None
        if not text:
            raise MachineError("the line was closed")
        document: dict[str, Any] = json.loads(text)
        return document

    def close(self) -> None:
        """Close the line."""
        self._file.close()
        self._socket.close()


class Machine:
    """One guest, from its start to its end.

    Args:
        folder: an existing folder of the caller for the sockets, the product's disk and the console's log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._qmp_lock = threading.Lock()
        self.console = folder / "console.log"

    def boot(self) -> float:
        """Start the guest and wait until its station answers; return the seconds it took."""
        before_s = time.monotonic()
        self._process = subprocess.Popen(
            _command(self._folder, _product_disk(self._folder), self.console), stdin=subprocess.DEVNULL
        )
        self._qmp = Line(self._folder / "qmp")
        self._qmp.receive(20.0)
        self.qmp("qmp_capabilities")
        self._station = Line(self._folder / "station")
        try:
            self._station.receive(BOOT_PATIENCE_S)
        except MachineError as error:
            raise MachineError(f"the guest did not start: {error}\n{self.console_tail()}") from None
        return time.monotonic() - before_s

    def shut_down(self) -> None:
        """End the guest as pulling the plug would; its disks are written nowhere."""
        self._process.kill()
        self._process.wait(10)
        self._station.close()
        self._qmp.close()

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Do one QMP command. Raises MachineError where QEMU refuses."""
        with self._qmp_lock:
            self._qmp.send({"execute": command, "arguments": arguments})
            while True:
                said = self._qmp.receive(20.0)
                if "error" in said:
                    raise MachineError(f"{command} {arguments}: {said['error']['desc']}")
                if "return" in said:
                    return said["return"]

    def ask(self, do: str, patience_s: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """Have the guest's station do one request and return its answer."""
        self._station.send({"do": do, **arguments})
        said = self._station.receive(patience_s)
        if "crash" in said:
            raise MachineError(f"{do} in the guest: {said['crash']}")
        return said

    def card_line(self, number: int) -> Path:
        """Return the socket of the card of USB reader ``number``."""
        return self._folder / f"card{number}"

    def console_tail(self, lines: int = 30) -> str:
        """Return the end of what the guest wrote on its console."""
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])


def connected(path: Path, patience_s: float) -> socket.socket:
    """Return a connection to a Unix socket that may be about to appear."""
    end_s = time.monotonic() + patience_s
    while True:
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(patience_s)
        try:
            line.connect(str(path))
        except OSError:
            line.close()
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
        else:
            line.settimeout(None)
            return line


def _product_disk(folder: Path) -> Path:
    """Return a disk with the product's package as it is in the working tree, and what the guest runs."""
    tree, disk = folder / "product", folder / "product.img"
    shutil.copytree(ROOT / "appliance", tree / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (HERE / "guest_init", HERE / "guest_station.py", POLKIT_RULE):
        shutil.copy(file, tree)
    subprocess.run(
        [shutil.which("mke2fs") or "/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "32M"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return disk


def _command(folder: Path, product: Path, console: Path) -> list[str]:
    def line(name: str) -> str:
        return f"socket,id={name},path={folder / name},server=on,wait=off"

    cards = [word for number in range(READERS) for word in ("-chardev", line(f"card{number}"))]
    return [
        *("qemu-system-x86_64", "-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "512"),
        *("-nodefaults", "-display", "none", "-nic", "none", "-serial", f"file:{console}"),
        *("-kernel", str(GUEST / "vmlinuz"), "-initrd", str(GUEST / "initrd")),
        *("-append", "root=/dev/vda rw init=/start console=ttyS0 quiet panic=-1"),
        *("-drive", f"file={GUEST / 'root.img'},if=virtio,format=raw,snapshot=on"),
        *("-drive", f"file={product},if=virtio,format=raw,snapshot=on"),
        *("-chardev", line("qmp"), "-mon", "chardev=qmp,mode=control"),
        *("-chardev", line("station"), "-device", "virtio-serial"),
        *("-device", "virtserialport,chardev=station,name=station"),
        *("-device", "qemu-xhci,id=usb", *cards),
    ]
