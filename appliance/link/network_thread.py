"""The thread that keeps the line up: connect, turn as long as it holds, pause, connect again.

A thread that died shows at once. One that hangs would not: the library would go on saying "connected" while nothing
goes out and nothing comes in. So before each step the thread says by when it will be heard of again, and whoever asks
``is_alive`` after that time hears no. A turn looks for the answers to our pings, so a line that is dead ends in time.
"""

import threading
import time
from collections.abc import Callable

TURN_PATIENCE_S = 20.0  # a turn takes a second
CONNECT_PATIENCE_S = 120.0  # name servers that do not answer may take a minute
STOP_PATIENCE_S = 3.0


class NetworkThread:
    """One thread, from ``start`` to ``stop``.

    Args:
        connect: says whether it could; may take long.
        turn: takes and sends what there is; False once the connection is over. May take a second.
        pause_s: returns how long to wait before the next attempt.
    """

    def __init__(self, connect: Callable[[], bool], turn: Callable[[], bool], pause_s: Callable[[], float]) -> None:
        self._connect = connect
        self._turn = turn
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._heard_by_s = 0.0
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._expect(CONNECT_PATIENCE_S)
        self._thread.start()

    def end(self) -> None:
        """Ask for the end: after the connection that there is no other one is made."""
        self._stopping.set()

    def stop(self) -> None:
        """Ask for the end and wait a moment for it."""
        self.end()
        if self._thread.ident is not None:
            self._thread.join(STOP_PATIENCE_S)

    @property
    def is_stopping(self) -> bool:
        """Say whether the end was asked for."""
        return self._stopping.is_set()

    def is_alive(self) -> bool:
        """Say whether the thread runs and was heard of in time; a dead or stuck one never comes back."""
        return self._thread.is_alive() and time.monotonic() < self._heard_by_s

    def _run(self) -> None:
        while not self.is_stopping:
            self._expect(CONNECT_PATIENCE_S)
            if self._connect():
                self._turn_around()
            if not self.is_stopping:
                pause_s = self._pause_s()
                self._expect(pause_s + TURN_PATIENCE_S)
                self._stopping.wait(pause_s)

    def _turn_around(self) -> None:
        self._expect(TURN_PATIENCE_S)
        while self._turn():
            self._expect(TURN_PATIENCE_S)

    def _expect(self, within_s: float) -> None:
        self._heard_by_s = time.monotonic() + within_s
