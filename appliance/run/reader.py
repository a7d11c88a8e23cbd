"""The reader as the flow sees it: a worker process with a deadline on every request.

A request that gets no answer in time kills the worker; the next request starts a new one. So nothing that a card,
a reader or pcscd does can freeze the panel.
"""

import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from appliance import errors
from appliance.cards.thai_id import Field, Reading
from appliance.errors import CardDeadline, CardRefused, CardServiceDown
from appliance.ports import Insertion
from appliance.run.worker import unpack_insertion, unpack_reading

READ_DEADLINE_S = 5.0
GRACE_S = 3.0

_log = logging.getLogger(__name__)


class WorkerReader:
    """Talks to one worker process (``ports.CardReader``).

    Args:
        name_prefix: start of the reader's name; empty for any reader.
        allowed: starts of the names of readers that may be used at all; empty allows every reader.
        read_deadline_s: how long one read may take.
    """

    def __init__(
        self, name_prefix: str = "", allowed: Sequence[str] = (), read_deadline_s: float = READ_DEADLINE_S
    ) -> None:
        self._names = [name_prefix, *allowed]
        self._read_deadline_s = read_deadline_s
        self._worker: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return a new insertion, or None after ``timeout_s``. Raises ReaderUnavailable."""
        found = self._ask({"do": "wait_card", "timeout_s": timeout_s}, timeout_s + GRACE_S)["insertion"]
        return unpack_insertion(found) if found else None

    def read(self, fields: Sequence[Field]) -> Reading:
        """Read ``fields`` of the card that is in, all or nothing. Raises CardError, ReaderUnavailable."""
        request = {"do": "read", "fields": [field.symbol for field in fields]}
        try:
            return unpack_reading(self._ask(request, self._read_deadline_s)["reading"])
        except TimeoutError:
            raise CardDeadline(f"no whole answer within {self._read_deadline_s} s") from None

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""
        return bool(self._ask({"do": "wait_removed", "timeout_s": timeout_s}, timeout_s + GRACE_S)["removed"])

    def close(self) -> None:
        """End the worker."""
        self._kill()

    def _ask(self, request: dict[str, Any], deadline_s: float) -> dict[str, Any]:
        try:
            answer = self._exchange(request, time.monotonic() + deadline_s)
        except (TimeoutError, OSError, ValueError) as error:
            self._kill()
            _log.warning("reader worker killed during %s: %s", request["do"], type(error).__name__)
            if isinstance(error, TimeoutError) and request["do"] == "read":
                raise
            raise CardServiceDown("the reader worker gave no answer and was started anew") from None
        if "error" in answer:
            raise _error(answer)
        return answer

    def _exchange(self, request: dict[str, Any], end_s: float) -> dict[str, Any]:
        if self._worker is None or self._worker.poll() is not None:
            self._start()
        assert self._worker is not None
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        os.write(self._worker.stdin.fileno(), json.dumps(request).encode() + b"\n")
        while b"\n" not in self._unread:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not select.select([self._worker.stdout], [], [], left_s)[0]:
                raise TimeoutError
            part = os.read(self._worker.stdout.fileno(), 65536)
            if not part:
                raise BrokenPipeError("the reader worker ended")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self) -> None:
        self._kill()
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "appliance.run.worker", *self._names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def _kill(self) -> None:
        worker, self._worker, self._unread = self._worker, None, b""
        if worker is not None:
            worker.kill()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()
            with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel is left behind
                worker.wait(1.0)


def _error(answer: dict[str, Any]) -> errors.CardError | errors.ReaderUnavailable:
    if answer["error"] == CardRefused.__name__:
        return CardRefused(answer["sw"])
    kind = getattr(errors, answer["error"])
    assert issubclass(kind, errors.CardError | errors.ReaderUnavailable)
    error = kind(answer["message"])
    assert isinstance(error, errors.CardError | errors.ReaderUnavailable)
    return error
