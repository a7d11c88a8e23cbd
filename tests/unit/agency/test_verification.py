"""What an event must be: every code once, by an event that a real station signed."""

import random
from collections.abc import Callable
from importlib import resources
from itertools import product
from typing import Any

import pytest

from agency.ingest.bundle import KeyRing, position_of, split_bundle
from agency.ingest.verification import Finding, Rules, clear_text, fault, inspect
from agency.store.stations import EventKey
from appliance.checks.result import Check, Result
from appliance.checks.verdict import decide
from appliance.errors import VerificationError
from appliance.events.cloud_event import envelope
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import EVENT_TYPE
from appliance.services.loading import parse, shipped
from tests.unit.agency.fleet import AGENCY, ATTENDANCE, CLOCK, MORNING, Pupil, Station, citizen_number

PUPIL = Pupil.make(7)
PASSED = {"result": "pass"}


@pytest.fixture(scope="module")
def station() -> Station:
    keys = [public_sealing_key(generate_sealing_key(), purpose) for purpose in ("duty", "escrow")]
    return Station("bkk-001", keys)


def ring(station: Station, revoked_at: str | None = None) -> KeyRing:
    public = station.signer.public("event")
    return KeyRing([EventKey(station.signer.kid, station.id, public, "2026-11-01T00:00:00+00:00", revoked_at)])


def rules(station: Station) -> Rules:
    return Rules.of(AGENCY, station.recipients)


def look(station: Station, payload: dict[str, Any]) -> Finding:
    jws = station.signer.sign(payload, EVENT_TYPE)
    return inspect(jws, station.id, ring(station), rules(station))


def test_an_event_as_it_must_be_has_no_code(station: Station) -> None:
    found = look(station, station.visit_payload(PUPIL))
    assert (found.code, found.kid, found.position) == (None, station.signer.kid, station.next)


