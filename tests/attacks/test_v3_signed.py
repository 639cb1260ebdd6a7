"""v3 requests rightly signed, and yet: rubbish, resources that do not open, other times, other URLs."""

import base64
import json
from datetime import timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils import timezone

from tests.answers import answer
from tests.attacks import ATTACKER, MAKERS, NOTIFY, NUMBER, TRANSACTION, V3, cases, genuine, sealed, sealed_text
from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.testing import Platform, Signed

pytestmark = pytest.mark.django_db


RUBBISH = {
    "empty": b"",
    "blank": b" \n\t ",
    "null": b"null",
    "number": b"1",
    "text": b'"x"',
    "true": b"true",
    "empty list": b"[]",
    "list": b'[{"event_type": "TRANSACTION.SUCCESS"}]',
    "list 60000 deep": b"[" * 60_000,
    "two documents": b"{} {}",
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1} // x',
    "single quotes": b"{'a': 1}",
    "5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "NUL": b'{"a": "\0"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "bad UTF-8": b'{"a": "\xff"}',
    "overlong UTF-8": b'{"a": "\xc0\xae"}',
    "duplicate names": b'{"a": 1, "a": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "infinite number": b'{"a": 1e999}',
    "XML": b"<xml/>",
}


OBJECTS = {f"{depth} deep": b'{"x":' * depth + b"1" + b"}" * depth for depth in (500, 980, 3000, 9000)} | {
    "empty": b"{}",
    "lone surrogate": b'{"event_type": "\\ud800", "x": "\\udfff"}',
    "20000 names": json.dumps({f"n{i}": i for i in range(20_000)}).encode(),
    "4000 digits": b'{"x": ' + b"9" * 4000 + b"}",
    "noncharacters": json.dumps({"x": "\0\ufffe\uffff\u202e\x7f"}).encode(),
}
"""JSON objects all right, but no payment."""


@pytest.mark.parametrize("body", cases(RUBBISH | OBJECTS))
def test_t14_rightly_signed_rubbish_is_malformed(attack, body):
    attack(PLATFORM.sign_v3(body), "malformed", path=V3)


@pytest.mark.parametrize("plaintext", cases(RUBBISH))
def test_t18_a_decrypted_resource_of_rubbish_is_malformed(attack, plaintext):
    attack(sealed_text(plaintext), "malformed")


@pytest.mark.parametrize("event_type", ["TRANSACTION.SUCCESS", "COUPON.USE"])
@pytest.mark.parametrize("plaintext", cases(OBJECTS))
def test_t18_a_decrypted_object_that_is_no_payment_is_kept_or_malformed(client, order, shipped, plaintext, event_type):
    response = sealed(PLATFORM.encrypt(plaintext), event_type=event_type).post(client, NOTIFY)
    row = NotificationLog.objects.get()
    assert row.outcome in ("received", "malformed")
    assert (response.status_code, response.content) == answer("v3", row.outcome)
    assert not shipped.calls


@pytest.mark.parametrize("depth", [100, 300, 900, 950, 1000, 3000, 9000])
def test_t14_a_payment_with_a_nested_extra_field_is_confirmed_or_malformed(client, order, shipped, depth):
    resource = json.dumps(PLATFORM.payment_resource(NUMBER, 100))
    nested = f'{resource[:-1]}, "x": {"[" * depth}{"]" * depth}}}'
    response = sealed_text(nested.encode()).post(client, NOTIFY)
    row = NotificationLog.objects.get()
    assert row.outcome in ("confirmed", "malformed")
    assert (response.status_code, response.content) == answer("v3", row.outcome)


ENVELOPES = {
    "no event_type": {"event_type": None},
    "empty event_type": {"event_type": ""},
    "event_type a list": {"event_type": ["TRANSACTION.SUCCESS"]},
    "event_type true": {"event_type": True},
    "no resource": {"resource": None},
    "resource a list": {"resource": []},
    "resource a text": {"resource": "{}"},
}


