"""gpiozero's real code on its mock pins: presses are neither lost nor doubled, the stored tone is always sounded.

gpiozero's mock ignores kernel debouncing, so what is proved here holds without it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from appliance.errors import PanelFault
from appliance.hardware.gpio import GpioSignals, chip_number
from appliance.hardware.tones import PATTERNS, TonePlayer
from appliance.panel.screens import Button
from appliance.panel.words import Light, Tone

BUTTONS, LEDS, BUZZER = (5, 6, 13), (17, 27, 22), 18


@pytest.fixture
def pins() -> MockFactory:
    return MockFactory(pin_class=MockPWMPin)


@pytest.fixture
def signals(pins: MockFactory) -> Iterator[GpioSignals]:
    signals = GpioSignals(BUTTONS, LEDS, BUZZER, pins)
    yield signals
    signals.close()


def presses(signals: GpioSignals) -> list[Button]:
    return list(iter(signals.pressed, None))


def wait_until(is_so: Callable[[], bool], within_s: float = 3.0) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to that in time"
        time.sleep(0.002)


def heard(pins: MockFactory) -> list[tuple[bool, float]]:
    """(is sounding, seconds until the next change) of the buzzer, without the silence before the first sound."""
    states = pins.pin(BUZZER).states
    return [(bool(a.state), b.timestamp) for a, b in pairwise(states)][1:]


def test_a_button_that_is_held_is_told_once_for_each_time(
    signals: GpioSignals, pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.hardware.gpio.HOLD_S", 0.2)
    pin = pins.pin(BUTTONS[2])
    for _ in range(2):
        pin.drive_low()
        assert signals.held() is None, "it was only pressed so far"
        wait_until(lambda: signals.held() is Button.C)
        assert signals.held() is None
        pin.drive_high()
        assert signals.held() is None
        time.sleep(0.03)
    assert presses(signals) == [Button.C, Button.C]


def test_a_button_that_is_up_again_before_anybody_looks_was_held(
    signals: GpioSignals, pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.hardware.gpio.HOLD_S", 0.1)
    pins.pin(BUTTONS[2]).drive_low()
    time.sleep(0.15)
    pins.pin(BUTTONS[2]).drive_high()
    time.sleep(0.3)
    assert (signals.held(), signals.held()) == (Button.C, None)


def test_a_short_press_holds_nothing(signals: GpioSignals, pins: MockFactory) -> None:
    pins.pin(BUTTONS[2]).drive_low()
    time.sleep(0.05)
    pins.pin(BUTTONS[2]).drive_high()
    time.sleep(1.1)
    assert signals.held() is None


@pytest.mark.parametrize("light", Light)
def test_at_most_one_light(signals: GpioSignals, pins: MockFactory, light: Light) -> None:
    signals.light(Light.GREEN)
    signals.light(light)
    lit = [bool(pins.pin(number).state) for number in LEDS]
    assert lit == [light is Light.GREEN, light is Light.AMBER, light is Light.RED]


def test_presses_come_in_order(signals: GpioSignals, pins: MockFactory) -> None:
    for number in (6, 5, 13):
        pins.pin(number).drive_low()
    assert presses(signals) == [Button.B, Button.A, Button.C]
    assert signals.pressed() is None


def test_bounces_are_one_press(signals: GpioSignals, pins: MockFactory) -> None:
    pin = pins.pin(5)
    for _ in range(5):
        pin.drive_low()
        time.sleep(0.001)
        pin.drive_high()
        time.sleep(0.001)
    pin.drive_low()
    time.sleep(0.1)
    for _ in range(3):  # the release bounces as well
        pin.drive_high()
        pin.drive_low()
    pin.drive_high()
    assert presses(signals) == [Button.A]


def test_short_presses_are_kept(signals: GpioSignals, pins: MockFactory) -> None:
    pin = pins.pin(5)
    for _ in range(3):
        pin.drive_low()
        time.sleep(0.05)
        pin.drive_high()
        time.sleep(0.05)
    assert presses(signals) == [Button.A] * 3


def test_one_button_s_bounce_does_not_hide_another(signals: GpioSignals, pins: MockFactory) -> None:
    pins.pin(5).drive_low()
    pins.pin(6).drive_low()
    assert presses(signals) == [Button.A, Button.B]


def test_a_button_that_is_held_at_the_start_is_seen(pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MockPWMPin, "_set_pull", lambda pin, value: setattr(pin, "_pull", value))
    for number in BUTTONS:
        pins.pin(number).drive_high()
    pins.pin(13).drive_low()
    signals = GpioSignals(BUTTONS, LEDS, BUZZER, pins)
    assert presses(signals) == [Button.C]
    signals.close()


def test_a_flood_of_presses_neither_raises_nor_grows(
    signals: GpioSignals, pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: next(now_s))
    for _ in range(200):
        pins.pin(5).drive_low()
        pins.pin(5).drive_high()
    assert len(presses(signals)) == 16


@pytest.mark.parametrize("tone", [tone for tone in Tone if tone is not Tone.SILENT])
def test_a_tone_sounds_as_its_pattern(signals: GpioSignals, pins: MockFactory, tone: Tone) -> None:
    signals.sound(tone)
    whole_s = sum(note.seconds for note in PATTERNS[tone])
    wait_until(lambda: sum(seconds for _, seconds in heard(pins)) >= whole_s)
    wait_until(lambda: pins.pin(BUZZER).frequency is None)
    beeps = [seconds for is_on, seconds in heard(pins) if is_on]
    expected = {Tone.STORED: 1, Tone.REFUSED: 2, Tone.ATTENTION: 3, Tone.AGAIN: 2, Tone.DUTY: 1, Tone.ERROR: 1}
    assert len(beeps) == expected[tone]
    assert sum(beeps) == pytest.approx(sum(n.seconds for n in PATTERNS[tone] if n.hertz), abs=0.1)


def test_all_tones_differ_and_again_is_not_the_stored_beep() -> None:
    assert len(set(PATTERNS.values())) == len(Tone)
    assert max(note.seconds for note in PATTERNS[Tone.AGAIN]) < 0.1 < PATTERNS[Tone.STORED][0].seconds
    stored, refused = PATTERNS[Tone.STORED][0].hertz, PATTERNS[Tone.REFUSED][0].hertz
    assert refused < stored / 4


def test_sounding_does_not_keep_the_caller_waiting(signals: GpioSignals) -> None:
    start_s = time.monotonic()
    for _ in range(50):
        signals.sound(Tone.REFUSED)
    assert time.monotonic() - start_s < 0.1


class Ear:
    """Hears what a player plays."""

    def __init__(self) -> None:
        self.notes: list[float | None] = []
        self.player = TonePlayer(self.notes.append)

    def sounds(self) -> list[float]:
        return [note for note in self.notes if note is not None]

    def is_playing(self) -> bool:
        return bool(self.notes) and self.notes[-1] is not None


def test_a_newer_tone_takes_the_place_of_an_older_one() -> None:
    ear = Ear()
    ear.player.sound(Tone.REFUSED)
    wait_until(ear.is_playing)
    ear.player.sound(Tone.ATTENTION)
    ear.player.sound(Tone.AGAIN)
    ear.player.close()
    assert ear.sounds() == [330, 1320, 1320]
    assert ear.notes[-1] is None


def test_the_stored_tone_is_always_sounded_whole() -> None:
    ear = Ear()
    ear.player.sound(Tone.STORED)
    ear.player.sound(Tone.ATTENTION)
    ear.player.sound(Tone.STORED)
    ear.player.sound(Tone.AGAIN)
    start_s = time.monotonic()
    ear.player.close()
    assert ear.sounds() == [1760, 1760, 1320, 1320]
    assert time.monotonic() - start_s >= 0.4


def test_silence_stops_nothing() -> None:
    ear = Ear()
    ear.player.sound(Tone.AGAIN)
    ear.player.sound(Tone.SILENT)
    ear.player.close()
    assert ear.sounds() == [1320, 1320]


def test_a_station_without_a_buzzer(pins: MockFactory) -> None:
    signals = GpioSignals(BUTTONS, LEDS, 0, pins)
    signals.sound(Tone.STORED)
    signals.close()


def test_close_puts_everything_out_and_may_be_repeated(pins: MockFactory) -> None:
    signals = GpioSignals(BUTTONS, LEDS, BUZZER, pins)
    signals.light(Light.RED)
    signals.close()
    signals.close()
    assert not any(pins.pin(number).state for number in LEDS)
    with pytest.raises(PanelFault, match="lights"):
        signals.light(Light.GREEN)
    GpioSignals(BUTTONS, LEDS, BUZZER, pins).close()  # the pins are free again


def test_a_pin_that_is_taken(pins: MockFactory) -> None:
    taken = gpiozero.LED(17, pin_factory=pins)
    with pytest.raises(PanelFault, match="pins cannot be used"):
        GpioSignals(BUTTONS, LEDS, BUZZER, pins)
    taken.close()


def test_gpiozero_s_own_choice_of_pins_is_never_used(pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setattr(gpiozero.Device, "_default_pin_factory", lambda: pytest.fail("fell back"))
    GpioSignals(BUTTONS, LEDS, BUZZER, pins).close()


def test_a_machine_without_pins_says_so() -> None:
    with pytest.raises(PanelFault) as caught:
        GpioSignals(BUTTONS, LEDS, BUZZER)
    assert caught.value.code == "P01"


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({"gpiochip0": "pinctrl-bcm2711", "gpiochip1": "raspberrypi-exp-gpio"}, 0),
        ({"gpiochip0": "gpio-brcmstb@107d508500", "gpiochip4": "pinctrl-rp1"}, 4),
        ({"gpiochip11": "pinctrl-rp1", "gpiochip12": "gpio-brcmstb@107d508500"}, 11),
    ],
)
def test_the_chip_is_found_by_its_label(tmp_path: Path, labels: dict[str, str], number: int) -> None:
    for name in labels:
        (tmp_path / name).touch()
    assert chip_number(tmp_path, lambda path: labels[path.name]) == number


def test_no_such_chip(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(PanelFault, match="no chip"):
        chip_number(tmp_path)


def test_lgpio_s_own_error_is_a_fault_too(signals: GpioSignals, monkeypatch: pytest.MonkeyPatch) -> None:
    class LgpioError(Exception):
        pass

    class Gone:
        value: Any = property(None, lambda lamp, value: (_ for _ in ()).throw(LgpioError("bad handle")))

    monkeypatch.setitem(sys.modules, "lgpio", SimpleNamespace(error=LgpioError))
    monkeypatch.setattr(signals, "_lamps", {Light.GREEN: Gone()})
    with pytest.raises(PanelFault, match="bad handle"):
        signals.light(Light.GREEN)


def test_a_station_without_buttons_and_lights(pins: MockFactory) -> None:
    signals = GpioSignals((), (), BUZZER, pins)
    signals.light(Light.GREEN)
    assert signals.pressed() is None
    signals.sound(Tone.STORED)
    signals.close()
    assert any(is_on for is_on, _ in heard(pins))
    with pytest.raises(ValueError, match="zip"):
        GpioSignals((5, 6), LEDS, 0, pins)
