"""The public test vectors, each in its own terms: its clock, its keys, and what it says must come of it."""

import base64
import json
from functools import cache
from pathlib import Path

import pytest
import time_machine
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wechatpay_notify.conf import parse_merchant
from wechatpay_notify.models import NotificationLog, Order, Refund
from wechatpay_notify.protocol import flatxml, keys, results, sealed, v2, v3
from wechatpay_notify.protocol.errors import (
    AlgorithmRefused,
    Malformed,
    Misconfigured,
    NotificationError,
    Probe,
    SignatureInvalid,
    UnknownSerial,
)
from wechatpay_notify.protocol.types import Merchant
from wechatpay_notify.testing import Signed

VECTORS = Path(__file__).parent.parent / "vectors"
HANDLED = {
    "v2_sign",
    "v2_notify_xml",
    "v2_refund_notify_xml",
    "v2_refund_req_info",
    "v3_notify",
    "v3_resource",
    "v3_signature",
    "v3_certificates",
    "v3_request_sign",
    "rsa_sha256",
    "aes_256_gcm",
    "aes_256_ecb",
}
REFUSED_KINDS = {"sm2_sm3", "sm4_gcm"}
"""National cryptography: see docs/national-cryptography.rst. tests/attacks/test_national_cryptography.py runs them."""

REFUSED_ON_PURPOSE = {
    "aes-gcm-primitive-go-16byte-key": "the APIv3 key has 16 bytes: AES-128; WeChat's have 32",
    "v3-notify-go-payscore-open-service": "the APIv3 key has 16 bytes: AES-128; WeChat's have 32",
    "v3-notify-gunsluo-4-refund.success": "the platform certificate is not valid yet at the vector's clock",
    "v3-notify-gunsluo-6-refund.success": "the platform certificate is not valid yet at the vector's clock",
    "v3-resource-lazing-empty-aad": "the resource names no algorithm",
}
"""Vectors that are right by their own lights and refused here; what of them can hold is shown all the same."""
SHORT_KEY = ("aes-gcm-primitive-go-16byte-key", "v3-notify-go-payscore-open-service")
BEFORE_CERTIFICATE = ("v3-notify-gunsluo-4-refund.success", "v3-notify-gunsluo-6-refund.success")
CUT = "v3-notify-gunsluo-6-refund.success"
"""Its plaintext was published cut."""
IN_VALIDITY = 1_700_000_000
"""Inside the validity of the certificate of those two, which were signed before it began."""
MCHID = "1230000109"
"""Of a merchant whose number a vector does not tell."""


@cache
def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


NAMES = sorted(path.stem for path in VECTORS.glob("*.json") if path.stem != "_index")


def of_kind(kind, *, accepted=None):
    """Names of the vectors of a kind; `accepted` keeps those that say they are genuine, or that they are not."""
    found = [name for name in NAMES if load(name)["kind"] == kind]
    return [name for name in found if accepted is None or genuine(name) is accepted]


def genuine(name):
    expect = load(name)["expect"]
    return next((expect[word] for word in ("accept", "signature_valid", "valid") if word in expect), True)


def v3_merchant(name, **overrides):
    given = load(name)["input"]
    pems = given.get("platform_keys") or {given["headers"]["Wechatpay-Serial"]: given["platform_key_pem"]}
    return Merchant(
        **{
            "mchid": MCHID,
            "api_v3_keys": ((given["apiv3_key"] or "").encode(),),
            "platform_keys": keys.verification_keys({serial: pem.encode() for serial, pem in pems.items()}),
        }
        | overrides
    )


def parsed_v3(name, *, clock=None, **overrides):
    """The vector through v3.parse_notification; by another clock the timestamp is let through."""
    given = load(name)["input"]
    tolerance = {} if clock is None else {"timestamp_tolerance": 10**9}
    merchant = v3_merchant(name, **tolerance, **overrides)
    return v3.parse_notification(given["headers"], given["body"].encode(), merchant, now=clock or now(name))


