"""Noticing that the store was put back from an older copy, before any station is told less than it was told before.

Two witnesses, neither of which a copy of the database takes along. A file beside the database holds how far the store
had come when receipts last left. And the broker keeps our own receipts: one that reaches further than the store was
made of a store that we no longer have. Where the whole machine was put back, both are as old as the store; then
``card-agency epoch raise`` says so.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from agency.store import chains
from agency.store.database import Connection
from agency.store.epoch import Reach, raise_epoch, reach
from appliance.errors import VerificationError
from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet, unverified_payload

_LINE = re.compile(rb"([0-9]{1,18}) ([0-9]{1,18}) *\n")
_LINE_BYTES = 40


class Witness:
    """The file that holds how far the store had come when receipts last left.

    It is written before each receipt and not flushed to the disk: who loses power loses the last words, and then it
    says less, never more.

    Args:
        path: of the file, beside the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: Reach | None = None

    def read(self) -> Reach | None:
        """Return what the file says; None where there is none, or none that can be read."""
        with contextlib.suppress(OSError):
            found = _LINE.fullmatch(self._path.read_bytes())
            return Reach(int(found[1]), int(found[2])) if found else None
        return None

    def write(self, new: Reach) -> None:
        """Say how far the store has come.

        Raises:
            OSError: the file cannot be written.
        """
        if new == self._last:
            return
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(number, f"{new.epoch} {new.commits}".ljust(_LINE_BYTES - 1).encode() + b"\n", 0)
        finally:
            os.close(number)
        self._last = new


def notice(connection: Connection, witness: Witness) -> int | None:
    """Raise the epoch if the file has seen a newer store than this one; return the new epoch, else None."""
    seen = witness.read()
    if seen is None or seen <= reach(connection):
        return None
    return raise_epoch(connection, seen.epoch).epoch


def notice_receipt(connection: Connection, jws: bytes, keys: KeySet, station: str) -> int | None:
    """Raise the epoch if a receipt of ours reaches further than the store; return the new epoch, else None."""
    try:
        token = jws.decode("ascii")
        if not _is_beyond(connection, station, unverified_payload(token)):
            return None  # nearly all of them: no need of a signature
        receipt = Receipt.open(token, keys, station)
    except (VerificationError, UnicodeDecodeError):
        return None
    return raise_epoch(connection, receipt.epoch).epoch


def _is_beyond(connection: Connection, station: str, claim: dict[str, Any]) -> bool:
    """Say whether a receipt claims more than the store holds, in this epoch or a later one."""
    epoch, through = claim.get("epoch"), claim.get("through")
    if not isinstance(epoch, int) or not isinstance(through, int):
        return False
    present = reach(connection).epoch
    marks = [c.high_water for c in chains.list_chains(connection, station) if c.id == claim.get("chain")]
    return epoch > present or (epoch == present and through > max(marks, default=0))
