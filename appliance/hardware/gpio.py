"""Buttons, lights and buzzer on GPIO, through gpiozero; nowhere else imports gpiozero.

* The pins are those of the factory that is named here: lgpio on the machine, gpiozero's mock in tests. gpiozero's own
  choice is never used, because it falls back without an error to factories that see no edges.
* Callbacks run in lgpio's one thread for all pins, and one exception there silences every button for good. So they
  only put into a bounded queue.
* A press counts when the line was quiet for 20 ms before it: the first closing of a contact counts, its bounces and
  those of its release do not, and a press of 50 ms is never lost (a long kernel debounce swallows it).
* A button that is held when the station starts is seen.

Wiring: buttons close to ground, lights are lit by a high pin, the buzzer is a passive one. ``lgpio`` puts a pipe into
``LG_WD``, else the working directory; the unit sets it to the runtime directory.
"""

import fcntl
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import gpiozero
from gpiozero.tones import Tone as Pitch

from appliance.errors import PanelFault
from appliance.hardware.tones import TonePlayer
from appliance.panel.screens import Button
from appliance.panel.words import Light, Tone

HOLD_S = 1.0
_QUIET_S = 0.020
_KERNEL_DEBOUNCE_S = 0.005
_MAX_PRESSES = 16
_CHIP_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
_GET_CHIPINFO = 0x8044B401  # GPIO_GET_CHIPINFO_IOCTL of linux/gpio.h
_CHIPINFO = struct.Struct("=32s32sI")
_GET_LINEINFO = 0xC100B405  # GPIO_V2_GET_LINEINFO_IOCTL
_LINEINFO = struct.Struct("=32s32sIIQ176x")
_IS_USED = 1


class GpioSignals:
    """The buttons, lights and buzzer of one station.

    Args:
        buttons: BCM numbers of A, B and C; none for a station without buttons.
        leds: BCM numbers of green, amber and red; none for a station without lights.
        buzzer: BCM number of the buzzer; 0 for a station without one.
        pin_factory: a gpiozero factory; None opens the machine's own pins with lgpio.

    Raises:
        PanelFault: the pins cannot be had.
    """

    def __init__(
        self,
        buttons: tuple[int, ...],
        leds: tuple[int, ...],
        buzzer: int,
        pin_factory: object | None = None,
    ) -> None:
        self._own_factory = None if pin_factory is not None else open_lgpio()
        self._presses: Queue[Button] = Queue(_MAX_PRESSES)
        self._last_edge_s: dict[Button, float] = {}
        self._down_s: dict[Button, float] = {}  # when each was pressed last
        self._told_held: dict[Button, float] = {}
        try:
            self._open(buttons, leds, buzzer, pin_factory or self._own_factory)
        except _faults() as error:
            raise PanelFault(f"the pins cannot be used: {error}") from error
        self._player = TonePlayer(self._pitch)

    def light(self, light: Light) -> None:
        """Light one lamp, or none.

        Raises:
            PanelFault: the pins are gone.
        """
        try:
            for colour, lamp in self._lamps.items():
                lamp.value = colour is light
        except _faults() as error:
            raise PanelFault(f"the lights cannot be set: {error}") from error

    def sound(self, tone: Tone) -> None:
        """Sound ``tone``; returns at once."""
        self._player.sound(tone)

    def pressed(self) -> Button | None:
        """Return the oldest press that was not yet taken, or None."""
        with suppress(Empty):
            return self._presses.get_nowait()
        return None

    def held(self) -> Button | None:
        """Return a button that was down for ``HOLD_S``, once for each time, though it may be up again by now."""
        now_s = time.monotonic()
        for button, down_s in list(self._down_s.items()):
            end_s = now_s if self._buttons[button].is_pressed else self._last_edge_s[button]
            if end_s - down_s >= HOLD_S and self._told_held.get(button) != down_s:
                self._told_held[button] = down_s
                return button
        return None

    def close(self) -> None:
        """Finish the tone, put the lights out, give the pins back. May be called again."""
        self._player.close()
        for device in (*self._buttons.values(), *self._lamps.values(), self._buzzer):
            if device is not None:
                device.close()
        if self._own_factory is not None:
            self._own_factory.close()

    def _open(self, buttons: tuple[int, ...], leds: tuple[int, ...], buzzer: int, factory: Any) -> None:
        colours = (Light.GREEN, Light.AMBER, Light.RED)
        self._lamps = {c: gpiozero.LED(pin, pin_factory=factory) for c, pin in zip(colours, leds, strict=bool(leds))}
        self._buzzer = gpiozero.TonalBuzzer(buzzer, mid_tone="A4", octaves=3, pin_factory=factory) if buzzer else None
        self._buttons = {
            button: gpiozero.Button(pin, bounce_time=_KERNEL_DEBOUNCE_S, pin_factory=factory)
            for button, pin in zip(Button, buttons, strict=bool(buttons))
        }
        for button, device in self._buttons.items():
            device.when_pressed = partial(self._edge, button, True)
            device.when_released = partial(self._edge, button, False)
            if device.is_pressed:
                self._edge(button, True)

    def _edge(self, button: Button, is_press: bool) -> None:
        now_s = time.monotonic()
        is_quiet = now_s - self._last_edge_s.get(button, float("-inf")) >= _QUIET_S
        self._last_edge_s[button] = now_s
        try:
            if is_press and is_quiet:
                self._down_s[button] = now_s
                self._presses.put_nowait(button)
        except Full:
            return  # nobody takes presses; more of them would only come too late

    def _pitch(self, hertz: float | None) -> None:
        if self._buzzer is None:
            return
        with suppress(*_faults()):  # a buzzer that is gone is no reason to stop the others
            self._buzzer.play(None if hertz is None else Pitch.from_frequency(hertz))


