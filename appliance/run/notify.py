"""What we tell systemd: ready, still working, stopping. Source: sd_notify(3)."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class SystemdNotifier:
    """Sends notifications where systemd asked for them, and nothing where it did not.

    ``alive`` is called only by the loop that does the work, so a watchdog sees a loop that stands still.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The service is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """The working loop went round once more."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.sendto(text.encode(), self._address)
