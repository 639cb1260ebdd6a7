"""Attacks over HTTP, numbered as the threats they stand for: none confirms an order, crashes, leaks or fills the table.

What several of them need: the answers as the outcome table promises them, and requests bent in one place.
"""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.settings import PLATFORM
from wechatpay_notify.protocol import flatxml
from wechatpay_notify.testing import Platform, Signed

NOTIFY, V2, V3 = "/wechatpay/notify/", "/wechatpay/v2/", "/wechatpay/v3/"
NUMBER = "FG-01az"
TRANSACTION = "4200000001202611220000000001"
ATTACKER = Platform(private_key=generate_private_key(public_exponent=65537, key_size=2048), api_v2_key="f" * 32)
SM2_PEM = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEgqhbuvRNT6zLErGQdJuAldrtHknO
/jEdvr+wAACP45vveYPkVcZcb4QjwdpfjEvKg0jVqwBsJNZzs9p4YMdWmA==
-----END PUBLIC KEY-----
"""
"""A public key of national cryptography (国密), as a merchant may have been given one."""


def cases(table):
    """Parameters of a test: id → one value, or a tuple of them."""
    return [pytest.param(*(row if isinstance(row, tuple) else (row,)), id=name) for name, row in table.items()]


MAKERS = cases({"v3": ("v3", PLATFORM.payment_v3), "v2": ("v2", PLATFORM.payment_v2)})
"""(version, function that makes a whole payment)."""


def genuine(**fields):
    """A genuine v3 payment of the waiting order."""
    return PLATFORM.payment_v3(NUMBER, 100, **fields)


def genuine_v2(**fields):
    """A genuine v2 payment of the waiting order."""
    return PLATFORM.payment_v2(NUMBER, 100, **fields)


def altered(header, value, signed=None):
    """A genuine notification with another value of a Wechatpay- header, or (None) without it."""
    signed, name = signed or genuine(), f"Wechatpay-{header}"
    return Signed({k: v for k, v in (signed.headers | {name: value}).items() if v is not None}, signed.body)


def sealed(resource, **envelope):
    """A rightly signed notification around a `resource` of any shape."""
    body = {"id": "EV-1", "event_type": "TRANSACTION.SUCCESS", "resource": resource} | envelope
    return PLATFORM.sign_v3(json.dumps(body).encode())


def sealed_text(plaintext):
    """A rightly signed notification around any decrypted bytes."""
    return sealed(PLATFORM.encrypt(plaintext))


def fields_v2(**fields):
    """The fields of a genuine v2 payment without its `sign`; None leaves one out."""
    made = flatxml.parse_xml(genuine_v2().body, "xml") | fields
    return {name: value for name, value in made.items() if name != "sign" and value is not None}
