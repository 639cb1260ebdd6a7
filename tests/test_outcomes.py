"""Every outcome and its answer, to the byte, in both forms."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from django.db import DatabaseError

from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.protocol.types import ExpectedOrder
from wechatpay_notify.testing import Platform

pytestmark = pytest.mark.django_db

OTHER = Platform(private_key=generate_private_key(65537, 2048))


def xml(code, message):
    text = f"<return_code><![CDATA[{code}]]></return_code><return_msg><![CDATA[{message}]]></return_msg>"
    return f"<xml>{text}</xml>".encode()


def check(client, signed, version, outcome):
    """Post, and compare status and body with what the outcome table of the design promises."""
    status, word = EXPECTED[outcome]
    response = signed.post(client, f"/wechatpay/{version}/")
    if version == "v3":
        body = b'{"code": "SUCCESS"}' if not word else f'{{"code": "FAIL", "message": "{word}"}}'.encode()
        assert (response.status_code, response.content) == (status, body)
    else:
        kept = status in (413, 500) or outcome in ("unavailable", "misconfigured")
        assert response.status_code == (status if kept else 200)
        assert response.content == (xml("FAIL", word) if word else xml("SUCCESS", "OK"))
        assert response["Content-Type"] == "text/xml"
    row = NotificationLog.objects.latest("pk")
    assert (row.outcome, row.http_status) == (outcome, response.status_code)
    return row


EXPECTED = {
    "confirmed": (200, ""),
    "duplicate": (200, ""),
    "refunded": (200, ""),
    "received": (200, ""),
    "payment_failed": (200, ""),
    "unexpected": (200, ""),
    "receiver_failed": (503, "retry"),
    "no_receiver": (503, "retry"),
    "busy": (503, "retry"),
    "unknown_order": (409, "rejected"),
    "amount_mismatch": (409, "rejected"),
    "conflict": (409, "rejected"),
    "wrong_merchant": (403, "rejected"),
    "malformed": (400, "malformed"),
    "undecryptable": (503, "retry"),
    "signature_invalid": (401, "unauthorized"),
    "probe": (401, "unauthorized"),
    "stale": (401, "unauthorized"),
    "unknown_serial": (401, "unauthorized"),
    "algorithm_refused": (401, "unauthorized"),
    "unsigned": (401, "unauthorized"),
    "too_large": (413, "rejected"),
    "unavailable": (503, "retry"),
    "misconfigured": (503, "retry"),
    "error": (500, "retry"),
}


def test_the_table_is_the_designs():
    assert {code: (row.status, row.word) for code, row in OUTCOMES.items()} == EXPECTED
    assert all(str(row.hint) for row in OUTCOMES.values())


@pytest.fixture(params=["v3", "v2"])
def version(request):
    return request.param


@pytest.fixture
def pay(version):
    return PLATFORM.payment_v3 if version == "v3" else PLATFORM.payment_v2


@pytest.fixture
def order():
    return Order.objects.expect(out_trade_no="A-1", amount=100)


def test_confirmed_then_duplicate(client, shipped, order, version, pay):
    signed = pay("A-1", 100)
    check(client, signed, version, "confirmed")
    check(client, signed, version, "duplicate")


def test_receiver_failed_then_confirmed(client, shipped, order, version, pay, caplog):
    shipped.failures = [RuntimeError("printer on fire")]
    signed = pay("A-1", 100)
    check(client, signed, version, "receiver_failed")
    assert Order.objects.get().status == "paid"
    assert "printer on fire" in SignalDelivery.objects.get().last_error
    check(client, signed, version, "confirmed")
    assert len(shipped.calls) == 2
    check(client, signed, version, "duplicate")


def test_no_receiver_keeps_the_payment_until_somebody_is_there_to_be_told(client, connect, order, version, pay):
    signed = pay("A-1", 100)
    check(client, signed, version, "no_receiver")
    check(client, signed, version, "no_receiver")
    shipped, mailed = connect(signals.payment_confirmed), connect(signals.payment_confirmed, "shop.mail")
    check(client, signed, version, "confirmed")
    check(client, signed, version, "duplicate")
    assert len(shipped.calls) == len(mailed.calls) == 1
    assert sorted(SignalDelivery.objects.values_list("receiver", flat=True)) == ["shop.mail", "shop.ship"]


def test_a_receiver_that_cannot_be_started_in_time_waits_for_the_next_attempt(
    client, shipped, order, version, pay, settings
):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"INLINE_SECONDS": 0}
    signed = pay("A-1", 100)
    check(client, signed, version, "receiver_failed")
    assert not shipped.calls
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"INLINE_SECONDS": 3}
    check(client, signed, version, "confirmed")


def test_a_receiver_unknown_to_this_process_keeps_the_notification_coming(client, connect, order, version, pay):
    shipped = connect(signals.payment_confirmed)
    shipped.failures = [RuntimeError]
    signed = pay("A-1", 100)
    check(client, signed, version, "receiver_failed")
    signals.payment_confirmed.disconnect(dispatch_uid="shop.ship")
    check(client, signed, version, "receiver_failed")
    signals.payment_confirmed.connect(shipped, weak=False, dispatch_uid="shop.ship")
    check(client, signed, version, "confirmed")


def test_unknown_order_heals_when_the_order_is_committed(client, shipped, unexpected, version, pay):
    signed = pay("A-1", 100)
    check(client, signed, version, "unknown_order")
    check(client, signed, version, "unknown_order")
    (found,) = Discrepancy.objects.all()
    assert (found.reason, found.amount, found.times, found.order) == ("unknown_order", 100, 2, None)
    Order.objects.expect(out_trade_no="A-1", amount=100)
    check(client, signed, version, "confirmed")
    found.refresh_from_db()
    assert found.resolved_at is not None
    assert not unexpected.calls
    assert not SignalDelivery.objects.filter(signal="payment_unexpected").exists()


def test_an_order_still_unknown_after_5_minutes_is_told_to_the_shop_once(client, shipped, unexpected, time_machine):
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    transaction_id = "4200000001202611220000000001"
    for minutes, calls in ((0, 0), (4, 0), (6, 1), (30, 1)):
        time_machine.move_to(f"2026-11-22T10:{minutes:02}:00Z", tick=False)
        signed = PLATFORM.payment_v3("A-1", 100, transaction_id=transaction_id)
        check(client, signed, "v3", "unknown_order")
        assert len(unexpected.calls) == calls
    (call,) = unexpected.calls
    assert (call["reason"], call["order"], call["payment"].out_trade_no) == ("unknown_order", None, "A-1")
    assert call["discrepancy"] == Discrepancy.objects.get()


def test_amount_mismatch_is_told_and_heals_when_the_record_is_mended(client, shipped, unexpected, order, version, pay):
    signed = pay("A-1", 101)
    check(client, signed, version, "amount_mismatch")
    check(client, signed, version, "amount_mismatch")
    (call,) = unexpected.calls
    assert (call["reason"], call["discrepancy"].expected_amount, call["discrepancy"].amount) == (
        "amount_mismatch",
        100,
        101,
    )
    order.refresh_from_db()
    assert order.status == "pending"
    order.amount = 101
    order.save()
    check(client, signed, version, "confirmed")
    assert Discrepancy.objects.get().resolved_at is not None
    assert len(shipped.calls) == 1


def test_another_currency_is_a_mismatch(client, shipped, order):
    amount = {"total": 100, "currency": "JPY"}
    check(client, PLATFORM.payment_v3("A-1", 100, amount=amount), "v3", "amount_mismatch")
    check(client, PLATFORM.payment_v2("A-1", 100, fee_type="HKD"), "v2", "amount_mismatch")


def test_a_transaction_of_another_order_is_a_conflict(client, shipped, unexpected, order, version, pay):
    Order.objects.expect(out_trade_no="A-2", amount=100)
    check(client, pay("A-1", 100, transaction_id="4200000001202611220000000001"), version, "confirmed")
    check(client, pay("A-2", 100, transaction_id="4200000001202611220000000001"), version, "conflict")
    assert Order.objects.get(out_trade_no="A-2").status == "pending"
    assert [call["reason"] for call in unexpected.calls] == ["conflict"]
    assert len(shipped.calls) == 1


def test_second_transaction_for_a_paid_order_is_unexpected(client, shipped, unexpected, order, version, pay):
    check(client, pay("A-1", 100, transaction_id="4200000001202611220000000001"), version, "confirmed")
    second = pay("A-1", 100, transaction_id="4200000001202611220000000002")
    check(client, second, version, "unexpected")
    assert second.post(client, f"/wechatpay/{version}/").status_code == 200
    assert [call["reason"] for call in unexpected.calls] == ["already_paid"]
    assert len(shipped.calls) == 1
    order.refresh_from_db()
    assert order.transaction_id == "4200000001202611220000000001"
    assert Discrepancy.objects.get().times == 2


def test_payment_of_a_closed_order_is_recorded_and_unexpected(client, shipped, unexpected, order, version, pay):
    assert Order.objects.close(order)
    signed = pay("A-1", 100)
    check(client, signed, version, "unexpected")
    check(client, signed, version, "duplicate")
    order.refresh_from_db()
    assert order.status == "paid"
    assert order.closed_at is not None
    assert [call["reason"] for call in unexpected.calls] == ["order_closed"]
    assert not shipped.calls


def test_a_failing_receiver_of_payment_unexpected_is_run_again(client, unexpected, order, version, pay):
    Order.objects.close(order)
    unexpected.failures = [RuntimeError]
    signed = pay("A-1", 100)
    check(client, signed, version, "receiver_failed")
    check(client, signed, version, "unexpected")
    check(client, signed, version, "duplicate")
    assert len(unexpected.calls) == 2


def test_two_orders_of_one_reference_are_fulfilled_once(client, shipped, unexpected, version, pay):
    for number in ("JSAPI-1", "H5-1"):
        Order.objects.expect(out_trade_no=number, amount=100, reference="shop-1")
    check(client, pay("JSAPI-1", 100), version, "confirmed")
    check(client, pay("H5-1", 100), version, "unexpected")
    assert [call["order"].out_trade_no for call in shipped.calls] == ["JSAPI-1"]
    assert [call["reason"] for call in unexpected.calls] == ["already_paid"]
    assert set(Order.objects.values_list("status", flat=True)) == {"paid"}


def test_a_late_payment_of_a_closed_attempt_does_not_stop_the_one_that_fulfils(client, shipped, unexpected):
    first = Order.objects.expect(out_trade_no="JSAPI-1", amount=100, reference="shop-1")
    Order.objects.expect(out_trade_no="H5-1", amount=100, reference="shop-1")
    Order.objects.close(first)
    check(client, PLATFORM.payment_v3("JSAPI-1", 100), "v3", "unexpected")
    check(client, PLATFORM.payment_v3("H5-1", 100), "v3", "confirmed")
    assert [call["order"].out_trade_no for call in shipped.calls] == ["H5-1"]


def test_wrong_merchant_by_mchid_appid_and_sub_merchant(client, shipped, settings, order):
    check(client, PLATFORM.payment_v3("A-1", 100, mchid="1900009999"), "v3", "wrong_merchant")
    check(client, PLATFORM.payment_v2("A-1", 100, mch_id="1900009999"), "v2", "wrong_merchant")
    merchant = PLATFORM.merchant(APPIDS=[PLATFORM.appid], SUB_MCHIDS=["1900000201"])
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}
    check(client, PLATFORM.payment_v3("A-1", 100, appid="wx0"), "v3", "wrong_merchant")
    check(client, PLATFORM.payment_v2("A-1", 100), "v2", "wrong_merchant")
    check(client, PLATFORM.payment_v2("A-1", 100, sub_mch_id="1900000202"), "v2", "wrong_merchant")
    assert Order.objects.get().status == "pending"


def test_an_appid_other_than_the_orders_is_a_wrong_merchant(client, shipped, version, pay):
    Order.objects.expect(out_trade_no="A-1", amount=100, appid="wx-of-the-order")
    check(client, pay("A-1", 100), version, "wrong_merchant")


def test_malformed(client):
    row = check(client, PLATFORM.sign_v3(b'{"event_type": "TRANSACTION.SUCCESS"}'), "v3", "malformed")
    assert row.verified
    signed = PLATFORM.payment_v2("A-1", 100)
    row = check(client, signed.with_body(b"<xml><a><b/></a></xml>"), "v2", "malformed")
    assert not row.verified
    check(client, PLATFORM.payment_v3("A-1", 100), "v2", "malformed")
    check(client, PLATFORM.payment_v2("A-1", 100), "v3", "malformed")


def test_undecryptable_is_kept_and_asked_for_again(client, settings):
    merchant = PLATFORM.merchant(API_V3_KEY="0" * 32)
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}
    row = check(client, PLATFORM.payment_v3("A-1", 100), "v3", "undecryptable")
    assert row.verified


def test_not_proven(client, time_machine):
    signed = PLATFORM.payment_v3("A-1", 100)
    check(client, OTHER.payment_v3("A-1", 100), "v3", "signature_invalid")
    check(client, OTHER.payment_v2("A-1", 100), "v2", "signature_invalid")
    probe = signed.headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abc"}
    check(client, type(signed)(probe, signed.body), "v3", "probe")
    unknown = signed.headers | {"Wechatpay-Serial": "PUB_KEY_ID_1"}
    check(client, type(signed)(unknown, signed.body), "v3", "unknown_serial")
    sm2 = signed.headers | {"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}
    check(client, type(signed)(sm2, signed.body), "v3", "algorithm_refused")
    unsigned = {name: value for name, value in signed.headers.items() if name != "Wechatpay-Signature"}
    check(client, type(signed)(unsigned, signed.body), "v3", "unsigned")
    time_machine.move_to(time.time() + 301)
    check(client, signed, "v3", "stale")


def test_too_large(client):
    huge = PLATFORM.payment_v3("A-1", 100, attach="x" * 3_000_000)
    check(client, huge, "v3", "too_large")
    check(client, PLATFORM.payment_v2("A-1", 100, attach="x" * 70_000), "v2", "too_large")


@pytest.fixture
def resolve(settings):
    """Use a function as ORDER_RESOLVER."""

    def use(resolver):
        settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ORDER_RESOLVER": resolver}

    return use


def test_a_resolver_that_raises_is_unavailable_and_the_row_is_kept(client, shipped, resolve, version, pay):
    def broken(result):
        raise ConnectionError("the ERP is down")

    resolve(broken)
    assert check(client, pay("A-1", 100), version, "unavailable").verified


def test_a_database_failure_is_unavailable(client, shipped, order, version, pay, monkeypatch):
    def broken(*args, **kwargs):
        raise DatabaseError("disk full")

    monkeypatch.setattr(type(Order.objects.all()), "settle", broken)
    check(client, pay("A-1", 100), version, "unavailable")
    assert not shipped.calls


def test_a_bug_of_ours_is_an_error_that_keeps_the_notification(client, shipped, order, version, pay, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(type(Order.objects.all()), "settle", broken)
    check(client, pay("A-1", 100), version, "error")


def test_misconfigured(client, settings):
    merchant = PLATFORM.merchant(API_V3_KEY="short", API_V2_KEY="")
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}
    check(client, PLATFORM.payment_v3("A-1", 100), "v3", "misconfigured")
    check(client, PLATFORM.payment_v2("A-1", 100), "v2", "misconfigured")


def test_decrypting_proves_nothing_so_a_merchant_without_platform_keys_is_misconfigured(client, settings):
    merchant = PLATFORM.merchant(PLATFORM_KEYS={})
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}
    check(client, PLATFORM.payment_v3("A-1", 100), "v3", "misconfigured")


def test_a_resolver_supplies_orders_the_table_does_not_know(client, shipped, unexpected, resolve, version, pay):
    asked = []

    def expected(result):
        asked.append(result.out_trade_no)
        if result.out_trade_no == "R-2":
            return ExpectedOrder(amount=100, closed=True)
        return (
            ExpectedOrder(amount=100, reference="shop-1", description="tea") if result.out_trade_no == "R-1" else None
        )

    resolve(expected)
    check(client, pay("R-1", 100), version, "confirmed")
    check(client, pay("R-2", 100), version, "unexpected")
    check(client, pay("R-3", 100), version, "unknown_order")
    assert asked == ["R-1", "R-2", "R-3"]
    order = Order.objects.get(out_trade_no="R-1")
    assert (order.reference, order.description, order.status) == ("shop-1", "tea", "paid")
    assert [call["reason"] for call in unexpected.calls] == ["order_closed"]


def test_a_resolver_that_expects_another_amount_is_a_mismatch(client, shipped, resolve, version, pay):
    resolve(lambda _: ExpectedOrder(amount=999))
    check(client, pay("R-1", 100), version, "amount_mismatch")
    assert Order.objects.get().amount == 999


def test_notification_rejected_tells_of_stored_refusals_but_not_of_probes(client):
    told = []

    def listen(**kwargs):
        told.append((kwargs["outcome"], kwargs["notification"].pk))

    signals.notification_rejected.connect(listen)
    try:
        signed = PLATFORM.payment_v3("A-1", 100)
        signed.with_body(b"{}").post(client, "/wechatpay/v3/")
        probe = signed.headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abc"}
        type(signed)(probe, signed.body).post(client, "/wechatpay/v3/")
        PLATFORM.payment_v3("A-1", 100, mchid="1").post(client, "/wechatpay/v3/")
        signed.post(client, "/wechatpay/v3/")
    finally:
        signals.notification_rejected.disconnect(listen)
    pks = list(NotificationLog.objects.order_by("pk").values_list("pk", flat=True))
    assert told == [("signature_invalid", pks[0]), ("wrong_merchant", pks[2])]
