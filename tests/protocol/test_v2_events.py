"""v2's notices about no order: told by their shape, or named and sealed under the APIv3 key."""

import dataclasses
import secrets
from datetime import UTC, datetime

import pytest

from tests.protocol import MERCHANT
from tests.settings import PLATFORM
from wechatpay_notify.protocol import flatxml, results, sealed, v2
from wechatpay_notify.protocol.errors import AlgorithmRefused, Malformed, SignatureInvalid, Undecryptable, Unsigned
from wechatpay_notify.testing import xml

HMAC = "HMAC-SHA256"
IDENTITY = {"appid": PLATFORM.appid, "mch_id": PLATFORM.mchid, "nonce_str": "n"}
SHAPES = {
    "v2.SCAN": {"openid": "o1", "is_subscribe": "N", "product_id": "P-1"},
    "v2.CONTRACT": {"contract_code": "C-1", "change_type": "ADD", "contract_id": "2", "openid": "o1", "plan_id": "3"},
    "v2.VEHICLE": {"plate_number": "粤A00000", "vehicle_event_type": "NORMAL", "vehicle_event_createtime": "2018"},
    "v2.RISK": {"event_code": "E", "risk_level": "HIGH", "transaction_id_list": '{"data": []}', "sign_type": HMAC},
}
ROOM = {"state": "USER_ACCEPTED", "out_order_no": "R-1", "room": "豪华双人房", "deposit_amount": "10000"}


def parse(signed, merchant=MERCHANT):
    return v2.parse_notification({}, signed.body, merchant, now=0)


@pytest.mark.parametrize("sign_type", ["MD5", HMAC])
@pytest.mark.parametrize("name", SHAPES)
def test_a_notice_about_no_order_is_named_by_its_shape(name, sign_type):
    made = IDENTITY | SHAPES[name]
    if sign_type == "MD5":
        made.pop("sign_type", None)
    notification = parse(PLATFORM.v2(made, sign_type=sign_type))
    assert (notification.kind, notification.event_type, notification.notification_id) == ("event", name, "")
    assert made.items() <= notification.resource.items()
    assert results.read(notification) == ()


@pytest.mark.parametrize("name", SHAPES)
def test_with_an_order_number_or_an_amount_no_shape_is_anything_but_a_payment(name):
    for mark in ("out_trade_no", "total_fee", "combine_out_trade_no"):
        notification = parse(PLATFORM.v2(IDENTITY | SHAPES[name] | {mark: "1"}, sign_type=HMAC))
        assert (notification.kind, notification.event_type) == ("payment", "")


NOT_QUITE = [
    IDENTITY | {"product_id": "P-1"},
    IDENTITY | {"openid": "o1"},
    {"mch_id": PLATFORM.mchid, "product_id": "P-1", "openid": "o1"},
    IDENTITY | {"contract_code": "C-1"},
    IDENTITY | {"plate_number": "粤A00000"},
    IDENTITY | {"event_code": "E", "risk_level": "HIGH"},
]


@pytest.mark.parametrize("made", NOT_QUITE)
def test_what_lacks_a_mark_has_no_name(made):
    notification = parse(PLATFORM.v2(made))
    assert (notification.kind, notification.event_type) == ("event", "")


@pytest.mark.parametrize("made", [{"vehicle_event_type": "BLOCKED", "plate_number_info": "{}"}, SHAPES["v2.VEHICLE"]])
def test_a_vehicle_notice_of_a_motorway_has_its_plates_elsewhere(made):
    assert parse(PLATFORM.v2(IDENTITY | made, sign_type=HMAC)).event_type == "v2.VEHICLE"


def test_the_builder_of_a_scan_makes_one():
    notification = parse(PLATFORM.scan_v2("P-1", is_subscribe="Y"))
    assert notification.event_type == v2.SCAN
    assert (notification.resource["product_id"], notification.resource["is_subscribe"]) == ("P-1", "Y")