def now(name):
    given = load(name)["input"]
    return given.get("now") or int(given["headers"]["Wechatpay-Timestamp"])


def expected_resource(name):
    expect = load(name)["expect"]
    return expect.get("resource") or (json.loads(expect["plaintext"]) if "plaintext" in expect else None)


def test_every_vector_is_run_or_refused_on_purpose():
    kinds = {load(name)["kind"] for name in NAMES}
    assert kinds == HANDLED | REFUSED_KINDS
    assert not HANDLED & REFUSED_KINDS
    assert {row["id"] for row in json.loads((VECTORS / "_index.json").read_text())} == set(NAMES)
    assert set(REFUSED_ON_PURPOSE) <= set(NAMES)


@pytest.mark.parametrize("name", of_kind("v2_sign"))
def test_a_v2_sign_is_computed_as_published(name):
    given, expect = load(name)["input"], load(name)["expect"]
    assert v2.signature(given["params"], given["key"], given["sign_type"]) == expect["sign"]


@pytest.mark.parametrize("name", of_kind("rsa_sha256"))
def test_an_rsa_signature_verifies_with_the_configured_pem(name):
    given, expect = load(name)["input"], load(name)["expect"]
    serial = given.get("key_id") or expect["cert_serial_hex"]
    (key, *_) = keys.verification_keys({serial: given["key_pem"].encode()}).values()
    signature = v3.base64.b64decode(given["signature"])
    assert key.public_key.verify(signature, given["message"].encode(), PKCS1v15(), SHA256()) is None
    with pytest.raises(InvalidSignature):
        key.public_key.verify(signature, given["message"].encode() + b".", PKCS1v15(), SHA256())


@pytest.mark.parametrize("name", of_kind("aes_256_gcm", accepted=True))
def test_a_ciphertext_opens_to_its_plaintext(name):
    given, expect = load(name)["input"], load(name)["expect"]
    resource = {"algorithm": sealed.ALGORITHM} | given
    assert sealed.decrypt(resource, [given["key"].encode()]).decode() == expect["plaintext"]


@pytest.mark.parametrize("name", of_kind("aes_256_gcm", accepted=False))
def test_a_damaged_ciphertext_is_refused(name):
    given = load(name)["input"]
    with pytest.raises(NotificationError):
        sealed.decrypt({"algorithm": sealed.ALGORITHM} | given, [given["key"].encode()])


def test_a_decrypted_platform_certificate_is_a_key():
    name = "aes256gcm-platform-cert-skit"
    given, expect = load(name)["input"], load(name)["expect"]
    pem = sealed.decrypt({"algorithm": sealed.ALGORITHM} | given, [given["key"].encode()])
    key = keys.verification_keys({expect["cert_serial_hex"]: pem})[expect["cert_serial_hex"]]
    assert key.owner == "Tenpay.com sign"
    assert key.not_before < key.not_after


@pytest.mark.parametrize("name", of_kind("v3_certificates"))
def test_a_downloaded_certificate_is_a_key_under_its_own_serial_and_a_short_key_is_no_api_v3_key(name):
    """The app downloads nothing; what somebody else downloaded is configured."""
    given, expect = load(name)["input"], load(name)["expect"]
    listed = v3.strict_json(given["body"].encode(), "the body")["data"]
    for row, wanted in zip(listed, expect["certificates"], strict=True):
        pem = sealed.decrypt(row["encrypt_certificate"], [given["apiv3_key"].encode()])
        assert pem.decode() == wanted["pem"]
        key = keys.key_of_file("wechatpay_platform", pem)
        assert key.serial == wanted["serial_no"].zfill(keys.SERIAL_DIGITS)
    faults = parse_merchant("default", {"MCHID": MCHID, "API_V3_KEY": given["apiv3_key"]}, tolerance=300).faults
    assert "must be 32 ASCII characters" in faults[0].message


