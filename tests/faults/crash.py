"""Lets a child process die at a fault point."""

import os
import signal
from collections.abc import Callable

from tests.faults.install import die_now, install
from tests.faults.points import Point


def is_killed_at(point: Point, act: Callable[[], object]) -> bool:
    """Run ``act`` in a child process with ``point`` put in; say whether it died there.

    What ``act`` needs of files and databases it must open itself; nothing of them may be open in the parent.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            install([point], die_now)
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended in (0, -signal.SIGKILL), f"{point.name}: the child failed; its traceback stands above"
    return ended != 0
