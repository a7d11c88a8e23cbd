"""luma's real code on the modelled controller: what is drawn is what the glass shows, also after it was pulled.

Both of luma's ways to the bus are driven: an open bus (32-byte blocks) and the managed one of a Pi (raw transfers).
"""

import atexit
import errno
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw

from appliance.errors import ConfigError, PanelFault
from appliance.hardware.oled import Oled
from appliance.panel.render import render
from appliance.panel.screens import State
from appliance.panel.sheet import NOW, example
from appliance.simulate.ssd1306 import ModelBus, Ssd1306

pytestmark = pytest.mark.filterwarnings("ignore:.*getdata:DeprecationWarning")
Opened = tuple[Oled, ModelBus]


@pytest.fixture(params=["managed", "given"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Opened:
    bus = ModelBus()
    if request.param == "given":
        return Oled(bus=bus), bus
    monkeypatch.setattr("smbus2.SMBus", lambda port: bus)
    return Oled(), bus


def corners() -> Image.Image:
    """A picture that no turn or mirror maps onto itself."""
    image = Image.new("1", (128, 64))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 20, 3), fill=1)
    draw.rectangle((127, 0, 127, 0), fill=1)
    draw.line((0, 63, 40, 50), fill=1)
    return image


@pytest.mark.parametrize("state", State)
def test_the_glass_shows_the_picture(opened: Opened, state: State) -> None:
    oled, bus = opened
    picture = render(example(state), NOW)
    oled.show(picture)
    assert bus.panel.pixels() == picture.tobytes()


def test_nothing_is_mirrored_and_every_command_is_known(opened: Opened) -> None:
    oled, bus = opened
    oled.show(corners())
    assert bus.panel.pixels() == corners().tobytes()
    assert bus.panel.unknown == []
    assert bus.panel.contrast == 0xCF


def test_turned_by_half() -> None:
    bus = ModelBus()
    Oled(rotate=180, bus=bus).show(corners())
    assert bus.panel.pixels() == corners().transpose(Image.Transpose.ROTATE_180).tobytes()


def test_turned_by_a_quarter_is_refused() -> None:
    with pytest.raises(ConfigError, match="rotate is 90"):
        Oled(rotate=90, bus=ModelBus())


def test_a_panel_at_another_address() -> None:
    bus = ModelBus(address=0x3D)
    with pytest.raises(PanelFault):
        Oled(bus=bus).show(corners())
    Oled(address=0x3D, bus=bus).show(corners())
    assert bus.panel.pixels() == corners().tobytes()


def test_a_machine_without_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(port: int) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", f"/dev/i2c-{port}")

    monkeypatch.setattr("smbus2.SMBus", missing)
    oled = Oled(port=7)
    with pytest.raises(PanelFault, match="i2c-7") as caught:
        oled.show(corners())
    assert caught.value.code == "P01"
    oled.close()


@pytest.mark.parametrize("fault", [errno.EREMOTEIO, errno.EIO, errno.ETIMEDOUT, errno.ENXIO])
def test_pulled_and_returned(opened: Opened, fault: int) -> None:
    oled, bus = opened
    oled.show(corners())
    bus.pull(fault)
    for _ in range(3):
        with pytest.raises(PanelFault):
            oled.show(corners())
    bus.plug()
    assert bus.panel.pixels() == bytes(1024)
    oled.show(corners())
    assert bus.panel.pixels() == corners().tobytes()


@pytest.mark.parametrize("after_writes", range(0, 36, 5))
def test_pulled_in_the_middle_of_a_picture(after_writes: int) -> None:
    class Torn(ModelBus):
        left = 1000

        def write_i2c_block_data(self, address: int, register: int, data: list[int]) -> None:
            self.left -= 1
            if self.left == 0:
                self.pull()
            super().write_i2c_block_data(address, register, data)

    bus = Torn()
    oled = Oled(bus=bus)
    oled.show(corners())
    bus.left = after_writes + 1
    if after_writes == 35:  # a picture takes 33 writes: it is the next one that is torn
        oled.show(corners())
    with pytest.raises(PanelFault):
        oled.show(corners())
    bus.plug()
    oled.show(corners())
    assert bus.panel.pixels() == corners().tobytes()


