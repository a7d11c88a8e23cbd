"""A process that dies after a chosen call to one of its joints, as by a power cut: no rollback, no clean-up."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.flow import serve
from appliance.panel.screens import Screen
from appliance.ports import World
from tests.flow.stage import Stage

CRASHED = 99
FINISHED = 0


class Crashing:
    """Passes every call on, and ends the process after call number ``at`` of all joints together."""

    def __init__(self, joint: Any, after_call: Callable[[str], None]) -> None:
        self._joint = joint
        self._after_call = after_call

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._joint, name)
        if not callable(method):
            return method

        def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            self._after_call(name)
            return result

        return call


class Shown:
    """A panel whose screens outlive the process."""

    def __init__(self, file: Path, pull: Callable[[], None]) -> None:
        self._file = file
        self._pull = pull

    def show(self, screen: Screen) -> None:
        with self._file.open("a") as lines:
            lines.write(f"{screen.state.value} {screen.reference}\n")
        if screen.reference:
            self._pull()

    def pressed(self) -> None:
        return None

    def held(self) -> None:
        return None


def run_until_crash(stage: Stage, card: Any, at: int, shown: Path) -> int:
    """Serve ``card`` in a child process that dies after call ``at``; return CRASHED or FINISHED.

    Args:
        stage: the station; its database is closed here and opened again in the child.
        card: what is put in.
        at: number of the call, from 1.
        shown: file that takes a line for each screen.
    """
    stage.outbox.close()
    child = os.fork()
    if child == 0:
        try:  # a child that raised would go on with the other tests
            stage.restart()
            stage.slot.insert(card)
            calls = [0]

            def after_call(name: str) -> None:
                calls[0] += 1
                if calls[0] == at:
                    os._exit(CRASHED)

            world = stage.world()
            joints: dict[str, Any] = {
                name: Crashing(getattr(world, name), after_call) for name in ("reader", "clock", "outbox", "writer")
            }
            panel = Crashing(Shown(shown, stage.slot.remove), after_call)
            crashing: World = replace(world, **joints, panel=panel)
            serve(crashing, stage.profile, lambda: stage.slot.card is not None)
            os._exit(FINISHED)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    stage.restart()
    return os.waitstatus_to_exitcode(status)
