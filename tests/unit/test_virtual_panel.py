"""The virtual panel: what viewers see is what the drivers did, and no viewer ever holds up the station."""

import base64
import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from appliance.errors import PanelFault
from appliance.panel.render import render
from appliance.panel.screens import Button, Screen, State
from appliance.panel.sheet import NOW, example
from appliance.panel.words import Tone
from appliance.run.panel import PanelThread
from appliance.simulate import panel_socket
from appliance.simulate.panel import RecordingPanel, VirtualPanel, picture, view
from appliance.simulate.panel_view import SOCKET_NAME, paint, to_image

pytestmark = pytest.mark.filterwarnings("ignore:.*getdata:DeprecationWarning")


def wait_until(is_so: Callable[[], bool], within_s: float = 3.0) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to that in time"
        time.sleep(0.002)


class Viewer:
    """Connects as the terminal does and keeps what it is told."""

    def __init__(self, runtime: Path) -> None:
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.line.connect(str(runtime / SOCKET_NAME))
        self.line.settimeout(3.0)
        self._file = self.line.makefile("r", encoding="utf-8")
        self.changes: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        self.next()

    def next(self) -> dict[str, Any]:
        change: dict[str, Any] = json.loads(self._file.readline())
        self.changes.append(change)
        self.state.update(change)
        return change

    def until(self, is_so: Callable[[dict[str, Any]], bool]) -> None:
        while not is_so(self.state):
            self.next()

    def send(self, line: str) -> None:
        self.line.sendall(line.encode() + b"\n")


class Station:
    """A panel thread on a virtual panel."""

    def __init__(self, runtime: Path) -> None:
        self.runtime, self.trace = runtime, runtime / "trace.jsonl"
        self.virtual = VirtualPanel(runtime, trace=self.trace)
        self.panel = PanelThread(self.virtual.display, self.virtual.signals, lambda: NOW, on_show=self.virtual.on_show)

    def traced(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.trace.read_text().splitlines()]

    def close(self) -> None:
        self.panel.close()
        self.virtual.close()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.close()


def pixels_of(screen: Screen) -> str:
    return base64.b64encode(render(screen, NOW).tobytes()).decode()


def test_the_first_line_is_the_whole_state(station: Station) -> None:
    viewer = Viewer(station.runtime)
    assert set(viewer.state) == {"pixels", "lights", "hertz", "state", "tone", "reference"}
    assert viewer.state["lights"] == {"green": False, "amber": False, "red": False}
    assert base64.b64decode(viewer.state["pixels"]) == bytes(1024)


def test_viewers_see_exactly_the_pixels_and_the_lights(station: Station) -> None:
    viewer = Viewer(station.runtime)
    for state, colour in ((State.ACCEPTED, "green"), (State.EXPIRED, "red"), (State.COULD_NOT_CHECK, "amber")):
        station.panel.show(example(state))
        viewer.until(lambda seen, state=state: seen["pixels"] == pixels_of(example(state)))  # type: ignore[misc]
        assert [name for name, is_lit in viewer.state["lights"].items() if is_lit] == [colour]
        assert (viewer.state["state"], viewer.state["reference"]) == (state.value, "1042")


def test_a_late_viewer_gets_what_is_shown_now(station: Station) -> None:
    early = Viewer(station.runtime)
    station.panel.show(example(State.ACCEPTED))
    early.until(lambda seen: seen["pixels"] == pixels_of(example(State.ACCEPTED)))
    late = Viewer(station.runtime)
    assert late.state["pixels"] == pixels_of(example(State.ACCEPTED))
    assert late.state["tone"] == "stored"


def test_the_buzzer_is_heard_as_it_sounds(station: Station) -> None:
    viewer = Viewer(station.runtime)
    station.panel.show(example(State.NOT_ON_ROSTER))
    sounds: list[float | None] = []
    while len(sounds) < 4:
        change = viewer.next()
        if "hertz" in change:
            sounds.append(change["hertz"])
    assert sounds == [pytest.approx(330), None, pytest.approx(330), None]


def test_only_changes_are_told(station: Station) -> None:
    viewer = Viewer(station.runtime)
    station.panel.show(Screen(State.READING))
    viewer.until(lambda seen: seen["pixels"] == pixels_of(Screen(State.READING)))
    assert not any("lights" in change for change in viewer.changes[1:])


