"""Properties: only NotificationError leaves the ring, whatever comes in; nothing that is signed can be changed."""

import base64
import contextlib
import dataclasses
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.protocol import MERCHANT, NOW
from tests.settings import PLATFORM
from wechatpay_notify.protocol import flatxml, moments, results, v2, v3
from wechatpay_notify.protocol.errors import Malformed, NotificationError, SignatureInvalid
from wechatpay_notify.protocol.types import Notification, PaymentResult, RefundResult
from wechatpay_notify.testing import xml

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

anything = st.text() | st.text(st.characters(exclude_categories=()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)
header_names = st.sampled_from(
    [f"Wechatpay-{name}" for name in ("Timestamp", "Nonce", "Signature", "Serial", "Signature-Type")]
)
almost_headers = st.dictionaries(
    header_names, anything | st.sampled_from([str(NOW), PLATFORM.serial, v3.SIGNATURE_TYPE, "WECHATPAY/SIGNTEST/"])
)
element_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,12}", fullmatch=True)
xml_text = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"))
field_maps = st.dictionaries(element_names, xml_text.filter(bool), min_size=1, max_size=12)
V3_NAMES = [
    "mchid",
    "sp_mchid",
    "sub_mchid",
    "appid",
    "out_trade_no",
    "transaction_id",
    "id",
    "trade_state",
    "amount",
    "payer",
    "attach",
    "success_time",
    "sub_orders",
    "combine_mchid",
    "combine_out_trade_no",
]
V2_NAMES = [
    "mch_id",
    "appid",
    "out_trade_no",
    "transaction_id",
    "total_fee",
    "fee_type",
    "result_code",
    "return_code",
    "trade_state",
    "trade_type",
    "time_end",
    "sign_type",
    "attach",
    "combine_out_trade_no",
    "sub_order_list",
]


def read_or_refuse(parse, headers, body):
    """Down the ring as far as it goes; the results, or nothing if it is refused."""
    with contextlib.suppress(NotificationError):
        return results.read(parse(headers, body, MERCHANT, now=NOW))
    return None


@quick
@given(almost_headers, st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_nothing_unsigned_passes_v3(headers, body):
    assert read_or_refuse(v3.parse_notification, headers, body) is None


@quick
@given(st.binary() | st.text().map(lambda text: f"<xml>{text}</xml>".encode(errors="ignore")))
@example(b"<xml><a>&#xD800;</a></xml>")
@example(b"<xml><sign>" + b"0" * 32 + b"</sign></xml>")
def test_nothing_unsigned_passes_v2(body):
    assert read_or_refuse(v2.parse_notification, {}, body) is None


@quick
@given(field_maps, st.sampled_from(["", "0" * 32, "f" * 64]) | xml_text)
def test_no_fields_pass_v2_without_their_sign(fields, sign):
    assert read_or_refuse(v2.parse_notification, {}, xml(fields | {"sign": sign}).body) is None


@quick
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"event_type": "TRANSACTION.SUCCESS", "resource": ' + b"[" * 5000 + b"]" * 5000 + b"}")
def test_a_rightly_signed_body_of_any_kind_is_refused_at_most(body):
    signed = PLATFORM.sign_v3(body, timestamp=NOW)
    read_or_refuse(v3.parse_notification, signed.headers, signed.body)


@quick
@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("algorithm", "nonce", "ciphertext", "associated_data"), json_values)
    )
)
def test_a_rightly_signed_resource_of_any_kind_is_refused_at_most(resource):
    for given_resource in (resource, PLATFORM.encrypt(b"{}") | resource):
        body = json.dumps({"event_type": "X", "resource": given_resource}).encode()
        signed = PLATFORM.sign_v3(body, timestamp=NOW)
        read_or_refuse(v3.parse_notification, signed.headers, signed.body)


@quick
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()), st.sampled_from(sorted(v3.KINDS)))
def test_a_rightly_encrypted_text_of_any_kind_is_refused_at_most(plaintext, event_type):
    body = json.dumps({"event_type": event_type, "resource": PLATFORM.encrypt(plaintext)}).encode()
    signed = PLATFORM.sign_v3(body, timestamp=NOW)
    read_or_refuse(v3.parse_notification, signed.headers, signed.body)


