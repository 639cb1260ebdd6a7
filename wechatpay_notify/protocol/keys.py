"""WeChat's signing keys: PEM text in, verification keys by serial out.

Never reads a file or a clock, and never takes a key from a message.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.oid import NameOID

from .errors import Misconfigured
from .types import PlatformKey

PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
DEVELOPMENT_SERIAL = f"{PUBLIC_KEY_PREFIX}0000000000DEVELOPMENT0000000000"
"""The serial of `testing`'s keys, which must never be trusted in production."""
SERIAL_DIGITS = 40
"""A platform certificate serial in Wechatpay-Serial: 40 upper-case hex digits (protocol, 2.3)."""
MIN_RSA_BITS = 2048
SM2_CURVE = "1.2.156.10197.1.301"
"""The curve of SM2 keys; `cryptography` names it when it refuses one. Why we do too: docs/national-cryptography.rst."""

_NO_RSA = "this is no RSA key; WeChat Pay signs with RSA (WECHATPAY2-SHA256-RSA2048)"
_SM2 = (
    "this is an SM2 key (国密), and SM2 is not supported; ask WeChat Pay for an RSA certificate or the WeChat Pay "
    "public key (微信支付公钥)"
)


def verification_keys(pems: Mapping[str, bytes]) -> dict[str, PlatformKey]:
    """Parse `serial → PEM` into keys by the exact header text that selects them.

    Leading zeros and the case of a certificate serial are normalised here, in the configuration, because
    big-integer printing drops zeros; the header itself is only ever looked up. Raises Misconfigured.
    """
    keys: dict[str, PlatformKey] = {}
    for name, pem in pems.items():
        for serial in header_serials(name):
            keys[serial] = platform_key(serial, pem)
    return keys


def header_serials(configured: str) -> tuple[str, ...]:
    """The header texts that a configured serial stands for."""
    if configured.startswith(PUBLIC_KEY_PREFIX):
        return (configured,)
    serial = configured.replace(":", "").upper()
    if not re.fullmatch(r"[0-9A-F]{1,40}", serial):
        raise Misconfigured(
            f"{configured[:64]!r} is neither a certificate serial (hex digits) nor a public key id "
            f"({PUBLIC_KEY_PREFIX}…)"
        )
    return tuple({serial, serial.zfill(SERIAL_DIGITS)})


def key_of_file(stem: str, pem: bytes) -> PlatformKey:
    """Parse the PEM of a file whose name without `.pem` is `stem`. Raises Misconfigured with the mend.

    A public key has no serial in it: the name is its id. A certificate is known by its own, whatever the file's name.
    """
    key = platform_key(stem, pem)
    if key.owner.isdigit():
        raise Misconfigured("this is a merchant's own certificate (apiclient_cert.pem?): WeChat does not sign with it")
    if key.certificate_serial:
        return replace(key, serial=key.certificate_serial)
    if not re.fullmatch(f"{PUBLIC_KEY_PREFIX}[0-9A-Za-z]+", stem):
        raise Misconfigured(f"this is a public key, and its name is not the key's id ({PUBLIC_KEY_PREFIX}….pem)")
    return key


def platform_key(serial: str, pem: bytes) -> PlatformKey:
    """Parse one PEM, a platform certificate or a WeChat Pay public key. Raises Misconfigured with the mend."""
    if b"PRIVATE KEY" in pem:
        raise Misconfigured(
            "this is a private key (apiclient_key.pem?); here belongs a key WeChat signs with: the WeChat Pay public "
            "key (pub_key.pem) or a platform certificate"
        )
    try:
        if b"BEGIN CERTIFICATE" in pem:
            return _from_certificate(serial, x509.load_pem_x509_certificate(pem))
        return PlatformKey(serial=serial, public_key=_rsa(load_pem_public_key(pem)))
    except UnsupportedAlgorithm as error:
        raise Misconfigured(_SM2 if SM2_CURVE in str(error) else _NO_RSA) from error
    except (ValueError, TypeError) as error:
        raise Misconfigured("the PEM cannot be read: it is damaged, cut, or no public key or certificate") from error


def _from_certificate(serial: str, certificate: x509.Certificate) -> PlatformKey:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return PlatformKey(
        serial=serial,
        public_key=_rsa(certificate.public_key()),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        owner=str(names[0].value) if names else "",
        certificate_serial=f"{certificate.serial_number:0{SERIAL_DIGITS}X}",
    )


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey):
        raise Misconfigured(_NO_RSA)
    if key.key_size < MIN_RSA_BITS:
        raise Misconfigured(f"this RSA key has {key.key_size} bits; WeChat Pay uses {MIN_RSA_BITS}")
    return key
