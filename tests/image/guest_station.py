"""The station inside the guest: the product's ``WorkerReader``, worked by the host one JSON line at a time.

Runs from a folder that holds the product's package. Every answer says how long the call took; an error of the
reader's families is an answer too, and anything else is a ``crash``, which no test expects.
"""

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.cards.thai_id import Field
from appliance.errors import CardError, ReaderUnavailable
from appliance.run import reader as worker_reader
from appliance.run.reader import WorkerReader

NAME_PREFIX = "Gemalto"  # libccid calls QEMU's reader by the name of the one that it plays

#: A worker takes seconds to start on an emulated processor; what a card may take is left as the product has it.
WORKER_START_S = 15.0
FIELDS = (Field.CITIZEN_ID, Field.EXPIRY_DATE, Field.PHOTO)


class Station:
    """One ``WorkerReader`` for as long as the host does not ask for another one."""

    def __init__(self) -> None:
        self._reader = WorkerReader(NAME_PREFIX, may_read=FIELDS)

    def open(self) -> None:
        """Start afresh, as a station that was just switched on."""
        self._reader.close()
        self._reader = WorkerReader(NAME_PREFIX, may_read=FIELDS)

    def wait_card(self, timeout_s: float) -> dict[str, Any] | None:
        """Return what is known of a new insertion, or None."""
        insertion = self._reader.wait_card(timeout_s)
        if insertion is None:
            return None
        return {"reader": insertion.reader, "number": insertion.number, "atr": insertion.atr.hex()}

    def read(self, fields: list[str]) -> dict[str, Any]:
        """Read fields of the card that is in; return its number and the size of its photo in bytes."""
        record = self._reader.read([Field.named(name) for name in fields])
        return {"citizen_id": record.citizen_id, "photo_bytes": record.photo and len(record.photo.jpeg)}

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the card is out."""
        return self._reader.wait_removed(timeout_s)

    def held(self) -> dict[str, list[list[int]]]:
        """Return the process number, the open files and the threads of every station, worker and pcscd."""
        found: dict[str, list[list[int]]] = {"station": [_held(os.getpid())], "worker": [], "pcscd": []}
        for command_line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words, pid = command_line.read_bytes().split(b"\0"), int(command_line.parent.name)
                if b"appliance.run.worker" in words:
                    found["worker"].append(_held(pid))
                elif words[0].endswith(b"pcscd"):
                    found["pcscd"].append(_held(pid))
            except FileNotFoundError:
                continue
        return found

    def run(self, command: list[str]) -> dict[str, Any]:
        """Run a command of the guest; one that ends with ``&`` stays."""
        if command[-1] == "&":
            subprocess.Popen(command[:-1])
            return {"code": 0, "out": ""}
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return {"code": done.returncode, "out": done.stdout + done.stderr}


def _held(pid: int) -> list[int]:
    proc = Path(f"/proc/{pid}")
    return [pid, len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))]


def answer(call: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Do one request and return its answer."""
    before_s = time.monotonic()
    said: dict[str, Any]
    try:
        said = {"result": call(**arguments)}
    except (CardError, ReaderUnavailable) as error:
        said = {"error": type(error).__name__, "message": str(error), "sw": getattr(error, "sw", None)}
    except Exception:  # noqa: BLE001  the host must learn of it
        said = {"crash": traceback.format_exc()}
    return {**said, "took_s": round(time.monotonic() - before_s, 3)}


def main(port: str) -> None:
    """Serve requests until the host goes."""
    worker_reader.GRACE_S = WORKER_START_S
    station = Station()
    line = os.open(port, os.O_RDWR)
    with os.fdopen(line, "rb") as requests, os.fdopen(os.dup(line), "wb", buffering=0) as answers:
        answers.write(json.dumps({"result": "ready", "up_s": time.monotonic()}).encode() + b"\n")
        for request in requests:
            arguments = json.loads(request)
            call = getattr(station, arguments.pop("do"))
            answers.write(json.dumps(answer(call, arguments)).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