SEALED_NAMES = [
    "event_type",
    "event_id",
    "event_create_time",
    "event_nonce",
    "event_associated_data",
    "event_ciphertext",
]


@quick
@given(
    st.binary() | field_maps.map(lambda fields: xml(fields).body),
    st.dictionaries(st.sampled_from(SEALED_NAMES), xml_text),
)
def test_a_rightly_signed_event_of_v2_of_any_kind_confirms_nothing(plaintext, changes):
    box = PLATFORM.encrypt(plaintext, associated_data="")
    made = {"event_nonce": box["nonce"], "event_ciphertext": box["ciphertext"]} | changes
    signed = PLATFORM.event_v2(made.pop("event_type", "CHECK.SUCCESS"), {}, **made)
    assert read_or_refuse(v2.parse_notification, {}, signed.body) in (None, ())


def notification(version, resource, kind="payment", event_type="TRANSACTION.SUCCESS"):
    return Notification(
        version=version,
        kind=kind,
        notification_id="",
        event_type=event_type if version == "v3" else "",
        resource=resource,
        created_at=None,
        digest="",
    )


def is_whole(payment: PaymentResult):
    """What the app may rely on in every payment that is read."""
    assert type(payment.amount) is int
    assert 0 <= payment.amount < 10**18
    assert results.ORDER_NUMBER.fullmatch(payment.out_trade_no)
    assert payment.trade_state != "SUCCESS" or (payment.amount > 0 and payment.transaction_id)
    texts = [
        value for value in dataclasses.asdict(dataclasses.replace(payment, raw={})).values() if isinstance(value, str)
    ]
    for text in texts:
        assert "\0" not in text
        assert text.encode().decode() == text
        assert len(text) <= 128
    assert payment.payer_total is None or 0 <= payment.payer_total < 10**18
    assert payment.success_time is None or 1999 <= payment.success_time.year < 9001


@quick
@given(st.dictionaries(st.sampled_from(V3_NAMES), json_values), st.booleans())
def test_a_v3_payment_of_any_shape_is_whole_or_refused(fields, based):
    resource = (PLATFORM.payment_resource("A-1", 100) if based else {}) | fields
    with contextlib.suppress(Malformed):
        for payment in results.read(notification("v3", resource)):
            is_whole(payment)


@quick
@given(st.lists(st.dictionaries(st.sampled_from(V3_NAMES), json_values), max_size=3) | json_values)
def test_a_combined_order_of_any_shape_is_whole_or_refused(sub_orders):
    resource = {"combine_mchid": "1", "combine_appid": "wx", "combine_out_trade_no": "C-1", "sub_orders": sub_orders}
    listed = json.dumps({"order_list": sub_orders})
    fields = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_out_trade_no": "C-1",
        "sub_order_list": listed,
    }
    for version, made in (("v3", resource), ("v2", fields)):
        with contextlib.suppress(Malformed):
            for payment in results.read(notification(version, made)):
                is_whole(payment)


@quick
@given(
    st.dictionaries(st.sampled_from(V2_NAMES), xml_text, max_size=6),
    st.booleans(),
    st.sampled_from(["MD5", "HMAC-SHA256"]),
)
def test_rightly_signed_v2_fields_of_any_kind_are_whole_or_refused(fields, based, sign_type):
    base = flatxml.parse_xml(PLATFORM.payment_v2("A-1", 100).body, "xml") if based else {}
    made = {name: value for name, value in (base | fields).items() if name != "sign" and value}
    signed = PLATFORM.v2(made, sign_type=sign_type)
    for payment in read_or_refuse(v2.parse_notification, {}, signed.body) or ():
        is_whole(payment)


REFUND_NAMES = [
    "mchid",
    "sp_mchid",
    "sub_mchid",
    "out_trade_no",
    "transaction_id",
    "out_refund_no",
    "refund_id",
    "refund_status",
    "amount",
    "success_time",
]
REFUND = {"total": 100, "transaction_id": "42", "out_refund_no": "R-1"}


def is_whole_refund(refund: RefundResult):
    assert type(refund.amount) is type(refund.total) is int
    assert 0 < refund.amount < 10**18
    assert 0 < refund.total < 10**18
    assert refund.refund_status in ("SUCCESS", "ABNORMAL", "CLOSED")
    assert refund.transaction_id.isascii()
    assert refund.out_refund_no.isascii()