@pytest.mark.parametrize("envelope", cases(ENVELOPES))
def test_t14_an_envelope_without_its_parts_is_malformed(attack, envelope):
    attack(sealed(**({"resource": {}} | envelope)), "malformed")


def test_t15_the_leaked_api_v3_key_alone_proves_nothing(attack):
    attack(
        Platform(private_key=ATTACKER.private_key, api_v3_key=PLATFORM.api_v3_key).payment_v3(NUMBER, 1),
        "signature_invalid",
    )
    unsigned = Signed({"Content-Type": "application/json"}, genuine().body)
    attack(unsigned, "unsigned")


def resource(**changes):
    """A well sealed payment whose envelope of encryption is changed."""
    made = PLATFORM.encrypt(json.dumps(PLATFORM.payment_resource(NUMBER, 100)).encode())
    return {name: value for name, value in (made | changes).items() if value is not ...}


def sealed_with(nonce=b"0123456789ab", key=None, plaintext=b"{}"):
    opened = AESGCM(key or PLATFORM.api_v3_key.encode()).encrypt(nonce, plaintext, b"transaction")
    return resource(ciphertext=base64.b64encode(opened).decode(), nonce=nonce.decode())


RESOURCES = {
    "other key": (lambda: sealed_with(key=b"x" * 32), "undecryptable"),
    "AES-128": (lambda: sealed_with(key=PLATFORM.api_v3_key[:16].encode()), "undecryptable"),
    "other nonce": (lambda: resource(nonce="x" * 12), "undecryptable"),
    "other associated data": (lambda: resource(associated_data="refund"), "undecryptable"),
    "no associated data": (lambda: resource(associated_data=...), "undecryptable"),
    "null associated data": (lambda: resource(associated_data=None), "undecryptable"),
    "short": (lambda: resource(ciphertext="AAAA"), "undecryptable"),
    "no ciphertext": (lambda: resource(ciphertext=...), "malformed"),
    "empty ciphertext": (lambda: resource(ciphertext=""), "undecryptable"),
    "ciphertext no base64": (lambda: resource(ciphertext="!!!!"), "malformed"),
    "ciphertext with junk": (lambda: resource(ciphertext=resource()["ciphertext"] + " "), "malformed"),
    "ciphertext a number": (lambda: resource(ciphertext=5), "malformed"),
    "ciphertext surrogate": (lambda: resource(ciphertext="\ud800"), "malformed"),
    "nonce of 7 bytes": (lambda: resource(nonce="x" * 7), "malformed"),
    "nonce of 129 bytes": (lambda: resource(nonce="x" * 129), "malformed"),
    "no nonce": (lambda: resource(nonce=...), "malformed"),
    "nonce a list": (lambda: resource(nonce=[]), "malformed"),
    "nonce surrogate": (lambda: resource(nonce="\ud800" * 4), "malformed"),
    "associated data a number": (lambda: resource(associated_data=0), "malformed"),
    "no algorithm": (lambda: resource(algorithm=...), "algorithm_refused"),
    "AES-128 by name": (lambda: resource(algorithm="AEAD_AES_128_GCM"), "algorithm_refused"),
    "SM4": (lambda: resource(algorithm="AEAD_SM4_128_GCM"), "algorithm_refused"),
    "algorithm none": (lambda: resource(algorithm="none"), "algorithm_refused"),
    "algorithm a list": (lambda: resource(algorithm=["AEAD_AES_256_GCM"]), "algorithm_refused"),
    "algorithm nested": (lambda: resource(algorithm=json.loads("[" * 20 + "]" * 20)), "algorithm_refused"),
}


@pytest.mark.parametrize(("make", "outcome"), cases(RESOURCES))
def test_t17_a_resource_that_does_not_open_is_refused(attack, make, outcome):
    row = attack(sealed(make()), outcome)
    assert row.verified


def test_t19_a_refund_under_a_payments_event_type_confirms_nothing(attack):
    refund = {
        "mchid": PLATFORM.mchid,
        "out_trade_no": NUMBER,
        "transaction_id": TRANSACTION,
        "out_refund_no": "R-1",
        "refund_id": "50300807092021020105990201735",
        "refund_status": "SUCCESS",
        "amount": {"total": 100, "refund": 100, "payer_total": 100, "payer_refund": 100},
    }
    attack(PLATFORM.v3("TRANSACTION.SUCCESS", refund), "received")


@pytest.mark.parametrize("event_type", ["REFUND.SUCCESS", "REFUND.CLOSED", "REFUND.ABNORMAL"])
def test_t19_a_payment_under_a_refunds_event_type_confirms_nothing(client, order, shipped, event_type):
    assert genuine(event_type=event_type).post(client, NOTIFY).status_code < 500
    order.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("pending", 0)
    assert not shipped.calls


def test_t19_a_success_under_a_failures_event_type_confirms_nothing(attack):
    attack(genuine(event_type="TRANSACTION.FAIL"), "received")


CLOCK = 1_795_000_000
ODD_TIMES = {
    "nan": "nan",
    "inf": "inf",
    "full-width": "１７９５００００００",
    "underscores": "1_795_000_000",
    "plus": "+1795000000",
    "minus": "-1795000000",
    "float": "1795000000.0",
    "exponent": "1795e6",
    "hex": "0x6afd3240",
    "milliseconds": "1795000000000",
    "zero": "0",
    "space": " 1795000000",
    "301 s old": str(CLOCK - 301),
    "301 s ahead": str(CLOCK + 301),
    "30 days old": str(CLOCK - 30 * 86400),
    "5000 digits": "1" * 5000,
}


@pytest.mark.parametrize("text", cases(ODD_TIMES))
def test_t20_a_rightly_signed_notification_of_another_time_is_refused(attack, text):
    with time_machine.travel(CLOCK, tick=False):
        signed = PLATFORM.payment_v3(NUMBER, 100, timestamp=text)
        outcome = "stale" if text.isascii() else "signature_invalid"
        attack(Signed({k: v.encode().decode("latin-1") for k, v in signed.headers.items()}, signed.body), outcome)


@pytest.mark.parametrize("skew", [-300, -299, 0, 299, 300])
def test_t20_the_window_is_300_seconds_both_ways(accept, skew):
    with time_machine.travel(CLOCK, tick=False):
        accept(PLATFORM.payment_v3(NUMBER, 100, timestamp=CLOCK + skew))


@pytest.mark.parametrize(("version", "make"), MAKERS)
def test_t21_a_replay_never_ships_again(client, accept, shipped, version, make):
    signed = make(NUMBER, 100)
    accept(signed)
    for outcome, days in (("duplicate", 0), ("duplicate", 0), ("stale" if version == "v3" else "duplicate", 1000)):
        with time_machine.travel(timezone.now() + timedelta(days=days)):
            signed.post(client, NOTIFY)
        assert NotificationLog.objects.latest("pk").outcome == outcome
    assert len(shipped.calls) == 1


OTHERS = {
    "mchid": {"MCHID": "1900000999"},
    "appid": {"APPIDS": ["wx0000000000000000"]},
    "sub-merchants alone": {"SUB_MCHIDS": ["1900000555"]},
}


@pytest.mark.parametrize("path", ["notify", "the version's"])
@pytest.mark.parametrize(("version", "make"), MAKERS)
@pytest.mark.parametrize("other", cases(OTHERS))
def test_t22_a_genuine_notice_at_another_merchants_url_is_wrong_merchant(
    attack, accept, settings, version, make, path, other
):
    merchants = {"default": PLATFORM.merchant(), "other": PLATFORM.merchant(**other)}
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": merchants}
    signed = make(NUMBER, 100)
    path = f"/wechatpay/{'notify' if path == 'notify' else version}/other/"
    row = attack(signed, "wrong_merchant", version=version, path=path)
    assert (row.merchant, row.verified) == ("other", True)
    accept(signed)
