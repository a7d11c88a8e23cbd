"""The station process: reader worker, panel, event key, outbox. No network.

It shows the first screen before it loads the rest, then serves one person after the other. What ``flow.serve``
passes on is met here: no reader (say so, try again) and nothing durable (say so, take no more cards).
"""

import logging
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config import Settings
from appliance.errors import CardStationError, ConfigError, NotEnrolled, ReaderUnavailable, StoreError
from appliance.flow import serve
from appliance.panel.screens import Button, Screen, State
from appliance.ports import Panel
from appliance.run import lock
from appliance.run.core_dumps import forbid_core_dumps
from appliance.run.notify import SystemdNotifier
from appliance.run.stop import StopSignal

if TYPE_CHECKING:
    from appliance.run.panel import PanelThread
    from appliance.run.wiring import Parts

SAY_EVERY_S = 60.0
RETRY_S = (0.5, 1.0, 2.0)

_log = logging.getLogger(__name__)


def main(settings: Settings, state: Path, runtime: Path) -> int:
    """Run until SIGTERM. Raises CardStationError where it cannot start."""
    from appliance.run.wiring import build, build_panel

    runtime.mkdir(parents=True, exist_ok=True)
    forbid_core_dumps()
    stop = StopSignal()
    held = lock.hold(state / "station.lock") if state.is_dir() else None
    panel = build_panel(settings.panel, settings.station.language, runtime)
    panel.show(Screen(State.STARTING))
    try:
        parts = build(settings, state, runtime, panel)
    except CardStationError as error:
        _refuse(panel, error)
        raise
    try:
        Station(parts, stop).run()
    finally:
        parts.close()
        if held is not None:
            os.close(held)
    return 0


class Station:
    """Serves people until it is told to stop."""

    def __init__(self, parts: "Parts", stop: StopSignal) -> None:
        self._parts = parts
        self._stop = stop
        self._panel = _Remembering(parts.panel)
        self._world = replace(parts.world, panel=self._panel)
        self._notifier = SystemdNotifier()
        self._failures = 0
        self._said: dict[str, object] = {}
        self._said_s = 0.0
        self._since = ""

    def run(self) -> None:
        """Serve one after the other."""
        self._notifier.ready(f"serving {self._parts.profile.id}")
        while not self._stop.is_set:
            try:
                self._serve_one()
            except StoreError as error:
                self._wait_until_durable(error)
        self._notifier.stopping()

    def _serve_one(self) -> None:
        try:
            serve(self._world, self._parts.profile, self._keep_waiting)
            self._failures = 0
        except ReaderUnavailable as error:
            self._say(type(error).__name__)
            self._wait(State.NO_READER, error, RETRY_S[min(self._failures, len(RETRY_S) - 1)])
            self._failures += 1

    def _keep_waiting(self) -> bool:
        self._failures = 0
        self._notifier.alive()
        self._say("ok")
        return not self._stop.is_set

    def _wait(self, state: State, error: CardStationError, wait_s: float) -> None:
        screen = Screen(state, code=error.code)
        if screen != self._panel.last:  # said once, not with every attempt: it sounds
            _log.warning("%s: %s", error.code, error)
            self._panel.show(screen)
        _sleep(wait_s, self._stop, self._notifier)

    def _wait_until_durable(self, error: StoreError) -> None:
        """Take no card until the database takes a commit again."""
        while not self._stop.is_set:
            self._wait(State.CANNOT_STORE, error, RETRY_S[-1])
            try:
                self._parts.outbox.probe()
                self._said_s = 0.0
                self._say("ok")
            except StoreError as still:
                error = still
            else:
                return

    def _say(self, reader: str) -> None:
        """Leave word for the link: at once on a change, else once a minute."""
        said, now_s = self._parts.state(reader), time.clock_gettime(time.CLOCK_BOOTTIME)
        if said == self._said and now_s - self._said_s < SAY_EVERY_S:
            return
        if said["state"] != self._said.get("state"):
            self._since = self._parts.world.clock.now().time.isoformat(timespec="seconds")
        self._parts.outbox.say({**said, "since": self._since, "monotonic_s": now_s})
        self._said, self._said_s = said, now_s


class _Remembering:
    """The panel, and what it was last told (``ports.Panel``)."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self.last: Screen | None = None

    def show(self, screen: Screen) -> None:
        self.last = screen
        self._panel.show(screen)

    def pressed(self) -> Button | None:
        return self._panel.pressed()


def show_bad_config(runtime: Path) -> None:
    """Say on a panel of the usual kind that the settings cannot be used; a machine without one says nothing."""
    from appliance.config import Panel as PanelSettings
    from appliance.run.wiring import build_panel

    with suppress(CardStationError):
        _refuse(build_panel(PanelSettings(), "th", runtime), ConfigError([]))


def _refuse(panel: "PanelThread", error: CardStationError) -> None:
    """Say why the station does not start; the picture stays when the process is gone."""
    state = State.BAD_CONFIG if isinstance(error, ConfigError) else State.CANNOT_STORE
    if isinstance(error, NotEnrolled):
        state = State.NOT_ENROLLED
    panel.show(Screen(state, code=error.code))
    panel.close(keep_picture=True)


def _sleep(wait_s: float, stop: StopSignal, notifier: SystemdNotifier) -> None:
    end_s = time.monotonic() + wait_s
    while not stop.is_set and time.monotonic() < end_s:
        notifier.alive()
        time.sleep(0.1)