@pytest.mark.parametrize("name", of_kind("v3_request_sign"))
def test_the_key_that_signs_requests_verifies_and_is_refused_where_wechats_belongs(name):
    """The app signs no request; the merchant's own key must not be taken for WeChat's."""
    given, expect = load(name)["input"], load(name)["expect"]
    private_key = load_pem_private_key(given["private_key_pem"].encode(), password=None)
    signature = base64.b64decode(expect["signature"])
    private_key.public_key().verify(signature, expect["string_to_sign"].encode(), PKCS1v15(), SHA256())
    with pytest.raises(Misconfigured, match="private key"):
        keys.verification_keys({"PUB_KEY_ID_01": given["private_key_pem"].encode()})


@pytest.mark.parametrize("name", of_kind("v3_resource", accepted=False))
def test_a_malformed_resource_is_refused(name):
    given = load(name)["input"]
    with pytest.raises(NotificationError):
        sealed.decrypt(given["resource"], [given["apiv3_key"].encode()])


@pytest.mark.parametrize("name", of_kind("v3_resource", accepted=True))
def test_a_resource_without_algorithm_is_refused_and_opens_once_it_has_one(name):
    assert name in REFUSED_ON_PURPOSE
    given, api_v3_keys = load(name)["input"], [load(name)["input"]["apiv3_key"].encode()]
    with pytest.raises(AlgorithmRefused):
        sealed.decrypt(given["resource"], api_v3_keys)
    named = given["resource"] | {"algorithm": sealed.ALGORITHM}
    assert sealed.decrypt(named, api_v3_keys).decode() == load(name)["expect"]["plaintext"]


@pytest.mark.parametrize("name", of_kind("v3_signature"))
def test_an_answer_of_wechats_verifies_at_its_time_and_no_other_bytes_do(name):
    given, merchant = load(name)["input"], v3_merchant(name)
    v3.verify(given["headers"], given["body"].encode(), merchant, now=now(name))
    with pytest.raises(SignatureInvalid):
        v3.verify(given["headers"], given["body"].encode() + b" ", merchant, now=now(name))


@pytest.mark.parametrize("name", [n for n in of_kind("v3_notify", accepted=True) if n not in REFUSED_ON_PURPOSE])
def test_a_genuine_v3_notification_is_parsed(name):
    expect, notification = load(name)["expect"], parsed_v3(name)
    assert notification.event_type == expect.get("event_type", notification.event_type)
    assert notification.resource == (expected_resource(name) or notification.resource)
    assert notification.kind in ("payment", "refund", "event")
    assert notification.created_at is not None


@pytest.mark.parametrize("name", of_kind("v3_notify", accepted=False))
def test_a_false_v3_notification_is_refused(name):
    with pytest.raises(NotificationError) as refused:
        parsed_v3(name)
    assert isinstance(refused.value, Probe) is load(name)["expect"].get("probe", False)


@pytest.mark.parametrize("name", ["v3-notify-gunsluo-2-bad-signature", "v3-notify-gunsluo-5-bad-signature"])
def test_a_bad_signature_is_bad_within_the_certificates_validity_too(name):
    with pytest.raises(SignatureInvalid):
        parsed_v3(name, clock=IN_VALIDITY)


@pytest.mark.parametrize("name", BEFORE_CERTIFICATE)
def test_a_certificate_counts_only_within_its_validity(name):
    with pytest.raises(UnknownSerial, match="not valid yet"):
        parsed_v3(name)
    given, merchant = load(name)["input"], v3_merchant(name, timestamp_tolerance=10**9)
    v3.verify(given["headers"], given["body"].encode(), merchant, now=IN_VALIDITY)
    (not_after,) = {key.not_after for key in merchant.platform_keys.values()}
    with pytest.raises(UnknownSerial, match="expired"):
        parsed_v3(name, clock=not_after + 1)


@pytest.mark.parametrize("name", BEFORE_CERTIFICATE)
def test_within_the_validity_of_its_certificate_it_opens_to_its_plaintext(name):
    given, plaintext = load(name)["input"], load(name)["expect"]["plaintext"]
    resource = v3.strict_json(given["body"].encode(), "the body")["resource"]
    assert sealed.decrypt(resource, v3_merchant(name).api_v3_keys).decode() == plaintext
    if name == CUT:
        with pytest.raises(Malformed):
            parsed_v3(name, clock=IN_VALIDITY)
    else:
        assert parsed_v3(name, clock=IN_VALIDITY).resource == json.loads(plaintext)


