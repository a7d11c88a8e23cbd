"""pcscd, the reader and its slot, seen through the worker that can be killed: a pcscd that hangs hangs the worker.

The service's socket is tried first, because it tells what the worker cannot: whether somebody listens there at all.
"""

import re
import socket
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Protocol

from appliance import config
from appliance.errors import CardServiceRefuses, ReaderUnavailable
from appliance.ports import Insertion
from appliance.run.doctor.part import Finding, bad, good, unknown

SOCKET = Path("/run/pcscd/pcscd.comm")
_KNOCK_PATIENCE_S = 1.0
_HANGS_AFTER_S = 2.0  # less than the worker's deadline, more than a fault that is told at once
_POLKIT = (
    "copy systemd/polkit/50-card-station.rules to /etc/polkit-1/rules.d/: it lets the user card-station do "
    "org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card; where that rule is there, a program has "
    "used up pcscd's clients: systemctl restart pcscd"
)
_RESTART = "systemctl restart pcscd; where it hangs again, pull the reader out and look at 'journalctl -u pcscd'"
_SLOT = re.compile(r" \d\d$")  # pcscd's names end with the number of the reader and that of the slot
_NAME = re.compile(r"(?P<beginning>.+?)( [\[(].*)?( \d\d){0,2}")


class Readers(Protocol):
    """What is asked of the reader worker (``run.reader.WorkerReader``)."""

    def readers(self) -> list[str]:
        """Return the names of all readers. Raises ReaderUnavailable."""

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return the card that is in, or None. Raises ReaderUnavailable."""

    def is_held(self) -> bool:
        """Say whether another program has the card for itself alone. Raises ReaderUnavailable."""


def service(
    readers: Readers,
    knock: Callable[[], None],
    has: Callable[[str], bool],
    now_s: Callable[[], float] = time.monotonic,
) -> Finding:
    """Look at pcscd.

    Args:
        readers: the reader worker.
        knock: tries the service's socket, as ``knock`` below.
        has: says whether a program or a Python package is installed, as ``has`` below.
        now_s: tells the time; a service that hangs is known by how long it takes to say nothing.
    """
    if not has("smartcard"):
        return bad("the Python package pyscard is not installed", "install the station's software anew")
    return _at_the_socket(knock, has) or _at_the_worker(readers, now_s)


def _at_the_socket(knock: Callable[[], None], has: Callable[[str], bool]) -> Finding | None:
    try:
        knock()
    except PermissionError:
        return unknown("this user may not use pcscd's socket", "run it as the station's user, or as root")
    except (FileNotFoundError, ConnectionRefusedError):
        if not has("pcscd"):
            return bad("not installed", "apt-get install pcscd libccid")
        return bad(f"does not run: nobody listens at {SOCKET}", "systemctl enable --now pcscd.socket")
    except OSError:
        return bad("hangs: it takes no more clients", _RESTART)
    return None


def _at_the_worker(readers: Readers, now_s: Callable[[], float]) -> Finding:
    begun_s = now_s()
    try:
        count = len(readers.readers())
    except CardServiceRefuses:
        return bad("refuses this user (8010006A)", _POLKIT)
    except ReaderUnavailable as error:
        if now_s() - begun_s >= _HANGS_AFTER_S:
            return bad("hangs: it listens, but gives no answer", _RESTART)
        return bad(f"listens, but cannot be used: {error}", f"run it again with --verbose, which tells why; {_RESTART}")
    return good(f"answers, and lists {count} {'reader' if count == 1 else 'readers'}")


def reader(readers: Readers, wanted: config.Reader) -> Finding:
    """Look for the reader that the settings want."""
    try:
        names = sorted(readers.readers())
    except ReaderUnavailable:
        return bad("pcscd gives no answer any more", _RESTART)
    if not names:
        return bad(
            "no reader is plugged in",
            "plug it in, or try another cable or port; where 'lsusb' shows it, its driver is missing: "
            "apt-get install libccid",
        )
    fitting = [name for name in names if wanted.accepts(name)]
    if not fitting:
        return bad(
            f"no reader fits [reader] name and allow; there is {_listed(names)}",
            f'plug in the right one, or set [reader] name = "{beginning(names[0])}" and allow = []',
        )
    devices = {_SLOT.sub("", name) for name in fitting}
    if len(fitting) > 1 and len(devices) == 1:
        return good(f"{devices.pop()}, {len(fitting)} slots")
    if len(fitting) > 1:
        return good(
            f"{len(fitting)} readers fit, and each of them takes cards: {_listed(fitting)}",
            "for one only, put the beginning of its name into [reader] name",
        )
    return good(fitting[0])


def slot(readers: Readers) -> Finding:
    """Look into the reader's slot, without touching a card that is in."""
    try:
        card = readers.wait_card(0)
        is_held = card is not None and readers.is_held()
    except ReaderUnavailable:
        return bad("the reader gives no answer", "pull it out and plug it in again; then another cable or port")
    if card is None:
        return good("no card is in")
    if not card.atr:
        return bad("a card is in, but does not answer", "turn it, clean its contacts with a dry cloth, try another one")
    if is_held:
        return bad(
            "a card is in, and another program has it for itself alone", "end that program, or take the card out"
        )
    return good("a card is in and answers")


def beginning(name: str) -> str:
    """Return what of a reader's name stays the same: no serial number, interface or slot."""
    found = _NAME.fullmatch(name)
    return found["beginning"] if found else name


def knock() -> None:
    """Connect to pcscd's socket and hang up. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_KNOCK_PATIENCE_S)
        line.connect(str(SOCKET))


def has(name: str) -> bool:
    """Say whether a program, also one for root, or a Python package is installed; nothing is loaded."""
    return which(name) is not None or which(name, path="/usr/sbin:/sbin") is not None or find_spec(name) is not None


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
