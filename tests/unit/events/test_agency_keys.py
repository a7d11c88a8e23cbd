"""Rotation as a station follows it: every step signed by the version before, never back, never past a gap of trust."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.errors import VerificationError
from appliance.events.agency_keys import AgencyKeys, checked
from appliance.events.document import Document
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import DOCUMENT_TYPE, Jwk, Signer

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class Desk:
    """An agency that rotates its keys."""

    signers: dict[str, list[Signer]] = field(
        default_factory=lambda: {purpose: [Signer.generate()] for purpose in ("receipt", "document")}
    )
    sealing: dict[str, Jwk] = field(
        default_factory=lambda: {name: public_sealing_key(generate_sealing_key(), name) for name in ("duty", "escrow")}
    )
    steps: list[str] = field(default_factory=list)

    def jwks(self) -> list[Jwk]:
        signatures = [signer.public(purpose) for purpose, signers in self.signers.items() for signer in signers]
        return [*signatures, *self.sealing.values()]

    def publish(self, signer: Signer | None = None, **changes: Any) -> str:
        """Sign the present keys as the next version, by the oldest document key."""
        body = {"keys": self.jwks()}
        fields = {"version": len(self.steps) + 1, "audience": ("*",), "body": body, **changes}
        document = Document("keys", issued_at=NOW, expires_at=NOW + timedelta(days=3650), **fields)
        self.steps.append(document.sign(signer or self.signers["document"][0]))
        return self.steps[-1]

    def rotate_document_key(self) -> None:
        """Introduce a document key with the old one, then leave the old one out."""
        self.signers["document"].append(Signer.generate())
        self.publish()
        del self.signers["document"][0]
        self.publish()

    @property
    def message(self) -> str:
        return "\n".join(self.steps)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def accepts(keys: AgencyKeys, signer: Signer, purpose: str) -> bool:
    jws = Document("roster", 1, NOW, NOW, ("*",), {}).sign(signer)
    try:
        keys.signatures.verify(jws, DOCUMENT_TYPE, purpose)
    except VerificationError:
        return False
    return True


def test_without_a_document_the_keys_of_the_enrolment_hold(desk: Desk) -> None:
    keys = AgencyKeys.enrolled(desk.jwks())
    assert (keys.version, keys.text) == (0, "")
    assert [jwk["purpose"] for jwk in keys.sealing] == ["duty", "escrow"]


def test_a_new_duty_key_is_sealed_to_from_then_on(desk: Desk) -> None:
    keys = AgencyKeys.enrolled(desk.jwks())
    desk.sealing["duty"] = public_sealing_key(generate_sealing_key(), "duty")
    keys = keys.follow(desk.publish(), "bkk-001")
    assert keys.version == 1
    assert {jwk["kid"] for jwk in keys.sealing} == {jwk["kid"] for jwk in desk.sealing.values()}


def test_a_station_that_was_away_for_many_rotations_follows_every_step(desk: Desk) -> None:
    enrolled = AgencyKeys.enrolled(desk.jwks())
    for _ in range(4):
        desk.rotate_document_key()
    keys = enrolled.follow(desk.message, "bkk-001")
    assert (keys.version, keys.text) == (8, desk.message)
    assert accepts(keys, desk.signers["document"][0], "document")
    assert AgencyKeys.enrolled(Desk().jwks()).version == 0
    with pytest.raises(VerificationError, match="signed by no known document key"):
        enrolled.follow(desk.steps[-1], "bkk-001")  # the last step alone proves nothing to it


def test_both_receipt_keys_hold_until_one_is_left_out(desk: Desk) -> None:
    keys = AgencyKeys.enrolled(desk.jwks())
    old, new = desk.signers["receipt"][0], Signer.generate()
    desk.signers["receipt"].append(new)
    keys = keys.follow(desk.publish(), "bkk-001")
    assert accepts(keys, old, "receipt")
    assert accepts(keys, new, "receipt")
    assert not accepts(keys, new, "document")
    desk.signers["receipt"].remove(old)
    keys = keys.follow(desk.publish(), "bkk-001")
    assert not accepts(keys, old, "receipt")


def test_the_version_never_goes_down_and_the_same_message_again_changes_nothing(desk: Desk) -> None:
    enrolled = AgencyKeys.enrolled(desk.jwks())
    desk.publish()
    desk.rotate_document_key()
    newest = enrolled.follow(desk.message, "bkk-001")
    assert newest.follow(desk.message, "bkk-001") is newest
    assert newest.follow(desk.steps[0], "bkk-001") is newest


def test_a_key_that_was_left_out_signs_no_further_step(desk: Desk) -> None:
    enrolled, old = AgencyKeys.enrolled(desk.jwks()), desk.signers["document"][0]
    desk.rotate_document_key()
    keys = enrolled.follow(desk.message, "bkk-001")
    with pytest.raises(VerificationError, match="signed by no known document key"):
        keys.follow(desk.publish(old), "bkk-001")


@pytest.mark.parametrize("purpose", ["receipt", "stranger"])
def test_only_a_document_key_signs_keys(desk: Desk, purpose: str) -> None:
    keys = AgencyKeys.enrolled(desk.jwks())
    signer = desk.signers["receipt"][0] if purpose == "receipt" else Signer.generate()
    with pytest.raises(VerificationError, match="document key"):
        keys.follow(desk.publish(signer), "bkk-001")


def test_a_document_for_other_stations_or_of_another_kind_leads_nowhere(desk: Desk) -> None:
    keys = AgencyKeys.enrolled(desk.jwks())
    with pytest.raises(VerificationError, match="other stations"):
        keys.follow(desk.publish(audience=("cnx-002",)), "bkk-001")
    roster = Document("roster", 9, NOW, NOW, ("*",), {}).sign(desk.signers["document"][0])
    with pytest.raises(VerificationError, match="a roster document"):
        keys.follow(roster, "bkk-001")


@pytest.mark.parametrize("message", ["", "\n\n", "x", "a.b.c", "e30.e30.e30"])
def test_garbage_leads_nowhere(desk: Desk, message: str) -> None:
    with pytest.raises(VerificationError):
        AgencyKeys.enrolled(desk.jwks()).follow(message, "bkk-001")


def test_steps_of_before_a_new_enrolment_are_passed_over(desk: Desk) -> None:
    desk.rotate_document_key()
    enrolled_anew = AgencyKeys.enrolled(desk.jwks())
    keys = enrolled_anew.follow(desk.message, "bkk-001")
    assert (keys.version, keys.steps) == (2, (desk.steps[1],))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda keys: keys[1:], "minItems"),
        (lambda keys: [*keys[:-1], Signer.generate().public("receipt")], "0 escrow"),
        (lambda keys: [*keys, public_sealing_key(generate_sealing_key(), "duty")], "2 duty"),
        (lambda keys: [*keys, {**keys[0], "purpose": "document"}], "stands twice"),
        (lambda keys: [*keys, {**Signer.generate().public("receipt"), "kid": "A" * 43}], "not what its kid"),
        (lambda keys: [*keys, {**Signer.generate().public("receipt"), "use": "enc"}], "use is not that"),
        (lambda keys: [*keys, {**Signer.generate().private(), "use": "sig", "purpose": "receipt"}], "additionalProp"),
        (lambda keys: [*keys, {**keys[0], "purpose": "admin"}], "enum"),
    ],
)
def test_a_set_of_keys_that_nobody_could_use_is_refused(desk: Desk, change: Any, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        checked({"keys": change(desk.jwks())})
