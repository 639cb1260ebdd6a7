"""A payment, from the wire to the shop's receiver."""

from datetime import datetime
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.protocol.moments import BEIJING

pytestmark = pytest.mark.django_db

PAYMENTS = {
    "v3": PLATFORM.payment_v3,
    "v2-md5": PLATFORM.payment_v2,
    "v2-hmac": partial(PLATFORM.payment_v2, sign_type="HMAC-SHA256"),
}


@pytest.fixture(params=PAYMENTS.values(), ids=PAYMENTS)
def pay(request):
    return request.param


def statements(captured):
    """Database statements of the app, transaction control not counted."""
    control = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
    return [query["sql"] for query in captured if not query["sql"].startswith(control)]


def test_a_payment_confirms_its_order_and_tells_the_shop_once(client, shipped, pay):
    order = Order.objects.expect(out_trade_no="A-1", amount=100, reference="shop-1")
    signed = pay("A-1", 100, transaction_id="4200000001202611220000000001")

    assert signed.post(client, "/wechatpay/notify/").status_code == 200
    assert signed.post(client, "/wechatpay/notify/").status_code == 200

    order.refresh_from_db()
    assert (order.status, order.transaction_id) == ("paid", "4200000001202611220000000001")
    assert (order.payer_total, order.trade_type, order.confirmed_by) == (100, "JSAPI", "notification")
    assert abs((datetime.now(BEIJING) - order.paid_at).total_seconds()) < 60
    (call,) = shipped.calls
    assert call["order"] == order
    assert call["order"].status == "paid"
    assert call["payment"].amount == 100
    assert call["notification"] == NotificationLog.objects.earliest("pk")
    assert call["sender"] is Order
    assert call["idempotency_key"] == SignalDelivery.objects.get().idempotency_key
    assert list(NotificationLog.objects.order_by("pk").values_list("outcome", "http_status")) == [
        ("confirmed", 200),
        ("duplicate", 200),
    ]


def test_the_stored_row_has_the_exact_bytes_and_every_number(client, shipped, pay):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    signed = pay("A-1", 100, transaction_id="4200000001202611220000000001")
    signed.post(client, "/wechatpay/notify/", REMOTE_ADDR="203.205.219.130")
    row = NotificationLog.objects.get()
    assert bytes(row.body) == signed.body
    assert row.resource["out_trade_no"] == "A-1"
    assert (row.out_trade_no, row.transaction_id) == ("A-1", "4200000001202611220000000001")
    assert row.remote_addr == "203.205.219.130"
    assert row.merchant == "default"
    assert row.verified
    assert row.duration_ms is not None
    assert row.attempt_estimate == 1
    if row.api_version == "v3":
        assert row.event_type == "TRANSACTION.SUCCESS"
        assert row.notification_id
        assert row.headers["Wechatpay-Serial"] == PLATFORM.serial


def test_a_first_confirmation_takes_at_most_7_statements_and_a_duplicate_3(client, shipped, pay):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    signed = pay("A-1", 100)
    with CaptureQueriesContext(
        connection,
    ) as first:
        signed.post(client, "/wechatpay/notify/")
    with CaptureQueriesContext(connection) as again:
        signed.post(client, "/wechatpay/notify/")
    assert len(shipped.calls) == 1
    assert len(statements(first)) <= 7
    assert len(statements(again)) <= 3


def test_the_compare_and_set_is_the_first_statement_of_its_transaction(client, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    with CaptureQueriesContext(connection) as captured:
        PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/")
    sql = [query["sql"] for query in captured]
    opened = next(number for number, statement in enumerate(sql) if statement.startswith(("SAVEPOINT", "BEGIN")))
    assert sql[opened + 1].startswith("UPDATE")


def test_a_forgery_costs_no_statement_beyond_the_budget(client, shipped, settings):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"REJECTED_LOG_PER_MINUTE": 2}
    forged = PLATFORM.payment_v3("A-1", 100)
    forged = forged.with_body(forged.body + b"\n")
    for _ in range(2):
        assert forged.post(client, "/wechatpay/notify/").status_code == 401
    with CaptureQueriesContext(connection) as captured:
        for _ in range(5):
            assert forged.post(client, "/wechatpay/notify/").status_code == 401
    assert len(captured) == 0
    assert NotificationLog.objects.count() == 2


def test_the_same_payment_through_v2_and_v3_is_told_once(client, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    for make in PAYMENTS.values():
        signed = make("A-1", 100, transaction_id="4200000001202611220000000001")
        assert signed.post(client, "/wechatpay/notify/").status_code == 200
    assert len(shipped.calls) == 1


def test_a_fully_discounted_payment_is_a_payment(client, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    amount = {"total": 100, "payer_total": 0, "currency": "CNY"}
    assert PLATFORM.payment_v3("A-1", 100, amount=amount).post(client, "/wechatpay/notify/").status_code == 200
    assert Order.objects.get().payer_total == 0
    assert len(shipped.calls) == 1


@pytest.mark.parametrize("state", ["PAYERROR", "PAY_FAIL", "CLOSED", "REVOKED"])
def test_a_failed_payment_leaves_the_order_pending_and_tells_the_shop(client, shipped, connect, state):
    from wechatpay_notify.signals import payment_failed

    failed = connect(payment_failed)
    Order.objects.expect(out_trade_no="A-1", amount=100)
    signed = PLATFORM.payment_v3("A-1", 100, trade_state=state, event_type="TRANSACTION.FAIL")
    assert signed.post(client, "/wechatpay/notify/").status_code == 200
    assert signed.post(client, "/wechatpay/notify/").status_code == 200
    assert Order.objects.get().status == "pending"
    assert len(failed.calls) == 1
    assert not shipped.calls
    assert list(NotificationLog.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "payment_failed",
        "duplicate",
    ]


def test_a_v2_deduction_that_failed_is_not_paid(client, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    PLATFORM.payment_v2("A-1", 100, trade_type="PAP", trade_state="PAY_FAIL").post(client, "/wechatpay/notify/")
    PLATFORM.payment_v2("A-1", 100, result_code="FAIL", err_code="NOTENOUGH").post(client, "/wechatpay/notify/")
    assert Order.objects.get().status == "pending"
    assert not shipped.calls


@pytest.mark.parametrize("state", ["USERPAYING", "NOTPAY", "ACCEPT", "REFUND", "SOMETHING_NEW"])
def test_a_state_in_between_is_received_and_confirms_nothing(client, shipped, connect, state):
    from wechatpay_notify.signals import notification_received

    heard = connect(notification_received)
    Order.objects.expect(out_trade_no="A-1", amount=100)
    response = PLATFORM.payment_v3("A-1", 100, trade_state=state).post(client, "/wechatpay/notify/")
    assert response.status_code == 200
    assert Order.objects.get().status == "pending"
    assert not shipped.calls
    assert heard.calls[0]["event_type"] == "TRANSACTION.SUCCESS"


def test_two_api_v3_keys_are_accepted_while_the_key_is_changed(client, shipped, settings):
    merchant = PLATFORM.merchant(API_V3_KEY=["0" * 32, PLATFORM.api_v3_key], API_V2_KEY=["1" * 32, PLATFORM.api_v2_key])
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}
    for number, make in enumerate(PAYMENTS.values()):
        Order.objects.expect(out_trade_no=f"A-{number}", amount=100)
        assert make(f"A-{number}", 100).post(client, "/wechatpay/notify/").status_code == 200
    assert len(shipped.calls) == 3