@pytest.mark.parametrize("event_type", ["CHECK.SUCCESS", "CHECK.FAIL", "TRANSACTION.SUCCESS", "TRANSACTION.FAIL"])
def test_a_sealed_event_is_opened_and_never_a_payment(event_type):
    paid = ROOM | {"out_trade_no": "A-1", "total_fee": "100", "transaction_id": "42", "trade_state": "SUCCESS"}
    signed = PLATFORM.event_v2(event_type, paid, event_id="EV-1", event_create_time="20180225112233", out_trade_no="A")
    notification = parse(signed)
    assert (notification.version, notification.kind, notification.event_type) == ("v2", "event", event_type)
    assert notification.notification_id == "EV-1"
    assert notification.created_at == datetime(2018, 2, 25, 3, 22, 33, tzinfo=UTC)
    assert notification.resource == paid | {"mch_id": PLATFORM.mchid, "appid": PLATFORM.appid}
    assert results.read(notification) == ()


def test_whose_a_sealed_event_is_the_signed_elements_say():
    inside = ROOM | {"mch_id": "1", "appid": "wx1"}
    resource = parse(PLATFORM.event_v2("CHECK.SUCCESS", inside, sub_mch_id="2", app_id="wx2")).resource
    assert (resource["mch_id"], resource["appid"]) == (PLATFORM.mchid, PLATFORM.appid)
    assert (resource["sub_mch_id"], resource["app_id"]) == ("2", "wx2")


def test_the_digest_of_a_sealed_event_is_that_of_its_content():
    first, again = (parse(PLATFORM.event_v2("CHECK.SUCCESS", ROOM)) for _ in range(2))
    assert first.digest == again.digest
    assert first.digest != parse(PLATFORM.event_v2("CHECK.SUCCESS", ROOM | {"room": "1"})).digest


@pytest.mark.parametrize("moment", ["", "yesterday", "2018-02-25T11:22:33+08:00"])
def test_a_sealed_event_without_a_readable_time_or_id_is_taken(moment):
    notification = parse(PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_create_time=moment, event_id=""))
    assert notification.created_at is None


@pytest.mark.parametrize("associated_data", ["", "certificate"])
def test_associated_data_may_be_there_or_not(associated_data):
    box = PLATFORM.encrypt(xml(ROOM).body, associated_data=associated_data)
    outer = {f"event_{name}": box[name] for name in ("nonce", "ciphertext", "associated_data")}
    assert parse(PLATFORM.event_v2("CHECK.SUCCESS", {}, **outer)).resource["room"] == ROOM["room"]


def test_while_the_api_v3_key_is_changed_either_opens():
    other = secrets.token_hex(16).encode()
    for keys in ((other, *MERCHANT.api_v3_keys), (*MERCHANT.api_v3_keys, other)):
        merchant = dataclasses.replace(MERCHANT, api_v3_keys=keys)
        assert parse(PLATFORM.event_v2("CHECK.FAIL", ROOM), merchant).event_type == "CHECK.FAIL"


@pytest.mark.parametrize("keys", [(), (b"0" * 32,), (b"0" * 16,), (b"",), (b"0" * 31, b"0" * 33)])
def test_without_the_api_v3_key_a_sealed_event_is_undecryptable_and_proven(keys):
    with pytest.raises(Undecryptable) as refused:
        parse(PLATFORM.event_v2("CHECK.SUCCESS", ROOM), dataclasses.replace(MERCHANT, api_v3_keys=keys))
    assert refused.value.proven


def test_a_key_of_128_bits_does_not_open_what_it_seals():
    short = dataclasses.replace(PLATFORM, api_v3_key="0" * 16)
    with pytest.raises(Undecryptable):
        parse(short.event_v2("CHECK.SUCCESS", ROOM), dataclasses.replace(MERCHANT, api_v3_keys=(b"0" * 16,)))


def holding(plaintext):
    """A sealed event around any bytes."""
    box = PLATFORM.encrypt(plaintext, associated_data="")
    return PLATFORM.event_v2("CHECK.SUCCESS", {}, event_nonce=box["nonce"], event_ciphertext=box["ciphertext"])


