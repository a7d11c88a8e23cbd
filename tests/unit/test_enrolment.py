"""Enrolment by file: what leaves the station, what is taken from the agency, and what is refused."""

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import config, papers
from appliance.errors import NotEnrolled, SigningError, VerificationError, WrongUse
from appliance.events.document import Document
from appliance.events.sign import KeySet, thumbprint
from appliance.link import enrolment
from appliance.link.durable_file import create_once, write
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.outbox.verify import verify
from appliance.run import enrol
from tests.unit.power_cut import PowerCut, power_cut  # noqa: F401 - the fixture
from tests.unit.small_agency import NOW, Agency, pem

SETTINGS = config.parse('[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "broker.example"\n', "station.toml")


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture
def request_made(tmp_path: Path) -> dict[str, Any]:
    return enrolment.make_request(SETTINGS, tmp_path)


def files(state: Path) -> set[str]:
    return {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}


def test_a_request_says_who_asks_and_proves_it(request_made: dict[str, Any]) -> None:
    csr = x509.load_pem_x509_csr(request_made["csr"].encode())
    assert request_made["schema"] == "card-station/enrol-request/1"
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=bkk-001"
    proof = KeySet([request_made["event_key"]]).verify(request_made["proof"], enrolment.ENROL_TYPE, "event")
    digest = hashlib.sha256(request_made["csr"].encode()).digest()
    assert proof == {
        "agency": "obec",
        "station": "bkk-001",
        "csr_sha256": base64.urlsafe_b64encode(digest).decode().rstrip("="),
    }


def test_private_keys_stay_on_the_station(request_made: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(request_made)
    assert '"d"' not in text
    assert "PRIVATE" not in text
    assert json.loads((tmp_path / "keys/event.jwk").read_text())["d"] not in text


def test_private_keys_are_for_their_owner_only(request_made: dict[str, Any], tmp_path: Path) -> None:
    assert files(tmp_path) == {"keys/event.jwk", "tls/station.key"}
    for name in files(tmp_path):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / name).parent.stat().st_mode) == 0o700


def test_keys_are_made_once(request_made: dict[str, Any], tmp_path: Path) -> None:
    again = enrolment.make_request(SETTINGS, tmp_path)
    assert again["event_key"] == request_made["event_key"]
    first, second = (x509.load_pem_x509_csr(made["csr"].encode()) for made in (request_made, again))
    assert first.public_key() == second.public_key()