def test_a_panel_that_lost_its_power_unseen_is_started_again() -> None:
    bus = ModelBus()
    patient, prompt = Oled(bus=bus), Oled(bus=bus, restart_every_s=0.0)
    patient.show(corners())
    bus.pull()
    bus.plug()
    patient.show(corners())
    assert bus.panel.pixels() == bytes(1024)  # it answers and stays dark
    prompt.show(corners())
    prompt.show(corners())
    assert bus.panel.pixels() == corners().tobytes()


def test_faults_leave_no_exit_handlers_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[object] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    bus = ModelBus()
    oled = Oled(bus=bus)
    for _ in range(5):
        bus.pull()
        with pytest.raises(PanelFault):
            oled.show(corners())
        bus.plug()
        oled.show(corners())
    assert len(registered) == 1


@pytest.mark.parametrize("is_closed_first", [False, True])
def test_luma_s_exit_handler_leaves_the_last_word_standing(
    monkeypatch: pytest.MonkeyPatch, is_closed_first: bool
) -> None:
    hooks: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", hooks.append)
    bus = ModelBus()
    oled = Oled(bus=bus)
    oled.show(corners())
    if is_closed_first:
        oled.close(keep_picture=True)
    hooks[0]()
    assert bus.panel.pixels() == corners().tobytes()


def test_close_makes_it_dark_and_may_be_repeated(opened: Opened) -> None:
    oled, bus = opened
    oled.show(corners())
    oled.close()
    oled.close()
    assert bus.panel.pixels() == bytes(1024)


def test_close_without_a_panel() -> None:
    bus = ModelBus()
    oled = Oled(bus=bus)
    oled.close()
    oled.show(corners())
    bus.pull()
    oled.close()


def started(*more: int) -> Ssd1306:
    panel = Ssd1306()
    panel.commands([0x8D, 0x14, 0xA1, 0xC8, 0x20, 0x00, 0x21, 0, 127, 0x22, 0, 7])
    panel.data(bytes(1024))
    panel.commands([0xAF, *more])
    return panel


def lit(panel: Ssd1306) -> set[tuple[int, int]]:
    pixels = panel.pixels()
    return {(n % 128, n // 128) for n in range(8192) if pixels[n // 8] >> 7 - n % 8 & 1}


def test_model_horizontal_addressing_wraps_within_its_window() -> None:
    panel = started(0x21, 10, 11, 0x22, 2, 3)
    panel.data([1, 1, 1, 1, 0x80])
    assert lit(panel) == {(10, 23), (11, 16), (10, 24), (11, 24)}


def test_model_vertical_addressing() -> None:
    panel = started(0x20, 0x01, 0x21, 10, 11, 0x22, 2, 3)
    panel.data([1, 1, 1])
    assert lit(panel) == {(10, 16), (10, 24), (11, 16)}


def test_model_page_addressing_stays_on_its_page() -> None:
    panel = started(0x20, 0x02, 0xB3, 0x0F, 0x17)
    panel.data([1, 2])
    assert lit(panel) == {(127, 24), (0, 25)}


def test_model_switches() -> None:
    panel = started(0x21, 5, 5, 0x22, 0, 0)
    panel.data([1])
    assert lit(panel) == {(5, 0)}
    panel.commands([0xA0])
    assert lit(panel) == {(122, 0)}
    panel.commands([0xA1, 0xC0])
    assert lit(panel) == {(5, 63)}
    panel.commands([0xC8, 0x40 | 63])
    assert lit(panel) == {(5, 1)}
    panel.commands([0x40, 0xD3, 1])
    assert lit(panel) == {(5, 63)}
    panel.commands([0xD3, 0, 0xA7])
    assert len(lit(panel)) == 8191
    panel.commands([0xA6, 0xA5])
    assert len(lit(panel)) == 8192
    panel.commands([0xA4, 0xA8, 31])
    assert lit(panel) == {(5, 0)}
    panel.commands([0x8D, 0x10])
    assert lit(panel) == set()


def test_model_takes_arguments_in_pieces_and_notes_what_it_does_not_know() -> None:
    panel = started()
    for byte in (0x81, 0x12, 0x26):
        panel.commands([byte])
    assert panel.contrast == 0x12
    assert panel.unknown == [0x26]


def test_model_bus_refuses_what_a_bus_refuses() -> None:
    bus = ModelBus()
    with pytest.raises(OSError, match="block"):
        bus.write_i2c_block_data(0x3C, 0x40, [0] * 33)
    with pytest.raises(OSError, match="control byte"):
        bus.write_i2c_block_data(0x3C, 0x80, [0])
