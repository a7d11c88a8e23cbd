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
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from appliance import errors
from appliance.cards.thai_id import Field, Reading
from appliance.errors import CardDeadline, CardRefused, CardServiceDown
from appliance.ports import Insertion
from appliance.run.worker import unpack_insertion, unpack_reading

READ_DEADLINE_S = 5.0
GRACE_S = 3.0

T = TypeVar("T")

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
        return self._ask({"do": "wait_card", "timeout_s": timeout_s}, timeout_s + GRACE_S, _insertion)

    def read(self, fields: Sequence[Field]) -> Reading:
        """Read ``fields`` of the card that is in, all or nothing. Raises CardError, ReaderUnavailable."""
        request = {"do": "read", "fields": [field.symbol for field in fields]}
        return self._ask(request, self._read_deadline_s, lambda answer: unpack_reading(answer["reading"]))

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""
        request = {"do": "wait_removed", "timeout_s": timeout_s}
        return self._ask(request, timeout_s + GRACE_S, lambda answer: bool(answer["removed"]))

    def close(self) -> None:
        """End the worker."""
        self._kill()

    def _ask(self, request: dict[str, Any], deadline_s: float, take: Callable[[dict[str, Any]], T]) -> T:
        """Return what ``take`` finds in the answer; a worker that gives none, or one of another shape, is replaced."""
        try:
            answer = self._exchange(request, time.monotonic() + deadline_s)
            if "error" not in answer:
                return take(answer)
            failure = _error(answer)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # TimeoutError is an OSError
            self._kill()
            _log.warning("reader worker killed during %s: %s", request["do"], type(error).__name__)
            if isinstance(error, TimeoutError) and request["do"] == "read":
                raise CardDeadline(f"no whole answer within {deadline_s} s") from None
            raise CardServiceDown("the reader worker gave no answer and was started anew") from None
        raise failure

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


def _insertion(answer: dict[str, Any]) -> Insertion | None:
    found = answer["insertion"]
    return unpack_insertion(found) if found else None


def _error(answer: dict[str, Any]) -> errors.CardError | errors.ReaderUnavailable:
    """Return the error that the worker met. Raises KeyError, TypeError where it names none."""
    if answer["error"] == CardRefused.__name__:
        return CardRefused(int(answer["sw"]))
    kind = vars(errors)[answer["error"]]
    if not issubclass(kind, errors.CardError | errors.ReaderUnavailable):
        raise TypeError(answer["error"])
    found: errors.CardError | errors.ReaderUnavailable = kind(answer["message"])
    return found
