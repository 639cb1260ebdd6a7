"""Every event WeChat is known to send, and some that nobody has seen: stored, told once, never taken for money."""

import json
from pathlib import Path

import pytest
from django.utils.translation import override

from tests.answers import answer
from tests.attacks import NOTIFY, NUMBER, TRANSACTION, cases
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.events import EVENTS, meaning
from wechatpay_notify.models import Discrepancy, NotificationLog, Order
from wechatpay_notify.protocol import v3
from wechatpay_notify.questions import QUESTIONS
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

DOCUMENTED = json.loads((Path(__file__).parent / "events.json").read_text())["events"]
V3 = {event["event_type"]: event for event in DOCUMENTED if event["api"] == "v3"}
V2_NAMES = {
    "pap-contract-state-changed": "v2.CONTRACT",
    "transactions-risk-occurred": "v2.RISK",
    "vehicle-state-changed-for-parking": "v2.VEHICLE",
    "combined-transactions-success": "",
    "refund-processed": "",
    "transaction-success": "",
}
"""Those of v2 that name no type, and what we call them; payments and refunds are known by their shape."""
NEWS = sorted(V3.keys() - v3.KINDS.keys() - QUESTIONS.keys())
"""What is stored and told, and nothing else: neither money nor a question."""

AMOUNT = 100
KNOWN = {
    "out_trade_no": NUMBER,
    "transaction_id": TRANSACTION,
    "appid": PLATFORM.appid,
    "mchid": PLATFORM.mchid,
    "sp_mchid": PLATFORM.mchid,
    "openid": OPENID,
}
"""The waiting order's own values, so that nothing but the event's type keeps it from being paid."""


def resource_of(fields, *, whole=True):
    """A resource with a plausible value in each field of a tree; not `whole`: only in those it must have."""
    return {field["name"]: value_of(field, whole) for field in fields if whole or field["required"]}


def value_of(field, whole):
    kind, inner = field["type"].removesuffix("[]"), field.get("fields", ())
    if kind == "object":
        value = resource_of(inner, whole=whole)
    elif kind in {"integer", "number"}:
        value = AMOUNT
    elif kind == "boolean":
        value = True
    elif inner:
        value = json.dumps(resource_of(inner, whole=whole))  # JSON as text
    elif "enum" in field:
        value = "SUCCESS" if "SUCCESS" in field["enum"] else field["enum"][0]
    elif field["name"].endswith("time"):
        value = "2026-11-22T10:00:00+08:00"
    else:
        value = KNOWN.get(field["name"], f"测试 {field['name']}")
    return [value] if field["type"].endswith("[]") else value


def payment():
    return PLATFORM.payment_resource(NUMBER, AMOUNT, transaction_id=TRANSACTION)


def sign(event_type, resource, original_type="transaction", summary="通知"):
    """The notification EV-1 as WeChat sends it, signed anew each time."""
    body = json.loads(PLATFORM.v3(event_type, resource, notification_id="EV-1", summary=summary).body)
    body["resource"]["original_type"] = original_type
    return PLATFORM.sign_v3(json.dumps(body).encode())


@pytest.fixture
def told(connect):
    """A receiver of each ledger signal, by the signal's name."""
    return {name: connect(signal, f"shop.{name}") for name, signal in signals.LEDGER_SIGNALS.items()}


@pytest.fixture
def receive(client, told):
    """Send an event twice: stored, told once to notification_received alone, and the waiting order left as it is."""
    Order.objects.expect(out_trade_no=NUMBER, amount=AMOUNT)

    def post(event_type, resource, **envelope):
        before = list(Order.objects.values())
        sent = [sign(event_type, resource, **envelope) for _ in range(2)]
        responses = [signed.post(client, NOTIFY) for signed in sent]
        first, again = NotificationLog.objects.order_by("pk")
        assert (first.outcome, again.outcome) == ("received", "duplicate")
        assert [(one.status_code, one.content) for one in responses] == [answer("v3", "received")] * 2
        assert (first.event_type, first.resource, bytes(first.body)) == (event_type[:64], resource, sent[0].body)
        (call,) = told["notification_received"].calls
        assert (call["event_type"], call["resource"], call["notification"]) == (event_type, resource, first)
        assert call["sender"] is NotificationLog
        assert [name for name, receiver in told.items() if receiver.calls] == ["notification_received"]
        assert list(Order.objects.values()) == before
        assert not Discrepancy.objects.exists()

    return post


SHAPES = {
    "with every field": resource_of,
    "with what it must have": lambda fields: resource_of(fields, whole=False),
    "beside the payment of a waiting order": lambda fields: resource_of(fields) | payment(),
}


@pytest.mark.parametrize("shape", cases(SHAPES))
@pytest.mark.parametrize("event_type", NEWS)
def test_an_event_is_stored_and_told_once_and_touches_no_order(receive, event_type, shape):
    event = V3[event_type]
    original_type = (event["original_type"] or ["transaction"])[0]
    receive(event_type, shape(event["resource_fields"]), original_type=original_type)


