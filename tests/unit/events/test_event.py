"""The event against the published schema, and the strict JSON under it."""

import copy
from datetime import datetime, timedelta, timezone
from typing import Any

import fastjsonschema
import pytest

from appliance.errors import VerificationError
from appliance.events import strict_json
from appliance.events.chain import Position, jws_hash
from appliance.events.cloud_event import Origin, envelope
from appliance.events.schema import DOCUMENT, EVENT, RECEIPT, ROSTER, STATUS, Schema
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import EVENT_TYPE, KeySet, Signer
from appliance.events.ulid import new_ulid
from appliance.events.writer import EventWriter

ORIGIN = Origin("obec", "bkk-001", "0.1.0")
TIME = datetime(2026, 11, 23, 7, 42, 10, 123000, tzinfo=timezone(timedelta(hours=7)))
POSITION = Position("01M83BXH2R7R0A5EVXPK4651AQ", 1042, "p" * 43)
DATA: dict[str, Any] = {
    "service": {"id": "school.attendance", "version": 3, "sha256": "s" * 43},
    "level": "L2",
    "verdict": "accepted",
    "checks": {
        "checksum": {"result": "pass"},
        "roster": {"result": "pass", "as_of": "2026-11-22", "source": "roster:42"},
    },
    "choice": "in",
    "officer": None,
    "clock": {"quality": "synchronised", "offset_ms": 3, "boot": "b" * 36, "monotonic_s": 5123.4},
    "card": {"inserted_ms": 812, "apdus": 3},
    "sealed": None,
}


def event(**changes: Any) -> dict[str, Any]:
    return envelope(ORIGIN, POSITION, "school.attendance.v1", TIME, {**DATA, **changes})


def test_the_envelope_is_the_contract_s() -> None:
    made = event()
    assert made["source"] == "urn:card-station:obec:bkk-001"
    assert made["time"] == "2026-11-23T07:42:10.123+07:00"
    assert made["sequence"] == "0000001042"
    assert made["data"]["station"] == {"software": "0.1.0", "trust": "soft"}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "สมชาย"),
        ("citizen_id", "a number"),
        ("subject", "a pseudonym"),
        ("verdict", "verified"),
        ("level", "L4"),
        ("choice", "สมชาย"),
        ("checks", {"roster": {"result": "maybe"}}),
        ("checks", {"roster": {"result": "pass", "name": "x"}}),
        ("checks", {"roster": {"result": "pass", "source": "citizen 1"}}),
        ("clock", {"quality": "good"}),
        ("card", {"inserted_ms": -1, "apdus": 3}),
        ("sealed", "plain text"),
        ("sealed", {}),
    ],
)
def test_what_does_not_fit_the_schema_is_never_signed(member: str, value: Any) -> None:
    with pytest.raises(VerificationError):
        event(**{member: value})


def test_the_message_of_a_schema_error_holds_no_value() -> None:
    with pytest.raises(VerificationError) as caught:
        event(choice="สมชาย ใจดี")
    assert "สมชาย" not in str(caught.value)


def test_a_station_event_has_its_own_shape() -> None:
    made = envelope(ORIGIN, POSITION, "station.enrolled.v1", TIME, {"clock": DATA["clock"], "key": "k" * 43})
    assert made["data"]["key"] == "k" * 43
    with pytest.raises(VerificationError):
        envelope(ORIGIN, POSITION, "station.enrolled.v1", TIME, {**DATA})


def test_the_writer_seals_signs_and_links() -> None:
    signer, keys = Signer.generate(), [generate_sealing_key() for _ in range(2)]
    writer = EventWriter(ORIGIN, signer, [public_sealing_key(key, "duty") for key in keys])
    data = {name: value for name, value in DATA.items() if name != "sealed"}
    jws = writer.visit(POSITION, "school.attendance.v1", TIME, data, {"citizen_id": "a number"})
    payload = KeySet([signer.public("event")]).verify(jws, EVENT_TYPE, "event")
    assert len(payload["data"]["sealed"]["recipients"]) == 2
    assert payload["previous"] == POSITION.previous
    following = POSITION.after(jws)
    assert (following.sequence, following.previous) == (1043, jws_hash(jws))


def test_a_bundle_holds_at_least_ten_events() -> None:
    signer, keys = Signer.generate(), [generate_sealing_key() for _ in range(2)]
    writer = EventWriter(ORIGIN, signer, [public_sealing_key(key, "duty") for key in keys])
    data = {name: value for name, value in DATA.items() if name != "sealed"}
    assert len(writer.visit(POSITION, "school.attendance.v1", TIME, data, {"citizen_id": "1" * 13})) * 10 < 32 * 1024


@pytest.mark.parametrize("schema", [EVENT, RECEIPT, DOCUMENT, ROSTER, STATUS])
def test_the_published_schemas_are_schemas(schema: Schema) -> None:
    assert callable(fastjsonschema.compile(strict_json.decode_object(schema.text())))


@pytest.mark.parametrize(
    "name", ["specversion", "id", "source", "type", "time", "sequence", "chain", "previous", "data"]
)
def test_every_attribute_is_required(name: str) -> None:
    broken = copy.deepcopy(event())
    del broken[name]
    with pytest.raises(VerificationError):
        EVENT.check(broken)


def test_ulids_sort_by_time_and_differ() -> None:
    assert new_ulid(1) < new_ulid(2) < new_ulid(1 << 47)
    assert new_ulid(5) != new_ulid(5)
    assert new_ulid(1469918176385)[:10] == "01ARYZ6S41"  # the example of the specification


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "null",
        '{"a":1,"a":1}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":1e999}',
        "{" * 100_000,
        b"\xff{}",
        '{"a":1}x',
    ],
)
def test_json_of_two_meanings_is_refused(text: str | bytes) -> None:
    with pytest.raises(VerificationError):
        strict_json.decode_object(text)
