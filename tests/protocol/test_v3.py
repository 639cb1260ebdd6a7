"""v3: what proves a request, what it then says, and which refusal says that the sender was WeChat."""

import base64
import dataclasses
import hashlib
import json
import secrets
from datetime import UTC, datetime

import pytest

from tests.protocol import MERCHANT, NOW
from tests.settings import PLATFORM
from wechatpay_notify.protocol import sealed, v3
from wechatpay_notify.protocol.errors import (
    AlgorithmRefused,
    Malformed,
    Probe,
    SignatureInvalid,
    Stale,
    Undecryptable,
    UnknownSerial,
    Unsigned,
)


def parse(signed, merchant=MERCHANT, *, now=NOW):
    return v3.parse_notification(signed.headers, signed.body, merchant, now=now)


def payment(**fields):
    return PLATFORM.payment_v3("A-1", 100, timestamp=NOW, **fields)


def with_header(name, value):
    signed = payment()
    return dataclasses.replace(signed, headers=signed.headers | {name: value})


def test_a_notification_is_parsed_and_decrypted():
    resource = PLATFORM.payment_resource("A-1", 100)
    signed = PLATFORM.v3(
        "TRANSACTION.SUCCESS", resource, notification_id="EV-1", timestamp=NOW, create_time="2026-11-22T10:00:00+08:00"
    )
    notification = parse(signed)
    assert (notification.version, notification.kind, notification.event_type) == (
        "v3",
        "payment",
        "TRANSACTION.SUCCESS",
    )
    assert notification.notification_id == "EV-1"
    assert notification.resource == resource
    assert notification.created_at == datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert notification.digest == hashlib.sha256(json.dumps(resource, ensure_ascii=False).encode()).hexdigest()


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("TRANSACTION.SUCCESS", "payment"),
        ("TRANSACTION.FAIL", "payment"),
        ("REFUND.SUCCESS", "refund"),
        ("REFUND.ABNORMAL", "refund"),
        ("REFUND.CLOSED", "refund"),
        ("TRANSACTION.PAY_BACK", "event"),
        ("COUPON.USE", "event"),
        ("transaction.success", "event"),
    ],
)
def test_the_event_type_decides_the_kind(event_type, kind):
    assert parse(payment(event_type=event_type)).kind == kind


@pytest.mark.parametrize("rewrite", [str.lower, str.upper, str.title])
def test_header_names_are_read_in_any_case(rewrite):
    signed = payment()
    renamed = {rewrite(name): value for name, value in signed.headers.items()}
    assert parse(dataclasses.replace(signed, headers=renamed)).kind == "payment"


@pytest.mark.parametrize("skew", [-300, 0, 300])
def test_the_timestamp_may_differ_by_the_tolerance_both_ways(skew):
    assert parse(payment(), now=NOW + skew).kind == "payment"
    with pytest.raises(Stale):
        parse(payment(), now=NOW + skew + (1 if skew >= 0 else -1) * 301)


def test_the_tolerance_is_the_merchants():
    patient = dataclasses.replace(MERCHANT, timestamp_tolerance=10)
    with pytest.raises(Stale, match="old; allowed are 10 s"):
        parse(payment(), patient, now=NOW + 11)
    with pytest.raises(Stale, match="in the future"):
        parse(payment(), patient, now=NOW - 11)


UNPROVEN = {
    Unsigned: ("Wechatpay-Signature", ""),
    Probe: ("Wechatpay-Signature", "WECHATPAY/SIGNTEST/x"),
    AlgorithmRefused: ("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"),
    Stale: ("Wechatpay-Timestamp", "nan"),
    UnknownSerial: ("Wechatpay-Serial", "AB"),
    SignatureInvalid: ("Wechatpay-Nonce", "another"),
}


@pytest.mark.parametrize(("error", "header"), UNPROVEN.items())
def test_what_fails_before_the_signature_holds_is_not_proven(error, header):
    with pytest.raises(error) as refused:
        parse(with_header(*header))
    assert not refused.value.proven


def test_nothing_is_parsed_before_the_signature_holds():
    with pytest.raises(SignatureInvalid):
        parse(payment().with_body(b"\xff no JSON at all"))