@quick
@given(st.dictionaries(st.sampled_from(REFUND_NAMES), json_values))
def test_a_v3_refund_of_any_shape_is_whole_or_refused(fields):
    whole = dict.fromkeys(REFUND_NAMES, "1") | {"refund_status": "SUCCESS", "amount": {"refund": 1, "total": 1}}
    for resource in (fields, whole | fields):
        with contextlib.suppress(Malformed):
            for refund in results.read(notification("v3", resource, "refund", "REFUND.SUCCESS")):
                is_whole_refund(refund)


@quick
@given(st.dictionaries(element_names.filter(lambda name: name not in REFUND), xml_text, max_size=6))
def test_a_v2_refund_of_any_shape_is_whole_or_refused(fields):
    signed = PLATFORM.refund_v2("A-1", 30, **REFUND, **fields)
    for refund in read_or_refuse(v2.parse_notification, {}, signed.body) or ():
        is_whole_refund(refund)


@quick
@given(st.binary(max_size=400))
def test_no_req_info_but_a_sealed_one_opens(req_info):
    encoded = base64.b64encode(req_info).decode() or "A"
    body = xml({"mch_id": PLATFORM.mchid, "appid": PLATFORM.appid, "req_info": encoded}).body
    assert read_or_refuse(v2.parse_notification, {}, body) is None


@quick
@given(field_maps)
def test_any_field_map_survives_the_way_through_xml(fields):
    for written in (xml(fields).body, flatxml.write_xml(fields).encode()):
        assert flatxml.parse_xml(written, "xml") == fields


@quick
@given(field_maps, st.data(), st.sampled_from(["MD5", "HMAC-SHA256"]))
def test_the_sign_changes_with_any_field(fields, data, sign_type):
    fields.pop("sign", None)
    sign = v2.signature(fields, PLATFORM.api_v2_key, sign_type)
    name = data.draw(st.sampled_from(sorted(fields)) if fields else element_names)
    changed = fields | {name: data.draw(xml_text.filter(lambda text: text != fields.get(name, "")))}
    if name != "sign":
        assert v2.signature(changed, PLATFORM.api_v2_key, sign_type) != sign
    assert v2.signature(fields | {"sign": "x"}, PLATFORM.api_v2_key, sign_type) == sign


SIGNED = PLATFORM.payment_v3("A-1", 100, timestamp=NOW)


def flipped(raw, bit):
    changed = bytearray(raw)
    changed[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(changed)


@quick
@given(st.integers(min_value=0, max_value=10**6))
def test_no_flipped_bit_of_the_body_verifies(bit):
    with pytest.raises(SignatureInvalid):
        v3.verify(SIGNED.headers, flipped(SIGNED.body, bit), MERCHANT, now=NOW)


@quick
@given(st.integers(min_value=0, max_value=2047))
def test_no_flipped_bit_of_the_signature_verifies(bit):
    signature = flipped(base64.b64decode(SIGNED.headers["Wechatpay-Signature"]), bit)
    headers = SIGNED.headers | {"Wechatpay-Signature": base64.b64encode(signature).decode()}
    with pytest.raises(SignatureInvalid):
        v3.verify(headers, SIGNED.body, MERCHANT, now=NOW)


@quick
@given(header_names, anything)
def test_no_changed_header_verifies(name, value):
    value = value if value != SIGNED.headers[name] else f"{value}x"
    with pytest.raises(NotificationError):
        v3.verify(SIGNED.headers | {name: value}, SIGNED.body, MERCHANT, now=NOW)


@quick
@given(
    anything
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.from_regex(r"[0-9TZ:+.\-]{0,40}", fullmatch=True)
)
def test_a_moment_is_sane_or_none(text):
    for moment in (moments.rfc3339(text), moments.beijing(text)):
        assert moment is None or 1999 <= moment.year < 9001


@quick
@given(anything)
def test_what_is_storable_is_so_at_once(text):
    kept = results.storable(text)
    assert results.storable(kept) == kept
    assert kept.encode().decode() == kept
    assert "\0" not in kept