@pytest.mark.parametrize("event_type", ["MOON_LANDING.SUCCESS", "X" * 64, "transaction.success", "Y" * 100])
def test_an_event_nobody_has_seen_yet_is_taken_too(receive, event_type):
    receive(event_type, payment())


def shape_of(event_type):
    return resource_of(V3[event_type]["resource_fields"])


def refund(status="SUCCESS"):
    return {
        "mchid": PLATFORM.mchid,
        "out_trade_no": NUMBER,
        "transaction_id": TRANSACTION,
        "out_refund_no": "R-1",
        "refund_id": "50000000382019052709732678859",
        "refund_status": status,
        "success_time": "2026-11-22T10:00:00+08:00",
        "user_received_account": "招商银行信用卡0403",
        "amount": {"total": AMOUNT, "refund": AMOUNT, "payer_total": AMOUNT, "payer_refund": AMOUNT},
    }


def combined():
    part = payment() | {"amount": {"total_amount": AMOUNT, "payer_amount": AMOUNT, "currency": "CNY"}}
    numbers = {"combine_appid": PLATFORM.appid, "combine_mchid": PLATFORM.mchid, "combine_out_trade_no": "C-1"}
    return numbers | {"sub_orders": [part]}


SHARE = {
    "mchid": "1900009999",  # who shares; the receiver of the share is told too
    "transaction_id": TRANSACTION,
    "order_id": "3008450740201411110007820472",
    "out_order_no": NUMBER,
    "receiver": {"type": "MERCHANT_ID", "account": PLATFORM.mchid, "amount": AMOUNT, "description": "分账"},
    "success_time": "2026-11-22T10:00:00+08:00",
}
TRAPS = {
    "profit sharing, as documented": ("TRANSACTION.SUCCESS", SHARE, {"original_type": "profitsharing"}),
    "profit sharing, as captured": (
        "TRANSACTION.SUCCESS",
        SHARE | {"sp_mchid": "1900009999", "sub_mchid": "1900000201"},
        {"original_type": "transaction", "summary": "分账"},
    ),
    "profit sharing as a refund": ("REFUND.SUCCESS", SHARE, {"original_type": "profitsharing"}),
    "a refund as a payment": ("TRANSACTION.SUCCESS", refund(), {}),
    "a refund as a failed payment": ("TRANSACTION.FAIL", refund("CLOSED"), {}),
    "a refund that names a payment's state": ("TRANSACTION.SUCCESS", payment() | refund(), {}),
    "a payment as a refund": ("REFUND.SUCCESS", payment(), {}),
    "a payment that names a refund's number": ("REFUND.SUCCESS", refund() | payment(), {}),
    "a payment as an abnormal refund": ("REFUND.ABNORMAL", payment(), {}),
    "a failed payment as a closed refund": ("REFUND.CLOSED", payment() | {"trade_state": "CLOSED"}, {}),
    "a combined order as a refund": ("REFUND.SUCCESS", combined(), {}),
    "a closed refund as a refund that succeeded": ("REFUND.SUCCESS", refund("CLOSED"), {}),
    "a payment that succeeded as a failure": ("TRANSACTION.FAIL", payment(), {}),
    "a combined order that succeeded as a failure": ("TRANSACTION.FAIL", combined(), {}),
    "a coupon as a payment": ("TRANSACTION.SUCCESS", shape_of("COUPON.USE"), {"original_type": "coupon"}),
    "a coupon as a refund": ("REFUND.SUCCESS", shape_of("COUPON.USE"), {"original_type": "coupon"}),
    "a transfer as a payment": ("TRANSACTION.SUCCESS", shape_of("MCHTRANSFER.BILL.FINISHED"), {}),
    "nothing as a payment": ("TRANSACTION.SUCCESS", {}, {}),
}


@pytest.mark.parametrize(("event_type", "resource", "envelope"), cases(TRAPS))
def test_type_and_shape_must_both_be_those_of_money(receive, event_type, resource, envelope):
    receive(event_type, resource, **envelope)


def test_every_event_has_its_meaning_in_both_languages():
    v2 = {event["event"] for event in DOCUMENTED if event["api"] == "v2"}
    assert set(EVENTS) == V3.keys() | {V2_NAMES.get(name, name) for name in v2} - {""} | {"v2.SCAN"}
    assert list(EVENTS) == sorted(EVENTS)
    for english, chinese in EVENTS.values():
        assert english.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in chinese)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Cash coupon: used"),
        ("fr", "Cash coupon: used"),
        ("zh-hans", "代金券：已核销"),
        ("zh-tw", "代金券：已核销"),
    ],
)
def test_a_meaning_is_told_in_the_active_language(language, said):
    with override(language):
        assert meaning("COUPON.USE") == said
        assert meaning("COUPON.LOST") == ""
    with override(None):
        assert meaning("COUPON.USE") == "Cash coupon: used"
