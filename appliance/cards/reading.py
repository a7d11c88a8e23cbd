"""Reads one card: the number first, then the text, then the photo, then what other applets hold.

All or nothing: every status word is checked, every answer has the length that was asked for, and where the read took
several commands the citizen number is read once more at the end, so that two cards can never mix in one record. What
``tell`` hears on the way is true of the card so far; only the record that ``read`` returns is whole.

Commands: the number alone 3, all text 7 and 2 for the number again, a photo of 4,290 bytes 34 more.

Source: docs/card.md.
"""

from collections.abc import Callable, Sequence

from appliance.cards import photo, plan, status_word, thai_id
from appliance.cards.decode import decode
from appliance.cards.record import Record
from appliance.cards.session import Session
from appliance.cards.thai_id import PHOTO_LENGTH, Applet, Field
from appliance.errors import CardGarbled, CardRefused, CardVersionUnsupported, NotAThaiIdCard

_OLD_VERSION = b"0002"


def read(
    transmit: Callable[[bytes], bytes],
    fields: Sequence[Field],
    tell: Callable[[Record], None] = lambda so_far: None,
) -> Record:
    """Read ``fields`` of the card behind ``transmit``, all or nothing.

    Args:
        transmit: sends one APDU, returns data and status word; raises CardError.
        fields: what is wanted.
        tell: called with the record so far where more is to come: after the number, the text, the photo.

    Raises:
        NotAThaiIdCard: no such applet.
        CardVersionUnsupported: a Thai ID card whose layout is not known.
        CardError: the read is not whole.
    """
    session = Session(transmit)
    file = _MinistryFile(session)
    for window in plan.windows(tuple(fields)):
        file.fetch(window)
        if Field.VERSION in fields and file.cut(Field.VERSION.stretch) == _OLD_VERSION:
            raise CardVersionUnsupported("a card of version 0002, from before about 2006: it was not read")
        if Field.CITIZEN_ID.offset in window and len(fields) > 1:
            tell(decode({Field.CITIZEN_ID: file.cut(Field.CITIZEN_ID.stretch)}, session.apdus))
    raw: dict[Field, bytes | None] = {
        field: file.cut(field.stretch) for field in fields if field.applet is Applet.MOI and field is not Field.PHOTO
    }
    if Field.PHOTO in fields:
        tell(decode(raw, session.apdus))
        raw[Field.PHOTO] = file.fetch_photo()
    if others := [field for field in fields if field.applet is not Applet.MOI]:
        tell(decode(raw, session.apdus))
        raw |= {field: _optional(session, field) for field in others}
        file.select()
    file.check_again()
    return decode({field: raw[field] for field in fields}, session.apdus)


class _MinistryFile:
    """The file of the Ministry of Interior, as far as it was fetched."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._windows: dict[range, bytes] = {}
        self._selects = 0
        self.select()

    def select(self) -> None:
        """Select the applet. Raises NotAThaiIdCard."""
        self._selects += 1
        try:
            self._session.select(thai_id.select(Applet.MOI))
        except CardRefused as error:
            raise NotAThaiIdCard(f"the card holds no Thai ID applet (status word {error.sw:04X})") from None

    def fetch(self, window: range) -> None:
        """Read one window."""
        self._windows[window] = self._session.ask(thai_id.read_file(window), len(window))

    def fetch_photo(self) -> bytes:
        """Read the photo by its length; return both, or the length alone where it cannot be."""
        length = self.cut(PHOTO_LENGTH)
        size_bytes = photo.size_of(length)
        for window in plan.photo_windows(size_bytes):
            self.fetch(window)
        return length + self.cut(Field.PHOTO.stretch[:size_bytes])

    def cut(self, stretch: range) -> bytes:
        """Return bytes that were fetched, over the seams of windows."""
        return b"".join(
            data[max(stretch.start - window.start, 0) : max(stretch.stop - window.start, 0)]
            for window, data in self._windows.items()
            if window.start < stretch.stop and stretch.start < window.stop
        )

    def check_again(self) -> None:
        """Where more was read than one window, read the number once more, or everything where it was not asked for.

        Raises:
            CardGarbled: it is another one now.
        """
        if len(self._windows) < 2 and self._selects == 1:
            return
        number = Field.CITIZEN_ID.stretch
        for window in [number] if self.cut(number) else list(self._windows):
            if self._session.ask(thai_id.read_file(window), len(window)) != self.cut(window):
                raise CardGarbled("the card changed while it was read")


def _optional(session: Session, field: Field) -> bytes | None:
    """Read a field of another applet; None where the card says that it has no such applet or data, as older chips do.

    Raises:
        CardRefused: it refuses for another reason, or after it had begun.
    """
    try:
        session.select(thai_id.select(field.applet))
        if field.applet in thai_id.ANSWERS:
            answer = thai_id.ANSWERS[field.applet]
            return session.ask(answer.command, answer.size_bytes)[field.offset : field.offset + field.size_bytes]
        first, *rest = plan.file_windows(field)
        parts = [session.ask(thai_id.read_file(first), len(first))]
    except CardRefused as error:
        if error.sw in status_word.NOT_HELD and not error.has_begun:
            return None
        raise
    return b"".join([*parts, *(session.ask(thai_id.read_file(window), len(window)) for window in rest)])
