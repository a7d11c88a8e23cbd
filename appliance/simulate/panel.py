"""The panel without hardware, twice: one that only remembers, and one that is driven by the real drivers.

``RecordingPanel`` is the panel of the flow's tests: it keeps the screens that it was shown and has presses ready.

``VirtualPanel`` is the glass, lamps, buzzer and buttons that the real ``Oled`` and ``GpioSignals`` drive: luma's code
writes to a model of the SSD1306, gpiozero's to its mock pins. What a viewer sees is what the drivers did, not what
they were asked to do. The station uses it like the real thing::

    virtual = VirtualPanel(runtime)
    panel = PanelThread(virtual.display, virtual.signals, now, on_show=virtual.on_show)

Lines on the socket (``panel_socket.py``) hold any of: ``pixels`` (base64 of 1024 bytes), ``lights`` (colour to true or
false), ``hertz`` (of the sound, or null), ``state``, ``tone`` and ``reference`` of the last screen. The file named by
``CARD_STATION_PANEL_TRACE`` gets a line for each screen, written at once and whole, so that a test outside can match
every sounded tone with an event; ``monotonic_s`` there is the clock of the events' ``monotonic_s``.
"""

import base64
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPWMPin

from appliance.errors import PanelFault
from appliance.hardware.gpio import HOLD_S, GpioSignals
from appliance.hardware.oled import Oled
from appliance.panel.screens import Button, Screen, State
from appliance.panel.words import Light, Tone, tone_of
from appliance.simulate.panel_socket import PanelSocket
from appliance.simulate.panel_view import SOCKET_NAME, picture, view
from appliance.simulate.ssd1306 import ModelBus

__all__ = ["RecordingPanel", "VirtualPanel", "picture", "view"]

TRACE_VARIABLE = "CARD_STATION_PANEL_TRACE"
_PRESS_S = 0.05  # a short press of a finger, and the least that must count
_RELEASE_S = 0.03


class RecordingPanel:
    """Remembers what it was shown.

    Args:
        presses: buttons that are pressed from the start, in this order.

    Attributes:
        screens: all screens, oldest first.
    """

    def __init__(self, presses: Iterable[Button] = ()) -> None:
        self.screens: list[Screen] = []
        self._presses = deque(presses)
        self._holds: deque[Button] = deque()
        self._when: dict[State, deque[Button]] = {}

    def show(self, screen: Screen) -> None:
        """Keep ``screen``."""
        self.screens.append(screen)
        if self._when.get(screen.state):
            self._presses.append(self._when[screen.state].popleft())

    def pressed(self) -> Button | None:
        """Return the next press, or None."""
        return self._presses.popleft() if self._presses else None

    def press(self, button: Button) -> None:
        """Press a button now."""
        self._presses.append(button)

    def held(self) -> Button | None:
        """Return the next button that is held, or None."""
        return self._holds.popleft() if self._holds else None

    def hold(self, button: Button) -> None:
        """Hold a button now."""
        self._holds.append(button)

    def press_at(self, state: State, button: Button) -> None:
        """Press a button the next time that ``state`` is shown."""
        self._when.setdefault(state, deque()).append(button)

    @property
    def states(self) -> list[State]:
        """The states of all screens, oldest first."""
        return [screen.state for screen in self.screens]

    @property
    def tones(self) -> list[Tone]:
        """The tones that were sounded, oldest first."""
        return [tone for tone in map(tone_of, self.screens) if tone is not Tone.SILENT]


