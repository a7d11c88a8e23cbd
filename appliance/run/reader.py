"""The reader as the flow sees it: a worker process with a deadline on every request.

A request that gets no answer in time kills the worker; the next request starts a new one. So nothing that a card,
a reader or pcscd does can freeze the panel. A read may take as long as the card goes on answering, within a limit:
a photo takes six seconds on the slowest cards, and a card that is silent for three is lost.
"""

import json
import logging
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from appliance import errors
from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.errors import CardBusy, CardDeadline, CardRefused, CardServiceDown
from appliance.ports import Insertion, Tell, silence
from appliance.run.core_dumps import OVERWRITES_WHAT_IT_FREES
from appliance.run.worker import pack_insertion, unpack_insertion

SILENCE_S = 3.0
TEXT_LIMIT_S = 6.0
PHOTO_LIMIT_S = 20.0
GRACE_S = 3.0
START_S = 15.0  # until a worker is up; a Raspberry Pi Zero under load needs seconds
TELL_EVERY_S = 0.2
MAX_LINE_BYTES = 1 << 17
MAX_MESSAGE = 200

#: What a worker can do wrong; TimeoutError is an OSError, a pipe that is full BlockingIOError.
_MISBEHAVIOUR = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
_NUMBER = re.compile("[0-9]{9,}")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class WorkerReader:
    """Talks to one worker process (``ports.CardReader``).

    Args:
        name_prefix: start of the reader's name; empty for any reader.
        allowed: starts of the names of readers that may be used at all; empty allows every reader.
        may_read: the fields that the active service may read; the worker refuses every other.
        silence_s: how long a card that is being read may say nothing.
        is_quiet: the worker logs nothing; for commands that tell a person in one line what is wrong.
    """

    def __init__(
        self,
        name_prefix: str = "",
        allowed: Sequence[str] = (),
        may_read: Collection[Field] = (),
        silence_s: float = SILENCE_S,
        is_quiet: bool = False,
    ) -> None:
        self._may_read = _symbols(may_read)
        self._names = [name_prefix, *allowed]
        self._silence_s = silence_s
        self._errors = subprocess.DEVNULL if is_quiet else None
        self._worker: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._is_in_use = False
        self._is_our_hang = False
        self._insertion: Insertion | None = None

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return a new insertion, or None after ``timeout_s``. Raises ReaderUnavailable."""
        found = self._ask({"do": "wait_card", "timeout_s": timeout_s}, timeout_s + GRACE_S, _insertion)
        if found is not None:
            self._insertion, self._is_our_hang = found, False
        return found

    def read(self, fields: Sequence[Field], tell: Tell = silence) -> Record:
        """Read ``fields`` of the card that is in, all or nothing. Raises CardError, ReaderUnavailable."""
        request = {"do": "read", "fields": [field.symbol for field in fields]}
        limit_s = PHOTO_LIMIT_S if Field.PHOTO in fields else TEXT_LIMIT_S
        return self._ask(request, self._silence_s, partial(_record, fields), limit_s, tell)

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""
        request = {"do": "wait_removed", "timeout_s": timeout_s}
        is_removed = self._ask(request, timeout_s + GRACE_S, lambda answer: bool(answer["removed"]))
        if is_removed:
            self._insertion = None
        return is_removed

    def is_held(self) -> bool:
        """Say whether another program has the card for itself alone. Raises ReaderUnavailable."""
        return self._ask({"do": "is_held"}, GRACE_S, lambda answer: bool(answer["held"]))

    def readers(self) -> list[str]:
        """Return the names of all readers there are. Raises ReaderUnavailable."""
        return self._ask({"do": "readers"}, GRACE_S, lambda answer: [str(name) for name in answer["readers"]])

    def allow(self, may_read: Collection[Field]) -> None:
        """From now on let ``may_read`` be read and nothing else; a worker keeps the list that it was started with."""
        self._may_read = _symbols(may_read)
        self._kill()

    def close(self) -> None:
        """End the worker."""
        self._kill()

    def _ask(
        self,
        request: dict[str, Any],
        silence_s: float,
        take: Callable[[dict[str, Any]], T],
        limit_s: float | None = None,
        tell: Tell = silence,
    ) -> T:
        """Return what ``take`` finds in the answer; a worker that gives none, or one of another shape, is replaced."""
        try:
            self._send(request, tell)
            answer = self._answer(silence_s, limit_s or silence_s, tell)
            if "error" not in answer:
                return take(answer)
            failure = _error(answer)
        except _MISBEHAVIOUR as error:
            self._kill()
            _log.warning("reader worker killed during %s: %s", request["do"], type(error).__name__)
            if isinstance(error, TimeoutError) and request["do"] == "read":
                is_busy, self._is_our_hang = self._is_in_use and not self._is_our_hang, True
                if is_busy:
                    raise CardBusy("another program has the card and did not let go of it") from None
                raise CardDeadline(f"no answer within {silence_s:g} s, or no whole one within {limit_s:g} s") from None
            raise CardServiceDown("pcscd or its reader gives no answer: run 'card-station doctor'") from None
        raise failure

    def _send(self, request: dict[str, Any], tell: Tell) -> None:
        if self._worker is None or self._worker.poll() is not None:
            self._start()
            self._message(time.monotonic() + START_S, tell)
        assert self._worker is not None
        assert self._worker.stdin is not None
        if self._unread or select.select([_output(self._worker)], [], [], 0)[0]:
            raise ValueError("it speaks without being asked")
        os.write(self._worker.stdin.fileno(), json.dumps(request).encode() + b"\n")

    def _answer(self, silence_s: float, limit_s: float, tell: Tell) -> dict[str, Any]:
        """Return the worker's answer; on the way hand on what it says before it."""
        end_s = time.monotonic() + limit_s
        self._is_in_use = False
        while True:
            message = self._message(min(time.monotonic() + silence_s, end_s), tell)
            if "so_far" not in message:
                return message
            self._is_in_use = bool(message.get("in_use"))
            tell(None if message["so_far"] is None else Record.from_data(message["so_far"]))

    def _message(self, end_s: float, tell: Tell) -> dict[str, Any]:
        """Return the next message of the worker. Raises TimeoutError after ``end_s``, other OSError, ValueError."""
        assert self._worker is not None
        output, tell_at_s = _output(self._worker), time.monotonic() + TELL_EVERY_S
        while b"\n" not in self._unread:
            now_s = time.monotonic()
            if now_s >= end_s:
                raise TimeoutError
            if now_s >= tell_at_s:
                tell(None)
                tell_at_s = now_s + TELL_EVERY_S
            if not select.select([output], [], [], max(min(end_s, tell_at_s) - now_s, 0))[0]:
                continue
            part = os.read(output, 65536)
            if not part:
                raise BrokenPipeError("the reader worker ended")
            self._unread += part
            if len(self._unread) > MAX_LINE_BYTES:
                raise ValueError("a line without an end")
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line, parse_constant=_no_number)
        return message

    def _start(self) -> None:
        self._kill()
        resumed = json.dumps(pack_insertion(self._insertion)) if self._insertion else ""
        self._worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "appliance.run.worker", self._may_read, resumed, *self._names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env={**os.environ, **OVERWRITES_WHAT_IT_FREES},
        )
        assert self._worker.stdin is not None
        os.set_blocking(self._worker.stdin.fileno(), False)  # one that does not listen must not hold us up

    def _kill(self) -> None:
        worker, self._worker, self._unread = self._worker, None, b""
        if worker is not None:
            worker.kill()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()
            with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel is left behind
                worker.wait(1.0)


