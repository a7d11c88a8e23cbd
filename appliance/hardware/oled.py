"""The OLED: a 128x64 SSD1306 on I2C, through luma.oled's own device and bus code; nowhere else imports luma.

What this file adds to luma is patience with a panel that can be pulled:

* A panel that is missing, or goes, raises ``PanelFault`` at ``show``; the next ``show`` starts it again. luma reports
  the same missing panel as ``DeviceNotFoundError`` or as ``OSError``, depending on which byte failed; both are caught.
* Nothing tells that a panel lost its power between two pictures: it answers and stays dark. So luma's start sequence
  is sent again each minute; it does not disturb the picture.
* luma's device is built once, against a line that only writes down the start sequence. Building one for each attempt
  would leave an exit handler and 130 kB behind every two seconds.
* luma's exit handler would wipe the screen and with it the reason for which the station refused to start. Whether the
  last picture stays is decided in ``close``.

Source: Solomon Systech SSD1306 data sheet, rev 1.1, section 10; luma.core ``interface/serial.py``.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from luma.core.error import Error as LumaError
from luma.core.interface.serial import i2c
from luma.oled.device import ssd1306
from PIL import Image
from smbus2 import SMBus

from appliance.errors import ConfigError, PanelFault

_RESTART_EVERY_S = 55.0


class _Line:
    """What luma's device writes to: first it only keeps the start sequence, then it passes everything on."""

    def __init__(self) -> None:
        self._start: list[tuple[int, ...]] = []
        self._wire: Any = None

    def command(self, *command: int) -> None:
        if self._wire is None:
            self._start.append(command)
        else:
            self._wire.command(*command)

    def data(self, data: list[int]) -> None:
        if self._wire is not None:
            self._wire.data(data)

    def cleanup(self) -> None:
        """Let go of the bus; luma calls this at exit."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.cleanup()

    @property
    def is_open(self) -> bool:
        return self._wire is not None

    def open(self, wire: Any) -> None:
        self._wire = wire

    def start(self) -> None:
        """Send luma's start sequence."""
        for command in self._start:
            self._wire.command(*command)


class Oled:
    """Shows pictures on the panel.

    Args:
        address: I2C address, usually 0x3C or 0x3D.
        rotate: 0 or 180 degrees.
        port: number of the bus, as in ``/dev/i2c-1``.
        bus: an open bus to use instead of ``port``, such as ``simulate.ssd1306.ModelBus``.
        restart_every_s: how often the start sequence is repeated.

    Raises:
        ConfigError: ``rotate`` is neither 0 nor 180.
    """

    def __init__(
        self,
        address: int = 0x3C,
        rotate: int = 0,
        port: int = 1,
        bus: object | None = None,
        restart_every_s: float = _RESTART_EVERY_S,
    ) -> None:
        if rotate not in (0, 180):
            raise ConfigError([f"panel.rotate is {rotate}; a panel can be turned by 0 or 180 degrees"])
        self._open_wire: Callable[[], Any] = partial(i2c, bus=bus, port=port, address=address)
        self._restart_every_s = restart_every_s
        self._started_s = 0.0
        self._line = _Line()
        self._device = ssd1306(self._line, width=128, height=64, rotate=rotate // 90)
        self._device.persist = True

    def show(self, image: Image.Image) -> None:
        """Put ``image`` (mode ``1``, 128x64) on the glass; takes 25-100 ms on a real bus.

        Raises:
            PanelFault: the panel does not answer; try again later.
        """
        try:
            self._start_if_due()
            self._device.display(image)
        except (OSError, LumaError) as error:
            self._drop()
            raise PanelFault(f"the OLED does not answer: {error}") from error

    def close(self, keep_picture: bool = False) -> None:
        """Switch the panel off, or leave the last picture standing; let go of the bus. May be called again.

        Args:
            keep_picture: for a last word that must outlive the process, such as a bad configuration.
        """
        if self._line.is_open and not keep_picture:
            try:
                self._device.hide()
            except (OSError, LumaError):
                self._drop()  # gone: it is dark already
        self._drop()

    def _start_if_due(self) -> None:
        if not self._line.is_open:
            self._line.open(self._open_wire())
        elif time.monotonic() - self._started_s < self._restart_every_s:
            return
        self._line.start()
        self._started_s = time.monotonic()

    def _drop(self) -> None:
        try:
            self._line.cleanup()
        except OSError:
            return  # closing a bus that failed may fail too; it is forgotten all the same


def answers(address: int, port: int = 1, open_bus: Callable[[int], Any] = SMBus) -> bool:
    """Say whether something answers at an I2C address; a panel in use is not disturbed.

    It is asked for its status byte; not every adapter or module lets itself be read, so then only its name is called.

    Raises:
        OSError: there is no such bus, or this user may not use it.
    """
    with open_bus(port) as bus:
        for ask in (bus.read_byte, bus.write_quick):
            with suppress(OSError):
                ask(address)
                return True
    return False