def test_presses_come_from_viewers(station: Station) -> None:
    viewer = Viewer(station.runtime)
    for line in ('{"press": "A"}', "not json", "[1]", '{"press": "Z"}', '{"press": 5}', "{}", '{"press": "C"}'):
        viewer.send(line)
    got: list[Button] = []
    wait_until(lambda: got.extend(iter(station.panel.pressed, None)) or len(got) == 2)  # type: ignore[func-returns-value]
    assert got == [Button.A, Button.C]


def test_a_viewer_holds_a_button_as_long_as_the_station_asks(station: Station) -> None:
    viewer = Viewer(station.runtime)
    for line in ('{"hold": "Z"}', '{"hold": "C"}'):
        viewer.send(line)
    wait_until(lambda: station.panel.held() is Button.C)


def test_a_press_is_a_press_each_time(station: Station) -> None:
    for _ in range(3):
        station.virtual.press(Button.B)
    assert list(iter(station.panel.pressed, None)) == [Button.B] * 3


def test_a_viewer_that_sends_without_end_is_cut_off(station: Station) -> None:
    viewer = Viewer(station.runtime)
    with pytest.raises(OSError, match=r"."):  # noqa: PT012 - it may take some sends until the line is seen as closed
        for _ in range(100):
            viewer.line.sendall(b"x" * 4096)
            time.sleep(0.002)
    Viewer(station.runtime)


def test_a_viewer_that_does_not_read_holds_up_nobody(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_socket, "MAX_BACKLOG_BYTES", 20_000)
    sleeper, reader = Viewer(station.runtime), Viewer(station.runtime)
    last = pixels_of(example(State.EXPIRED))
    reading = threading.Thread(target=reader.until, args=(lambda seen: seen["pixels"] == last,))
    reading.start()
    slowest_s = 0.0
    for number in range(600):
        start_s = time.monotonic()
        station.panel.show(Screen(State.READING if number % 2 else State.IDLE))
        slowest_s = max(slowest_s, time.monotonic() - start_s)
        time.sleep(0.001)
    station.panel.show(example(State.EXPIRED))
    reading.join(5.0)
    assert reader.state["pixels"] == last
    assert slowest_s < 0.5
    with pytest.raises((ConnectionError, ValueError)):  # noqa: PT012 - his line ends, in the middle of a message or after one
        while True:
            sleeper.next()


def test_a_viewer_that_vanishes_is_forgotten(station: Station) -> None:
    for _ in range(5):
        Viewer(station.runtime).line.close()
    station.panel.show(example(State.ACCEPTED))
    viewer = Viewer(station.runtime)
    viewer.until(lambda seen: seen["pixels"] == pixels_of(example(State.ACCEPTED)))


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_NAME))
    left.close()
    station = Station(tmp_path)
    Viewer(tmp_path)
    assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o660
    station.close()
    station.close()
    assert not (tmp_path / SOCKET_NAME).exists()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PanelFault, match="cannot listen"):
        VirtualPanel(tmp_path / "no")


def test_without_viewers_and_trace_everything_works() -> None:
    virtual = VirtualPanel()
    panel = PanelThread(virtual.display, virtual.signals, lambda: NOW, on_show=virtual.on_show)
    panel.show(example(State.ACCEPTED))
    wait_until(lambda: virtual.bus.panel.pixels() == render(example(State.ACCEPTED), NOW).tobytes())
    panel.close()
    virtual.close()


def test_pulled_and_plugged_in_again(station: Station) -> None:
    viewer = Viewer(station.runtime)
    station.panel.show(example(State.ACCEPTED))
    viewer.until(lambda seen: seen["pixels"] == pixels_of(example(State.ACCEPTED)))
    station.virtual.bus.pull()
    viewer.until(lambda seen: base64.b64decode(seen["pixels"]) == bytes(1024))
    station.panel.show(example(State.EXPIRED))
    wait_until(lambda: station.panel.state == "failed")
    viewer.until(lambda seen: bool(seen["lights"]["red"]))
    station.virtual.bus.plug()
    viewer.until(lambda seen: seen["pixels"] == pixels_of(example(State.EXPIRED)))
    wait_until(lambda: station.panel.state == "ok")


def test_the_trace_matches_tones_with_events(station: Station) -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    station.panel.show(Screen(State.IDLE))
    station.panel.show(example(State.ACCEPTED))
    station.panel.show(Screen(State.ACCEPTED))
    lines = station.traced()
    assert [(line["state"], line["light"], line["tone"], line["reference"]) for line in lines] == [
        ("idle", "none", "silent", None),
        ("accepted", "green", "stored", "1042"),
        ("accepted", "green", "error", None),
    ]
    assert before_s <= lines[0]["monotonic_s"] <= lines[1]["monotonic_s"] <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_trace_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARD_STATION_PANEL_TRACE", str(tmp_path / "named"))
    (tmp_path / "named").write_text('{"earlier": true}\n')
    virtual = VirtualPanel()
    panel = PanelThread(virtual.display, virtual.signals, lambda: NOW, on_show=virtual.on_show)
    panel.show(Screen(State.IDLE))
    panel.close()
    assert len((tmp_path / "named").read_text().splitlines()) == 2


