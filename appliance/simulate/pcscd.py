"""A pcscd of our own, with one virtual reader, for tests and the demo.

The virtual reader's driver (vsmartcard-vpcd) lets anyone who reaches its TCP port put in a card, and it listens on
every address. So it is unpacked, not installed (``scripts/setup.sh``), and this class refuses to start outside
``scripts/private``, where there is nothing but loopback and the machine's own pcscd cannot be met.

Example::

    with PrivatePcscd(tmp_path):
        VpcdCard(deck("person-1")).insert()
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.errors import CardServiceDown, WrongUse

PCSCD = "/usr/sbin/pcscd"
SOCKET = Path("/run/pcscd/pcscd.comm")
READER_NAME = "Virtual PCD"
PORT = 35963
PRIVATE = "CARD_STATION_PRIVATE"

_START_PATIENCE_S = 10.0
_STOP_PATIENCE_S = 5.0
_DRIVERS = "usr/lib/pcsc/drivers/serial"


class PrivatePcscd:
    """A pcscd process with the virtual reader, to be started, stopped and killed at will.

    Args:
        folder: an existing folder of the caller for its configuration and its log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pcscd"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Return the file that pcscd writes to."""
        return self._folder / "log"

    def start(self, name: str = READER_NAME) -> None:
        """Start pcscd and wait until it listens.

        Args:
            name: of the reader, without the number of its slot.

        Raises:
            WrongUse: not inside ``scripts/private``.
            CardServiceDown: pcscd or the driver is missing, or it does not start.
        """
        if os.environ.get(PRIVATE) != "1":
            raise WrongUse("the virtual reader is for private networks only: run this through scripts/private")
        self._configure(driver(), name)
        SOCKET.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PCSCLITE_HP_DROPDIR": str(self._folder / "no-usb")},
            )
        self._wait_until_it_listens()

    def stop(self) -> None:
        """Ask pcscd to end, and wait for it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill pcscd, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self, library: Path, name: str) -> None:
        """Write the reader's definition; an empty folder of USB drivers keeps real readers out."""
        (self._folder / "readers").mkdir(parents=True, exist_ok=True)
        (self._folder / "no-usb").mkdir(exist_ok=True)
        (self._folder / "readers" / "virtual").write_text(
            f'FRIENDLYNAME "{name}"\nDEVICENAME /dev/null:0x{PORT:04X}\nLIBPATH {library}\nCHANNELID 0x{PORT:04X}\n'
        )

    def _wait_until_it_listens(self) -> None:
        process = self._process
        end_s = time.monotonic() + _START_PATIENCE_S
        while process is not None and process.poll() is None and time.monotonic() < end_s:
            if SOCKET.exists():
                return
            time.sleep(0.005)
        self.kill()
        raise CardServiceDown(f"pcscd did not start; its log is {self.log}")


def driver() -> Path:
    """Return the virtual reader's driver: the unpacked one, else an installed one. Raises CardServiceDown."""
    for root in (Path(sys.prefix) / "vpcd", Path("/")):
        found = sorted((root / _DRIVERS).glob("libifdvpcd.so*"))
        if found:
            return found[0]
    raise CardServiceDown("the virtual reader's driver is missing: run scripts/test or scripts/demo once")


def _command(folder: Path) -> list[str]:
    """Return the command line; pcscd 2 would ask polkit, which is not there in a private namespace."""
    try:
        usage = subprocess.run([PCSCD, "--help"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        raise CardServiceDown("pcscd is not installed: apt-get install pcscd") from None
    polkit = ["--disable-polkit"] if "--disable-polkit" in usage else []
    return [PCSCD, "--foreground", *polkit, "--config", str(folder / "readers")]