PROVEN = {
    "no JSON": (lambda: PLATFORM.sign_v3(b"\xff", timestamp=NOW), Malformed),
    "no resource": (lambda: PLATFORM.sign_v3(b'{"event_type": "X"}', timestamp=NOW), Malformed),
    "no event type": (lambda: PLATFORM.sign_v3(b'{"resource": {}}', timestamp=NOW), Malformed),
    "other algorithm": (
        lambda: PLATFORM.sign_v3(b'{"event_type": "X", "resource": {"algorithm": "none"}}', timestamp=NOW),
        AlgorithmRefused,
    ),
    "no JSON inside": (
        lambda: PLATFORM.sign_v3(
            json.dumps({"event_type": "X", "resource": PLATFORM.encrypt(b"x")}).encode(), timestamp=NOW
        ),
        Malformed,
    ),
}


@pytest.mark.parametrize(("make", "error"), PROVEN.values(), ids=PROVEN)
def test_what_fails_after_the_signature_holds_is_proven(make, error):
    with pytest.raises(error) as refused:
        parse(make())
    assert refused.value.proven


def test_another_api_v3_key_is_undecryptable_and_proven():
    stranger = dataclasses.replace(MERCHANT, api_v3_keys=(secrets.token_hex(16).encode(),))
    with pytest.raises(Undecryptable) as refused:
        parse(payment(), stranger)
    assert refused.value.proven


def test_while_the_key_is_changed_either_opens():
    other = secrets.token_hex(16).encode()
    for keys in ((other, *MERCHANT.api_v3_keys), (*MERCHANT.api_v3_keys, other)):
        assert parse(payment(), dataclasses.replace(MERCHANT, api_v3_keys=keys)).kind == "payment"


def test_during_the_switch_of_keys_each_serial_has_its_own():
    old = dataclasses.replace(PLATFORM, serial="7132D72A03E93CDDF8C03BBD1F37EEDF00000000")
    both = {serial: key for serial in (old.serial, PLATFORM.serial) for key in MERCHANT.platform_keys.values()}
    merchant = dataclasses.replace(MERCHANT, platform_keys=both)
    for platform in (old, PLATFORM):
        assert parse(platform.payment_v3("A-1", 100, timestamp=NOW), merchant).kind == "payment"


@pytest.mark.parametrize("create_time", [None, "yesterday", 5, [], "9999-99-99"])
def test_an_unreadable_create_time_is_none(create_time):
    signed = PLATFORM.v3("COUPON.USE", {}, timestamp=NOW, create_time=create_time)
    assert parse(signed).created_at is None


@pytest.mark.parametrize("identity", [None, 5, [], {}])
def test_a_notification_id_that_is_no_text_is_empty(identity):
    assert parse(PLATFORM.v3("COUPON.USE", {}, timestamp=NOW, id=identity)).notification_id == ""


def test_a_refusal_names_what_is_configured_and_the_mend():
    with pytest.raises(UnknownSerial) as refused:
        parse(with_header("Wechatpay-Serial", "AB"))
    assert PLATFORM.serial in refused.value.detail
    assert "PLATFORM_KEYS" in refused.value.hint
    assert refused.value.code == "unknown_serial"


@pytest.mark.parametrize("length", [8, 12, 16, 128])
def test_every_nonce_that_gcm_takes_is_taken(length):
    nonce = b"n" * length
    ciphertext = sealed.AESGCM(MERCHANT.api_v3_keys[0]).encrypt(nonce, b"{}", b"")
    resource = {"algorithm": sealed.ALGORITHM, "nonce": nonce.decode()}
    assert (
        sealed.decrypt(resource | {"ciphertext": base64.b64encode(ciphertext).decode()}, MERCHANT.api_v3_keys) == b"{}"
    )


@pytest.mark.parametrize("associated_data", [None, ""])
def test_absent_and_empty_associated_data_are_the_same(associated_data):
    resource = PLATFORM.encrypt(b"{}", associated_data="") | {"associated_data": associated_data}
    assert sealed.decrypt(resource, MERCHANT.api_v3_keys) == b"{}"
    del resource["associated_data"]
    assert sealed.decrypt(resource, MERCHANT.api_v3_keys) == b"{}"
