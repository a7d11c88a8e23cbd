"""TIS-620 strictly: nothing is replaced, skipped or shifted, and every fault has its name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards.text import Unreadable, decode, decode_digits, decode_parts

UNDEFINED = [*range(0x80, 0xA1), *range(0xDB, 0xDF), *range(0xFC, 0x100)]
CONTROLS = [*range(0x20), 0x7F]


def faults(raw: bytes) -> tuple[str, ...]:
    with pytest.raises(Unreadable) as caught:
        decode(raw)
    return caught.value.codes


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("สมชาย".encode("tis-620").ljust(100), "สมชาย"),
        ("สมชาย".encode("tis-620").ljust(100, b"\0"), "สมชาย"),
        (b"  two  words \0 \0", "two  words"),
        (b" " * 100, ""),
        (b"\0" * 100, ""),
        (b"", ""),
    ],
)
def test_padding_is_no_text(raw: bytes, text: str) -> None:
    assert decode(raw) == text


@pytest.mark.parametrize("byte", UNDEFINED)
def test_a_byte_that_is_no_letter_makes_the_whole_unreadable(byte: int) -> None:
    assert faults(b"AB" + bytes([byte]) + b"CD") == ("undefined_byte",)


@pytest.mark.parametrize("byte", CONTROLS)
def test_no_control_passes_inside_a_text(byte: int) -> None:
    assert faults(b"AB" + bytes([byte]) + b"CD") == ("control",)


def test_each_fault_is_named_once() -> None:
    assert faults(b"\x1b[31m\x1b\xdb\xfc") == ("control", "undefined_byte")


@given(st.binary(max_size=160))
def test_any_bytes_are_a_text_or_unreadable(raw: bytes) -> None:
    try:
        text = decode(raw)
    except Unreadable:
        assert any(byte in UNDEFINED or byte in CONTROLS for byte in raw)
        return
    assert text.encode("tis-620") == raw.strip(b" \0"), "not a byte was lost"
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn", "Cs") for letter in text)


@given(st.binary(max_size=20))
def test_digits_are_ascii_digits_or_unreadable(raw: bytes) -> None:
    try:
        found = decode_digits(raw)
    except Unreadable:
        assert not raw.strip(b" \0").isdigit()
        return
    assert found == "" or (found.isascii() and found.isdigit())


@given(st.lists(st.text("กขค AB", max_size=6), min_size=1, max_size=6), st.integers(1, 6))
def test_parts_are_counted(parts: list[str], count: int) -> None:
    raw = "#".join(parts).encode("tis-620")
    if len(parts) == count or not raw.strip():
        found = decode_parts(raw, count)
        assert found in ([], [part.strip() for part in parts])
    else:
        with pytest.raises(Unreadable, match="parts"):
            decode_parts(raw, count)