def test_a_notification_under_a_short_key_is_wechats_by_its_signature():
    name = "v3-notify-go-payscore-open-service"
    given = load(name)["input"]
    v3.verify(given["headers"], given["body"].encode(), v3_merchant(name), now=now(name))


@pytest.mark.parametrize("name", of_kind("v2_notify_xml", accepted=True))
def test_a_genuine_v2_body_is_read_and_its_sign_holds(name):
    given, expect = load(name)["input"], load(name)["expect"]
    fields = flatxml.parse_xml(given["body"].encode(), "xml")
    assert fields == expect["fields"]
    v2.verify(fields, v2_merchant(name))


@pytest.mark.parametrize("name", of_kind("v2_notify_xml", accepted=False))
def test_a_false_v2_notice_is_refused(name):
    body = load(name)["input"]["body"].encode()
    with pytest.raises(NotificationError):
        v2.parse_notification({}, body, v2_merchant(name), now=0)


@pytest.mark.parametrize("name", of_kind("v2_refund_req_info"))
def test_a_req_info_opens_to_its_plaintext(name):
    given, expect = load(name)["input"], load(name)["expect"]
    assert v2.req_info_key(given["key"]).decode() == expect["aes_key"]
    plaintext = v2.open_req_info(given["req_info"], given["key"])
    assert plaintext.decode() == expect["plaintext"]
    if "fields" in expect:
        assert flatxml.parse_xml(plaintext, "root") == expect["fields"]
    else:  # JSON, which no notice holds
        with pytest.raises(Malformed):
            flatxml.parse_xml(plaintext, "root")


@pytest.mark.parametrize("name", of_kind("aes_256_ecb"))
def test_the_cipher_of_a_req_info_is_aes_256_ecb(name, monkeypatch):
    given = load(name)["input"]
    monkeypatch.setattr(v2, "req_info_key", str.encode)
    assert v2.open_req_info(given["ciphertext"], given["aes_key_text"]).decode() == load(name)["expect"]["plaintext"]


@pytest.mark.parametrize("name", of_kind("v2_refund_notify_xml", accepted=True))
def test_a_v2_refund_is_read_with_its_numbers(name):
    said = load(name)["expect"]["fields"]
    notification = v2.parse_notification({}, load(name)["input"]["body"].encode(), v2_merchant(name), now=0)
    assert {name: value for name, value in said.items() if value}.items() <= notification.resource.items()
    (refund,) = results.read(notification)
    states = {"SUCCESS": "SUCCESS", "CHANGE": "ABNORMAL", "REFUNDCLOSE": "CLOSED"}
    assert (refund.refund_status, refund.is_hint) == (states[said["refund_status"]], True)
    assert (refund.amount, refund.total) == (int(said["refund_fee"]), int(said["total_fee"]))
    for number in ("transaction_id", "out_trade_no", "refund_id", "out_refund_no"):
        assert getattr(refund, number) == said[number]


@pytest.mark.parametrize("name", of_kind("v2_refund_notify_xml", accepted=False))
def test_a_false_v2_refund_is_refused(name):
    with pytest.raises(SignatureInvalid):
        v2.parse_notification({}, load(name)["input"]["body"].encode(), v2_merchant(name), now=0)


@pytest.mark.django_db
@pytest.mark.parametrize("name", of_kind("v2_refund_notify_xml", accepted=True))
def test_a_v2_refund_is_recorded_over_http(name, client, settings, connect):
    said = load(name)["expect"]["fields"]
    mchid = flatxml.parse_xml(load(name)["input"]["body"].encode(), "xml")["mch_id"]
    order = Order.objects.expect(out_trade_no=said["out_trade_no"], amount=int(said["total_fee"]), mchid=mchid)
    Order.objects.filter(pk=order.pk).update(status="paid", transaction_id=said["transaction_id"])
    assert b"SUCCESS" in post(name, client, settings, mchid=mchid).content
    refund = Refund.objects.get()
    assert (refund.order, refund.amount, refund.refund_id) == (order, int(said["refund_fee"]), said["refund_id"])
    assert NotificationLog.objects.get().outcome == "refunded"


