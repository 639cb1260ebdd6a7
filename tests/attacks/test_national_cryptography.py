"""SM2, SM3 and SM4 (国密): the public vectors of other libraries, refused at every door with what to do instead."""

import base64

import pytest

from tests.attacks import altered, cases, genuine, sealed
from tests.protocol.test_vectors import load, of_kind
from tests.settings import PLATFORM
from wechatpay_notify.protocol.errors import AlgorithmRefused

pytestmark = pytest.mark.django_db

SIGNATURE_TYPE = "WECHATPAY2-SM2-WITH-SM3"
RESOURCE_ALGORITHMS = ("AEAD_SM4_GCM", "AEAD_SM4_128_GCM")
POINT_FOLLOWS = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""DER of an SM2 public key up to its 65 bytes of point."""


def sm2_pem(name):
    """The key of a vector as a shop would configure it: a certificate or a public key."""
    given = load(name)["input"]
    if "certificate_der_b64" in given:
        return f"-----BEGIN CERTIFICATE-----\n{given['certificate_der_b64']}\n-----END CERTIFICATE-----\n"
    der = base64.b64encode(POINT_FOLLOWS + bytes.fromhex(given["public_key_hex"])).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"


def signed_by_sm2(name, signature_type=SIGNATURE_TYPE):
    signature = load(name)["input"]["signature"]
    return altered("Signature-Type", signature_type, altered("Signature", signature))


def sm4_resource(name, algorithm):
    given = load(name)["input"]
    return {key: given[key] for key in ("nonce", "associated_data", "ciphertext")} | {"algorithm": algorithm}


def test_the_type_sm2_is_refused_even_with_a_good_rsa_signature(attack):
    row = attack(altered("Signature-Type", SIGNATURE_TYPE), "algorithm_refused")
    assert SIGNATURE_TYPE in row.detail
    assert not row.verified


@pytest.mark.parametrize("name", of_kind("sm2_sm3", accepted=True))
@pytest.mark.parametrize(
    ("named", "outcome"),
    cases({
        "so named": (SIGNATURE_TYPE, "algorithm_refused"),
        "named RSA": ("WECHATPAY2-SHA256-RSA2048", "signature_invalid"),
        "not named": (None, "signature_invalid"),
    }),
)  # fmt: skip
def test_an_sm2_signature_is_refused(attack, name, named, outcome):
    attack(signed_by_sm2(name, named), outcome)


@pytest.mark.parametrize("name", of_kind("sm2_sm3", accepted=True))
def test_a_configured_sm2_key_stops_the_merchant_and_names_the_mend(attack, configure, name):
    configure(PLATFORM_KEYS={PLATFORM.serial: sm2_pem(name)})
    for signed in (signed_by_sm2(name), genuine()):
        row = attack(signed, "misconfigured")
        assert "SM2 key (国密), and SM2 is not supported" in row.detail
        assert "RSA certificate or the WeChat Pay public key" in row.detail


@pytest.mark.parametrize("name", of_kind("sm4_gcm"))
@pytest.mark.parametrize("algorithm", RESOURCE_ALGORITHMS)
def test_a_resource_under_sm4_is_refused_although_signature_and_key_are_right(attack, configure, name, algorithm):
    configure(API_V3_KEY=load(name)["input"]["apiv3_key"])
    row = attack(sealed(sm4_resource(name, algorithm)), "algorithm_refused")
    assert algorithm in row.detail
    assert row.verified


@pytest.mark.parametrize("name", of_kind("sm4_gcm"))
def test_a_resource_under_sm4_that_is_named_aes_does_not_open(attack, configure, name):
    configure(API_V3_KEY=load(name)["input"]["apiv3_key"])
    attack(sealed(sm4_resource(name, "AEAD_AES_256_GCM")), "undecryptable")


def test_the_hint_says_what_to_do_about_sm2():
    assert "SM2 and SM4 (国密) are not supported" in AlgorithmRefused.hint
    assert "RSA certificate or the WeChat Pay public key" in AlgorithmRefused.hint
