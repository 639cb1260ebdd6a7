"""Keys: what may be trusted to verify, and which header text selects it."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, generate_private_key

from tests.settings import PLATFORM
from wechatpay_notify.protocol import keys
from wechatpay_notify.protocol.errors import Misconfigured

PEM = PLATFORM.public_pem().encode()
SERIAL = "0A57F09EFDC096DE15EBE81A47057A72320B0002"
NO_RSA = generate_private_key(SECP256K1()).public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip
PRIVATE = PLATFORM.private_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


@pytest.mark.parametrize("configured", [SERIAL, SERIAL.lower(), SERIAL[1:], SERIAL[1:].lower(), ":".join(SERIAL)])
def test_a_certificate_serial_is_found_by_its_40_digits(configured):
    assert keys.verification_keys({configured: PEM})[SERIAL].public_key.key_size == 2048


def test_a_public_key_id_is_found_by_its_exact_text():
    assert list(keys.verification_keys({"PUB_KEY_ID_01a": PEM})) == ["PUB_KEY_ID_01a"]


@pytest.mark.parametrize("configured", ["", "pub_key.pem", "0xAB", "A" * 41, "pub_key_id_1", "AB CD", "ＡＢ"])
def test_anything_else_is_no_serial(configured):
    with pytest.raises(Misconfigured, match="neither"):
        keys.verification_keys({configured: PEM})


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (PRIVATE, "private key"),
        (NO_RSA, "no RSA key"),
        (PEM[:100], "cannot be read"),
        (b"", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
        (b"\x00\xff", "cannot be read"),
    ],
)
def test_what_is_no_key_of_wechats_is_refused_with_the_reason(pem, says):
    with pytest.raises(Misconfigured, match=says) as refused:
        keys.platform_key(SERIAL, pem)
    assert PRIVATE.splitlines()[1].decode() not in str(refused.value)


def test_a_public_key_does_not_expire():
    key = keys.platform_key("PUB_KEY_ID_1", PEM)
    assert (key.not_before, key.not_after, key.owner) == (None, None, "")
