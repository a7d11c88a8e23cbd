"""The photo: a JPEG in an area of the card that is larger than it."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Self

from appliance.cards.text import Unreadable
from appliance.cards.thai_id import MAX_PHOTO_BYTES

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_WHITE = b" \0\t\r\n\v\f"  # some lengths count padding


def size_of(length: bytes) -> int:
    """Return how many bytes of photo to read; 0 where the card has none, or says more than it has room for."""
    size_bytes = int.from_bytes(length, "big")
    return size_bytes if size_bytes <= MAX_PHOTO_BYTES else 0


@dataclass(frozen=True)
class Photo:
    """A photo as the card holds it, not one byte more or less.

    Args:
        jpeg: the file, at most 5,118 bytes.
    """

    jpeg: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """Read a length of two bytes and the photo; None where the length is 0.

        Raises:
            Unreadable: ``photo_length`` (more than there is room for, or than was read), ``not_jpeg``, ``jpeg_cut``.
        """
        length, jpeg = raw[:2], raw[2:]
        if not any(length):
            return None
        if size_of(length) != len(jpeg) or not jpeg:
            raise Unreadable("photo_length")
        if not jpeg.startswith(_JPEG_START):
            raise Unreadable("not_jpeg")
        if not jpeg.rstrip(_WHITE).endswith(_JPEG_END):
            raise Unreadable("jpeg_cut")
        return cls(jpeg)

    def as_data(self) -> dict[str, Any]:
        """Return the photo as a record shows it."""
        return {
            "media_type": "image/jpeg",
            "size_bytes": len(self.jpeg),
            "sha256": hashlib.sha256(self.jpeg).hexdigest(),
            "base64": base64.b64encode(self.jpeg).decode(),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Return what ``as_data`` showed. Raises KeyError, ValueError."""
        jpeg = base64.b64decode(data["base64"], validate=True)
        if not (jpeg.startswith(_JPEG_START) and len(jpeg) <= MAX_PHOTO_BYTES):
            raise ValueError("no photo")
        return cls(jpeg)
