"""The virtual panel in a terminal: exactly the pixels that the driver put on the glass, two to a character.

``picture`` is the frame as text, ``paint`` everything around it, ``view`` the programme: it follows the socket of a
running station, redraws at each change, and turns the keys a, b and c into presses, A, B and C into long ones. Lights
are words with names, because a colour alone says nothing to many people and nothing at all in a log.
"""

import base64
import json
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from appliance.errors import PanelFault
from appliance.panel.screens import Button
from appliance.panel.words import Tone

SOCKET_NAME = "panel.sock"
_WIDTH, _HEIGHT = 128, 64
_HALVES = " ▀▄█"  # neither, upper, lower, both
_HOME, _CLEAR_LINE, _CLEAR_BELOW, _PLAIN = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[0m"
_COLOURS = {"green": "\x1b[1;32m", "amber": "\x1b[1;33m", "red": "\x1b[1;31m"}
_TONES = {
    Tone.SILENT.value: "silent",
    Tone.STORED.value: "stored: one clear beep",
    Tone.REFUSED.value: "refused: two long, low",
    Tone.ATTENTION.value: "attention: three",
    Tone.AGAIN.value: "already recorded: two clicks",
    Tone.DUTY.value: "an officer begins or ends work: rising",
    Tone.ERROR.value: "not stored: falling",
}


def picture(pixels: bytes) -> str:
    """Return the glass as 34 lines of text: a frame around 32 lines of half-block characters.

    Args:
        pixels: 1024 bytes, row by row, most significant bit left, 1 is lit.
    """
    rows = [[pixels[(y * _WIDTH + x) // 8] >> 7 - x % 8 & 1 for x in range(_WIDTH)] for y in range(_HEIGHT)]
    edge = "─" * _WIDTH
    lines = (
        "".join(_HALVES[upper + 2 * lower] for upper, lower in zip(rows[y], rows[y + 1], strict=True))
        for y in range(0, _HEIGHT, 2)
    )
    return "\n".join([f"┌{edge}┐", *(f"│{line}│" for line in lines), f"└{edge}┘"])


def to_image(pixels: bytes, scale: int = 4) -> Image.Image:
    """Return the glass as an image of mode ``1``, ``scale`` times enlarged, for papers."""
    return Image.frombytes("1", (_WIDTH, _HEIGHT), pixels).resize((_WIDTH * scale, _HEIGHT * scale))


def paint(state: dict[str, Any], is_coloured: bool = False) -> str:
    """Return all that can be seen and heard, as text.

    Args:
        state: the members of the socket's lines.
        is_coloured: whether lit lights get their colour too.
    """
    sound = f"sounding {state['hertz']:.0f} Hz" if state.get("hertz") else "quiet"
    tone = _TONES.get(state.get("tone") or Tone.SILENT.value, "unknown")
    said = f"screen: {state.get('state') or '-'}   stored as: {state.get('reference') or '-'}"
    return "\n".join(
        [
            picture(base64.b64decode(state["pixels"])),
            "lights: " + "   ".join(_lamp(name, lit, is_coloured) for name, lit in state["lights"].items()),
            f"tone: {tone}   buzzer: {sound}",
            said,
            "keys: a b c press the buttons, A B C hold them down (C: the menu), q leaves",
        ]
    )


def view(runtime: Path, out: TextIO | None = None, keys: TextIO | None = None) -> int:
    """Show the virtual panel of a running station until q is pressed or the station ends.

    Args:
        runtime: the station's runtime directory, in which ``panel.sock`` is.
        out: where to draw, else standard output; a terminal is redrawn in place, other files get frame after frame.
        keys: where keys come from, else standard input.

    Returns:
        The exit code, 0.

    Raises:
        PanelFault: no virtual panel listens there.
    """
    out, keys = out or sys.stdout, keys or sys.stdin
    with _connected(runtime / SOCKET_NAME) as line, _single_keys(keys):
        state: dict[str, Any] = {}
        unread = bytearray()
        while True:
            ready, _, _ = select.select([line, keys], [], [])
            if line in ready and not _take_lines(line, unread, state):
                return 0
            if line in ready and state:
                _draw(out, state)
            if keys in ready and not _take_keys(keys, line):
                return 0


def _lamp(name: str, is_lit: bool, is_coloured: bool) -> str:
    words = f"[{name.upper() if is_lit else name}: {'on' if is_lit else 'off'}]"
    return f"{_COLOURS[name]}{words}{_PLAIN}" if is_lit and is_coloured else words


def _draw(out: TextIO, state: dict[str, Any]) -> None:
    if out.isatty():
        text = paint(state, is_coloured=True).replace("\n", f"{_CLEAR_LINE}\n")
        out.write(f"{_HOME}{text}{_CLEAR_LINE}\n{_CLEAR_BELOW}")
    else:
        out.write(paint(state) + "\n")
    out.flush()


def _take_keys(keys: TextIO, line: socket.socket) -> bool:
    """Act on the keys that were pressed; say whether to go on."""
    pressed = os.read(keys.fileno(), 64).decode("ascii", "replace")
    for key in pressed:
        if key.upper() in {button.value for button in Button}:
            act = "hold" if key.isupper() else "press"
            with suppress(OSError):  # the station has ended; the next read says so
                line.sendall(json.dumps({act: key.upper()}).encode() + b"\n")
    return pressed != "" and "Q" not in pressed.upper()


def _take_lines(line: socket.socket, unread: bytearray, state: dict[str, Any]) -> bool:
    """Take what the station says into ``state``; say whether it is still there."""
    chunk = line.recv(65536)
    *whole, rest = (bytes(unread) + chunk).split(b"\n")
    unread[:] = rest
    for words in whole:
        state.update(json.loads(words))
    return bool(chunk)


@contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(str(path))
        except OSError as error:
            raise PanelFault(f"no virtual panel listens at {path}; is the station running?") from error
        yield line


@contextmanager
def _single_keys(keys: TextIO) -> Iterator[None]:
    """Take keys one by one, without Enter and without echo, where they come from a terminal."""
    if not keys.isatty():
        yield
        return
    before = termios.tcgetattr(keys)
    tty.setcbreak(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
