"""The guest's station as the host sees it: ``ports.CardReader`` with the same errors, and what its processes hold."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from appliance import errors
from appliance.cards.thai_id import Field
from appliance.errors import CardRefused, ReaderUnavailable
from tests.image.machine import Machine

ANSWER_GRACE_S = 30.0


@dataclass(frozen=True)
class Held:
    """What one process of the guest holds: its number, open files and threads."""

    pid: int
    files: int
    threads: int


class GuestStation:
    """Works the ``WorkerReader`` in the guest.

    Args:
        machine: a machine that was started.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.took_s = 0.0  # the last request, by the guest's clock
        self.insertion: dict[str, Any] = {}  # the last one

    def start_afresh(self) -> None:
        """Replace the station's reader by a new one, and have its worker started, which takes its time in here."""
        self._do("open")
        for _ in range(3):
            with suppress(ReaderUnavailable):
                self.wait_card(0.0)
                return

    def wait_card(self, timeout_s: float) -> dict[str, Any] | None:
        """Return ``reader``, ``number`` and ``atr`` of a new insertion. Raises ReaderUnavailable."""
        found: dict[str, Any] | None = self._do("wait_card", timeout_s=timeout_s)
        self.insertion = found or self.insertion
        return found

    def read(self, fields: Sequence[Field]) -> dict[str, Any]:
        """Read ``fields``, return ``citizen_id`` and ``photo_bytes``. Raises CardError, ReaderUnavailable."""
        found: dict[str, Any] = self._do("read", fields=[field.symbol for field in fields])
        return found

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the card is out. Raises ReaderUnavailable."""
        return bool(self._do("wait_removed", timeout_s=timeout_s))

    def wait_through(self, patience_s: float) -> dict[str, Any]:
        """Wait for a card as the station does, through every outage of the reader, and return its insertion."""
        end_s = time.monotonic() + patience_s
        last: Exception | None = None
        while time.monotonic() < end_s:
            try:
                insertion = self.wait_card(0.5)
            except ReaderUnavailable as error:
                last = error
                time.sleep(0.1)
                continue
            if insertion is not None:
                return insertion
        raise AssertionError(f"no card was seen within {patience_s} s; the last error was {last!r}")

    def wait_for_empty_slot(self, patience_s: float) -> None:
        """Wait, through every outage, until the station knows a reader without a card."""
        end_s = time.monotonic() + patience_s
        while time.monotonic() < end_s:
            with suppress(ReaderUnavailable):
                assert self.wait_card(0.5) is None
                return
            time.sleep(0.1)
        raise AssertionError(f"no reader was seen within {patience_s} s")

    def seconds_to_read(self, citizen_id: str, patience_s: float) -> float:
        """Wait for a card, read it, check whose it is; return how long all of it took."""
        before_s = time.monotonic()
        self.wait_through(patience_s)
        assert self.read([Field.CITIZEN_ID])["citizen_id"] == citizen_id
        return time.monotonic() - before_s

    def held(self) -> dict[str, Held]:
        """Return what the station, its worker and pcscd hold; each is there once, or this fails."""
        found = self._do("held")
        assert {name: len(each) for name, each in found.items()} == {"station": 1, "worker": 1, "pcscd": 1}, found
        return {name: Held(*each[0]) for name, each in found.items()}

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command of the guest, return exit code and output; one that ends with ``&`` stays."""
        done = self._do("run", command=list(command))
        return done["code"], done["out"]

    def _do(self, do: str, **arguments: Any) -> Any:
        said = self._machine.ask(do, arguments.get("timeout_s", 0.0) + ANSWER_GRACE_S, **arguments)
        self.took_s = said["took_s"]
        if "error" in said:
            kind = vars(errors)[said["error"]]
            raise CardRefused(said["sw"]) if kind is CardRefused else kind(said["message"])
        return said["result"]
