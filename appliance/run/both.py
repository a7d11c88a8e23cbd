"""``card-station run``: station and link as two child processes of one supervisor, in the foreground.

For a laptop and the demo; on the appliance systemd does this. A child that dies is started again, after one second
and then after twice as long each time, up to half a minute; a child that held out for a minute begins at one second
again. Two ends are final: a child that says "bad configuration" (exit 78), since a new start would change nothing,
and a signal to stop, which goes on to both children.
"""

import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.run.core_dumps import OVERWRITES_WHAT_IT_FREES
from appliance.run.lock import hold
from appliance.run.logs import set_up_logging

ROLES = ("station", "link")
BAD_CONFIGURATION = 78
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
STOP_PATIENCE_S = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


@dataclass
class Child:
    """One process to keep alive.

    Args:
        name: for the log.
        command: program and arguments.
        started_s: monotonic time of the last start.
        due_s: monotonic time of the next start, while it is down.
        pause_s: seconds to wait before that start.
    """

    name: str
    command: Sequence[str]
    started_s: float = 0.0
    due_s: float = 0.0
    pause_s: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    def start(self, now_s: float) -> None:
        """Start it."""
        environment = {**os.environ, **OVERWRITES_WHAT_IT_FREES}
        self.process, self.started_s = subprocess.Popen(self.command, env=environment), now_s

    def look(self, now_s: float) -> int | None:
        """Return its exit code if it died since the last look, and settle when it starts again."""
        code = self.process.poll() if self.process else None
        if code is None:
            return None
        held_out = now_s - self.started_s >= STEADY_AFTER_S
        self.pause_s = FIRST_PAUSE_S if held_out or not self.pause_s else min(self.pause_s * 2, LONGEST_PAUSE_S)
        self.process, self.due_s = None, now_s + self.pause_s
        return code


def main(config_path: Path, state: Path) -> int:
    """Run station and link until a signal says stop; return the exit code.

    Raises:
        AlreadyRunning: one of them works with this state already, and ours would end as often as it is started.
    """
    set_up_logging("run")
    for role in ROLES if state.is_dir() else ():
        os.close(hold(state / f"{role}.lock"))
    program = (sys.executable, "-P", "-m", "appliance.cli", "--config", str(config_path))
    return supervise([Child(role, (*program, role)) for role in ROLES])


def supervise(children: Sequence[Child]) -> int:
    """Keep ``children`` alive; return 0 after a signal to stop, 78 where one of them refuses its configuration."""
    with _signals() as (stopped, wait):
        try:
            while not stopped:
                if _look_after(children) == BAD_CONFIGURATION:
                    return BAD_CONFIGURATION
                wait(min((child.due_s for child in children if not child.process), default=None))
        finally:
            _stop(children)
    return 0


def _look_after(children: Sequence[Child]) -> int | None:
    """Start whatever is due; return 78 if a child ended with it."""
    for child in children:
        now_s = time.monotonic()
        code = child.look(now_s)
        if code == BAD_CONFIGURATION:
            return code
        if code is not None:
            _log.warning("%s ended with %d; it starts again in %.0f s", child.name, code, child.pause_s)
        if child.process is None and child.due_s <= now_s:
            child.start(now_s)
    return None


def _stop(children: Sequence[Child]) -> None:
    """Ask every child to stop, wait, and kill what is left."""
    running = [child.process for child in children if child.process]
    for process in running:
        process.terminate()
    end_s = time.monotonic() + STOP_PATIENCE_S
    for process in running:
        try:
            process.wait(max(end_s - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Waiter:
    """Waits for a signal or a moment, without missing a signal that comes just before."""

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)

    def __call__(self, until_s: float | None) -> None:
        timeout_s = None if until_s is None else max(until_s - time.monotonic(), 0)
        if self._selector.select(timeout_s):
            os.read(self._wake, 64)

    def close(self) -> None:
        self._selector.close()


@contextmanager
def _signals() -> Iterator[tuple[list[int], _Waiter]]:
    """Give the list that a stop signal is added to, and a wait that any signal ends."""
    stopped: list[int] = []
    wake, write = os.pipe()
    os.set_blocking(write, False)
    before = {number: signal.signal(number, lambda got, _: stopped.append(got)) for number in STOP_SIGNALS}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    previous_fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    waiter = _Waiter(wake)
    try:
        yield stopped, waiter
    finally:
        signal.set_wakeup_fd(previous_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        waiter.close()
        os.close(wake)
        os.close(write)
