"""The parts of this machine, each after what it stands on. Everything real is plugged in here."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from appliance.config import Settings
from appliance.errors import (
    CardMute,
    CardServiceDown,
    ClockUnsure,
    ConfigError,
    DeliveryError,
    NoReader,
    NotEnrolled,
    OutboxDamaged,
    PanelFault,
    StoreError,
)
from appliance.run.doctor import broker, clock, enrolment, panel, reader, settings, storage
from appliance.run.doctor.part import Finding, Part
from appliance.run.reader import WorkerReader
from appliance.run.wiring import SIMULATED_CLOCK


def parts(path: Path, state: Path, environ: Mapping[str, str], is_quiet: bool = True) -> Iterator[Part]:
    """Return every part, one after the other.

    Args:
        path: settings file.
        state: state directory.
        environ: the environment.
        is_quiet: the reader worker logs nothing.
    """
    read, found = settings.settings(path, state)
    yield Part("settings", ConfigError, 78, lambda: found)
    with closing(WorkerReader(read.reader.name, read.reader.allow, is_quiet=is_quiet)) as worker:
        yield Part("pcscd", CardServiceDown, 7, partial(reader.service, worker, reader.knock, reader.has))
        yield Part("reader", NoReader, 3, partial(reader.reader, worker, read.reader), needs="pcscd")
        yield Part("card slot", CardMute, 1, partial(reader.slot, worker), needs="reader")
    yield from _of_the_panel(read)
    is_simulated = bool(environ.get(SIMULATED_CLOCK))
    yield Part("clock", ClockUnsure, 1, partial(_clock, is_simulated))
    yield Part("disk", StoreError, 7, partial(storage.disk, state, read.outbox.max_bytes))
    yield Part("database", OutboxDamaged, 7, partial(storage.database, state))
    yield Part("enrolment", NotEnrolled, 1, lambda: enrolment.enrolment(read, state, datetime.now(UTC)))
    yield Part("broker", DeliveryError, 7, partial(_broker, read, state))


def _of_the_panel(read: Settings) -> Iterator[Part]:
    files = panel.Files()
    yield Part("i2c", PanelFault, 1, partial(panel.bus, read.panel, files))
    yield Part("oled", PanelFault, 1, partial(panel.oled, read.panel, _answers), needs="i2c")
    yield Part("gpio", PanelFault, 1, partial(_gpio, read, files))
    yield Part("pins", PanelFault, 1, partial(panel.pins, read.panel, _holder), needs="gpio")
    yield Part("letters", ConfigError, 1, partial(panel.letters, read.panel, _load_font))


# What a station does not use is not loaded: each of these libraries takes a second on a small Raspberry Pi.


def _answers(address: int) -> bool:
    from appliance.hardware import oled

    return oled.answers(address, panel.BUS)


def _gpio(read: Settings, files: panel.Files) -> Finding:
    from appliance.hardware import gpio

    return panel.gpio(read.panel, files, gpio.chip_number, gpio.has_lgpio())


def _holder(pin: int) -> str | None:
    from appliance.hardware import gpio

    return gpio.holder(pin, Path(f"/dev/gpiochip{gpio.chip_number()}"))


def _load_font() -> object:
    from appliance.panel import fonts

    return fonts.font(16)


def _clock(is_simulated: bool) -> Finding:
    from appliance.hardware.clock import SystemClock

    return clock.clock(SystemClock(), is_simulated)


def _broker(read: Settings, state: Path) -> Finding:
    from appliance.link import handshake
    from appliance.link.address import Address

    link = read.link
    address = Address(
        link.host, link.port, read.station.id, state / link.ca, state / link.certificate, state / link.key, 0
    )

    def greet(line: Any, patience_s: float) -> handshake.Greeting:
        return handshake.greet(line, address, patience_s)

    return broker.broker(read, state, broker.resolve, broker.connect, greet)
