"""The station process: reader worker, panel, event key, outbox. No network.

It shows the first screen before it loads the rest, then serves one person after the other. What ``flow.serve``
passes on is met here: no reader (say so, try again) and nothing durable (say so, take no more cards). A disk that is
full, read-only or failing when the station starts is waited for in the same way: a process that ends and starts again
would mend nothing, and leave the panel dark.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config import Settings
from appliance.errors import (
    CardStationError,
    ConfigError,
    NotEnrolled,
    OutboxDamaged,
    OutboxFull,
    OutboxUnavailable,
    ReaderUnavailable,
    StoreError,
)
from appliance.flow import serve
from appliance.officers import end_session, sign_off_idle
from appliance.outbox.reserve import Reserve, shortage
from appliance.panel.screens import NO_CARD_IS_IN, Button, Screen, State
from appliance.ports import Panel
from appliance.run import lock
from appliance.run.core_dumps import forbid_core_dumps
from appliance.run.documents import ServiceChanges, may_read
from appliance.run.notify import SystemdNotifier
from appliance.run.stop import StopSignal
from appliance.run.storage import Storage
from appliance.run.sweep import Sweep

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
    start = _Start(state, runtime, StopSignal())
    panel = start.first(lambda: build_panel(settings.panel, settings.station.language, runtime))
    panel.show(Screen(State.STARTING))
    try:
        parts = start.when_possible(panel, lambda: build(settings, state, runtime, panel))
    except CardStationError as error:
        _refuse(panel, error)
        raise
    if parts is None:
        panel.close()
        return 0
    try:
        Station(parts, start.stop, start.short_of).run()
    finally:
        parts.close()
        start.close()
    return 0


class _Start:
    """Takes the lock and builds the parts, as soon as the disk lets it.

    Args:
        state: the state directory.
        runtime: the runtime directory.
        stop: ends the waiting.
    """

    def __init__(self, state: Path, runtime: Path, stop: StopSignal) -> None:
        self.stop, self._state, self._runtime = stop, state, runtime
        self.short_of = ""
        self._held: int | None = None
        self._panel_lock: int | None = None

    def first(self, build_panel: Callable[[], "PanelThread"]) -> "PanelThread":
        """Build the panel, unless another station has it. Raises AlreadyRunning, ConfigError."""
        with suppress(OutboxFull, OutboxUnavailable):  # said when there is a panel
            self._hold()
        self._panel_lock = _hold_panel(self._runtime)
        return build_panel()

    def when_possible(self, panel: "PanelThread", build: Callable[[], "Parts"]) -> "Parts | None":
        """Build the parts; None where the wait was ended. Raises CardStationError for what no waiting mends."""
        notifier, is_said = SystemdNotifier(), ""
        while not self.stop.is_set:
            try:
                self._hold()
                return build()
            except (OutboxFull, OutboxUnavailable) as error:
                if self._spend_reserve():
                    continue
                if error.code != is_said:
                    is_said = error.code
                    _log.error("%s: %s", error.code, error)
                    panel.show(Screen(State.CANNOT_STORE, code=error.code))
                    notifier.ready("waiting for the disk")
                _sleep(RETRY_S[-1], self.stop, notifier)
        return None

    def close(self) -> None:
        """Let the next station process begin."""
        for held in (self._held, self._panel_lock):
            if held is not None:
                os.close(held)

    def _hold(self) -> None:
        if self._held is None and self._state.is_dir():
            self._held = lock.hold(self._state / "station.lock")

    def _spend_reserve(self) -> bool:
        """Give the reserve back where the disk is full; say whether that may have made room."""
        short_of = shortage(self._state)
        if self.short_of or not short_of or not Reserve(self._state).release():
            return False
        self.short_of = short_of
        return True


class Station:
    """Serves people until it is told to stop."""

    def __init__(self, parts: "Parts", stop: StopSignal, short_of: str = "") -> None:
        self._parts = parts
        self._stop = stop
        self._storage = Storage(parts.outbox, parts.world.writer, parts.world.clock, short_of)
        self._sweep = self._new_sweep()
        self._services = ServiceChanges(parts.outbox, parts.world.writer, parts.world.clock)
        self._panel = _Remembering(parts.panel)
        self._world = replace(parts.world, panel=self._panel)
        self._notifier = SystemdNotifier()
        self._failures = 0
        self._said: dict[str, object] = {}
        self._said_s = 0.0
        self._since = ""

    def run(self) -> None:
        """Serve one after the other."""
        self._notifier.ready(f"serving {self._parts.services.active.id}")
        while not self._stop.is_set:
            try:
                self._storage.keep_reserve()
                self._take_up_service()
                self._serve_one()
            except OutboxDamaged:
                raise  # the next start mends it
            except StoreError as error:
                self._wait_until_durable(error)
        with suppress(StoreError):
            end_session(self._world)
        self._notifier.stopping()

    def _serve_one(self) -> None:
        try:
            serve(self._world, self._parts.services.active, self._keep_waiting)
            self._failures = 0
        except ReaderUnavailable as error:
            self._say(type(error).__name__)
            self._wait(State.NO_READER, error, RETRY_S[min(self._failures, len(RETRY_S) - 1)])
            self._failures += 1

    def _new_sweep(self) -> Sweep:
        parts = self._parts
        days = parts.services.active.retention.station_after_receipt_days
        return Sweep(parts.outbox, parts.world.clock, days, parts.max_age_days, parts.services.retention())

    def _take_up_service(self) -> None:
        """Serve by the newest profile from the next person on. Raises StoreError."""
        services = self._parts.services
        if services.look():
            self._parts.reader.allow(may_read(services.active))
            self._sweep = self._new_sweep()
            _log.info("serving %s version %d", services.active.id, services.active.version)
        self._services.note(services.active)

    def _keep_waiting(self) -> bool:
        self._failures = 0
        self._notifier.alive()
        if self._parts.timekeeper is not None:
            self._parts.timekeeper.look()
        self._say("ok")
        if self._panel.last is not None and self._panel.last.state in NO_CARD_IS_IN:
            self._sweep.turn()
            sign_off_idle(self._world)
            self._correct()
            return not (self._stop.is_set or self._parts.services.is_outdated())
        return not self._stop.is_set

    def _correct(self) -> None:
        """Record what the agency answered too late. Raises StoreError."""
        if self._world.inquiry is not None:
            self._world.inquiry.correct(self._world.outbox, self._world.clock.now())

    def _wait(self, state: State, error: CardStationError, wait_s: float) -> None:
        screen = Screen(state, code=error.code)
        if screen != self._panel.last:  # said once, not with every attempt: it sounds
            _log.warning("%s: %s", error.code, error)
            self._panel.show(screen)
        _sleep(wait_s, self._stop, self._notifier)

    def _wait_until_durable(self, error: StoreError) -> None:
        """Take no card until the database takes a commit again."""
        while not self._stop.is_set:
            self._storage.note(error)
            self._wait(State.CANNOT_STORE, error, RETRY_S[-1])
            try:
                if isinstance(error, OutboxFull):
                    with suppress(OutboxFull):  # what may go by now makes room
                        self._sweep.turn()
                self._storage.try_again(error)
                self._said_s = 0.0
                self._say("ok")
            except OutboxDamaged:
                raise
            except StoreError as still:
                error = still
            else:
                return

    def _say(self, reader: str) -> None:
        """Leave word for the link: at once on a change, else once a minute."""
        said, now_s = self._parts.state(reader, self._card(reader)), time.clock_gettime(time.CLOCK_BOOTTIME)
        if said == self._said and now_s - self._said_s < SAY_EVERY_S:
            return
        if said["state"] != self._said.get("state"):
            self._since = self._parts.world.clock.now().time.isoformat(timespec="seconds")
        self._parts.outbox.say({**said, "since": self._since, "monotonic_s": now_s})
        self._said, self._said_s = said, now_s

    def _card(self, reader: str) -> str:
        if reader != "ok" or self._panel.last is None:
            return "unknown"
        return "none" if self._panel.last.state in NO_CARD_IS_IN else "in"


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

    def held(self) -> Button | None:
        return self._panel.held()


def show_bad_config(runtime: Path) -> None:
    """Say on a panel of the usual kind that the settings cannot be used; a machine without one says nothing."""
    from appliance.config import Panel as PanelSettings
    from appliance.run.wiring import build_panel

    with suppress(CardStationError):
        _hold_panel(runtime)  # until this process ends, as it is about to
        _refuse(build_panel(PanelSettings(), "th", runtime), ConfigError([]))


def _hold_panel(runtime: Path) -> int | None:
    """Take panel and sockets of a runtime directory; None where no lock can be made. Raises AlreadyRunning."""
    with suppress(StoreError):
        return lock.hold(runtime / "panel.lock")
    return None


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
