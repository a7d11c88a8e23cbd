"""Commands as a reader sends them, for the tests of virtual cards."""

from appliance.simulate.card import VirtualCard

SELECT = bytes.fromhex("00A4040008A000000054480001")
SELECT_HEALTH = bytes.fromhex("00A4040008A000000054480083")
SELECT_ADMINISTRATION = bytes.fromhex("00A4040008A000000084060002")
SELECT_MANAGER = bytes.fromhex("00A4040012")
READ_NUMBER = bytes.fromhex("80B0000402000D")
READ_LASER = bytes.fromhex("8000000017")
READ_CHIP = bytes.fromhex("80CA9F7F2D")


def fetch(size_bytes: int, p2: int = 0) -> bytes:
    return bytes([0x00, 0xC0, 0x00, p2, size_bytes % 256])


def window(offset: int, size_bytes: int, block: int = 0) -> bytes:
    return bytes([0x80, 0xB0, offset >> 8, offset & 0xFF, 0x02, block, size_bytes])


def read(card: VirtualCard, offset: int, size_bytes: int, block: int = 0) -> bytes:
    """Read any stretch of the selected applet's file, in windows of up to 255 bytes."""
    data = b""
    while size_bytes:
        part = min(size_bytes, 255)
        assert card.answer(window(offset, part, block)) == bytes([0x61, part])
        answer = card.answer(fetch(part))
        assert answer is not None
        assert answer[-2:] == b"\x90\x00"
        data, offset, size_bytes = data + answer[:-2], offset + part, size_bytes - part
    return data


def file_of(card: VirtualCard) -> bytes:
    """Return the whole file of the applet of the Ministry of Interior."""
    assert card.answer(SELECT) == b"\x61\x0a"
    return read(card, 0, 5950)
