"""The reader worker: the only process that touches PC/SC, so that it can be killed at any moment.

PC/SC has no time-outs; a card or a pcscd that hangs would freeze whoever called. The worker reads one JSON request
a line on standard input and answers with one JSON line; who asks (``run.reader.WorkerReader``) keeps the time and
kills. It holds no key, opens no network connection, and writes nothing to the disk.
"""

import base64
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.errors import CardError, CardRefused, ReaderUnavailable
from appliance.ports import Insertion
from appliance.run.core_dumps import forbid_core_dumps
from appliance.run.logs import set_up_logging
from appliance.run.slot_reader import SlotReader

ALIVE_EVERY_S = 0.2
MAX_READER_NAME = 128  # as pcscd's
MAX_ATR_BYTES = 33  # ISO 7816-3

Send = Callable[[dict[str, Any]], None]


def answer(reader: SlotReader, request: dict[str, Any], send: Send) -> dict[str, Any]:
    """Do one request and return its answer; errors of the card and the reader are answers too.

    Args:
        reader: does it.
        request: ``do`` and what belongs to it.
        send: takes what is to be said before the answer: the record so far.
    """
    try:
        match request["do"]:
            case "wait_card":
                insertion = reader.wait_card(request["timeout_s"])
                return {"insertion": pack_insertion(insertion) if insertion else None}
            case "read":
                fields = [Field.named(name) for name in request["fields"]]
                return {"record": reader.read(fields, lambda so_far: send({"so_far": _pack(so_far)})).as_data()}
            case "wait_removed":
                return {"removed": reader.wait_removed(request["timeout_s"])}
            case "readers":
                return {"readers": reader.readers()}
            case "is_held":
                return {"held": reader.is_held()}
            case unknown:
                raise ValueError(f"no request named {unknown!r}")
    except (CardError, ReaderUnavailable) as error:
        detail = {"sw": error.sw} if isinstance(error, CardRefused) else {"message": str(error)}
        return {"error": type(error).__name__, **detail}


class SignOfLife:
    """Says now and then that the card still answers, so that a long read is not taken for a hung one."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._said_s = 0.0

    def __call__(self) -> None:
        """Say it, if the last word was long enough ago."""
        if time.monotonic() - self._said_s >= ALIVE_EVERY_S:
            self._said_s = time.monotonic()
            self._send({"so_far": None})


def main(fields: str, resumed: str = "", name_prefix: str = "", *allowed: str) -> int:
    """Serve requests until standard input ends. Source of the requests: ``run.reader``.

    Args:
        fields: symbolic names of the fields that may be read, with commas between.
        resumed: the insertion that the worker before this one returned, as JSON; empty for none.
        name_prefix: start of the reader's name.
        allowed: starts of the names of readers that may be used at all.
    """
    from appliance.hardware.pcsc import PcscSlot

    set_up_logging("reader-worker")
    forbid_core_dumps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; who asks closes the pipe
    slot = PcscSlot(name_prefix, allowed, on_in_use=lambda is_in_use: _send({"so_far": None, "in_use": is_in_use}))
    insertion = unpack_insertion(json.loads(resumed)) if resumed else None
    if insertion is not None:
        slot.resume(insertion)
    may_read = [Field.named(name) for name in fields.split(",") if name]
    reader = SlotReader(slot, may_read, SignOfLife(_send), insertion)
    _send({"ready": True})  # from here on it is the card or pcscd that takes its time, not this machine
    for line in sys.stdin.buffer:
        _send(answer(reader, json.loads(line), _send))
    slot.close()
    return 0


def _send(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _pack(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else record.as_data()


def pack_insertion(insertion: Insertion) -> dict[str, Any]:
    """Return an insertion as JSON values."""
    return {**asdict(insertion), "atr": base64.b64encode(insertion.atr).decode()}


def unpack_insertion(packed: dict[str, Any]) -> Insertion:
    """Return what ``pack_insertion`` packed. Raises KeyError, TypeError, ValueError."""
    found = Insertion(**{**packed, "atr": base64.b64decode(packed["atr"], validate=True)})
    is_sound = (
        all(type(value) is int and 0 <= value < 1 << 31 for value in (found.number, found.turn))
        and type(found.at_monotonic_s) is float
        and 0 <= found.at_monotonic_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
        and found.reader.isascii()
        and found.reader.isprintable()
        and len(found.reader) <= MAX_READER_NAME
        and len(found.atr) <= MAX_ATR_BYTES
    )
    if not is_sound:
        raise ValueError("no insertion")
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