@pytest.mark.django_db
@pytest.mark.parametrize("name", [n for n in of_kind("v3_notify", accepted=True) if "refund" in n and n != CUT])
def test_a_v3_refund_is_recorded_over_http(name, client, settings, connect):
    said = contents(name)
    clock = IN_VALIDITY if name in BEFORE_CERTIFICATE else None
    order = Order.objects.expect(
        out_trade_no=said["out_trade_no"],
        amount=said["amount"]["total"],
        currency=said["amount"].get("currency", "CNY"),
        mchid=owner(said),
        sub_mchid=said.get("sub_mchid", ""),
    )
    Order.objects.filter(pk=order.pk).update(status="paid", transaction_id=said["transaction_id"])
    assert post(name, client, settings, mchid=owner(said), clock=clock).status_code == 200
    refund = Refund.objects.get()
    assert (refund.order, refund.amount, refund.status) == (order, said["amount"]["refund"], "SUCCESS")


def v2_merchant(name):
    given = load(name)["input"]
    sign_type = given.get("configured_sign_type") or given.get("sign_type", "MD5")
    return Merchant(mchid=MCHID, api_v2_keys=(given["key"],), v2_sign_type=sign_type)


def http_settings(name, mchid):
    """The vector's keys as a shop would configure them."""
    given = load(name)["input"]
    if load(name)["kind"].startswith("v2_"):
        merchant = {"API_V2_KEY": given["key"], "V2_SIGN_TYPE": v2_merchant(name).v2_sign_type}
    else:
        pems = given.get("platform_keys") or {given["headers"]["Wechatpay-Serial"]: given["platform_key_pem"]}
        merchant = {"API_V3_KEY": given["apiv3_key"], "PLATFORM_KEYS": pems}
    return {"MERCHANTS": {"default": merchant | {"MCHID": given.get("configured_mchid", mchid)}}}


def post(name, client, settings, *, mchid=MCHID, clock=None):
    given = load(name)["input"]
    settings.WECHATPAY_NOTIFY = http_settings(name, mchid)
    headers = {"Content-Type": "text/xml"} | given.get("headers", {})
    if clock is not None:
        settings.WECHATPAY_NOTIFY["TIMESTAMP_TOLERANCE"] = 10**9
    with time_machine.travel(clock or (now(name) if "headers" in given else 0), tick=False):
        return Signed(headers, given["body"].encode()).post(client, "/wechatpay/notify/")


def waiting_order(name):
    """The order a vector is about, as the vector says it; else as the notice itself says it."""
    given, said = load(name)["input"], contents(name)
    amount = said.get("amount") if isinstance(said.get("amount"), dict) else {}
    order = given.get("order") or {
        "out_trade_no": said.get("out_trade_no", "NOT-NAMED"),
        "total": amount.get("total") or int(said.get("total_fee", 100)),
        "currency": amount.get("currency") or said.get("fee_type") or "CNY",
    }
    return Order.objects.expect(
        out_trade_no=order["out_trade_no"],
        amount=order["total"],
        currency=order["currency"],
        mchid=owner(said),
        sub_mchid=said.get("sub_mchid") or said.get("sub_mch_id") or "",
    )


def contents(name):
    """The fields of a vector's notice, whatever its signature is worth."""
    given = load(name)["input"]
    try:
        if load(name)["kind"] == "v2_notify_xml":
            return flatxml.parse_xml(given["body"].encode(), "xml")
        envelope = v3.strict_json(given["body"].encode(), "the body")
        return v3.strict_json(sealed.decrypt(envelope["resource"], [given["apiv3_key"].encode()]), "the resource")
    except NotificationError:
        return {}


