"""A model of the SSD1306 controller behind luma's real I2C code: commands and RAM in, the pixels on the glass out.

``ModelBus`` takes the place of an ``smbus2.SMBus`` and has its two ways of writing; ``Ssd1306`` decodes what comes and
keeps what the chip keeps: RAM, address pointer and windows, the switches that decide what is lit. Commands that it
does not know are not guessed at: they are written down in ``unknown``, and the contract test holds that list empty.

``pull`` takes the module off the bus; ``plug`` brings it back as after power-on: dark, unset, with noise in its RAM.
A driver that does not start it again shows nothing.

Source: Solomon Systech SSD1306 data sheet, rev 1.1, sections 8.1.5 (I2C), 8.7 (RAM), 9 and 10 (commands).
"""

import errno
from collections.abc import Callable, Iterable

WIDTH, HEIGHT, PAGES = 128, 64, 8
_CONTROL_COMMAND, _CONTROL_DATA = 0x00, 0x40
_HORIZONTAL, _VERTICAL, _PAGE = 0, 1, 2

# How many bytes follow an opcode, where it is more than none.
_ARGUMENTS = {0x20: 1, 0x21: 2, 0x22: 2, 0x81: 1, 0x8D: 1, 0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1}
# Understood, but without effect on which pixels are lit: stop scrolling, no operation, analogue timing.
_WITHOUT_EFFECT = frozenset({0x2E, 0xE3, 0xD5, 0xD9, 0xDA, 0xDB})


