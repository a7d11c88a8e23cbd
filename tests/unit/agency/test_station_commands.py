"""Enrolment by file, and the fleet: what is approved, what is refused and why, and what others can read then."""

import json
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from agency.commands import auditing
from agency.desk.authority import Authority, KeyPair
from agency.desk.enrolment import ENROL_TYPE
from agency.home import read_jwks
from appliance.errors import ConfigError
from appliance.events.sign import EVENT_TYPE, Signer, thumbprint
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import AGENCY, Desk, Pupil, Ran, Station


def approve(desk: Desk, folder: Path, request: object, *options: str) -> Ran:
    file = folder / "request.json"
    file.write_text(request if isinstance(request, str) else json.dumps(request), "utf-8")
    return desk.run("station", "approve", file, *options)


def test_a_grant_is_all_that_a_station_needs(desk: Desk, tmp_path: Path) -> None:
    station = Station("bkk-001")
    file = tmp_path / "grant.json"
    ran = approve(desk, tmp_path, station.request(), "--grant", str(file))
    assert (ran.code, ran.out) == (0, "")
    assert station.signer.kid in ran.err.replace(" ", "")
    grant = json.loads(file.read_text())
    assert set(grant) == {"schema", "agency", "station", "certificate", "ca", "keys", "broker", "documents"}
    assert (grant["schema"], grant["agency"], grant["station"]) == ("card-station/grant/1", AGENCY, "bkk-001")
    assert grant["broker"] == {"host": "broker.example", "port": 8883}
    assert {key["purpose"] for key in grant["keys"]["keys"]} == {"receipt", "document", "duty", "escrow"}
    assert not any("d" in key for key in grant["keys"]["keys"])
    certificate = x509.load_pem_x509_certificate(grant["certificate"].encode())
    assert certificate.public_key() == station.tls_key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=bkk-001"


