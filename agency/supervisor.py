"""Runs the agency's programs in the foreground: starts them, starts one again when it dies, stops all at the end.

A program that dies waits 1 s before its next start, then 2, 4, ... at most 30; one that lived for a minute starts
afresh. A program that ends with 78 has a bad configuration: starting it again would change nothing, so all stop.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.errors import ConfigError

_log = logging.getLogger(__name__)

_POLL_S = 0.2
_LONGEST_DELAY_S = 30.0
_LONG_LIFE_S = 60.0
_GRACE_S = 10.0
_BAD_CONFIGURATION = 78


@dataclass(frozen=True)
class Program:
    """A program to keep running.

    Args:
        name: for the log.
        command: the program and its arguments.
    """

    name: str
    command: tuple[str, ...]


class _Child:
    """One program's process, and when to start it next."""

    def __init__(self, program: Program, clock: Callable[[], float]) -> None:
        self._program = program
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._next_start = clock()
        self._delay_s = 1.0

    def tend(self) -> None:
        """Start the program if it is time, or notice its end.

        Raises:
            ConfigError: it ended because its configuration is bad.
        """
        if self._process is None:
            if self._clock() >= self._next_start:
                self._start()
        elif self._process.poll() is not None:
            self._mourn(self._process.returncode)

    def _start(self) -> None:
        self._process = subprocess.Popen(self._program.command)
        self._started_at = self._clock()
        _log.info("started %s (process %d)", self._program.name, self._process.pid)

    def _mourn(self, code: int) -> None:
        self._process = None
        if code == _BAD_CONFIGURATION:
            raise ConfigError([f"{self._program.name} refused its configuration; see its line above"])
        if self._clock() - self._started_at > _LONG_LIFE_S:
            self._delay_s = 1.0
        self._next_start = self._clock() + self._delay_s
        _log.error("%s ended with %d; starting it again in %.0f s", self._program.name, code, self._delay_s)
        self._delay_s = min(self._delay_s * 2, _LONGEST_DELAY_S)

    def end(self) -> None:
        """Ask the program to end; after ten seconds, make it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            _log.error("%s does not end; killing it", self._program.name)
            self._process.kill()
            self._process.wait()


def supervise(programs: Sequence[Program], stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
    """Keep the programs running until ``stop`` is set, then end them, the last one first.

    Raises:
        ConfigError: one refuses its configuration.
        OSError: one cannot be started at all.
    """
    children = [_Child(program, clock) for program in programs]
    try:
        while not stop.wait(_POLL_S):
            for child in children:
                child.tend()
    finally:
        for child in reversed(children):
            child.end()