def data(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda event: {**event, "data": {**event["data"], **changes}}


def top(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda event: {**event, **changes}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("schema", top(name="someone")),
        ("schema", top(type="School")),
        ("schema", data(citizen="someone")),
        ("schema", data(level="L9")),
        ("bad_time", top(time="2026-13-45T07:00:00.000+07:00")),
        ("bad_time", top(time="0001-01-01T00:00:00.000+14:00")),
        ("bad_time", top(time="9999-12-31T23:59:59.999-12:00")),
        ("bad_position", top(sequence="0000000000")),
        ("wrong_source", top(source="urn:card-station:obec:cnx-002")),
        ("wrong_source", top(source="urn:card-station:rd:bkk-001")),
        ("number_in_clear", data(card={"inserted_ms": int(PUPIL.citizen_id), "apdus": 3})),
        ("number_in_clear", data(choice=f"a{PUPIL.citizen_id}")),
        ("contradiction", data(sealed=None)),
        ("contradiction", data(level="L0")),
        ("contradiction", data(checks={"applet": {"result": "fail", "why": "not_a_thai_card"}})),
        ("contradiction", data(checks={"checksum": {"result": "could_not_check"}})),
        ("contradiction", data(level="L2", checks={"checksum": {"result": "pass"}, "roster": {"result": "fail"}})),
        ("contradiction", data(level="L2", verdict="refused", checks={"roster": {"result": "could_not_check"}})),
        ("contradiction", data(level="L3", checks={"checksum": {"result": "pass"}, "roster": {"result": "pass"}})),
        ("contradiction", data(service=ATTENDANCE, checks={"roster": {"result": "fail"}})),
        ("contradiction", data(service=ATTENDANCE, checks={"applet": PASSED, "checksum": PASSED})),
        (None, data(service=ATTENDANCE, checks={"applet": PASSED, "checksum": PASSED, "roster": PASSED})),
    ],
)
def test_what_breaks_a_rule_has_its_code(
    station: Station, code: str | None, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    assert look(station, change(station.visit_payload(PUPIL))).code == code


def test_a_visit_without_a_seal_is_fine_where_nothing_was_read(station: Station) -> None:
    payload = station.visit_payload(PUPIL)
    for changes in ({"level": "L0", "verdict": "could_not_check"}, {"verdict": "cancelled"}):
        assert look(station, {**payload, "data": {**payload["data"], "sealed": None, **changes}}).code is None


def test_whatever_a_station_decides_does_not_contradict_itself(station: Station) -> None:
    payload = station.visit_payload(PUPIL)
    folder = resources.files("appliance.simulate")
    demonstrations = [parse(e.read_bytes(), e.name) for e in folder.iterdir() if e.name.endswith(".toml")]
    profiles = [*shipped(), *demonstrations]
    assert profiles
    names = ("applet", "checksum", "roster", "expiry", "online", "age")
    every = list(product((None, *Result), repeat=len(names)))
    rng = random.Random(7)
    passed = tuple(Result.PASS for _ in names)
    for profile, results in product(profiles, [passed, *rng.sample(every, 150)]):
        checks = {name: Check(result) for name, result in zip(names, results, strict=True) if result is not None}
        decision = decide(profile.checks.required, checks)
        told = {name: check.as_data() for name, check in checks.items()}
        service = {"id": profile.id, "version": profile.version, "sha256": profile.sha256}
        changes = {"service": service, "checks": told, "level": decision.level.value, "verdict": decision.verdict.value}
        event = {**payload, "data": {**payload["data"], **changes}}
        assert fault(event, position_of(event), station.id, rules(station)) is None, changes


def test_a_check_that_only_advises_may_fail(station: Station) -> None:
    payload = station.visit_payload(PUPIL)
    advice = {"expiry": {"result": "fail"}, "later": {"result": "could_not_check"}}
    assert look(station, data(checks={**payload["data"]["checks"], **advice})(payload)).code is None


def test_a_seal_from_another_event_is_found(station: Station) -> None:
    earlier = station.visit_payload(PUPIL)
    station.visit(PUPIL)
    payload = station.visit_payload(PUPIL)
    payload["data"]["sealed"] = earlier["data"]["sealed"]
    assert look(station, payload).code == "seal_moved"


def test_a_seal_that_the_agency_cannot_open_is_found(station: Station) -> None:
    strangers = [public_sealing_key(generate_sealing_key(), purpose) for purpose in ("duty", "escrow")]
    other = Station(station.id, strangers, station.signer)
    jws = other.signer.sign(other.visit_payload(PUPIL), EVENT_TYPE)
    assert inspect(jws, station.id, ring(station), rules(station)).code == "seal_recipients"


@pytest.mark.parametrize("chosen", [(0, 1, 2), (0, 0, 2), (1, 2), (0, 3), (2, 3)], ids=str)
def test_a_seal_is_to_one_duty_and_one_escrow_key_and_to_nobody_else(station: Station, chosen: tuple[int, ...]) -> None:
    stranger = public_sealing_key(generate_sealing_key(), "duty")
    keys = [*station.recipients, stranger, public_sealing_key(generate_sealing_key(), "escrow")]
    other = Station(station.id, [keys[at] for at in chosen], station.signer)
    jws = other.signer.sign(other.visit_payload(PUPIL), EVENT_TYPE)
    assert inspect(jws, station.id, ring(station), rules(station)).code == "seal_recipients"


@pytest.mark.parametrize("recipients", [0, 1])
def test_the_same_recipient_twice_is_not_both(station: Station, recipients: int) -> None:
    payload = station.visit_payload(PUPIL)
    sealed = payload["data"]["sealed"]
    sealed["recipients"] = [sealed["recipients"][recipients]] * 2
    assert look(station, payload).code == "seal_recipients"


def test_a_seal_whose_context_is_no_base64_is_quarantined_and_not_dropped(station: Station) -> None:
    payload = station.visit_payload(PUPIL)
    payload["data"]["sealed"]["aad"] = "AAAAA"
    assert look(station, payload).code == "seal_moved"


def test_a_correction_claims_no_more_than_its_check(station: Station) -> None:
    def corrected(result: str, level: str, verdict: str) -> str | None:
        said = {
            "chain": station.next.chain,
            "sequence": 1,
            "query": station.next.chain,
            "check": {"result": result},
            "level": level,
            "verdict": verdict,
        }
        event = envelope(
            station.origin, station.next, "visit.corrected.v1", MORNING, {"clock": CLOCK, "corrected": said}
        )
        return look(station, event).code

    assert corrected("pass", "L3", "accepted") is None
    assert corrected("fail", "L1", "refused") is None
    assert corrected("could_not_check", "L3", "could_not_check") == "contradiction"
    assert corrected("could_not_check", "L1", "accepted") == "contradiction"


def test_a_revoked_key_makes_every_event_revoked(station: Station) -> None:
    jws = station.signer.sign(station.visit_payload(PUPIL), EVENT_TYPE)
    revoked = ring(station, "2026-11-20T00:00:00+00:00")
    assert inspect(jws, station.id, revoked, rules(station)).code == "revoked"


@pytest.mark.parametrize(
    "jws", ["", ".", "a.b", "a.b.c", "e30.e30.e30", "€.€.€", "eyJhbGciOiJub25lIn0.e30.", "x" * 5000]
)
def test_what_is_no_signed_event_is_refused(station: Station, jws: str) -> None:
    with pytest.raises(VerificationError):
        inspect(jws, station.id, ring(station), rules(station))


def test_the_refusal_holds_nothing_of_the_event(station: Station) -> None:
    stranger = Station(station.id, station.recipients)
    with pytest.raises(VerificationError) as caught:
        inspect(stranger.visit(PUPIL), station.id, ring(station), rules(station))
    assert str(caught.value) == "signed by no known event key"


@pytest.mark.parametrize("change", [{"sequence": 12}, {"sequence": "12"}, {"chain": "x"}, {"previous": "short"}])
def test_a_place_that_cannot_be_read_is_none(station: Station, change: dict[str, Any]) -> None:
    assert position_of({**station.visit_payload(PUPIL), **change}) is None


def test_newlines_do_not_slip_into_a_place(station: Station) -> None:
    payload = station.visit_payload(PUPIL)
    assert position_of({**payload, "sequence": payload["sequence"] + "\n"}) is None


def test_clear_text_finds_what_is_nested_and_skips_what_is_random() -> None:
    event = {"id": "R", "previous": "R", "a": [{"b": "deep"}, 12, 1.5], "data": {"sealed": {"iv": "R"}, "why": None}}
    expected = ["12", "1.5", "a", "b", "data", "deep", "id", "previous", "sealed", "why"]
    assert sorted(clear_text(event).split("\n")) == sorted(expected)


def test_a_bundle_may_end_with_a_newline_and_hold_32_lines() -> None:
    assert split_bundle(b"a\nb\r\n\n") == ["a", "b"]
    assert len(split_bundle(b"x\n" * 32)) == 32


def test_the_time_of_the_fixture_is_a_thai_morning() -> None:
    assert MORNING.utcoffset() is not None
    assert citizen_number(3)[1:5] == "0000"


def test_a_known_key_of_another_station_does_not_do(station: Station) -> None:
    other = Station("cnx-002", station.recipients)
    both = KeyRing(
        [EventKey(s.signer.kid, s.id, s.signer.public("event"), "2026-11-01", None) for s in (station, other)]
    )
    with pytest.raises(VerificationError, match="another station's key"):
        inspect(other.visit(PUPIL), station.id, both, rules(station))
