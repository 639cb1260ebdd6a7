"""Platform certificates as WeChat's tools download them, self-signed."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

SERIAL = "7132D72A03E93CDDF8C03BBD1F37EEDF0000ABCD"


def certificate(private_key, owner="Tenpay.com Root CA", *, serial=SERIAL, valid_from=-100, valid_until=365):
    """A certificate of this key with this common name and serial; validity in days from now."""
    now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, owner)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(int(serial, 16))
        .not_valid_before(now + timedelta(days=valid_from))
        .not_valid_after(now + timedelta(days=valid_until))
        .sign(private_key, SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()
