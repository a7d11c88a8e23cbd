"""Builds the station's parts from its settings: the only place that knows which class stands behind which joint."""

import logging
import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.config import Display, Settings
from appliance.config import Panel as PanelSettings
from appliance.errors import PanelFault
from appliance.events.agency_keys import AgencyKeys
from appliance.events.cloud_event import Origin
from appliance.events.schema import EVENT
from appliance.events.writer import EventWriter
from appliance.hardware.clock import SystemClock
from appliance.hardware.gpio import GpioSignals
from appliance.hardware.oled import Oled
from appliance.hardware.steady_clock import SteadyClock
from appliance.inquiry import Inquiry
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.panel import fonts
from appliance.papers import agency_keys, event_signer
from appliance.ports import Clock, World
from appliance.run.documents import RosterSource, ServiceSource, may_read
from appliance.run.live_keys import LiveKeys, LiveRecipients
from appliance.run.nudge import Nudge
from appliance.run.panel import PanelThread
from appliance.run.query_socket import QuerySocket
from appliance.run.reader import WorkerReader
from appliance.run.repair import make_sound
from appliance.run.timekeeper import Floor, Timekeeper, released

SIMULATED_CLOCK = "CARD_STATION_SIMULATED_CLOCK"

Pins = tuple[int, ...]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the station process holds; ``max_age_days`` is how long the row of a confirmed event stays, 0 for ever."""

    world: World
    services: ServiceSource
    outbox: Outbox
    panel: PanelThread
    reader: WorkerReader
    max_age_days: int = 0
    timekeeper: Timekeeper | None = None

    def state(self, reader: str, card: str) -> dict[str, Any]:
        """Return what the station says of itself, without times.

        Args:
            reader: ``ok`` or the name of what is wrong with it.
            card: ``in``, ``none`` or ``unknown``; told on this machine only.
        """
        clock = self.world.clock.now()
        is_ready = reader == "ok" and self.panel.state != "failed"
        profile = self.services.active
        return {
            "state": "ready" if is_ready else "degraded",
            "versions": {"software": __version__},
            "service": {"id": profile.id, "version": profile.version, "sha256": profile.sha256},
            "reader": reader,
            "card": card,
            "panel": self.panel.state,
            "clock": {"quality": clock.quality},
        }

    def close(self) -> None:
        """End the worker, clear the panel, close the database."""
        self.reader.close()
        self.panel.close()
        self.outbox.close()


def build_panel(panel: PanelSettings, language: str, runtime: Path) -> PanelThread:
    """Build the panel that the settings name: the real one, the virtual one, or lights and buzzer only.

    Raises:
        ConfigError: the font or the shaping library is missing, and Thai would be misspelt.
    """
    clock = SystemClock()
    pins = (panel.buttons, panel.leds, panel.buzzer)

    def now() -> datetime:
        return clock.now().time

    if panel.display is not Display.NONE:
        fonts.check()
    if panel.display is Display.VIRTUAL:
        from appliance.simulate.panel import VirtualPanel

        virtual = VirtualPanel(runtime, *pins)
        return PanelThread(virtual.display, virtual.signals, now, language, virtual.on_show)
    display = Oled(panel.address, panel.rotate) if panel.display is Display.SSD1306 else None
    return PanelThread(display, _signals(*pins), now, language)


def _signals(buttons: Pins, leds: Pins, buzzer: int) -> GpioSignals | None:
    """Open the pins; a station without them still reads cards."""
    try:
        return GpioSignals(buttons, leds, buzzer)
    except PanelFault as error:
        _log.error("%s: no buttons, lights or buzzer: %s", error.code, error)
        return None


def build(settings: Settings, state: Path, runtime: Path, panel: PanelThread) -> Parts:
    """Build everything else. Raises ConfigError, StoreError, SigningError."""
    keys = agency_keys(state)
    signer = event_signer(state)
    origin = Origin(settings.station.agency, settings.station.id, __version__)
    writer, clock = EventWriter(origin, signer, ()), _clock(settings.clock.max_unsynced_h * 3600)
    make_sound(state, writer, SteadyClock(clock, released), AgencyKeys.enrolled(keys))
    outbox = Outbox.open(state / DATABASE_NAME, max_bytes=settings.outbox.max_bytes, on_append=Nudge(runtime))
    outbox.head()  # a station without a chain must not look ready
    live = LiveKeys(outbox, keys, settings.station.id)
    EVENT.prepare()
    services = ServiceSource(settings.service.id, outbox, lambda: live.now().signatures, settings.station.id)
    reader = WorkerReader(settings.reader.name, settings.reader.allow, may_read(services.active))
    steady = SteadyClock(clock, Floor(outbox))
    sealing = replace(writer, recipients=LiveRecipients(live))
    roster, denylist = (
        RosterSource(outbox, lambda: live.now().signatures, settings.station.id, kind)
        for kind in ("roster", "denylist")
    )
    inquiry = Inquiry(QuerySocket(runtime), live.now, writer)
    world = World(reader, panel, steady, outbox, sealing, roster, denylist, services.vouching, inquiry=inquiry)
    timekeeper = Timekeeper(steady, outbox, writer)
    return Parts(world, services, outbox, panel, reader, settings.outbox.max_age_days, timekeeper)


def _clock(max_unsynced_s: float) -> Clock:
    if os.environ.get(SIMULATED_CLOCK):
        from appliance.simulate.clock import SimulatedClock

        return SimulatedClock(SystemClock())
    return SystemClock(max_unsynced_s)
