"""The one font of the panel, and the proof that Thai will be shaped and not just lined up.

Laksaman at 16 pixels is the smallest size at which the tone marks stay apart on a screen without grey. Pillow's
basic layout puts marks in the wrong place, which is a spelling error and not a flaw of beauty; and where
``libfribidi0`` is missing Pillow falls back to it without a word. So the shaping library is checked, and its absence
refuses the start.

Nothing is read at import; a font is loaded at its first use and kept.
"""

from functools import cache
from pathlib import Path

from PIL import ImageFont, features

from appliance.errors import ConfigError

FONT_PATH = Path("/usr/share/fonts/truetype/tlwg/Laksaman.ttf")


def check(path: Path = FONT_PATH) -> None:
    """Find out whether Thai can be drawn on this machine.

    Raises:
        ConfigError: one line for each thing that is missing, with the package that brings it.
    """
    problems = []
    if not features.check("raqm"):
        problems.append("Pillow cannot shape Thai (no raqm): apt install libfribidi0 libraqm0")
    if not path.is_file():
        problems.append(f"the Thai font {path} is not there: apt install fonts-thai-tlwg")
    if problems:
        raise ConfigError(problems)


@cache
def font(size_px: int, path: Path = FONT_PATH) -> ImageFont.FreeTypeFont:
    """Return the font at ``size_px``, 8-40, with Thai shaping.

    Raises:
        ConfigError: font or shaping library are missing, or the font cannot be read.
    """
    check(path)
    try:
        with path.open("rb") as file:  # given a path, Pillow would look elsewhere for a file of the same name
            return ImageFont.truetype(file, size_px, layout_engine=ImageFont.Layout.RAQM)
    except OSError:
        raise ConfigError([f"the Thai font {path} cannot be read: apt install --reinstall fonts-thai-tlwg"]) from None
