"""A small fleet for the tests: people who do not exist, stations with real keys, and an agency made by its CLI.

Citizen numbers have the digits 2-5 all zero, which no real number has. They are built here and written nowhere.
"""

import base64
import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agency import cli
from agency.desk.enrolment import ENROL_TYPE, REQUEST_SCHEMA
from agency.home import Home
from agency.ingest.verification import Rules
from agency.reports.audit import Audit, Witnesses, audit
from agency.reports.contents import Contents
from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.epoch import Reach
from appliance.events.chain import Position, jws_hash
from appliance.events.cloud_event import Origin, envelope, seal_context
from appliance.events.seal import seal
from appliance.events.sign import EVENT_TYPE, Jwk, Signer
from appliance.events.ulid import new_ulid
from appliance.services.loading import shipped

AGENCY = "obec"
DAY = "2026-11-23"
MORNING = datetime(2026, 11, 23, 7, 42, 10, tzinfo=timezone(timedelta(hours=7)))
ATTENDANCE = next(
    {"id": one.id, "version": one.version, "sha256": one.sha256} for one in shipped() if one.id == "school.attendance"
)
CLOCK = {"quality": "simulated", "offset_ms": None, "boot": "0" * 36, "monotonic_s": 12.5}


def citizen_number(seed: int) -> str:
    """Return a synthetic number: 1-8, 0000, seven digits, check digit."""
    dice = random.Random(seed)
    twelve = f"{dice.randint(1, 8)}0000{dice.randint(0, 9_999_999):07d}"
    total = sum(int(digit) * weight for digit, weight in zip(twelve, range(13, 1, -1), strict=True))
    return twelve + str((11 - total % 11) % 10)


@dataclass(frozen=True)
class Pupil:
    """One synthetic pupil."""

    citizen_id: str
    member: str
    name: str

    @classmethod
    def make(cls, number: int) -> "Pupil":
        return cls(citizen_number(number), f"P{number:04d}", f"เด็กชายทดสอบ {chr(0x0E01 + number % 40)}{number}")


def roster_csv(pupils: list[Pupil]) -> str:
    return "citizen_id,member,name\n" + "".join(f"{p.citizen_id},{p.member},{p.name}\n" for p in pupils)


@dataclass
class Station:
    """A station that makes real events and keeps its chain in memory."""

    id: str
    recipients: list[Jwk] = field(default_factory=list)
    signer: Signer = field(default_factory=Signer.generate)
    tls_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.origin = Origin(AGENCY, self.id, "0.1.0")
        self.next = Position(new_ulid(1_790_000_000_000), 1, self.signer.kid)

    @property
    def chain(self) -> ChainKey:
        return ChainKey(self.next.chain, self.signer.kid)

    def csr(self, name: str | None = None) -> str:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or self.id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self.tls_key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return an enrolment request; ``changes`` replace members after the proof was made."""
        csr = changes.get("csr", self.csr())
        digest = base64.urlsafe_b64encode(hashlib.sha256(csr.encode()).digest()).rstrip(b"=").decode()
        proof = self.signer.sign({"agency": AGENCY, "station": self.id, "csr_sha256": digest}, ENROL_TYPE)
        return {
            "schema": REQUEST_SCHEMA,
            "agency": AGENCY,
            "station": self.id,
            "csr": csr,
            "event_key": self.signer.public("event"),
            "proof": proof,
            **changes,
        }

    def tls_key_pem(self) -> bytes:
        return self.tls_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def started(self) -> str:
        """Return the next event: what the station says of itself at enrolment."""
        data = {"clock": CLOCK, "key": self.signer.kid}
        return self._append(envelope(self.origin, self.next, "station.enrolled.v1", MORNING, data))

    def visit(self, pupil: Pupil, choice: str = "in", at: datetime = MORNING, verdict: str = "accepted") -> str:
        """Return the next event: a pupil's attendance."""
        return self._append(self.visit_payload(pupil, choice, at, verdict))

    def visit_payload(
        self, pupil: Pupil, choice: str = "in", at: datetime = MORNING, verdict: str = "accepted"
    ) -> dict[str, Any]:
        sealed = seal({"citizen_id": pupil.citizen_id}, self.recipients, seal_context(self.origin.source, self.next))
        data = {
            "service": ATTENDANCE,
            "level": "L1",
            "verdict": verdict,
            "checks": {name: {"result": "pass"} for name in ("applet", "checksum", "roster")},
            "choice": choice,
            "officer": None,
            "clock": CLOCK,
            "card": {"inserted_ms": 800, "apdus": 3},
            "sealed": sealed,
        }
        return envelope(self.origin, self.next, "school.attendance.v1", at, data)

    def poison(self, **changes: Any) -> str:
        """Return a signed event at the next place whose content breaks a rule; by default an unknown member."""
        payload = self.visit_payload(Pupil.make(1))
        return self._append({**payload, **(changes or {"surprise": True})})

    def _append(self, payload: dict[str, Any]) -> str:
        jws = self.signer.sign(payload, EVENT_TYPE)
        self.next = self.next.after(jws)
        return jws


def visits(station: Station, count: int) -> list[str]:
    """Return the enrolment event and ``count`` visits."""
    return [station.started(), *(station.visit(Pupil.make(number)) for number in range(count))]


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """Runs ``card-agency`` in this process for one home."""

    home: Home
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: object) -> Ran:
        self.capture.readouterr()
        try:
            code = cli.main([*map(str, arguments), "--home", str(self.home.path)])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        said = self.capture.readouterr()
        return Ran(code, said.out, said.err)

    def enrol(self, station: Station, folder: Path) -> dict[str, Any]:
        """Approve a station and give it the agency's sealing keys; return the grant."""
        request = folder / f"{station.id}.request.json"
        request.write_text(json.dumps(station.request()), "utf-8")
        ran = self.run("station", "approve", request)
        assert ran.code == 0, ran.err
        grant: dict[str, Any] = ran.json()
        station.recipients = [key for key in grant["keys"]["keys"] if key["use"] == "enc"]
        return grant

    def import_roster(self, pupils: list[Pupil], folder: Path, set_id: str = "school-1") -> Ran:
        file = folder / f"{set_id}.csv"
        file.write_text(roster_csv(pupils), "utf-8")
        return self.run("roster", "import", file, "--set", set_id)


def traces(text: str) -> list[bytes]:
    """Return the byte strings that would betray ``text`` in a file: itself, and inside base64 at any offset."""
    raw = text.encode()
    encoded = [base64.urlsafe_b64encode(b"\0" * shift + raw)[4 : -4 or None] for shift in range(3)]
    return [raw, *(part for part in encoded if len(part) > 8)]


def audited(connection: Connection, home: Home, seen: Reach | None = None) -> Audit:
    """Audit a store as the command does."""
    public = home.public_keys()
    contents = Contents(Rules.of(AGENCY, public), home.opening_keys())
    return audit(connection, public, contents, lambda done: None, Witnesses(seen))


__all__ = [
    "AGENCY",
    "DAY",
    "MORNING",
    "Desk",
    "Pupil",
    "Ran",
    "Station",
    "audited",
    "citizen_number",
    "jws_hash",
    "roster_csv",
    "traces",
    "visits",
]
