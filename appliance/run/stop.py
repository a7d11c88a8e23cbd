"""SIGTERM and SIGINT end a loop at its next turn, never in the middle of one."""

import signal
from collections.abc import Callable
from types import FrameType


class StopSignal:
    """Set once a signal came.

    Args:
        wake: called in the main thread when it comes, to cut a wait short.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.is_set = False
        self._wake = wake
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._caught)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self.is_set = True
        self._wake()
