"""What an attacker sends: lines that trip a checker, floods, and replays of a key that was revoked."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import MQTTMessage

from agency.broker.client import BrokerClient, Login
from agency.desk.enrolment import ENROL_TYPE
from agency.ingest import batch
from agency.ingest.bundle import MAX_BUNDLE_BYTES, Opened
from agency.ingest.verification import Finding, Rules, judge
from agency.ingest.worker import LARGEST_MESSAGE
from appliance.events.sign import KeySet, MessageType
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Desk, Station, visits


@pytest.mark.parametrize("error", [KeyError("secret"), RecursionError("secret"), MemoryError("secret")])
def test_a_line_that_trips_the_inspection_is_dropped_alone(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    lines = visits(office.station, 3)

    def trips(opened: Opened, station: str, rules: Rules) -> Finding:
        if opened.jws == lines[1]:
            raise error
        return judge(opened, station, rules)

    monkeypatch.setattr(batch, "judge", trips)
    tally = office.take(*lines)
    assert dict(tally.outcomes) == {("bkk-001", "new"): 3, ("bkk-001", "dropped"): 1}
    assert f"station bkk-001: dropped: inspection failed: {type(error).__name__}" in caplog.text
    assert "secret" not in caplog.text


def odd_proof(station: Station, **header: object) -> str:
    """Return a proof by the right key whose header is not one of ours."""
    whole = {"alg": "Ed25519", "kid": station.signer.kid, "typ": ENROL_TYPE.typ, **header}
    signed = f"{encoded(json.dumps(whole).encode())}.{encoded(b'{}')}"
    secret = base64.urlsafe_b64decode(station.signer.private()["d"] + "=")
    return f"{signed}.{encoded(Ed25519PrivateKey.from_private_bytes(secret).sign(signed.encode()))}"


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_proof_with_an_odd_header_is_refused_in_one_line(desk: Desk, tmp_path: Path) -> None:
    station = Station("bkk-001")
    for header in ({"b64": False, "crit": ["b64"]}, {"zip": "DEF"}, {"typ": 7}, {"kid": ["a"]}):
        file = tmp_path / "request.json"
        file.write_text(json.dumps(station.request(proof=odd_proof(station, **header))), "utf-8")
        ran = desk.run("station", "approve", file)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_a_proof_that_trips_the_checker_is_refused_in_one_line(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trips(_: KeySet, __: str, ___: MessageType, ____: str) -> dict[str, object]:
        raise AttributeError("anything")

    file = tmp_path / "request.json"
    file.write_text(json.dumps(Station("bkk-001").request()), "utf-8")
    monkeypatch.setattr(KeySet, "verify", trips)
    ran = desk.run("station", "approve", file)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "AttributeError" in ran.err


def test_what_a_bundle_loses_is_one_line_of_log(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    stranger = Station("bkk-001", office.station.recipients)
    payload = b"x\n" * 30 + stranger.started().encode()
    tally = office.take_raw(payload)
    assert tally.outcomes["bkk-001", "dropped"] == 31
    (record,) = caplog.records
    assert record.getMessage().startswith("station bkk-001: dropped: 30 times not ")
    assert record.getMessage().endswith("; signed by no known event key")
    assert len(record.getMessage()) < 200


def test_a_message_that_is_too_large_never_waits_in_memory(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    user, tls = "agency-ingest", desk.home.tls
    login = Login(user, "127.0.0.1", 1, desk.home.public / "ca.pem", tls / f"{user}.pem", tls / f"{user}.key")
    client = BrokerClient(login, largest=LARGEST_MESSAGE)
    for size in (MAX_BUNDLE_BYTES, LARGEST_MESSAGE, LARGEST_MESSAGE + 1, 200_000):
        message = MQTTMessage(topic=b"cs/1/obec/bkk-001/event")
        message.payload = b"x" * size
        client._on_message(client._client, None, message)
    queued = [client.next_message(0) for _ in range(3)]
    assert [waiting and len(waiting.payload) for waiting in queued] == [MAX_BUNDLE_BYTES, LARGEST_MESSAGE, None]
    assert caplog.text.count("cs/1/obec/bkk-001/event: dropped: the bundle is over 32 KiB") == 2
