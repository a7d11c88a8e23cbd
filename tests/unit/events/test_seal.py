"""The seal: both recipients open it, nobody else, and nowhere else."""

import copy
import json

import pytest

from appliance.errors import SigningError, VerificationError
from appliance.events.seal import generate_sealing_key, open_seal, public_sealing_key, seal

FIELDS = {"citizen_id": "a number"}


@pytest.fixture(scope="module")
def duty() -> dict[str, str]:
    return generate_sealing_key()


@pytest.fixture(scope="module")
def escrow() -> dict[str, str]:
    return generate_sealing_key()


@pytest.fixture
def sealed(duty: dict[str, str], escrow: dict[str, str]) -> dict[str, object]:
    recipients = [public_sealing_key(duty, "duty"), public_sealing_key(escrow, "escrow")]
    return seal(FIELDS, recipients, "event 1")


def test_both_recipients_open_it(sealed: dict[str, object], duty: dict[str, str], escrow: dict[str, str]) -> None:
    assert open_seal(sealed, duty, "event 1") == FIELDS
    assert open_seal(sealed, escrow, "event 1") == FIELDS


def test_the_content_is_not_in_it(sealed: dict[str, object]) -> None:
    assert "number" not in json.dumps(sealed)


def test_two_seals_of_the_same_content_share_nothing(duty: dict[str, str], sealed: dict[str, object]) -> None:
    other = seal(FIELDS, [public_sealing_key(duty, "duty")], "event 1")
    assert other["ciphertext"] != sealed["ciphertext"]
    assert other["recipients"][0]["header"]["epk"] != sealed["recipients"][0]["header"]["epk"]  # type: ignore[index]


def test_nobody_else_opens_it(sealed: dict[str, object]) -> None:
    with pytest.raises(VerificationError, match="other keys"):
        open_seal(sealed, generate_sealing_key(), "event 1")


def test_it_does_not_move_to_another_event(sealed: dict[str, object], duty: dict[str, str]) -> None:
    with pytest.raises(VerificationError, match="another event"):
        open_seal(sealed, duty, "event 2")


def test_its_context_cannot_be_rewritten(sealed: dict[str, object], duty: dict[str, str]) -> None:
    moved = {**sealed, "aad": "ZXZlbnQgMg"}  # "event 2"
    with pytest.raises(VerificationError):
        open_seal(moved, duty, "event 2")


@pytest.mark.parametrize("member", ["protected", "iv", "ciphertext", "tag", "recipients", "aad"])
def test_a_seal_with_a_part_missing_or_changed_does_not_open(
    sealed: dict[str, object], duty: dict[str, str], member: str
) -> None:
    without = {name: value for name, value in sealed.items() if name != member}
    changed = copy.deepcopy(sealed)
    changed[member] = "AAAAAAAAAAAAAAAA" if member != "recipients" else [{}]
    for broken in (without, changed):
        with pytest.raises(VerificationError):
            open_seal(broken, duty, "event 1")


def test_nothing_is_sealed_to_nobody() -> None:
    with pytest.raises(SigningError):
        seal(FIELDS, [], "event 1")


def test_a_broken_recipient_is_an_error_of_the_station() -> None:
    with pytest.raises(SigningError):
        seal(FIELDS, [{"kty": "OKP", "crv": "X25519", "x": "short"}], "event 1")
