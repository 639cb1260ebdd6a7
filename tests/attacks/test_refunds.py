"""Refund notices that are not WeChat's, or that say what the record does not: no oracle, no money moved."""

import base64
import secrets

import pytest

from tests.answers import answer
from tests.attacks import NOTIFY, NUMBER, TRANSACTION, V3, cases
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog, Order, Refund
from wechatpay_notify.protocol import v2
from wechatpay_notify.testing import Platform, Signed, xml

pytestmark = pytest.mark.django_db

OTHER = Platform(api_v2_key="e" * 32)
REFUND = {"total": 100, "transaction_id": TRANSACTION, "out_refund_no": "R-1"}
BLOCK = v2.AES_BLOCK


@pytest.fixture
def refunded(connect):
    return [connect(getattr(signals, name), name) for name in ("refund_confirmed", "refund_abnormal", "refund_closed")]


@pytest.fixture
def paid(order, shipped, client):
    assert PLATFORM.payment_v3(NUMBER, 100, transaction_id=TRANSACTION).post(client, NOTIFY).status_code == 200
    shipped.calls.clear()
    NotificationLog.objects.all().delete()
    order.refresh_from_db()
    return order


@pytest.fixture
def nothing_moves(client, paid, refunded):
    """Post it: the answer is the outcome's to the byte, and neither order nor refunds nor receivers have moved."""

    def post(signed, outcome, *, version="v2", path=NOTIFY):
        before = list(Order.objects.values()), list(Refund.objects.values()), sum(len(r.calls) for r in refunded)
        response = signed.post(client, path)
        assert NotificationLog.objects.latest("pk").outcome == outcome
        assert (response.status_code, response.content) == answer(version, outcome)
        after = list(Order.objects.values()), list(Refund.objects.values()), sum(len(r.calls) for r in refunded)
        assert after == before
        return NotificationLog.objects.latest("pk")

    return post


def genuine_v2(amount=100, **fields):
    return PLATFORM.refund_v2(NUMBER, amount, **REFUND | fields)


def around(req_info, **outer):
    """A v2 refund notice around any `req_info`."""
    return xml(
        {"return_code": "SUCCESS", "appid": PLATFORM.appid, "mch_id": PLATFORM.mchid, "req_info": req_info} | outer
    )


def sealed():
    """The genuine ciphertext."""
    return bytearray(base64.b64decode(genuine_v2().body.partition(b"<req_info>")[2].partition(b"</req_info>")[0]))


def encoded(ciphertext):
    return base64.b64encode(bytes(ciphertext)).decode()


def flipped(position):
    ciphertext = sealed()
    ciphertext[position] ^= 1
    return encoded(ciphertext)


def rearranged():
    ciphertext = sealed()
    ciphertext[:BLOCK], ciphertext[BLOCK : 2 * BLOCK] = ciphertext[BLOCK : 2 * BLOCK], ciphertext[:BLOCK]
    return encoded(ciphertext)


def under(key, plaintext=b"<root><a>1</a></root>"):
    return Platform(api_v2_key=key).req_info(plaintext)


FORGED = {
    "empty after white space": lambda: " ",
    "no base64": lambda: "!!!!",
    "url-safe base64": lambda: encoded(b"\xff" * 32).replace("/", "_"),
    "random blocks": lambda: encoded(secrets.token_bytes(512)),
    "not a whole block": lambda: encoded(sealed()[:-1]),
    "cut by a block": lambda: encoded(sealed()[:-BLOCK]),
    "one bit in the first block": lambda: flipped(0),
    "one bit in the padding": lambda: flipped(-1),
    "two blocks changed places": rearranged,
    "a block too many": lambda: encoded(sealed() + sealed()[:BLOCK]),
    "under another merchant's key": lambda: OTHER.req_info(b"<root><a>1</a></root>"),
    "under the empty key": lambda: under(""),
    "under the merchant's number": lambda: under(PLATFORM.mchid),
    "under the APIv3 key": lambda: under(PLATFORM.api_v3_key),
    "no XML": lambda: PLATFORM.req_info(b"{}"),
    "<xml> for <root>": lambda: PLATFORM.req_info(b"<xml><a>1</a></xml>"),
    "no fields": lambda: PLATFORM.req_info(b"<root></root>"),
    "DOCTYPE": lambda: PLATFORM.req_info(b"<!DOCTYPE root><root><a>1</a></root>"),
    "external entity": lambda: PLATFORM.req_info(
        b'<!DOCTYPE root [<!ENTITY x SYSTEM "file:///etc/passwd">]><root><out_refund_no>&x;</out_refund_no></root>'
    ),
    "billion laughs": lambda: PLATFORM.req_info(
        b'<!DOCTYPE r [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><root><a>&b;</a></root>'
    ),
    "UTF-16": lambda: PLATFORM.req_info("<root><a>1</a></root>".encode("utf-16")),
    "a repeated amount": lambda: PLATFORM.req_info(
        b"<root><refund_fee>1</refund_fee><refund_fee>100</refund_fee></root>"
    ),
    "40 kB": lambda: PLATFORM.req_info(b"<root>" + b"<a/>" * 10_000 + b"</root>"),
}


