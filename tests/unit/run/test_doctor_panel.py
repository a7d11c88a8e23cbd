"""Each verdict on bus, OLED, pins and letters; and the two questions that the hardware adapters ask for it."""

import errno
import fcntl
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.checks.result import Result
from appliance.config import Display, Panel
from appliance.errors import ConfigError, PanelFault
from appliance.hardware import gpio, oled
from appliance.run.doctor import panel as parts
from appliance.run.doctor.panel import Files
from appliance.run.doctor.part import Finding

REAL, VIRTUAL, NONE = (Panel(display=display) for display in (Display.SSD1306, Display.VIRTUAL, Display.NONE))
WITHOUT_PINS = Panel(buttons=(), leds=(), buzzer=0)


def check(finding: Finding, result: Result, found: str, mend: str) -> None:
    assert finding.result is result
    assert found in finding.found
    assert mend in finding.mend
    assert bool(finding.mend) or result in (Result.PASS, Result.NOT_ASKED)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A machine with nothing on it."""
    for name in ("dev", "sys", "tree"):
        (tmp_path / name).mkdir()
    return Files(tmp_path / "dev", tmp_path / "sys", tmp_path / "tree")


def put_rate(node: Path, rate_hz: int | None) -> None:
    node.mkdir(parents=True)
    if rate_hz is not None:
        (node / "clock-frequency").write_bytes(rate_hz.to_bytes(4, "big"))


def in_sysfs(files: Files) -> Path:
    return files.system / "class/i2c-dev/i2c-1/device/of_node"


@pytest.mark.parametrize(
    ("rate_hz", "found", "mend"),
    [
        (400_000, "i2c-1, 400 kHz", ""),
        (1_000_000, "i2c-1, 1000 kHz", ""),
        (100_000, "slow: 100 kHz, 93 ms for a picture", "dtparam=i2c_arm_baudrate=400000"),
        (None, "slow: 100 kHz", "dtparam=i2c_arm_baudrate=400000"),
        (0, "slow: 100 kHz", "dtparam=i2c_arm_baudrate=400000"),
    ],
)
def test_the_bus_and_its_speed(files: Files, rate_hz: int | None, found: str, mend: str) -> None:
    (files.devices / "i2c-1").touch()
    put_rate(in_sysfs(files), rate_hz)
    check(parts.bus(REAL, files), Result.PASS, found, mend)


@pytest.mark.parametrize("alias", ["i2c1", "i2c_arm"])
def test_the_speed_by_an_alias_of_the_device_tree(files: Files, alias: str) -> None:
    assert parts.bus_speed_hz(files) is None
    (files.tree / "aliases").mkdir()
    (files.tree / "aliases" / alias).write_bytes(b"/soc/i2c@7e804000\0")
    assert parts.bus_speed_hz(files) is None
    put_rate(files.tree / "soc" / "i2c@7e804000", 400_000)
    assert parts.bus_speed_hz(files) == 400_000


def test_a_bus_that_does_not_tell_its_speed(files: Files) -> None:
    (files.devices / "i2c-1").touch()
    check(parts.bus(REAL, files), Result.PASS, "its speed is not told", "")


def test_there_is_no_bus(files: Files) -> None:
    check(parts.bus(REAL, files), Result.FAIL, "there is no", "dtparam=i2c_arm=on")


def test_a_bus_without_rights(files: Files) -> None:
    (files.devices / "i2c-1").touch()
    locked = replace(files, may_use=lambda _: False)
    check(parts.bus(REAL, locked), Result.COULD_NOT_CHECK, "may not use", "usermod -aG i2c")


@pytest.mark.parametrize("panel", [VIRTUAL, NONE])
def test_without_an_oled_neither_bus_nor_address_is_asked(files: Files, panel: Panel) -> None:
    def never(_: int) -> bool:
        raise AssertionError

    check(parts.bus(panel, files), Result.NOT_ASKED, panel.display, "")
    check(parts.oled(panel, never), Result.NOT_ASKED, panel.display, "")


@pytest.mark.parametrize(
    ("address", "answering", "result", "found", "mend"),
    [
        (0x3C, {0x3C}, Result.PASS, "answers at 0x3C", ""),
        (0x3D, {0x3C, 0x3D}, Result.PASS, "answers at 0x3D", ""),
        (0x3C, {0x3D}, Result.FAIL, "something does at 0x3D", "[panel] address = 61"),
        (0x3D, {0x3C}, Result.FAIL, "something does at 0x3C", "[panel] address = 60"),
        (0x3C, set(), Result.FAIL, "nothing answers at 0x3C", "SDA on pin 3"),
    ],
)
def test_the_oled(address: int, answering: set[int], result: Result, found: str, mend: str) -> None:
    check(parts.oled(Panel(address=address), answering.__contains__), result, found, mend)


def test_a_bus_that_fails() -> None:
    def fail(_: int) -> bool:
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    check(parts.oled(REAL, fail), Result.FAIL, "the bus fails: Connection timed out", "check its wires")


class Bus:
    """An I2C bus as smbus2 has it.

    Args:
        readable: addresses that can be read.
        callable_: addresses that answer to their name only.
    """

    def __init__(self, readable: set[int], callable_: set[int]) -> None:
        self._readable, self._callable = readable, callable_
        self.is_closed = False

    def __enter__(self) -> "Bus":
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def read_byte(self, address: int) -> int:
        return self._answer(address in self._readable)

    def write_quick(self, address: int) -> None:
        self._answer(address in self._callable)

    def _answer(self, is_there: bool) -> int:
        if not is_there:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return 0


@pytest.mark.parametrize(
    ("bus", "is_there"), [(Bus({0x3C}, set()), True), (Bus(set(), {0x3C}), True), (Bus({0x3D}, {0x3D}), False)]
)
def test_asking_an_address_writes_nothing(bus: Bus, is_there: bool) -> None:
    assert oled.answers(0x3C, 1, lambda _: bus) is is_there
    assert bus.is_closed


def test_asking_on_a_bus_that_is_not_there() -> None:
    with pytest.raises(OSError, match="No such file"):
        oled.answers(0x3C, 99)


def chip(number: int | None) -> Callable[[], int]:
    def find() -> int:
        if number is None:
            raise PanelFault("none")
        return number

    return find


@pytest.mark.parametrize(
    ("chips", "number", "has_lgpio", "expected"),
    [
        (["gpiochip0"], 0, True, (Result.PASS, "/gpiochip0", "")),
        (["gpiochip0", "gpiochip11"], 11, True, (Result.PASS, "/gpiochip11", "")),
        ([], None, True, (Result.FAIL, "there is no", "no Raspberry Pi")),
        (["gpiochip0"], 0, False, (Result.FAIL, "lgpio is not installed", "python3-lgpio")),
        (["gpiochip0", "gpiochip1"], None, True, (Result.FAIL, "none of gpiochip0, gpiochip1", "Raspberry Pi OS")),
    ],
)
def test_the_chip(
    files: Files, chips: list[str], number: int | None, has_lgpio: bool, expected: tuple[Result, str, str]
) -> None:
    for name in chips:
        (files.devices / name).touch()
    check(parts.gpio(REAL, files, chip(number), has_lgpio), *expected)


def test_a_chip_without_rights(files: Files) -> None:
    (files.devices / "gpiochip0").touch()
    locked = replace(files, may_use=lambda _: False)
    check(parts.gpio(REAL, locked, chip(None), True), Result.COULD_NOT_CHECK, "may not use", "usermod -aG gpio")


@pytest.mark.parametrize("panel", [VIRTUAL, WITHOUT_PINS])
def test_a_station_without_pins(files: Files, panel: Panel) -> None:
    check(parts.gpio(panel, files, chip(None), False), Result.NOT_ASKED, "no buttons", "")


def test_a_station_without_a_screen_has_pins_all_the_same(files: Files) -> None:
    check(parts.gpio(NONE, files, chip(None), True), Result.FAIL, "there is no", "")


@pytest.mark.parametrize(
    ("held", "result", "found", "mend"),
    [
        ({}, Result.PASS, "7 pins are free", ""),
        (dict.fromkeys((5, 6, 13, 17, 27, 22, 18), "lg"), Result.PASS, "7 of 7 pins are held by lgpio", ""),
        ({17: "spi0 CS0"}, Result.FAIL, "green light (BCM 17) by spi0 CS0", "dtoverlay"),
        ({5: "lg", 18: ""}, Result.FAIL, "buzzer (BCM 18) by the kernel", "other pins in [panel]"),
        ({4: "w1"}, Result.PASS, "7 pins are free", ""),
    ],
)
def test_the_pins(held: dict[int, str], result: Result, found: str, mend: str) -> None:
    check(parts.pins(REAL, held.get), result, found, mend)


def test_pins_that_are_not_there() -> None:
    def fail(_: int) -> str | None:
        raise OSError(errno.EINVAL, "Invalid argument")

    check(parts.pins(REAL, fail), Result.FAIL, "Invalid argument", "[panel]")


def test_each_pin_has_its_job() -> None:
    assert parts.used_pins(REAL)[6] == "button B"
    assert parts.used_pins(REAL)[22] == "red light"
    assert parts.used_pins(Panel(buzzer=0)).get(18) is None


@pytest.mark.parametrize(
    ("flags", "consumer", "holder"),
    [(0, b"", None), (0, b"stale", None), (1, b"lg", "lg"), (3, b"", ""), (0b1101, b"spi0 CS0", "spi0 CS0")],
)
def test_the_kernel_is_asked_who_holds_a_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, consumer: bytes, holder: str | None
) -> None:
    asked: list[tuple[int, int]] = []

    def ioctl(_: object, request: int, buffer: bytearray) -> int:
        (offset,) = struct.unpack_from("=I", buffer, 64)
        asked.append((request, offset))
        struct.pack_into("=32s32sIIQ", buffer, 0, b"GPIO17", consumer, offset, 0, flags)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    (tmp_path / "gpiochip0").touch()
    assert gpio.holder(17, tmp_path / "gpiochip0") == holder
    assert asked == [(0xC100B405, 17)]


def test_the_question_is_as_long_as_the_kernel_says() -> None:
    size_bytes, kind, number = (0xC100B405 >> 16) & 0x3FFF, (0xC100B405 >> 8) & 0xFF, 0xC100B405 & 0xFF
    assert (size_bytes, kind, number) == (32 + 32 + 4 + 4 + 8 + 10 * 16 + 4 * 4, 0xB4, 0x05)
    assert gpio._LINEINFO.size == size_bytes


def test_asking_a_chip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").touch()
    for name in ("gpiochip0", "gpiochip1"):
        with pytest.raises(OSError, match=r"ioctl|No such file"):
            gpio.holder(17, tmp_path / name)


def test_looking_for_lgpio_does_not_load_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not gpio.has_lgpio()
    (tmp_path / "lgpio.py").write_text("raise SystemExit('loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    assert gpio.has_lgpio()


def load(*problems: str) -> Callable[[], object]:
    def check_font() -> object:
        if problems:
            raise ConfigError(list(problems))
        return None

    return check_font


@pytest.mark.parametrize(
    ("problems", "result", "found", "mend"),
    [
        ((), Result.PASS, "Thai is shaped", ""),
        (("no raqm: apt install libraqm0",), Result.FAIL, "no raqm", "apt install libraqm0"),
        (("no raqm: apt a", "no font: apt b"), Result.FAIL, "no raqm; no font", "apt a; apt b"),
    ],
)
def test_the_letters(problems: tuple[str, ...], result: Result, found: str, mend: str) -> None:
    for panel in (REAL, VIRTUAL):
        check(parts.letters(panel, load(*problems)), result, found, mend)
    check(parts.letters(NONE, load(*problems)), Result.NOT_ASKED, "no screen", "")