def test_certificates_begin_ten_minutes_ago_and_a_strict_verifier_takes_them(desk: Desk, tmp_path: Path) -> None:
    grant = desk.enrol(Station("bkk-001"), tmp_path)
    ca = x509.load_pem_x509_certificate(grant["ca"].encode())
    certificate = x509.load_pem_x509_certificate(grant["certificate"].encode())
    age = datetime.now(UTC) - certificate.not_valid_before_utc
    assert timedelta(minutes=9) < age < timedelta(minutes=12)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=365)
    server = x509.load_pem_x509_certificate((desk.home.tls / "server.pem").read_bytes())
    server_verifier = PolicyBuilder().store(Store([ca])).build_server_verifier(x509.DNSName("broker.example"))
    assert server_verifier.verify(server, [])
    context = ssl.create_default_context(cafile=str(desk.home.public / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    certificate.verify_directly_issued_by(ca)


def test_the_stations_public_keys_are_published(office: Office) -> None:
    (key,) = json.loads((office.desk.home.public / "stations.jwks").read_text())["keys"]
    assert (key["station"], key["purpose"], key["kid"]) == ("bkk-001", "event", office.station.signer.kid)
    assert "d" not in key
    office.desk.run("station", "revoke", "bkk-001")
    (key,) = json.loads((office.desk.home.public / "stations.jwks").read_text())["keys"]
    assert key["revoked_at"]


def other_proof(station: Station, **claims: str) -> str:
    return station.signer.sign({"agency": AGENCY, "station": station.id, "csr_sha256": "x", **claims}, ENROL_TYPE)


BAD: list[tuple[str, Any]] = [
    ("this is something else: 'card-station enrol --r", lambda s: s.request(schema="card-station/enrol-request/2")),
    ("this is something else: 'card-station enrol --r", lambda s: {}),
    ("this is a grant, which goes to the station", lambda s: {"schema": "card-station/grant/1", "certificate": "x"}),
    ("for the agency 'rd', this is 'obec'", lambda s: s.request(agency="rd")),
    ("lacks", lambda s: {name: part for name, part in s.request().items() if name != "proof"}),
    ("lacks", lambda s: s.request(station=7)),
    ("lacks", lambda s: s.request(event_key="text")),
    ("not of a-z", lambda s: s.request(station="BKK 1")),
    ("not of a-z", lambda s: s.request(station="a" * 64)),
    ("agency's own", lambda s: s.request(station="agency-ingest")),
    ("agency's own", lambda s: s.request(station="enrol")),
    ("private key", lambda s: s.request(event_key=s.signer.private())),
    ("not a usable key", lambda s: s.request(event_key={"kty": "OKP", "crv": "Ed25519", "x": "?"})),
    ("known event key", lambda s: s.request(event_key=Signer.generate().public("event"))),
    ("proof is for another", lambda s: s.request(proof=other_proof(s))),
    ("proof is for another", lambda s: s.request(station="bkk-002")),
    ("another type", lambda s: s.request(proof=s.signer.sign({}, EVENT_TYPE))),
    ("cannot be read", lambda s: s.request(csr="-----BEGIN NOTHING-----")),
    ("CN = the station's id", lambda s: s.request(csr=s.csr("bkk-002"))),
    ("too large", lambda s: s.request(csr="x" * 20_000)),
]


@pytest.mark.parametrize(("words", "make"), BAD)
def test_a_request_that_does_not_hold_is_refused_and_leaves_nothing(
    desk: Desk, tmp_path: Path, words: str, make: Any
) -> None:
    ran = approve(desk, tmp_path, make(Station("bkk-001")))
    assert ran.code == 1
    assert words in ran.err
    assert ran.err.count("\n") == 1 or "fingerprint" in ran.err
    assert desk.run("station", "list", "--json").json() == []


def test_a_request_with_a_weak_kind_of_key_is_refused(desk: Desk, tmp_path: Path) -> None:
    station = Station("bkk-001")
    station.tls_key = rsa.generate_private_key(65537, 2048)  # type: ignore[assignment]
    assert "neither EC nor Ed25519" in approve(desk, tmp_path, station.request()).err


def test_a_certificate_request_that_was_altered_is_refused(desk: Desk, tmp_path: Path) -> None:
    station = Station("bkk-001")
    lines = station.csr().splitlines()
    lines[-2] = ("A" if lines[-2][5] != "A" else "B").join([lines[-2][:5], lines[-2][6:]])
    assert approve(desk, tmp_path, station.request(csr="\n".join(lines) + "\n")).code == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a":1,"a":2}', "x" * 70_000, "\x00"])
def test_a_file_that_is_no_request_is_wrong_use(desk: Desk, tmp_path: Path, content: str) -> None:
    ran = approve(desk, tmp_path, content)
    assert ran.code == 2
    assert ran.err.count("\n") == 1


def test_only_the_fingerprint_that_the_operator_saw_is_approved(desk: Desk, tmp_path: Path) -> None:
    station = Station("bkk-001")
    wrong = approve(desk, tmp_path, station.request(), f"--fingerprint=-{Signer.generate().kid[1:]}")
    assert wrong.code == 1
    kid = station.signer.kid
    spaced = " ".join(kid[at : at + 4] for at in range(0, len(kid), 4))
    assert approve(desk, tmp_path, station.request(), f"--fingerprint={spaced}").code == 0


def test_the_same_key_may_ask_again_and_another_only_after_revocation(desk: Desk, tmp_path: Path) -> None:
    first = Station("bkk-001")
    desk.enrol(first, tmp_path)
    again = approve(desk, tmp_path, first.request())
    assert again.code == 0
    assert "another key" not in again.err
    assert "was approved with this key before" in again.err
    second = Station("bkk-001")
    assert "revoke" in approve(desk, tmp_path, second.request()).err
    assert desk.run("station", "revoke", "bkk-001").code == 0
    assert approve(desk, tmp_path, first.request()).code == 1
    anew = approve(desk, tmp_path, second.request())
    assert anew.code == 0
    assert "had another key before" in anew.err
    assert "is harmless" in anew.err
    shown = desk.run("station", "show", "bkk-001", "--json").json()
    assert (shown["state"], shown["kid"], len(shown["keys"])) == ("approved", second.signer.kid, 2)


def test_a_key_belongs_to_one_station(desk: Desk, tmp_path: Path) -> None:
    station = Station("bkk-001")
    desk.enrol(station, tmp_path)
    assert approve(desk, tmp_path, Station("cnx-002", [], station.signer).request()).code == 1


def test_the_fleet_is_listed_for_people_and_programs(office: Office) -> None:
    office.take(office.station.started(), office.station.visit(Pupil.make(1)))
    (row,) = office.desk.run("station", "list", "--json").json()
    assert (row["id"], row["state"], row["events"], row["through"], row["flag"]) == ("bkk-001", "approved", 2, 2, None)
    table = office.desk.run("station", "list").out
    assert table.splitlines()[0].startswith("id ")
    assert "bkk-001" in table
    assert "through: 2" in office.desk.run("station", "show", "bkk-001").out
    assert office.desk.run("station", "show", "bkk-404").code == 2
    assert office.desk.run("station", "revoke", "bkk-404").code == 2


def test_a_grant_is_for_its_owner_only_even_over_files_that_were_open_to_all(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "grant.json"
    for left in (file, tmp_path / "grant.json.new"):
        left.write_text("open to all")
        left.chmod(0o666)
    with (tmp_path / "grant.json.new").open() as spy:
        assert approve(desk, tmp_path, Station("bkk-001").request(), "--grant", str(file)).code == 0
        assert spy.read() == "open to all"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["station"] == "bkk-001"
    assert not (tmp_path / "grant.json.new").exists()


def test_a_grant_that_cannot_be_written_says_so(desk: Desk, tmp_path: Path) -> None:
    ran = approve(desk, tmp_path, Station("bkk-001").request(), "--grant", str(tmp_path / "no" / "grant.json"))
    assert ran.code == 2
    assert "approve again" in ran.err


def test_without_the_ca_key_approval_says_what_to_do(desk: Desk, tmp_path: Path) -> None:
    (desk.home.keys / "ca.key").unlink()
    ran = approve(desk, tmp_path, Station("bkk-001").request())
    assert ran.code == 78
    assert "ca.key" in ran.err


def test_a_ca_key_of_another_ca_is_refused() -> None:
    one, other = Authority.create("a"), Authority.create("b")
    with pytest.raises(ConfigError, match="does not belong"):
        Authority(KeyPair(one.key, other.certificate))
    with pytest.raises(ConfigError, match="cannot be read"):
        Authority(KeyPair(b"no key", one.certificate))


def test_secrets_are_for_their_owner_only(desk: Desk) -> None:
    for directory in (desk.home.keys, desk.home.tls):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        for file in directory.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for file in (desk.home.database, *desk.home.path.glob("agency.sqlite3-*")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for file in desk.home.public.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o644, file
        assert '"d"' not in file.read_text()
        assert "PRIVATE" not in file.read_text()


def test_every_purpose_has_its_own_key(desk: Desk) -> None:
    keys = {key["purpose"]: key for key in desk.home.public_keys()}
    assert len({key["x"] for key in keys.values()}) == 4
    for purpose, key in keys.items():
        private = desk.home.key(purpose)
        assert private["x"] == key["x"]
        if key["use"] == "sig":
            assert thumbprint(private) == key["kid"]
    assert isinstance(ec.generate_private_key(ec.SECP256R1()), ec.EllipticCurvePrivateKey)


@pytest.mark.parametrize("looks", [1, 2])
def test_a_station_that_is_approved_during_an_audit_is_no_finding(
    office: Office, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the rows are two looks; what differs at both is one."""
    stale: Iterator[list[Any]] = iter([[]] * looks)
    monkeypatch.setattr(auditing, "read_jwks", lambda path: next(stale, read_jwks(path)))
    found = [problem["code"] for problem in office.desk.run("audit", "--json").json()["problems"]]
    assert found == ([] if looks == 1 else ["key"])
