"""Which stretches of a file to read for a set of fields: the fewest windows, and not a byte that nobody asked for.

Fields that touch each other are read together, in windows of at most 255 bytes; a window never reaches over bytes
between two fields, because the service may not read those. All text of a card is three windows.

Example::

    windows(TEXT)    # (range(0, 255), range(255, 377), range(5497, 5671))
"""

from collections.abc import Iterable, Sequence
from functools import cache

from appliance.cards.thai_id import PHOTO_LENGTH, Applet, Field

MAX_WINDOW_BYTES = 255


@cache
def windows(fields: tuple[Field, ...]) -> Sequence[range]:
    """Return the windows of the Ministry's file for ``fields``, in the order of the file.

    A photo is planned by its length alone; ``photo_windows`` follows when that is known.
    """
    wanted = [PHOTO_LENGTH if field is Field.PHOTO else field.stretch for field in fields if field.applet is Applet.MOI]
    return tuple(window for run in runs(wanted) for window in _cut(run))


def photo_windows(size_bytes: int) -> list[range]:
    """Return the windows of a photo of ``size_bytes``."""
    return _cut(Field.PHOTO.stretch[:size_bytes])


def file_windows(field: Field) -> list[range]:
    """Return the windows of a field that is a file of its own."""
    return _cut(field.stretch)


def runs(stretches: Iterable[range]) -> list[range]:
    """Return ``stretches`` in order, those joined that touch or overlap."""
    joined: list[range] = []
    for stretch in sorted(stretches, key=lambda stretch: stretch.start):
        if joined and stretch.start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(joined[-1].stop, stretch.stop))
        else:
            joined.append(stretch)
    return joined


def _cut(run: range) -> list[range]:
    return [run[at : at + MAX_WINDOW_BYTES] for at in range(0, len(run), MAX_WINDOW_BYTES)]
