"""What comes back from the agency is checked to the last part; what cannot be read is refused, never tripped over."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from appliance.errors import SigningError, VerificationError
from appliance.link import certificates
from tests.unit.small_agency import pem

BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
END = BEGIN + timedelta(days=365)
CA_KEY = ec.generate_private_key(ec.SECP256R1())
OUR_KEY = certificates.new_key()
OURS = serialization.load_pem_private_key(OUR_KEY, None).public_key()


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def made(
    subject: x509.Name, key: Any, is_ca: bool | None, issuer: str = "CA", extensions: tuple[str, ...] = ()
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name(issuer)).public_key(key)
    builder = builder.serial_number(7).not_valid_before(BEGIN).not_valid_after(END)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    for oid in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"a"), critical=False)
    return builder.sign(CA_KEY, hashes.SHA256())


def altered(certificate: x509.Certificate, old: bytes, new: bytes) -> str:
    """Return a certificate whose bytes were changed in one place."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    assert (der.count(old), len(old)) == (1, len(new))
    return pem(x509.load_der_x509_certificate(der.replace(old, new)))


CA = made(name("CA"), CA_KEY.public_key(), is_ca=True)
STATION = made(name("bkk-001"), OURS, is_ca=False)
P256 = bytes.fromhex("06082a8648ce3d030107")
TWO_NAMES = x509.Name([*name("bkk-001"), *name("bkk-002")])
TWICE = made(name("CA"), CA_KEY.public_key(), is_ca=True, extensions=("1.2.3.4", "1.2.3.5"))


def test_what_the_ca_issued_for_our_key_and_name_holds() -> None:
    certificates.check(pem(STATION), pem(CA), OUR_KEY, "bkk-001")
    assert certificates.validity(pem(STATION)) == (BEGIN, END)


WRONG: list[tuple[str, Callable[[], tuple[str, str]]]] = [
    ("another key", lambda: (pem(made(name("bkk-001"), CA_KEY.public_key(), False)), pem(CA))),
    ("another station", lambda: (pem(made(name("bkk-002"), OURS, False)), pem(CA))),
    ("another station", lambda: (pem(made(TWO_NAMES, OURS, False)), pem(CA))),
    ("another station", lambda: (pem(made(x509.Name([]), OURS, False)), pem(CA))),
    ("not one of a CA", lambda: (pem(STATION), pem(made(name("CA"), CA_KEY.public_key(), None)))),
    ("not one of a CA", lambda: (pem(STATION), pem(made(name("CA"), CA_KEY.public_key(), False)))),
    ("not issued by", lambda: (pem(made(name("bkk-001"), OURS, False, issuer="another")), pem(CA))),
    ("not issued by", lambda: (altered(STATION, b"271123", b"991123"), pem(CA))),
    ("not issued by", lambda: (pem(STATION), pem(made(name("CA"), OURS, True)))),
    ("not issued by", lambda: (pem(STATION), pem(made(name("CA"), rsa_key(), True)))),
    ("not issued by", lambda: (pem(STATION), pem(made(name("CA"), x25519_key(), True)))),
    ("cannot be read", lambda: ("", pem(CA))),
    ("cannot be read", lambda: (pem(STATION), "กขค")),
    ("cannot be read", lambda: (pem(STATION), altered(TWICE, bytes.fromhex("2a0305"), bytes.fromhex("2a0304")))),
    ("cannot be read", lambda: (altered(STATION, P256, P256[:-1] + b"\x7f"), pem(CA))),
]


def rsa_key() -> rsa.RSAPublicKey:
    return rsa.generate_private_key(65537, 2048).public_key()


def x25519_key() -> x25519.X25519PublicKey:
    return x25519.X25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(("reason", "pair"), WRONG)
def test_what_does_not_hold_is_refused_with_the_reason(reason: str, pair: Callable[[], tuple[str, str]]) -> None:
    certificate, ca = pair()
    with pytest.raises(VerificationError, match=reason):
        certificates.check(certificate, ca, OUR_KEY, "bkk-001")


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_of_a_certificate_that_cannot_be_read_no_time_is_told(text: str) -> None:
    with pytest.raises(VerificationError, match="cannot be read"):
        certificates.validity(text)


def locked() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    way = serialization.BestAvailableEncryption(b"word")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, way)


def of_rsa() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


@pytest.mark.parametrize("key", [b"", b"garbage", locked(), of_rsa()], ids=["empty", "garbage", "locked", "RSA"])
def test_a_key_of_ours_that_cannot_be_used_is_said_to_be_ours(key: bytes) -> None:
    with pytest.raises(SigningError, match="EC key in PEM"):
        certificates.signing_request(key, "bkk-001")
    with pytest.raises(SigningError, match="EC key in PEM"):
        certificates.check(pem(STATION), pem(CA), key, "bkk-001")


def test_every_station_makes_a_key_of_its_own() -> None:
    assert certificates.new_key() != certificates.new_key()
