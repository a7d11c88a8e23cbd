"""The agency's own certificate authority: EC P-256, one level, for the broker, its clients and the stations.

Certificates start ten minutes before they are made, so a station whose clock runs a little late can use them. A
common name holds 64 characters at most, so the CA and the server have fixed ones; the agency is the organization.

Source: RFC 5280; CA/Browser profile for the extensions that strict verifiers ask for.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.errors import ConfigError, VerificationError

_BACKDATED = timedelta(minutes=10)
_CA_LIFE = timedelta(days=3652)
SERVER_LIFE = timedelta(days=730)
STATION_LIFE = timedelta(days=365)
_MAX_CSR_CHARACTERS = 16_384
_CA_NAME = "Card Station CA"
_SERVER_NAME = "Card Station broker"

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


class Authority:
    """A certificate authority.

    Args:
        pair: its key and certificate.

    Raises:
        ConfigError: they cannot be used.
    """

    def __init__(self, pair: KeyPair) -> None:
        try:
            key = serialization.load_pem_private_key(pair.key, None)
            self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigError(["the CA's key or certificate cannot be read"]) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._certificate.public_key():
            raise ConfigError(["the CA's key does not belong to its certificate"])
        self._key = key

    @classmethod
    def create(cls, agency: str) -> KeyPair:
        """Make a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(_CA_NAME, agency)
        builder = _builder(name, name, key.public_key(), key.public_key(), _CA_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        return KeyPair(_private_pem(key), _pem(builder.sign(key, hashes.SHA256())))

    def server(self, hosts: list[str]) -> KeyPair:
        """Make a server's key and certificate for DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = self._leaf(_SERVER_NAME, key.public_key(), SERVER_LIFE, ExtendedKeyUsageOID.SERVER_AUTH)
        certificate = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        return KeyPair(_private_pem(key), _pem(certificate))

    def client(self, name: str) -> KeyPair:
        """Make the key and certificate of one of the agency's own clients."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(name, key.public_key(), SERVER_LIFE, ExtendedKeyUsageOID.CLIENT_AUTH)
        return KeyPair(_private_pem(key), _pem(builder.sign(self._key, hashes.SHA256())))

    def station(self, csr: str, station: str) -> x509.Certificate:
        """Return a certificate for the key in a station's request.

        Raises:
            VerificationError: the request is not one, not signed by its own key, or for another name.
        """
        public_key = _checked_csr(csr, station)
        builder = self._leaf(station, public_key, STATION_LIFE, ExtendedKeyUsageOID.CLIENT_AUTH)
        return builder.sign(self._key, hashes.SHA256())

    def _leaf(
        self, name: str, public_key: PublicKey, life: timedelta, purpose: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        builder = _builder(_name(name), self._certificate.subject, public_key, self._key.public_key(), life)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        return builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)


class Issued(NamedTuple):
    """What a certificate of ours says.

    Args:
        serial: hexadecimal.
        name: whom it is for, such as a station id.
        not_after: RFC 3339.
    """

    serial: str
    name: str
    not_after: str

    @classmethod
    def read(cls, pem: str, ca: bytes) -> "Issued":
        """Read a certificate (PEM).

        Raises:
            VerificationError: it is none, or the authority with the certificate ``ca`` (PEM) did not issue it.
        """
        try:
            found = x509.load_pem_x509_certificate(pem.encode())
            found.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
            (name,) = (str(attribute.value) for attribute in found.subject)
        except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm, InvalidSignature):
            raise VerificationError("is no certificate of this agency's authority") from None
        return cls(f"{found.serial_number:x}", name, found.not_valid_after_utc.isoformat())


def _checked_csr(csr: str, station: str) -> PublicKey:
    if len(csr) > _MAX_CSR_CHARACTERS:
        raise VerificationError("the certificate request is too large")
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        names = [attribute.value for attribute in request.subject]
        is_signed, public_key = request.is_signature_valid, request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise VerificationError("the certificate request cannot be read") from None
    if not is_signed:
        raise VerificationError("the certificate request is not signed by its own key")
    if names != [station] or request.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []:
        raise VerificationError("the certificate request is not for CN = the station's id alone")
    if not isinstance(public_key, PublicKey):
        raise VerificationError("the certificate request's key is neither EC nor Ed25519")
    return public_key


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return _pem(certificate).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, issuer_key: PublicKey, life: timedelta
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(names)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