class VirtualPanel:
    """Glass, lamps, buzzer and buttons for the real drivers.

    Args:
        runtime: the directory in which viewers find ``panel.sock``; None for no viewers.
        buttons: BCM numbers of A, B and C.
        leds: BCM numbers of green, amber and red.
        buzzer: BCM number of the buzzer; 0 for none.
        trace: the file that gets a line for each screen; None takes ``CARD_STATION_PANEL_TRACE``, if it is set.

    Attributes:
        display: for ``PanelThread``, which also closes it.
        signals: for ``PanelThread``, which also closes them.
        bus: the modelled bus, to pull and plug the glass.

    Raises:
        PanelFault: the socket cannot be made.
    """

    def __init__(
        self,
        runtime: Path | None = None,
        buttons: tuple[int, ...] = (5, 6, 13),
        leds: tuple[int, ...] = (17, 27, 22),
        buzzer: int = 18,
        trace: Path | None = None,
    ) -> None:
        self._buttons, self._leds, self._buzzer = buttons, leds, buzzer
        named = os.environ.get(TRACE_VARIABLE)
        self._trace = trace or (Path(named) if named else None)
        self._socket: PanelSocket | None = None
        self.bus = ModelBus(on_view=self._on_view)
        self.display = Oled(bus=self.bus)
        self._pins = MockFactory(pin_class=_watched_pins(self._on_pins))
        self.signals = GpioSignals(buttons, leds, buzzer, self._pins)
        if runtime is not None:
            self._socket = _socket_at(runtime / SOCKET_NAME, self.state(), self._on_message)

    def state(self) -> dict[str, Any]:
        """Return everything that can be seen and heard now, as viewers get it in their first line."""
        return {**self._seen(), **self._lit(), "state": None, "tone": None, "reference": None}

    def hold(self, button: Button) -> None:
        """Hold a button down as long as the station asks for it; returns when it is up again."""
        self.press(button, HOLD_S + 5 * _PRESS_S)

    def press(self, button: Button, down_s: float = _PRESS_S) -> None:
        """Press a button as a finger does, for 50 ms; returns when it is up again."""
        if not self._buttons:
            return
        pin = self._pins.pin(self._buttons[list(Button).index(button)])
        pin.drive_low()
        time.sleep(down_s)
        pin.drive_high()
        time.sleep(_RELEASE_S)

    def on_show(self, screen: Screen, light: Light, tone: Tone) -> None:
        """Take note of what the station meant: for the trace and for the viewers' words."""
        meant = {"state": screen.state.value, "tone": tone.value, "reference": screen.reference or None}
        if self._socket is not None:
            self._socket.publish(meant)
        if self._trace is not None:
            now_s = round(time.clock_gettime(time.CLOCK_BOOTTIME), 6)
            told = {"light": light.value, "choice": screen.choice, "code": screen.code}
            _append_line(self._trace, {"monotonic_s": now_s, **told, **meant})

    def close(self) -> None:
        """Let the viewers go; the drivers are closed by who uses them. May be called again."""
        if self._socket is not None:
            self._socket.close()

    def _on_view(self) -> None:
        if self._socket is not None:
            self._socket.publish(self._seen())

    def _on_pins(self) -> None:
        if self._socket is not None:
            self._socket.publish(self._lit())

    def _on_message(self, message: dict[str, Any]) -> None:
        for button in Button:
            if button.value == message.get("press"):
                self.press(button)
            elif button.value == message.get("hold"):
                self.hold(button)

    def _seen(self) -> dict[str, Any]:
        return {"pixels": base64.b64encode(self.bus.panel.pixels()).decode("ascii")}

    def _lit(self) -> dict[str, Any]:
        colours = (Light.GREEN, Light.AMBER, Light.RED)
        lamps = {
            c.value: bool(self._pins.pin(pin).state) for c, pin in zip(colours, self._leds, strict=bool(self._leds))
        }
        buzzer = self._pins.pin(self._buzzer) if self._buzzer else None
        return {"lights": lamps, "hertz": buzzer.frequency if buzzer and buzzer.state else None}


def _watched_pins(on_change: Callable[[], None]) -> type:
    """Return gpiozero's mock pin, telling when the station drives it."""

    class WatchedPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
        def _change_state(self, value: float) -> bool:
            is_changed = bool(super()._change_state(value))
            if is_changed and self.function == "output":
                on_change()
            return is_changed

        def _set_frequency(self, value: float | None) -> None:
            super()._set_frequency(value)
            on_change()

    return WatchedPin


def _socket_at(path: Path, state: dict[str, Any], on_message: Callable[[dict[str, Any]], None]) -> PanelSocket:
    try:
        return PanelSocket(path, state, on_message)
    except OSError as error:
        raise PanelFault(f"the virtual panel cannot listen at {path}: {error.strerror or error}") from error


def _append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one line in one write, so that readers and other writers only ever see whole ones."""
    trace = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(trace, json.dumps(line).encode() + b"\n")
    finally:
        os.close(trace)