def test_the_picture_is_the_glass_pixel_for_pixel() -> None:
    pixels = render(example(State.ACCEPTED), NOW).tobytes()
    lines = picture(pixels).splitlines()
    assert len(lines) == 34
    assert {len(line) for line in lines} == {130}
    back = bytearray(1024)
    for row, line in enumerate(lines[1:-1]):
        for x, block in enumerate(line[1:-1]):
            for half, lit_by in enumerate(("▀█", "▄█")):
                if block in lit_by:
                    back[((2 * row + half) * 128 + x) // 8] |= 0x80 >> x % 8
    assert bytes(back) == pixels


def test_to_image_enlarges() -> None:
    screen = render(example(State.EXPIRED), NOW)
    image = to_image(screen.tobytes(), 6)
    assert image.size == (768, 384)
    assert image.resize((128, 64)).tobytes() == screen.tobytes()


STATE = {
    "pixels": base64.b64encode(bytes(1024)).decode(),
    "lights": {"green": False, "amber": True, "red": False},
    "hertz": 880.0,
    "state": "could_not_check",
    "tone": "attention",
    "reference": "7",
}


def test_lights_and_tones_are_words() -> None:
    text = paint(STATE)
    assert "[green: off]   [AMBER: on]   [red: off]" in text
    assert "tone: attention: three   buzzer: sounding 880 Hz" in text
    assert "\x1b" not in text
    assert "\x1b[1;33m[AMBER: on]\x1b[0m" in paint(STATE, is_coloured=True)
    assert all(paint({**STATE, "tone": tone.value}) for tone in Tone)


def keys_and_hand() -> tuple[TextIO, int]:
    read, write = os.pipe()
    return os.fdopen(read, "r"), write


def test_the_terminal_shows_and_presses(station: Station) -> None:
    keys, hand = keys_and_hand()
    out = io.StringIO()
    station.panel.show(example(State.ACCEPTED))
    codes: list[int] = []
    terminal = threading.Thread(target=lambda: codes.append(view(station.runtime, out, keys)))
    terminal.start()
    expected = picture(render(example(State.ACCEPTED), NOW).tobytes())
    wait_until(lambda: expected in out.getvalue() and "[GREEN: on]" in out.getvalue())
    os.write(hand, b"bx")
    presses: list[Button] = []
    wait_until(lambda: presses.extend(iter(station.panel.pressed, None)) or bool(presses))  # type: ignore[func-returns-value]
    os.write(hand, b"q")
    terminal.join(3.0)
    assert presses == [Button.B]
    assert codes == [0]


def test_the_terminal_ends_with_the_station(station: Station) -> None:
    keys, hand = keys_and_hand()
    terminal = threading.Thread(target=view, args=(station.runtime, io.StringIO(), keys))
    terminal.start()
    time.sleep(0.05)
    station.close()
    terminal.join(3.0)
    assert not terminal.is_alive()
    os.close(hand)


def test_the_terminal_without_a_station(tmp_path: Path) -> None:
    with pytest.raises(PanelFault, match="is the station running"):
        view(tmp_path, io.StringIO(), io.StringIO())


def test_the_recording_panel() -> None:
    panel = RecordingPanel([Button.A])
    panel.press_at(State.IDLE, Button.B)
    panel.show(Screen(State.READING))
    assert [panel.pressed(), panel.pressed()] == [Button.A, None]
    panel.show(Screen(State.IDLE))
    panel.show(Screen(State.IDLE))
    assert [panel.pressed(), panel.pressed()] == [Button.B, None]
    panel.press(Button.C)
    assert panel.pressed() is Button.C
    panel.show(example(State.ACCEPTED))
    assert panel.states == [State.READING, State.IDLE, State.IDLE, State.ACCEPTED]
    assert panel.tones == [Tone.STORED]


def test_a_panel_without_buttons_and_lights(tmp_path: Path) -> None:
    bare = VirtualPanel(tmp_path, buttons=(), leds=(), buzzer=0)
    bare.press(Button.A)
    assert bare.signals.pressed() is None
    assert (bare.state()["lights"], bare.state()["hertz"]) == ({}, None)
    bare.signals.close()
    bare.close()
