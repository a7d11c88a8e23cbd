"""The panel of a running station: at once, latest wins, and no fault of it ever reaches the card."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from PIL import Image

from appliance.errors import PanelFault
from appliance.panel.render import render
from appliance.panel.screens import Button, Screen, State
from appliance.panel.sheet import NOW, example
from appliance.panel.words import Light, Tone
from appliance.run import panel as subject
from appliance.run.panel import PanelThread


def wait_until(is_so: Callable[[], bool], within_s: float = 3.0) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to that in time"
        time.sleep(0.002)


class FakeDisplay:
    """Keeps pictures; can be told to fail or to stall."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []
        self.attempts = 0
        self.fault: Exception | None = None
        self.bus_is_free = threading.Event()
        self.bus_is_free.set()
        self.closed: list[bool] = []

    def show(self, image: Image.Image) -> None:
        self.attempts += 1
        self.bus_is_free.wait(5.0)
        if self.fault is not None:
            raise self.fault
        self.pictures.append(image.tobytes())

    def close(self, keep_picture: bool = False) -> None:
        self.closed.append(keep_picture)


class FakeSignals:
    """Keeps lights and tones; can be told to fail."""

    def __init__(self) -> None:
        self.lights: list[Light] = []
        self.tones: list[Tone] = []
        self.presses = [Button.B, Button.A]
        self.fault: Exception | None = None
        self.closes = 0

    def light(self, light: Light) -> None:
        if self.fault is not None:
            raise self.fault
        self.lights.append(light)

    def sound(self, tone: Tone) -> None:
        self.tones.append(tone)

    def pressed(self) -> Button | None:
        return self.presses.pop(0) if self.presses else None

    def held(self) -> Button | None:
        return None

    def close(self) -> None:
        self.closes += 1


class Station:
    """A panel thread with fakes around it and a clock that is set by hand."""

    def __init__(self) -> None:
        self.display, self.signals = FakeDisplay(), FakeSignals()
        self.now = NOW
        self.seen: list[tuple[Screen, Light, Tone]] = []
        self.panel = PanelThread(self.display, self.signals, self.time, on_show=lambda *shown: self.seen.append(shown))

    def time(self) -> datetime:
        return self.now

    def has_shown(self, screen: Screen) -> bool:
        return render(screen, self.now).tobytes() in self.display.pictures