@pytest.mark.parametrize("make", cases(FORGED))
def test_t65_every_fault_of_a_v2_refund_is_answered_alike_and_moves_nothing(nothing_moves, make):
    row = nothing_moves(around(make()), "signature_invalid")
    assert not row.verified


def test_t65_a_replayed_v2_refund_moves_nothing_a_second_time(client, nothing_moves):
    assert genuine_v2().post(client, NOTIFY).status_code == 200
    assert Refund.objects.count() == 1
    signed = genuine_v2()
    nothing_moves(signed, "duplicate")
    nothing_moves(signed, "duplicate")


def test_t65_nothing_around_req_info_replaces_or_completes_what_it_says(client, nothing_moves):
    """Of a captured notice only the ciphertext is WeChat's; whoever sends it again writes the rest."""
    said = {"out_trade_no": NUMBER, "total_fee": "100", "refund_fee": "100", "refund_id": "503"} | {
        name: str(value) for name, value in REFUND.items() if name != "total"
    }
    old = PLATFORM.refund_v2("OLD-1", 5, total=5, transaction_id="4200000000000000000000000009", out_refund_no="R-OLD")
    old = old.body.partition(b"<req_info>")[2].partition(b"</req_info>")[0].decode()
    nothing_moves(around(old, **said), "received")
    nothing_moves(around(under(PLATFORM.api_v2_key), **said, refund_status="SUCCESS"), "signature_invalid")


def test_t22_t95_a_tenant_cannot_refund_another_tenants_order(client, paid, refunded, settings):
    settings.WECHATPAY_NOTIFY = {
        "MERCHANTS": {
            "default": PLATFORM.merchant(),
            "evil": OTHER.merchant(MCHID="1900000999"),
        }
    }
    evil = Platform(mchid="1900000999", api_v2_key=OTHER.api_v2_key)
    for signed, outcome in (
        (evil.refund_v2(NUMBER, 100, **REFUND), "conflict"),
        (evil.refund_v2(NUMBER, 100, **REFUND, outer={"mch_id": PLATFORM.mchid}), "wrong_merchant"),
        (evil.refund_v2("not-yours", 100, **REFUND), "conflict"),
        (evil.refund_v2(NUMBER, 100, **REFUND | {"transaction_id": "4200000000000000000000000009"}), "received"),
    ):
        response = signed.post(client, f"{NOTIFY}evil/")
        assert NotificationLog.objects.latest("pk").outcome == outcome
        assert (response.status_code, response.content) == answer("v2", outcome)
    paid.refresh_from_db()
    assert (paid.refunded_amount, Refund.objects.count(), paid.discrepancies.count()) == (0, 0, 0)
    assert not any(receiver.calls for receiver in refunded)


TOO_MUCH = {
    "a fen too much": 101,
    "twice": 200,
    "the largest integer": 10**17,
}


@pytest.mark.parametrize("amount", cases(TOO_MUCH))
def test_t95_more_than_was_paid_is_never_refunded(nothing_moves, amount):
    nothing_moves(PLATFORM.refund_v3(NUMBER, amount, **REFUND), "conflict", version="v3")
    nothing_moves(genuine_v2(amount), "conflict")


def test_a_forged_v3_refund_moves_nothing(nothing_moves):
    stranger = PLATFORM.stranger()
    nothing_moves(stranger.refund_v3(NUMBER, 100, **REFUND), "signature_invalid", version="v3", path=V3)
    genuine = PLATFORM.refund_v3(NUMBER, 100, **REFUND)
    tampered = Signed(genuine.headers, genuine.body.replace(b"REFUND.SUCCESS", b"REFUND.CLOSED"))
    nothing_moves(tampered, "signature_invalid", version="v3")


def test_a_req_info_beside_a_sign_does_not_pass_for_either(nothing_moves, client):
    """With a `sign` it is a signed notice and must verify as one."""
    nothing_moves(around(encoded(sealed()), sign="0" * 32), "signature_invalid")


def test_a_refund_is_not_a_payment_whatever_else_it_holds(client, order, shipped, refunded):
    fields = {"result_code": "SUCCESS", "trade_type": "JSAPI", "trade_state": "SUCCESS"}
    PLATFORM.refund_v2(NUMBER, 100, **REFUND, **fields).post(client, NOTIFY)
    PLATFORM.refund_v3(NUMBER, 100, **REFUND, trade_state="SUCCESS", appid=PLATFORM.appid).post(client, NOTIFY)
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls
