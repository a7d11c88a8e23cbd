"""The panel of a running station: lights and tones at once, pictures from a thread that may be late.

``show`` sets lights and tone in the caller, because they tell the person what happened and take microseconds; the
picture goes into a slot that holds one, and a newer one takes its place. One thread draws and pushes pictures: an I2C
bus that stalls delays a picture and never a card.

A panel that fails stops nothing: without the OLED, lights and buzzer carry on, and the picture is tried again every
two seconds. Whatever is shown is drawn anew each minute, for the clock, and for a panel that lost its power unseen.

Example::

    panel = PanelThread(Oled(), GpioSignals((5, 6, 13), (17, 27, 22), 18), lambda: clock.now().time)
    panel.show(Screen(State.STARTING))
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from PIL import Image

from appliance.errors import CardStationError
from appliance.panel.render import render
from appliance.panel.screens import Button, Screen
from appliance.panel.words import Light, Tone, light_of, tone_of

RETRY_S = 2.0
_TICK_S = 1.0  # the longest time between two beats, where the bus does not stall
_CLOSE_S = 3.0

_log = logging.getLogger(__name__)


class Display(Protocol):
    """What shows pictures. Real and simulated: ``hardware.oled.Oled``, on a real or a modelled bus."""

    def show(self, image: Image.Image) -> None:
        """Show a picture. Raises PanelFault."""

    def close(self, keep_picture: bool = False) -> None:
        """Let go of the panel."""


class Signals(Protocol):
    """Lights, buzzer and buttons. Real and simulated: ``hardware.gpio.GpioSignals``, on real or mock pins."""

    def light(self, light: Light) -> None:
        """Light one lamp. Raises PanelFault."""

    def sound(self, tone: Tone) -> None:
        """Sound a tone; returns at once."""

    def pressed(self) -> Button | None:
        """Return the oldest press that was not taken."""

    def held(self) -> Button | None:
        """Return a button that is being held down, once for each time."""

    def close(self) -> None:
        """Let go of the pins."""


class PanelThread:
    """The real ``ports.Panel``.

    Args:
        display: the OLED, or None for a station without one.
        signals: lights, buzzer and buttons, or None for a station without them.
        now: Thai local time, for the clock on the idle screen.
        language: ``th`` or ``en``.
        on_show: told of every screen with its light and tone, in the caller of ``show``.

    Attributes:
        beat_monotonic_s: when the thread last was alive (``time.monotonic``); stands still while a bus stalls.
    """

    def __init__(
        self,
        display: Display | None,
        signals: Signals | None,
        now: Callable[[], datetime],
        language: str = "th",
        on_show: Callable[[Screen, Light, Tone], None] | None = None,
    ) -> None:
        self._display, self._signals, self._now = display, signals, now
        self._language, self._on_show = language, on_show
        self._change = threading.Condition()
        self._slot: Screen | None = None
        self._shown: Screen | None = None
        self._minute = ""
        self._retry_at_s: float | None = None
        self._is_closing = False
        self.beat_monotonic_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="panel", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """``ok``, ``failed`` (the last picture could not be shown) or ``none`` (there is no display)."""
        if self._display is None:
            return "none"
        return "ok" if self._retry_at_s is None else "failed"

    def show(self, screen: Screen) -> None:
        """Show ``screen``, set its lights and sound its tone; returns at once and never raises."""
        light, tone = light_of(screen), tone_of(screen)
        if self._signals is not None:
            _attempt("lights", partial(self._signals.light, light))
            _attempt("buzzer", partial(self._signals.sound, tone))
        if self._on_show is not None:
            _attempt("observer", partial(self._on_show, screen, light, tone))
        with self._change:
            self._slot = screen
            self._change.notify()

    def pressed(self) -> Button | None:
        """Return the oldest press that was not yet taken, or None."""
        return None if self._signals is None else self._signals.pressed()

    def held(self) -> Button | None:
        """Return a button that is being held down, once for each time; None where none is."""
        return None if self._signals is None else self._signals.held()

    def close(self, keep_picture: bool = False) -> None:
        """Show what is still to be shown, then let go of display and pins. May be called again.

        Args:
            keep_picture: leave the last picture standing, for a reason that must outlive the process.
        """
        with self._change:
            self._is_closing = True
            self._change.notify()
        self._thread.join(_CLOSE_S)
        if self._display is not None and not self._thread.is_alive():
            _attempt("display", partial(self._display.close, keep_picture))
        if self._signals is not None:
            _attempt("pins", self._signals.close)

    def _run(self) -> None:
        while (screen := self._next()) is not None:
            if self._display is not None:
                self._push(self._display, screen)

    def _next(self) -> Screen | None:
        """Wait for what is to be drawn; None when all is drawn and the panel is to close."""
        with self._change:
            while not self._is_due():
                if self._is_closing:
                    return None
                self.beat_monotonic_s = time.monotonic()
                self._change.wait(_TICK_S if self._retry_at_s is None else _TICK_S / 4)
            self.beat_monotonic_s = time.monotonic()
            self._shown, self._slot = self._slot or self._shown, None
            self._minute = f"{self._now():%H:%M}"
            return self._shown

    def _is_due(self) -> bool:
        if self._slot is not None:
            return True
        if self._shown is None or self._is_closing:
            return False
        if self._retry_at_s is not None:
            return time.monotonic() >= self._retry_at_s
        return f"{self._now():%H:%M}" != self._minute

    def _push(self, display: Display, screen: Screen) -> None:
        try:
            display.show(render(screen, self._now(), self._language))
        except Exception as error:  # noqa: BLE001 - whatever it is, cards are read on
            if self._retry_at_s is None:
                _log_fault("display", error)
            self._retry_at_s = time.monotonic() + RETRY_S
            return
        if self._retry_at_s is not None:
            _log.info("panel: the display is back")
        self._retry_at_s = None


def _attempt(part: str, act: Callable[[], None]) -> None:
    """Do something that must not stop the station."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, cards are read on
        _log_fault(part, error)


def _log_fault(part: str, error: Exception) -> None:
    if isinstance(error, CardStationError):
        _log.warning("panel: %s failed, %s: %s", part, error.code, error)
    else:
        _log.error("panel: %s failed", part, exc_info=error)