@pytest.fixture
def station(monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setattr(subject, "RETRY_S", 0.05)
    monkeypatch.setattr(subject, "_TICK_S", 0.04)
    station = Station()
    yield station
    station.display.bus_is_free.set()
    station.panel.close()


@pytest.mark.parametrize("state", State)
def test_every_state_is_shown(station: Station, state: State) -> None:
    station.panel.show(example(state))
    wait_until(lambda: station.has_shown(example(state)))
    assert station.panel.state == "ok"


def test_lights_and_tone_are_set_before_show_returns(station: Station) -> None:
    station.display.bus_is_free.clear()
    station.panel.show(example(State.ACCEPTED))
    assert (station.signals.lights, station.signals.tones) == ([Light.GREEN], [Tone.STORED])
    assert station.seen == [(example(State.ACCEPTED), Light.GREEN, Tone.STORED)]


def test_a_stalled_bus_delays_no_card(station: Station) -> None:
    station.display.bus_is_free.clear()
    station.panel.show(example(State.IDLE))
    wait_until(lambda: station.display.attempts == 1)
    start_s = time.monotonic()
    for _ in range(100):
        station.panel.show(example(State.READING))
        station.panel.show(example(State.EXPIRED))
    assert time.monotonic() - start_s < 0.2
    assert station.panel.pressed() is Button.B


def test_the_latest_screen_wins(station: Station) -> None:
    station.display.bus_is_free.clear()
    station.panel.show(example(State.IDLE))
    wait_until(lambda: station.display.attempts == 1)
    for state in (State.READING, State.EXPIRED, State.ACCEPTED):
        station.panel.show(example(state))
    station.display.bus_is_free.set()
    wait_until(lambda: len(station.display.pictures) == 2)
    assert station.has_shown(example(State.ACCEPTED))
    assert not station.has_shown(example(State.READING))
    assert station.signals.tones == [Tone.SILENT, Tone.SILENT, Tone.REFUSED, Tone.STORED]


def test_a_screen_without_reference_never_sounds_stored(station: Station) -> None:
    station.panel.show(Screen(State.ACCEPTED, NOW, "in", "2026-11-22"))
    assert station.signals.tones == [Tone.ERROR]


def test_the_picture_is_drawn_anew_each_minute_and_not_in_between(station: Station) -> None:
    station.panel.show(Screen(State.IDLE))
    wait_until(lambda: station.display.attempts == 1)
    time.sleep(0.15)
    assert station.display.attempts == 1
    station.now += timedelta(minutes=1)
    wait_until(lambda: station.display.attempts == 2)
    assert station.has_shown(Screen(State.IDLE))
    assert len(set(station.display.pictures)) == 2
    assert station.signals.tones == [Tone.SILENT]  # drawn again, not sounded again


def test_before_the_first_screen_nothing_is_drawn(station: Station) -> None:
    station.now += timedelta(minutes=5)
    time.sleep(0.1)
    assert station.display.attempts == 0


@pytest.mark.parametrize("fault", [PanelFault("pulled"), ValueError("a bug in the drawing")])
def test_lights_and_buzzer_carry_on_without_the_display(
    station: Station, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    station.display.fault = fault
    with caplog.at_level(logging.INFO, logger="appliance.run.panel"):
        station.panel.show(example(State.ACCEPTED))
        wait_until(lambda: station.display.attempts >= 3)
        assert station.panel.state == "failed"
        station.panel.show(example(State.EXPIRED))
        assert station.signals.tones == [Tone.STORED, Tone.REFUSED]
        station.display.fault = None
        wait_until(lambda: station.panel.state == "ok")
    assert station.has_shown(example(State.EXPIRED))
    assert not station.has_shown(example(State.ACCEPTED))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2, "told once when it goes and once when it is back"
    assert "failed" in messages[0]
    assert "back" in messages[1]


def test_a_failed_display_is_not_tried_without_pause(station: Station) -> None:
    station.display.fault = PanelFault("pulled")
    station.panel.show(example(State.IDLE))
    time.sleep(0.5)
    assert 2 <= station.display.attempts <= 12


def test_failing_lights_do_not_stop_the_tone_or_the_picture(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    station.signals.fault = PanelFault("the lights are gone")
    station.panel.show(example(State.ACCEPTED))
    assert station.signals.tones == [Tone.STORED]
    wait_until(lambda: station.has_shown(example(State.ACCEPTED)))
    assert "P01" in caplog.text


def test_an_observer_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def observe(*_: object) -> None:
        raise OSError("disk full")

    display = FakeDisplay()
    panel = PanelThread(display, None, lambda: NOW, on_show=observe)
    panel.show(example(State.ACCEPTED))
    wait_until(lambda: bool(display.pictures))
    panel.close()
    assert "disk full" in caplog.text


def test_no_display_and_no_signals() -> None:
    panel = PanelThread(None, None, lambda: NOW)
    panel.show(example(State.ACCEPTED))
    assert panel.state == "none"
    assert panel.pressed() is None
    panel.close()


def test_the_beat_goes_on_while_idle_and_stops_when_the_bus_stalls(station: Station) -> None:
    first_s = station.panel.beat_monotonic_s
    wait_until(lambda: station.panel.beat_monotonic_s > first_s)
    station.display.bus_is_free.clear()
    station.panel.show(example(State.IDLE))
    wait_until(lambda: station.display.attempts == 1)
    stalled_s = station.panel.beat_monotonic_s
    time.sleep(0.15)
    assert station.panel.beat_monotonic_s == stalled_s


def test_the_language_is_the_station_s() -> None:
    display = FakeDisplay()
    panel = PanelThread(display, None, lambda: NOW, "en")
    panel.show(example(State.EXPIRED))
    panel.close()
    assert display.pictures == [render(example(State.EXPIRED), NOW, "en").tobytes()]


@pytest.mark.parametrize("keep_picture", [False, True])
def test_close_shows_the_last_word_first(keep_picture: bool) -> None:
    display, signals = FakeDisplay(), FakeSignals()
    panel = PanelThread(display, signals, lambda: NOW)
    panel.show(Screen(State.BAD_CONFIG, code="F00"))
    panel.close(keep_picture)
    assert display.pictures == [render(Screen(State.BAD_CONFIG, code="F00"), NOW).tobytes()]
    assert display.closed == [keep_picture]
    assert signals.closes == 1


def test_close_does_not_wait_for_ever_for_a_stalled_bus(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_CLOSE_S", 0.1)
    station.display.bus_is_free.clear()
    station.panel.show(example(State.IDLE))
    wait_until(lambda: station.display.attempts == 1)
    start_s = time.monotonic()
    station.panel.close()
    assert time.monotonic() - start_s < 1.0
    assert station.display.closed == []  # the thread still uses it
    assert station.signals.closes == 1
