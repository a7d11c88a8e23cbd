"""Which protocols an ATR offers: those of real chips, of standards, and of nothing at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards.atr import protocols
from appliance.simulate.deck import deck, samples


@pytest.mark.parametrize("name", [f"nid{number}" for number in range(19)] + ["nid15-ff", "3b67"])
def test_every_thai_chip_offers_t0_alone(name: str) -> None:
    assert protocols(deck(name).atr) == {0}


@pytest.mark.parametrize(
    ("atr", "offered"),
    [
        ("3B00", {0}),
        ("3B800181", {1}),
        ("3B8080011111", set()),
        ("3B80800101", {0, 1}),
        ("3B9813400AA503010101AD1311", {0}),
        ("3B3F94008069AF0307015900000A0E833E9F16", {0}),
        ("3BDF96FF8131FE4580595A0180482020202020201112", set()),
    ],
)
def test_the_offer_is_read_as_the_standard_says(atr: str, offered: set[int]) -> None:
    assert protocols(bytes.fromhex(atr)) == offered


@pytest.mark.parametrize("atr", ["", "3B", "00", "3C00", "3B80", "3B8080", "3B01", "3B0000", "00" * 40, "3B" * 40])
def test_what_is_no_answer_to_reset_offers_nothing(atr: str) -> None:
    assert protocols(bytes.fromhex(atr)) == set()


@given(st.binary(max_size=40))
def test_no_bytes_raise(atr: bytes) -> None:
    assert protocols(atr) <= set(range(16))


def test_of_the_whole_deck_only_those_without_an_atr_offer_nothing() -> None:
    nothing = {name for name in samples() if not protocols(deck(name).atr)}
    assert nothing == {"atr-1-byte", "atr-40-bytes", "mute-atr"}
