"""v2: what proves a notice, and how strictly its XML is read."""

import dataclasses

import pytest

from tests.protocol import MERCHANT
from tests.settings import PLATFORM
from wechatpay_notify.protocol import flatxml, v2
from wechatpay_notify.protocol.errors import AlgorithmRefused, Malformed, SignatureInvalid, TooLarge, Unsigned
from wechatpay_notify.testing import xml


def parse(signed, merchant=MERCHANT):
    return v2.parse_notification({}, signed.body, merchant, now=0)


def fields(**changes):
    made = flatxml.parse_xml(PLATFORM.payment_v2("A-1", 100).body, "xml")
    del made["sign"]
    return made | changes


@pytest.mark.parametrize("sign_type", ["MD5", "HMAC-SHA256"])
def test_a_notice_is_parsed(sign_type):
    signed = PLATFORM.payment_v2("A-1", 100, sign_type=sign_type)
    notification = parse(signed)
    assert (notification.version, notification.kind) == ("v2", "payment")
    assert (notification.notification_id, notification.event_type, notification.created_at) == ("", "", None)
    assert notification.resource["out_trade_no"] == "A-1"


def test_the_digest_is_the_same_for_every_redelivery_and_another_for_another_notice():
    signed = PLATFORM.payment_v2("A-1", 100)
    assert parse(signed).digest == parse(signed).digest
    assert parse(signed).digest != parse(PLATFORM.payment_v2("A-1", 100)).digest


def test_the_digest_does_not_depend_on_the_algorithm_of_the_sign():
    made = fields()
    assert parse(PLATFORM.v2(made)).digest == parse(PLATFORM.v2(made, sign_type="HMAC-SHA256")).digest


def test_neither_headers_nor_the_clock_play_a_part():
    signed = PLATFORM.payment_v2("A-1", 100)
    for now in (0, 1e12, float("nan")):
        assert v2.parse_notification({"Wechatpay-Timestamp": "x"}, signed.body, MERCHANT, now=now).kind == "payment"


@pytest.mark.parametrize("keys", [("0" * 32, PLATFORM.api_v2_key), (PLATFORM.api_v2_key, "0" * 32)])
def test_while_the_key_is_changed_either_verifies(keys):
    assert parse(PLATFORM.payment_v2("A-1", 100), dataclasses.replace(MERCHANT, api_v2_keys=keys)).kind == "payment"


def test_without_a_key_nothing_verifies():
    with pytest.raises(SignatureInvalid):
        parse(PLATFORM.payment_v2("A-1", 100), dataclasses.replace(MERCHANT, api_v2_keys=()))


@pytest.mark.parametrize("sign_type", ["MD5", "HMAC-SHA256"])
def test_an_empty_key_signs_nothing(sign_type):
    with pytest.raises(ValueError, match="empty"):
        v2.signature({"a": "1"}, "", sign_type)


REFUSALS = {
    "no sign": (lambda: xml(fields()), Unsigned),
    "wrong sign": (lambda: xml(fields() | {"sign": "0" * 32}), SignatureInvalid),
    "no hex": (lambda: xml(fields() | {"sign": "x" * 32}), SignatureInvalid),
    "contradiction": (lambda: PLATFORM.v2(fields(sign_type="HMAC-SHA256")), AlgorithmRefused),
    "no XML": (lambda: PLATFORM.sign_v3(b"{}"), Malformed),
    "too large": (lambda: xml({"a": "x" * flatxml.MAX_XML_BYTES}), TooLarge),
}


@pytest.mark.parametrize(("make", "error"), REFUSALS.values(), ids=REFUSALS)
def test_what_fails_before_the_sign_holds_is_not_proven(make, error):
    with pytest.raises(error) as refused:
        parse(make())
    assert not refused.value.proven


def test_md5_is_refused_where_hmac_alone_is_configured():
    strict = dataclasses.replace(MERCHANT, v2_sign_type="HMAC-SHA256")
    with pytest.raises(AlgorithmRefused):
        parse(PLATFORM.payment_v2("A-1", 100), strict)
    assert parse(PLATFORM.payment_v2("A-1", 100, sign_type="HMAC-SHA256"), strict).kind == "payment"


@pytest.mark.parametrize("name", ["out_trade_no", "total_fee", "mch_id", "transaction_id", "result_code", "fee_type"])
def test_a_value_that_could_be_read_as_a_money_field_is_malformed(name):
    with pytest.raises(Malformed, match="attach"):
        parse(PLATFORM.v2(fields(attach=f"x&{name}=1")))


@pytest.mark.parametrize("attach", ["uid=1&pid=2", "total_fee=1", "&total_fee", "x&total_fees=1", "&amp;total_fee"])
def test_a_value_like_a_query_string_passes(attach):
    assert parse(PLATFORM.v2(fields(attach=attach))).resource["attach"] == attach


def test_a_notice_names_its_merchant():
    made = fields()
    del made["mch_id"]
    with pytest.raises(Malformed, match="mch_id"):
        parse(PLATFORM.v2(made))


def test_a_notice_about_no_order_is_an_event():
    contract = {"return_code": "SUCCESS", "result_code": "SUCCESS", "mch_id": PLATFORM.mchid, "contract_code": "1"}
    assert parse(PLATFORM.v2(contract)).kind == "event"


def test_names_are_signed_in_ascii_order_and_empty_ones_are_not():
    assert v2.signature({"b": "2", "A": "1", "a": "", "c": None}, "k", "MD5") == v2.signature(
        {"A": "1", "b": "2", "sign": "x"}, "k", "MD5"
    )


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"<xml><a>1</a><b> </b><c/></xml>", {"a": "1", "b": " "}),
        (b"<xml>\n<a>1</a>\n</xml>\n", {"a": "1"}),
        (b"<xml><a>&lt;&#65;&amp;</a></xml>", {"a": "<A&"}),
        ("<xml><a>支付😀</a></xml>".encode(), {"a": "支付😀"}),
        (b"<xml><a><![CDATA[<b>]]></a></xml>", {"a": "<b>"}),
        (b"<xml><a>\r\n1\r</a></xml>", {"a": "\n1\n"}),
        (b"\xef\xbb\xbf<xml><a>1</a></xml>", {"a": "1"}),
        (b"<xml><a-b.c_1>1</a-b.c_1></xml>", {"a-b.c_1": "1"}),
    ],
)
def test_xml_is_read_as_it_stands(body, read):
    assert flatxml.parse_xml(body, "xml") == read


def test_the_root_is_the_one_asked_for():
    assert flatxml.parse_xml(b"<root><a>1</a></root>", "root") == {"a": "1"}
    with pytest.raises(Malformed, match="root"):
        flatxml.parse_xml(b"<xml><a>1</a></xml>", "root")


def test_300_fields_are_read_and_301_are_not():
    many = {f"f{n}": "1" for n in range(300)}
    assert flatxml.parse_xml(xml(many).body, "xml") == many
    with pytest.raises(Malformed, match="301"):
        flatxml.parse_xml(xml(many | {"one_more": "1"}).body, "xml")
