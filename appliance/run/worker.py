"""The reader worker: the only process that touches PC/SC, so that it can be killed at any moment.

PC/SC has no time-outs; a card or a pcscd that hangs would freeze whoever called. The worker reads one JSON request
a line on standard input and answers with one JSON line; who asks (``run.reader.WorkerReader``) keeps the time and
kills. It holds no key, opens no network connection, and writes nothing to the disk.
"""

import base64
import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from appliance.cards import thai_id
from appliance.cards.dates import CardDate, Precision
from appliance.cards.thai_id import Field, Reading
from appliance.errors import CardError, CardMute, CardRefused, ReaderUnavailable
from appliance.ports import CardSlot, Insertion
from appliance.run.logs import set_up_logging


class SlotReader:
    """Reads the cards of one slot, in this process (``ports.CardReader``)."""

    def __init__(self, slot: CardSlot) -> None:
        self._slot = slot

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return a new insertion, or None. Raises ReaderUnavailable."""
        return self._slot.wait_card(timeout_s)

    def read(self, fields: Sequence[Field]) -> Reading:
        """Read ``fields``, all or nothing. Raises CardError, ReaderUnavailable."""
        with self._slot.open() as channel:
            if not channel.atr:
                raise CardMute("the card gives no answer to reset")
            return thai_id.read(channel.transmit, fields)

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""
        return self._slot.wait_removed(timeout_s)


def answer(reader: SlotReader, request: dict[str, Any]) -> dict[str, Any]:
    """Do one request and return its answer; errors of the card and the reader are answers too."""
    try:
        match request["do"]:
            case "wait_card":
                insertion = reader.wait_card(request["timeout_s"])
                return {"insertion": pack_insertion(insertion) if insertion else None}
            case "read":
                return {"reading": pack_reading(reader.read([Field.named(name) for name in request["fields"]]))}
            case "wait_removed":
                return {"removed": reader.wait_removed(request["timeout_s"])}
            case unknown:
                raise ValueError(f"no request named {unknown!r}")
    except (CardError, ReaderUnavailable) as error:
        detail = {"sw": error.sw} if isinstance(error, CardRefused) else {"message": str(error)}
        return {"error": type(error).__name__, **detail}


def main(name_prefix: str, *allowed: str) -> int:
    """Serve requests until standard input ends. Source of the requests: ``run.reader``."""
    from appliance.hardware.pcsc import PcscSlot

    set_up_logging("reader-worker")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold what a card said
    slot = PcscSlot(name_prefix, allowed)
    reader = SlotReader(slot)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(reader, json.loads(line))) + "\n")
        sys.stdout.flush()
    slot.close()
    return 0


def pack_insertion(insertion: Insertion) -> dict[str, Any]:
    """Return an insertion as JSON values."""
    return {**asdict(insertion), "atr": base64.b64encode(insertion.atr).decode()}


def unpack_insertion(packed: dict[str, Any]) -> Insertion:
    """Return what ``pack_insertion`` packed."""
    return Insertion(**{**packed, "atr": base64.b64decode(packed["atr"])})


def pack_reading(reading: Reading) -> dict[str, Any]:
    """Return a reading as JSON values."""
    dates = {name: _pack_date(getattr(reading, name)) for name in ("birth_date", "expiry_date")}
    return {**asdict(reading), **dates}


def unpack_reading(packed: dict[str, Any]) -> Reading:
    """Return what ``pack_reading`` packed."""
    dates = {name: _unpack_date(packed[name]) for name in ("birth_date", "expiry_date")}
    return Reading(**{**packed, **dates})


def _pack_date(date: CardDate | None) -> dict[str, Any] | None:
    return None if date is None else {**asdict(date), "precision": date.precision.value}


def _unpack_date(packed: dict[str, Any] | None) -> CardDate | None:
    return None if packed is None else CardDate(**{**packed, "precision": Precision(packed["precision"])})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [""]))