class Ssd1306:
    """One controller.

    Args:
        on_view: called after a whole window was written or a switch of the display was turned.

    Attributes:
        unknown: opcodes that the model does not know, in order of arrival.
        contrast: 0-255.
    """

    def __init__(self, on_view: Callable[[], None] = lambda: None) -> None:
        self._on_view = on_view
        self.unknown: list[int] = []
        self.power_on()

    def power_on(self) -> None:
        """Come up as the chip does: display off, page addressing, RAM undefined (data sheet, section 8.9)."""
        self._ram = bytearray((17 * n * n + n) & 0xFF for n in range(WIDTH * PAGES))
        self._pending: list[int] = []
        self._mode, self._column, self._page = _PAGE, 0, 0
        self._columns, self._pages = (0, WIDTH - 1), (0, PAGES - 1)
        self._is_on = self._is_pumped = self._is_inverse = self._is_all_on = False
        self._is_column_turned = self._is_row_turned = False
        self._start_line, self._offset, self._rows = 0, 0, HEIGHT
        self.contrast = 0x7F
        self._on_view()

    def commands(self, stream: Iterable[int]) -> None:
        """Take command bytes; arguments may come in a later call."""
        for byte in stream:
            self._pending.append(byte)
            if len(self._pending) > _ARGUMENTS.get(self._pending[0], 0):
                opcode, *arguments = self._pending
                self._pending = []
                self._obey(opcode, arguments)

    def data(self, stream: Iterable[int]) -> None:
        """Take bytes for the RAM at the address pointer."""
        for byte in stream:
            self._ram[self._page * WIDTH + self._column] = byte
            if self._step():
                self._on_view()

    def pixels(self) -> bytes:
        """Return what is lit: 1024 bytes, row by row from the top, most significant bit left, 1 is lit.

        The glass is the usual module's, upright where luma's start sequence turns columns and rows.
        """
        packed = bytearray(WIDTH * HEIGHT // 8)
        if self._is_on and self._is_pumped:
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    if self._is_lit(x, y):
                        packed[(y * WIDTH + x) // 8] |= 0x80 >> x % 8
        return bytes(packed)

    def _is_lit(self, x: int, y: int) -> bool:
        row = y if self._is_row_turned else HEIGHT - 1 - y
        if row >= self._rows:
            return False
        line = (row + self._start_line + self._offset) % HEIGHT
        column = x if self._is_column_turned else WIDTH - 1 - x
        bit = self._ram[line // 8 * WIDTH + column] >> line % 8 & 1
        return self._is_all_on or bool(bit) != self._is_inverse

    def _step(self) -> bool:
        """Move the address pointer on; say whether it came back to the start of its window."""
        if self._mode == _PAGE:
            self._column = (self._column + 1) % WIDTH
            return self._column == 0
        if self._mode == _HORIZONTAL:
            self._column, is_over = _next(self._column, self._columns)
            if is_over:
                self._page, is_over = _next(self._page, self._pages)
            return is_over
        self._page, is_over = _next(self._page, self._pages)
        if is_over:
            self._column, is_over = _next(self._column, self._columns)
        return is_over

    def _obey(self, opcode: int, arguments: list[int]) -> None:
        if not (self._address(opcode, arguments) or self._switch(opcode, arguments)):
            self.unknown.append(opcode)

    def _address(self, opcode: int, arguments: list[int]) -> bool:
        """Obey the addressing commands (data sheet, table 9-1, part 3)."""
        match opcode:
            case _ if opcode <= 0x0F:
                self._column = self._column & 0xF0 | opcode
            case _ if opcode <= 0x1F:
                self._column = (opcode & 0x07) << 4 | self._column & 0x0F
            case 0x20:
                self._mode = arguments[0] & 0x03
            case 0x21:
                self._columns = arguments[0] & 0x7F, arguments[1] & 0x7F
                self._column = self._columns[0]
            case 0x22:
                self._pages = arguments[0] & 0x07, arguments[1] & 0x07
                self._page = self._pages[0]
            case _ if 0xB0 <= opcode <= 0xB7:
                self._page = opcode & 0x07
            case _:
                return False
        return True

    def _switch(self, opcode: int, arguments: list[int]) -> bool:
        """Obey the commands for the display, its wiring and its supply (table 9-1, parts 1, 4 and 5)."""
        match opcode:
            case 0xAE | 0xAF:
                self._is_on = opcode == 0xAF
            case 0xA4 | 0xA5:
                self._is_all_on = opcode == 0xA5
            case 0xA6 | 0xA7:
                self._is_inverse = opcode == 0xA7
            case 0x81:
                self.contrast = arguments[0]
            case 0x8D:
                self._is_pumped = bool(arguments[0] & 0x04)
            case _:
                return self._wiring(opcode, arguments)
        self._on_view()
        return True

    def _wiring(self, opcode: int, arguments: list[int]) -> bool:
        match opcode:
            case _ if 0x40 <= opcode <= 0x7F:
                self._start_line = opcode & 0x3F
            case 0xA0 | 0xA1:
                self._is_column_turned = opcode == 0xA1
            case 0xC0 | 0xC8:
                self._is_row_turned = opcode == 0xC8
            case 0xA8:
                self._rows = (arguments[0] & 0x3F) + 1
            case 0xD3:
                self._offset = arguments[0] & 0x3F
            case _:
                return opcode in _WITHOUT_EFFECT
        return True


def _next(value: int, window: tuple[int, int]) -> tuple[int, bool]:
    """Return the next value within ``window`` and whether it went round."""
    first, last = window
    return (first, True) if value == last else (value + 1, False)


class ModelBus:
    """An I2C bus with one panel on it, in the shape of ``smbus2.SMBus``.

    Args:
        address: where the panel answers.
        on_view: passed to the controller.

    Attributes:
        panel: the controller.
        writes: how many transactions reached it.
    """

    def __init__(self, address: int = 0x3C, on_view: Callable[[], None] = lambda: None) -> None:
        self.panel = Ssd1306(on_view)
        self.writes = 0
        self._address = address
        self._fault: OSError | None = None

    def pull(self, fault: int = errno.EREMOTEIO) -> None:
        """Take the panel off bus and supply: it is dark, and writes fail with the errno ``fault``."""
        self._fault = OSError(fault, "the model's panel is pulled")
        self.panel.power_on()

    def plug(self) -> None:
        """Put the panel back, fresh from power-on."""
        self._fault = None
        self.panel.power_on()

    def write_i2c_block_data(self, address: int, register: int, data: list[int]) -> None:
        """Take an SMBus block write of at most 32 bytes: the path of an open bus."""
        if len(data) > 32:
            raise OSError(errno.EINVAL, "more than an SMBus block holds")
        self._take(address, bytes([register, *data]))

    def i2c_rdwr(self, *messages: Iterable[int]) -> None:
        """Take raw messages (``smbus2.i2c_msg``): the path that luma uses on a Pi."""
        for message in messages:
            self._take(int(getattr(message, "addr", -1)), bytes(message))

    def close(self) -> None:
        """Do nothing: a bus of the model is never used up."""

    def _take(self, address: int, wire: bytes) -> None:
        if self._fault is not None:
            raise self._fault
        if address != self._address:
            raise OSError(errno.EREMOTEIO, "no answer at this address")
        self.writes += 1
        if wire[0] == _CONTROL_COMMAND:
            self.panel.commands(wire[1:])
        elif wire[0] == _CONTROL_DATA:
            self.panel.data(wire[1:])
        else:
            raise OSError(errno.EPROTO, f"control byte {wire[0]:02X}")
