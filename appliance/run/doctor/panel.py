"""The panel's parts: the I2C bus, the OLED on it, the pins of buttons, lights and buzzer, and the letters.

A running station holds bus and pins. The bus is shared by the kernel, and one address is only asked whether somebody
answers; pins are only asked who holds them.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Display, Panel
from appliance.errors import ConfigError, PanelFault
from appliance.run.doctor.part import Finding, bad, good, unknown, unused

BUS = 1
ADDRESSES = (0x3C, 0x3D)
_CONFIG = "/boot/firmware/config.txt"
_USUAL_HZ = 100_000  # what the Raspberry Pi's driver takes where nothing is said
_FAST_HZ = 400_000
_LGPIO = "lg"  # what lgpio, and so the station, calls itself where it holds a pin


@dataclass(frozen=True)
class Files:
    """Where the machine shows its devices.

    Args:
        devices: the folder of devices.
        system: the root of sysfs.
        tree: the device tree.
        may_use: says whether this user may read and write a device.
    """

    devices: Path = Path("/dev")
    system: Path = Path("/sys")
    tree: Path = Path("/proc/device-tree")
    may_use: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK)


def bus(panel: Panel, files: Files) -> Finding:
    """Look at the I2C bus."""
    if panel.display is not Display.SSD1306:
        return unused(f'[panel] display = "{panel.display}" needs no bus')
    device = files.devices / f"i2c-{BUS}"
    if not device.exists():
        return bad(
            f"there is no {device}",
            f"'raspi-config nonint do_i2c 0', or dtparam=i2c_arm=on in {_CONFIG} and i2c-dev in /etc/modules; restart",
        )
    if not files.may_use(device):
        return unknown(f"this user may not use {device}", _rights("i2c"))
    speed_hz = bus_speed_hz(files)
    if speed_hz is None:
        return good(f"{device}; its speed is not told")
    if speed_hz < _FAST_HZ:
        return good(
            f"{device}, slow: {speed_hz // 1000} kHz, {9_310_000 / speed_hz:.0f} ms for a picture",
            f"for a quicker panel put dtparam=i2c_arm_baudrate={_FAST_HZ} into {_CONFIG}, and restart",
        )
    return good(f"{device}, {speed_hz // 1000} kHz")


def bus_speed_hz(files: Files) -> int | None:
    """Return the clock rate of the bus as the device tree has it; None where there is no device tree."""
    nodes = [files.system / f"class/i2c-dev/i2c-{BUS}/device/of_node"]
    for alias in (f"i2c{BUS}", "i2c_arm"):
        try:
            target = (files.tree / "aliases" / alias).read_bytes().rstrip(b"\0").decode("ascii", "replace")
        except OSError:
            continue
        nodes.append(files.tree / target.lstrip("/"))
    for node in nodes:
        try:
            return int.from_bytes((node / "clock-frequency").read_bytes()[:4], "big") or _USUAL_HZ
        except FileNotFoundError:
            if node.is_dir():
                return _USUAL_HZ
        except OSError:
            continue
    return None


def oled(panel: Panel, answers: Callable[[int], bool]) -> Finding:
    """Look for the OLED.

    Args:
        panel: settings.
        answers: says whether somebody answers at an address of the bus; raises OSError where the bus fails.
    """
    if panel.display is not Display.SSD1306:
        return unused(f'[panel] display = "{panel.display}"')
    try:
        found = [address for address in (panel.address, *ADDRESSES) if answers(address)]
    except OSError as error:
        return bad(f"the bus fails: {error.strerror}", "take the OLED off the bus and restart; then check its wires")
    if panel.address in found:
        return good(f"answers at 0x{panel.address:02X}")
    if found:
        return bad(
            f"nothing answers at 0x{panel.address:02X}, but something does at 0x{found[0]:02X}",
            f"set [panel] address = {found[0]}",
        )
    return bad(
        f"nothing answers at 0x{panel.address:02X}",
        "check its four wires: 3.3 V on pin 1, SDA on pin 3, SCL on pin 5, ground on pin 6; "
        f"'i2cdetect -y {BUS}' shows who answers",
    )


def gpio(panel: Panel, files: Files, number: Callable[[], int], has_lgpio: bool) -> Finding:
    """Look at the chip of the pins.

    Args:
        panel: settings.
        files: where the machine shows its devices.
        number: returns the number of the chip with the header's pins; raises PanelFault.
        has_lgpio: the library that drives the pins is installed.
    """
    if not used_pins(panel):
        return unused("this station has no buttons, lights or buzzer on pins")
    chips = sorted(files.devices.glob("gpiochip*"))
    if not chips:
        return bad(
            f"there is no {files.devices}/gpiochip*",
            "this is no Raspberry Pi, or its kernel has no GPIO; a station without pins has [panel] buttons = [], "
            "leds = [], buzzer = 0",
        )
    if not any(files.may_use(chip) for chip in chips):
        return unknown(f"this user may not use {chips[0]}", _rights("gpio"))
    if not has_lgpio:
        return bad("the Python package lgpio is not installed", "apt-get install python3-lgpio (Raspberry Pi OS)")
    try:
        return good(f"{files.devices}/gpiochip{number()}")
    except PanelFault:
        names = ", ".join(chip.name for chip in chips)
        return bad(f"none of {names} has the pins of a Raspberry Pi's header", "use a kernel of Raspberry Pi OS")


def pins(panel: Panel, holder: Callable[[int], str | None]) -> Finding:
    """Look at who holds the pins of buttons, lights and buzzer.

    Args:
        panel: settings.
        holder: returns who holds a pin, None where it is free; raises OSError where there is no such pin.
    """
    used = used_pins(panel)
    try:
        held = {pin: by for pin in used if (by := holder(pin)) is not None}
    except OSError as error:
        return bad(f"the chip does not tell about its pins: {error.strerror}", "use the pins 2 to 27 in [panel]")
    strangers = [f"{used[pin]} (BCM {pin}) by {by or 'the kernel'}" for pin, by in held.items() if by != _LGPIO]
    if strangers:
        return bad(
            f"held by others: {', '.join(strangers)}",
            f"take other pins in [panel], or remove the dtoverlay or program that holds them ({_CONFIG}, 'gpioinfo')",
        )
    if held:
        return good(f"{len(held)} of {len(used)} pins are held by lgpio, as a running station does")
    return good(f"{len(used)} pins are free")


def letters(panel: Panel, check: Callable[[], object]) -> Finding:
    """Look at the font and the shaping of Thai.

    Args:
        panel: settings.
        check: loads the font; raises ConfigError.
    """
    if panel.display is Display.NONE:
        return unused("this station has no screen")
    try:
        check()
    except ConfigError as error:
        parts = [problem.rpartition(": ") for problem in error.problems]
        return bad("; ".join(found for found, _, _ in parts), "; ".join(mend for _, _, mend in parts))
    return good("Thai is shaped, and the font is there")


def used_pins(panel: Panel) -> dict[int, str]:
    """Return the pins that the station drives itself, each with its job; none of a virtual panel."""
    if panel.display is Display.VIRTUAL:
        return {}
    buttons = {pin: f"button {name}" for pin, name in zip(panel.buttons, "ABC", strict=False)}
    leds = {pin: f"{colour} light" for pin, colour in zip(panel.leds, ("green", "amber", "red"), strict=False)}
    return {**buttons, **leds, **({panel.buzzer: "buzzer"} if panel.buzzer else {})}


def _rights(group: str) -> str:
    return (
        f"run it as the station's user, or as root; the station's user must be in the group: usermod -aG {group} USER"
    )