def owner(said):
    return said.get("sp_mchid") or said.get("mchid") or said.get("mch_id") or MCHID


def confirms(name):
    """Whether a vector is a payment to confirm. `v2-xml-…` are signed API calls and answers, not notices."""
    if not genuine(name) or load(name)["expect"].get("must_not_confirm_payment") or name in REFUSED_ON_PURPOSE:
        return False
    if load(name)["kind"] == "v2_notify_xml":
        return not name.startswith("v2-xml-")
    return load(name)["expect"].get("event_type") == "TRANSACTION.SUCCESS"


NOTICES = of_kind("v3_notify") + of_kind("v2_notify_xml")


@pytest.mark.parametrize("name", [name for name in NOTICES if confirms(name)])
def test_a_payment_is_read_with_its_numbers(name):
    said = contents(name)
    if load(name)["kind"] == "v3_notify":
        notification, total, currency = parsed_v3(name), said["amount"]["total"], said["amount"].get("currency", "CNY")
    else:
        notification = v2.parse_notification({}, load(name)["input"]["body"].encode(), v2_merchant(name), now=0)
        total, currency = int(said["total_fee"]), said.get("fee_type", "CNY")
    (payment,) = results.read(notification)
    assert (payment.trade_state, payment.amount, payment.currency) == ("SUCCESS", total, currency)
    assert (payment.mchid, payment.out_trade_no) == (owner(said), said["out_trade_no"])
    assert payment.transaction_id == said.get("transaction_id", said.get("id"))
    assert payment.success_time is not None


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in NOTICES if confirms(name)])
def test_a_payment_confirms_its_order_over_http(name, client, settings, shipped):
    order = waiting_order(name)
    response = post(name, client, settings, mchid=order.mchid)
    assert (response.status_code, b"SUCCESS" in response.content) == (200, True)
    order.refresh_from_db()
    assert order.status == "paid"
    assert [call["order"] for call in shipped.calls] == [order]
    assert NotificationLog.objects.get().outcome == "confirmed"


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in NOTICES if not confirms(name)])
def test_anything_else_leaves_the_order_pending_over_http(name, client, settings, shipped):
    order = waiting_order(name)
    response = post(name, client, settings, mchid=order.mchid)
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls
    assert response.status_code != 500
    if not genuine(name):
        assert b"FAIL" in response.content
        assert response.status_code >= 400 or load(name)["kind"] == "v2_notify_xml"
        assert not NotificationLog.objects.filter(outcome__in=["confirmed", "received", "payment_failed"]).exists()
    assert all(row.http_status == response.status_code for row in NotificationLog.objects.all())


@pytest.mark.django_db
@pytest.mark.parametrize("name", BEFORE_CERTIFICATE)
def test_a_certificate_counts_only_within_its_validity_over_http(name, client, settings, shipped):
    assert post(name, client, settings).status_code == 401
    assert NotificationLog.objects.get().outcome == "unknown_serial"
    post(name, client, settings, clock=IN_VALIDITY)
    assert NotificationLog.objects.latest("pk").verified
    assert not shipped.calls


@pytest.mark.django_db
@pytest.mark.parametrize("name", SHORT_KEY)
def test_a_short_api_v3_key_is_refused_over_http(name, client, settings):
    other = "v3-notify-go-payscore-open-service"
    settings.WECHATPAY_NOTIFY = http_settings(other, MCHID)
    settings.WECHATPAY_NOTIFY["MERCHANTS"]["default"]["API_V3_KEY"] = (
        load(name)["input"].get("key") or load(name)["input"]["apiv3_key"]
    )
    given = load(other)["input"]
    with time_machine.travel(now(other), tick=False):
        response = Signed({"Content-Type": "application/json"} | given["headers"], given["body"].encode()).post(
            client, "/wechatpay/notify/"
        )
    assert (response.status_code, response.json()) == (503, {"code": "FAIL", "message": "retry"})
    assert NotificationLog.objects.get().outcome == "misconfigured"