@pytest.mark.parametrize("name", ["keys/event.jwk", "tls/station.key"])
def test_a_damaged_key_is_not_replaced(request_made: dict[str, Any], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{")
    with pytest.raises(SigningError):
        enrolment.make_request(SETTINGS, tmp_path)
    assert (tmp_path / name).read_text() == "{"


def test_a_grant_is_taken_up(request_made: dict[str, Any], tmp_path: Path, agency: Agency) -> None:
    grant = agency.grant(request_made)
    granted = enrolment.take_grant(SETTINGS, tmp_path, grant)
    assert granted.documents == (enrolment.GrantedDocument("settings", 3, grant["documents"][0]),)
    assert (granted.host, granted.port) == ("broker.example", 8883)
    assert (tmp_path / "tls/ca.pem").read_text() == grant["ca"]
    assert (tmp_path / "tls/station.pem").read_text() == grant["certificate"]
    assert json.loads((tmp_path / "agency.jwks").read_text()) == grant["keys"]


@pytest.mark.parametrize("port", [1, 65535])
def test_any_port_will_do(request_made: dict[str, Any], tmp_path: Path, agency: Agency, port: int) -> None:
    grant = agency.grant(request_made) | {"broker": {"host": "broker.example", "port": port}}
    assert enrolment.take_grant(SETTINGS, tmp_path, grant).port == port


def test_a_grant_that_was_taken_up_outlasts_a_power_cut(
    power_cut: PowerCut,  # noqa: F811
    request_made: dict[str, Any],
    tmp_path: Path,
    agency: Agency,
) -> None:
    enrolment.take_grant(SETTINGS, tmp_path, agency.grant(request_made))
    for name in ("tls/ca.pem", "tls/station.pem", "agency.jwks", "keys/event.jwk", "tls/station.key"):
        assert power_cut.leaves(tmp_path / name) == (tmp_path / name).read_bytes()


def test_a_grant_is_taken_up_again(request_made: dict[str, Any], tmp_path: Path, agency: Agency) -> None:
    grant = agency.grant(request_made)
    assert enrolment.take_grant(SETTINGS, tmp_path, grant) == enrolment.take_grant(SETTINGS, tmp_path, grant)


def _without(purpose: str) -> Callable[[Agency, dict[str, Any]], None]:
    def change(agency: Agency, grant: dict[str, Any]) -> None:
        grant["keys"]["keys"] = [key for key in grant["keys"]["keys"] if key["purpose"] != purpose]

    return change


def _set(name: str, value: object) -> Callable[[Agency, dict[str, Any]], None]:
    return lambda agency, grant: grant.update({name: value})


def _foreign_key(agency: Agency, grant: dict[str, Any]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(agency.ca.subject).sign(other, hashes.SHA256())
    grant["certificate"] = agency.certificate(
        csr.public_bytes(serialization.Encoding.PEM).decode(), common_name="bkk-001"
    )


def _one_key_for_two(agency: Agency, grant: dict[str, Any]) -> None:
    keys = grant["keys"]["keys"]
    keys[0]["x"] = keys[1]["x"]


def _private_member(agency: Agency, grant: dict[str, Any]) -> None:
    grant["keys"]["keys"][0]["d"] = "AAAA"


def _signing_instead_of_sealing(agency: Agency, grant: dict[str, Any]) -> None:
    next(key for key in grant["keys"]["keys"] if key["purpose"] == "duty")["use"] = "sig"


def _no_key_at_all(agency: Agency, grant: dict[str, Any]) -> None:
    grant["keys"]["keys"][0]["x"] = "?"
    grant["documents"] = []


def _document_by_receipt_key(agency: Agency, grant: dict[str, Any]) -> None:
    document = Document("roster", 1, NOW, NOW, ("*",), {})
    grant["documents"] = [document.sign(agency.signers["receipt"])]


REFUSED: list[tuple[Callable[[Agency, dict[str, Any]], None], str]] = [
    (_set("schema", "card-station/grant/2"), "this is something else"),
    (lambda agency, grant: grant.clear(), "this is something else: 'card-agency station approve' there makes"),
    (_set("agency", "nhso"), "agency"),
    (_set("station", "bkk-002"), "station"),
    (_set("certificate", 3), "'certificate' is missing"),
    (_set("certificate", "nonsense"), "cannot be read"),
    (_set("documents", None), "'documents' is missing"),
    (_set("documents", [3]), "not a compact JWS"),
    (_set("documents", ["a.b.c"]), "not a compact JWS"),
    (_set("broker", {}), "no host and port"),
    (_set("broker", {"host": "a", "port": 0}), "no host and port"),
    (_set("broker", {"host": "a", "port": 65536}), "no host and port"),
    (_set("broker", {"host": "a", "port": "8883"}), "no host and port"),
    (_set("broker", {"host": 7, "port": 8883}), "no host and port"),
    (_set("keys", {"keys": 3}), "not a JWK set"),
    (_set("keys", {"keys": ["a key"]}), "not a JWK set"),
    (_signing_instead_of_sealing, "no duty key"),
    (_no_key_at_all, "not a usable key"),
    (lambda agency, grant: grant.update(ca=pem(Agency().ca)), "not issued by the CA"),
    (lambda agency, grant: grant.update(ca=grant["certificate"]), "not one of a CA"),
    (_without("receipt"), "no receipt key"),
    (_without("document"), "no document key"),
    (_without("duty"), "no duty key"),
    (_without("escrow"), "no escrow key"),
    (_one_key_for_two, "stands twice"),
    (_private_member, "private key"),
    (_foreign_key, "for another key"),
    (_document_by_receipt_key, "no known document key"),
    (lambda agency, grant: grant.update(documents=[agency.document(audience="bkk-002")]), "other stations"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_a_wrong_grant_changes_nothing(
    request_made: dict[str, Any],
    tmp_path: Path,
    agency: Agency,
    change: Callable[[Agency, dict[str, Any]], None],
    reason: str,
) -> None:
    grant = agency.grant(request_made)
    change(agency, grant)
    before = files(tmp_path)
    with pytest.raises(VerificationError, match=reason):
        enrolment.take_grant(SETTINGS, tmp_path, grant)
    assert files(tmp_path) == before


def test_a_request_is_no_grant_and_is_told_where_it_goes(request_made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="own request, which goes to the agency"):
        enrolment.take_grant(SETTINGS, tmp_path, request_made)


def test_a_certificate_for_another_name_is_refused(
    request_made: dict[str, Any], tmp_path: Path, agency: Agency
) -> None:
    grant = agency.grant(request_made)
    grant["certificate"] = agency.certificate(request_made["csr"], common_name="bkk-002")
    with pytest.raises(VerificationError, match="another station"):
        enrolment.take_grant(SETTINGS, tmp_path, grant)


def test_a_grant_without_a_request_is_refused(tmp_path: Path, agency: Agency) -> None:
    grant = agency.grant(enrolment.make_request(SETTINGS, tmp_path / "elsewhere"))
    with pytest.raises(SigningError, match="no TLS key"):
        enrolment.take_grant(SETTINGS, tmp_path, grant)


def test_a_thumbprint_is_shown_in_groups(request_made: dict[str, Any], tmp_path: Path) -> None:
    kid = thumbprint(request_made["event_key"])
    shown = enrolment.grouped(kid)
    assert shown.replace(" ", "") == kid
    assert {len(group) for group in shown.split(" ")[:-1]} == {4}


def test_the_event_key_verifies_what_the_signer_signs(request_made: dict[str, Any], tmp_path: Path) -> None:
    keys, kid = papers.event_key(tmp_path)
    token = papers.event_signer(tmp_path).sign({"a": 1}, enrolment.ENROL_TYPE)
    assert keys.verify(token, enrolment.ENROL_TYPE, "event") == {"a": 1}
    assert kid == request_made["event_key"]["kid"]


def test_without_keys_the_advice_is_to_enrol(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="card-station enrol"):
        papers.event_signer(tmp_path)


def test_enrolment_from_file_to_file(tmp_path: Path, agency: Agency, capsys: pytest.CaptureFixture[str]) -> None:
    out, answer = tmp_path / "request.json", tmp_path / "grant.json"
    enrol.request(SETTINGS, tmp_path, out)
    made = json.loads(out.read_text())
    assert enrolment.grouped(made["event_key"]["kid"]) in capsys.readouterr().err
    answer.write_text(json.dumps(agency.grant(made)))
    enrol.take_grant(SETTINGS, tmp_path, answer)
    assert "bkk-001 is enrolled with obec" in capsys.readouterr().err
    outbox = Outbox.open(tmp_path / DATABASE_NAME, read_only=True)
    rows = list(outbox.rows())
    assert [row.type for row in rows] == ["station.enrolled.v1"]
    assert verify(rows, *papers.event_key(tmp_path)) == []
    assert outbox.document("settings") is not None
    outbox.close()


def test_the_chain_begins_once_however_often_the_grant_is_taken_up(tmp_path: Path, agency: Agency) -> None:
    grant = agency.grant(enrolment.make_request(SETTINGS, tmp_path))
    (tmp_path / "grant.json").write_text(json.dumps(grant))
    for _ in range(2):
        enrol.take_grant(SETTINGS, tmp_path, tmp_path / "grant.json")
    outbox = Outbox.open(tmp_path / DATABASE_NAME, read_only=True)
    assert len(list(outbox.rows())) == 1
    outbox.close()


def test_another_broker_than_the_settings_is_said(
    tmp_path: Path, agency: Agency, capsys: pytest.CaptureFixture[str]
) -> None:
    grant = agency.grant(enrolment.make_request(SETTINGS, tmp_path))
    grant["broker"]["host"] = "other.example"
    (tmp_path / "grant.json").write_text(json.dumps(grant))
    enrol.take_grant(SETTINGS, tmp_path, tmp_path / "grant.json")
    assert "other.example:8883" in capsys.readouterr().err


def test_files_that_are_not_there_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        enrol.take_grant(SETTINGS, tmp_path, tmp_path / "none.json")
    with pytest.raises(WrongUse, match="no folder"):
        enrol.request(SETTINGS, tmp_path / "state", tmp_path / "none" / "request.json")
    for out in (Path(), tmp_path, Path("/"), Path("/dev/null")):
        with pytest.raises(WrongUse, match="not the name of a file"):
            enrol.request(SETTINGS, tmp_path / "state", out)
    with pytest.raises(WrongUse, match="too long"):
        enrol.request(SETTINGS, tmp_path / "state", tmp_path / ("a" * 300))
    assert files(tmp_path) == set()  # no key was made


def test_a_folder_that_refuses_the_request_is_said_before_keys_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root
    with pytest.raises(WrongUse, match="cannot write into"):
        enrol.request(SETTINGS, tmp_path / "state", tmp_path / "request.json")
    assert files(tmp_path) == set()


def test_a_file_that_is_no_grant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grant.json"
    path.write_text("[]")
    with pytest.raises(VerificationError):
        enrol.take_grant(SETTINGS, tmp_path, path)
    path.write_bytes(b" " * (8 << 20) + b"{}")
    with pytest.raises(WrongUse, match="larger than a grant"):
        enrol.take_grant(SETTINGS, tmp_path, path)


def test_a_durable_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write(path, b"one")
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert files(tmp_path) == {"folder/file"}


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    path = tmp_path / "key"

    def slow() -> bytes:
        assert create_once(path, lambda: b"first")
        return b"second"

    assert not create_once(path, slow)
    assert path.read_bytes() == b"first"
    assert files(tmp_path) == {"key"}


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "inside").write_text("")
    with pytest.raises(OSError, match="directory"):
        write(tmp_path / "target", b"content")
    assert files(tmp_path) == {"target/inside"}