PROVEN = {
    "other algorithm": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_algorithm="none"), AlgorithmRefused),
    "no algorithm": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_algorithm=""), AlgorithmRefused),
    "no nonce": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_nonce=""), Malformed),
    "short nonce": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_nonce="7"), Malformed),
    "no base64": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_ciphertext="!"), Malformed),
    "short ciphertext": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_ciphertext="AAAA"), Undecryptable),
    "no type": (lambda: PLATFORM.event_v2("", ROOM), Malformed),
    "a name of ours": (lambda: PLATFORM.event_v2(v2.SCAN, ROOM), Malformed),
    "nothing inside": (lambda: holding(b""), Malformed),
    "JSON inside": (lambda: holding(b"{}"), Malformed),
    "other root inside": (lambda: holding(b"<root><a>1</a></root>"), Malformed),
    "DOCTYPE inside": (lambda: holding(b"<!DOCTYPE xml><xml><a>1</a></xml>"), Malformed),
    "entities inside": (lambda: holding(b'<!DOCTYPE x [<!ENTITY a "b">]><xml><a>&a;</a></xml>'), Malformed),
    "twice inside": (lambda: holding(b"<xml><a>1</a><a>2</a></xml>"), Malformed),
    "no UTF-8 inside": (lambda: holding(b"<xml><a>\xff</a></xml>"), Malformed),
}


@pytest.mark.parametrize(("make", "error"), PROVEN.values(), ids=PROVEN)
def test_what_is_wrong_with_a_sealed_event_behind_its_sign_is_proven(make, error):
    with pytest.raises(error) as refused:
        parse(make())
    assert refused.value.proven


def unsigned():
    return xml(flatxml.parse_xml(PLATFORM.event_v2("CHECK.SUCCESS", ROOM).body, "xml") | {"sign": ""})


UNPROVEN = {
    "no sign": (unsigned, Unsigned),
    "algorithm says MD5": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, algorithm="MD5"), AlgorithmRefused),
    "MD5 says HMAC": (
        lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, sign_type="MD5", algorithm=HMAC),
        AlgorithmRefused,
    ),
    "algorithm says AES": (
        lambda: PLATFORM.event_v2("CHECK.SUCCESS", ROOM, algorithm=sealed.ALGORITHM),
        AlgorithmRefused,
    ),
    "another key": (
        lambda: dataclasses.replace(PLATFORM, api_v2_key="0" * 32).event_v2("CHECK.SUCCESS", ROOM),
        SignatureInvalid,
    ),
}


@pytest.mark.parametrize(("make", "error"), UNPROVEN.values(), ids=UNPROVEN)
def test_that_a_sealed_event_opens_proves_nothing(make, error):
    with pytest.raises(error) as refused:
        parse(make())
    assert not refused.value.proven


def test_a_sealed_event_in_md5_is_refused_where_hmac_alone_is_configured():
    strict = dataclasses.replace(MERCHANT, v2_sign_type=HMAC)
    assert parse(PLATFORM.event_v2("CHECK.SUCCESS", ROOM), strict).event_type == "CHECK.SUCCESS"
    with pytest.raises(AlgorithmRefused):
        parse(PLATFORM.event_v2("CHECK.SUCCESS", ROOM, sign_type="MD5"), strict)


@pytest.mark.parametrize("fields", [{"a": "1"}, {"a": " <&>\t\n"}, {"a": "]]>", "b-c.d": "]]]]>>"}, {"a": "支付😀"}])
def test_xml_is_written_to_be_read_back_as_it_is(fields):
    assert flatxml.parse_xml(flatxml.write_xml(fields).encode(), "xml") == fields


@pytest.mark.parametrize(
    "fields", [{"a b": "1"}, {"": "1"}, {"a": "\r"}, {"a": "\0"}, {"a": "\ud800"}, {"a": "\uffff"}, {"a": 1}, {1: "a"}]
)
def test_what_xml_cannot_carry_is_not_written(fields):
    with pytest.raises((TypeError, ValueError)):
        flatxml.write_xml(fields)