def _symbols(fields: Collection[Field]) -> str:
    return ",".join(field.symbol for field in fields)


def _output(worker: subprocess.Popen[bytes]) -> int:
    assert worker.stdout is not None
    return worker.stdout.fileno()


def _insertion(answer: dict[str, Any]) -> Insertion | None:
    found = answer["insertion"]
    return unpack_insertion(found) if found else None


def _record(fields: Sequence[Field], answer: dict[str, Any]) -> Record:
    record = Record.from_data(answer["record"])
    if set(record.values) != set(fields):
        raise ValueError("not the fields that were asked for")
    return record


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _error(answer: dict[str, Any]) -> errors.CardError | errors.ReaderUnavailable:
    """Return the error that the worker met. Raises KeyError, TypeError where it names none."""
    if answer["error"] == CardRefused.__name__:
        return CardRefused(int(answer["sw"]) & 0xFFFF)
    kind = vars(errors)[answer["error"]]
    if not issubclass(kind, errors.CardError | errors.ReaderUnavailable):
        raise TypeError(answer["error"])
    found: errors.CardError | errors.ReaderUnavailable = kind(_safe(answer["message"]))
    return found


def _safe(message: str) -> str:
    """Return a message that may stand in a log: one that a worker made up could hold anything of a card."""
    if not (message.isascii() and message.isprintable()):
        return "the reader worker says no more"
    return _NUMBER.sub("...", message)[:MAX_MESSAGE]
