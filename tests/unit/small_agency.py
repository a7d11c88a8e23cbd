"""As much of an agency as enrolment needs: a CA, signature keys, sealing keys, and the grant made with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.events.document import Document
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import Signer

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Agency:
    """Signs certificates, documents and grants."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.signers = {purpose: Signer.generate() for purpose in ("receipt", "document")}
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "obec CA")])
        self.ca = self._certificate(name, self.key.public_key(), is_ca=True)

    def _certificate(self, subject: x509.Name, key: Any, *, is_ca: bool) -> x509.Certificate:
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "obec CA")])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def certificate(self, csr_pem: str, common_name: str | None = None) -> str:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        subject = csr.subject
        if common_name:
            subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        return pem(self._certificate(subject, csr.public_key(), is_ca=False))

    def document(self, kind: str = "settings", version: int = 3, audience: str = "bkk-001") -> str:
        document = Document(kind, version, NOW, NOW + timedelta(days=7), (audience,), {})
        return document.sign(self.signers["document"])

    def grant(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = [signer.public(purpose) for purpose, signer in self.signers.items()]
        keys += [public_sealing_key(generate_sealing_key(), purpose) for purpose in ("duty", "escrow")]
        return {
            "schema": "card-station/grant/1",
            "agency": "obec",
            "station": "bkk-001",
            "certificate": self.certificate(request["csr"]),
            "ca": pem(self.ca),
            "keys": {"keys": keys},
            "broker": {"host": "broker.example", "port": 8883},
            "documents": [self.document()],
        }


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
