"""X.509 for enrolment: the station's TLS key, its signing request, and the check of what comes back.

``cryptography.x509`` takes a second to import on a small Raspberry Pi and is needed once in a station's life, so it
is imported inside the functions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from appliance.errors import SigningError, VerificationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate


def new_key() -> bytes:
    """Make an EC P-256 private key; return it as PEM (PKCS #8)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key_pem: bytes, common_name: str) -> str:
    """Return a PEM certificate signing request (RFC 2986) for ``common_name``. Raises SigningError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(_load_key(key_pem), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def check(certificate_pem: str, ca_pem: str, key_pem: bytes, common_name: str) -> None:
    """Check that a certificate is for our key and our name, and that the CA in ``ca_pem`` issued it.

    Validity in time is not looked at: a station without a clock must be able to enrol, and TLS checks it anyway.

    Raises:
        VerificationError: it does not hold.
        SigningError: our own key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.x509 import NameOID

    key = _load_key(key_pem)
    with _readable():
        certificate, ca = _load_certificate(certificate_pem), _load_certificate(ca_pem)
        is_for_our_key = certificate.public_key() == key.public_key()
        names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        is_of_a_ca = _is_ca(ca)
    if not is_for_our_key:
        raise VerificationError("the certificate is for another key: was the request made on this station?")
    if names != [common_name]:
        raise VerificationError("the certificate is for another station")
    if not is_of_a_ca:
        raise VerificationError("the grant's CA certificate is not one of a CA")
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        raise VerificationError("the certificate was not issued by the CA of the grant") from None


def validity(certificate_pem: str) -> tuple[datetime, datetime]:
    """Return from when and until when a certificate counts, with time zone. Raises VerificationError."""
    with _readable():
        certificate = _load_certificate(certificate_pem)
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc


@contextmanager
def _readable() -> Iterator[None]:
    """Refuse what is no whole certificate: the library reads each part of it when it is asked for, not before."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import DuplicateExtension, UnsupportedGeneralNameType

    try:
        yield
    except (ValueError, UnsupportedAlgorithm, DuplicateExtension, UnsupportedGeneralNameType):
        raise VerificationError("the grant holds a certificate that cannot be read") from None


def _is_ca(certificate: "Certificate") -> bool:
    from cryptography.x509 import BasicConstraints, ExtensionNotFound

    try:
        return certificate.extensions.get_extension_for_class(BasicConstraints).value.ca
    except ExtensionNotFound:
        return False


def _load_certificate(pem: str) -> "Certificate":
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(pem.encode())


def _load_key(pem: bytes) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise SigningError("the station's TLS key cannot be used: it must be an EC key in PEM")
    return key