def chip_label(path: Path) -> str:
    """Return the label of a GPIO chip, such as ``pinctrl-rp1``, or nothing where it does not say."""
    buffer = bytearray(_CHIPINFO.size)
    try:
        with path.open("rb") as device:
            fcntl.ioctl(device, _GET_CHIPINFO, buffer)
    except OSError:
        return ""
    return bytes(_CHIPINFO.unpack(buffer)[1]).rstrip(b"\0").decode("ascii", "replace")


def chip_number(devices: Path = Path("/dev"), label_of: Callable[[Path], str] = chip_label) -> int:
    """Return the number of the chip that has the pins of the 40-pin header.

    It is found by its label: on a Pi 5 it has been number 4, 0 and 11, depending on the kernel.

    Raises:
        PanelFault: there is none.
    """
    for path in sorted(devices.glob("gpiochip*")):
        if label_of(path) in _CHIP_LABELS:
            return int(path.name.removeprefix("gpiochip"))
    raise PanelFault(f"no chip with the pins of a Raspberry Pi among {devices}/gpiochip*")


def holder(pin: int, chip: Path) -> str | None:
    """Return who holds a pin, "" where only the kernel knows, or None where it is free; the pin is not taken.

    Args:
        pin: BCM number.
        chip: device of the chip.

    Raises:
        OSError: there is no such chip or pin, or this user may not ask.
    """
    buffer = bytearray(_LINEINFO.pack(b"", b"", pin, 0, 0))
    with chip.open("rb") as device:
        fcntl.ioctl(device, _GET_LINEINFO, buffer)
    _, consumer, _, _, flags = _LINEINFO.unpack(buffer)
    return bytes(consumer).rstrip(b"\0").decode("utf-8", "replace") if flags & _IS_USED else None


def has_lgpio() -> bool:
    """Say whether lgpio is installed; loading it would put a pipe beside that of a running station."""
    return find_spec("lgpio") is not None


def open_lgpio() -> Any:
    """Return gpiozero's factory for the machine's own pins.

    Raises:
        PanelFault: lgpio is not installed, or the pins cannot be opened.
    """
    os.environ.setdefault("LG_WD", os.environ.get("RUNTIME_DIRECTORY", tempfile.gettempdir()))
    try:
        from gpiozero.pins.lgpio import LGPIOFactory
    except (ImportError, OSError) as error:
        raise PanelFault(f"lgpio cannot be used: {error}") from error
    try:
        return LGPIOFactory(chip=chip_number())
    except _faults() as error:
        raise PanelFault(f"the pins cannot be opened with lgpio: {error}") from error


def _faults() -> tuple[type[Exception], ...]:
    """Return what pins may raise; lgpio, where it was imported, has an error of its own."""
    backend = sys.modules.get("lgpio")
    return (gpiozero.GPIOZeroError, OSError, *([backend.error] if backend else []))
