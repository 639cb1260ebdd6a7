"""Every outcome and its answer, to the byte, in both forms."""

import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from django.db import DatabaseError, ProgrammingError
from django.utils import timezone

from tests.answers import ANSWERS, answer
from tests.settings import PLATFORM
from wechatpay_notify import delivery, processing, refusals, signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.protocol.results import payment_from_v3
from wechatpay_notify.protocol.types import ExpectedOrder
from wechatpay_notify.testing import OPENID, Platform

pytestmark = pytest.mark.django_db

OTHER = Platform(private_key=generate_private_key(65537, 2048))


def check(client, signed, version, outcome):
    """Post, and compare status and body with what the outcome table of the design promises."""
    response = signed.post(client, f"/wechatpay/{version}/")
    assert (response.status_code, response.content) == answer(version, outcome)
    assert response["Content-Type"] == ("application/json" if version == "v3" else "text/xml")
    row = NotificationLog.objects.latest("pk")
    assert (row.outcome, row.http_status) == (outcome, response.status_code)
    return row


def test_the_table_is_the_designs():
    assert {code: (row.status, row.word) for code, row in OUTCOMES.items()} == ANSWERS
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


def test_a_failed_telling_of_an_unknown_order_is_tried_at_every_later_notification(client, unexpected, time_machine):
    unexpected.failures = [RuntimeError]
    transaction_id = "4200000001202611220000000001"
    for moment, calls in (("10:00:00", 0), ("10:06:00", 1), ("10:06:01", 2), ("10:06:02", 2)):
        time_machine.move_to(f"2026-11-22T{moment}Z", tick=False)
        signed = PLATFORM.payment_v3("A-1", 100, transaction_id=transaction_id)
        check(client, signed, "v3", "unknown_order")
        assert len(unexpected.calls) == calls


@pytest.mark.parametrize("confirmed_by", ["notification", "query"])
def test_a_discrepancy_heals_under_whichever_alias_the_payment_is_confirmed(
    client, shipped, unexpected, settings, confirmed_by
):
    merchant = PLATFORM.merchant()
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant, "second": merchant}}
    signed = PLATFORM.payment_v3("A-1", 100, transaction_id="42")
    assert signed.post(client, "/wechatpay/v3/second/").status_code == 409
    Order.objects.expect(out_trade_no="A-1", amount=100)
    if confirmed_by == "notification":
        check(client, signed, "v3", "confirmed")
    else:
        result = payment_from_v3(PLATFORM.payment_resource("A-1", 100, transaction_id="42"))
        assert processing.confirm_payment(result) == "confirmed"
    assert Discrepancy.objects.get(merchant="second").resolved_at is not None
    assert not SignalDelivery.objects.filter(signal="payment_unexpected").exists()
    assert not unexpected.calls


def test_a_mismatch_not_told_yet_is_dropped_when_the_payment_is_confirmed(
    client, shipped, unexpected, order, version, pay
):
    """A receiver that refunds what is unexpected must not refund an order that is shipped by now."""
    unexpected.failures = [RuntimeError]
    signed = pay("A-1", 101)
    check(client, signed, version, "amount_mismatch")
    order.amount = 101
    order.save()
    check(client, signed, version, "confirmed")
    assert len(unexpected.calls) == 1
    assert set(SignalDelivery.objects.values_list("signal", "status")) == {("payment_confirmed", "done")}


def test_a_failed_attempt_that_could_not_be_told_does_not_hold_up_the_payment(client, shipped, connect, order):
    failed = connect(signals.payment_failed, "shop.failed")
    failed.failures = [RuntimeError] * 3
    declined = PLATFORM.payment_v3("A-1", 100, transaction_id="42", trade_state="PAYERROR")
    check(client, declined, "v3", "receiver_failed")
    paid = PLATFORM.payment_v3("A-1", 100, transaction_id="42")
    check(client, paid, "v3", "confirmed")
    check(client, paid, "v3", "duplicate")
    assert len(failed.calls) == len(shipped.calls) == 1


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
    check(client, second, version, "duplicate")
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


@pytest.mark.parametrize(("appids", "outcome"), [(["wx-combined"], "confirmed"), (["wx-part"], "wrong_merchant")])
def test_a_combined_v2_payment_is_compared_by_the_initiators_appid(client, shipped, settings, order, appids, outcome):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(APPIDS=appids)}}
    part = {"appid": "wx-part", "mch_id": PLATFORM.mchid, "out_trade_no": "A-1", "transaction_id": "42"}
    fields = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_appid": "wx-combined",
        "combine_mch_id": PLATFORM.mchid,
        "combine_out_trade_no": "C-1",
        "sub_order_list": json.dumps({"order_list": [part | {"total_fee": 100}]}),
    }
    check(client, PLATFORM.v2(fields), "v2", outcome)


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


def test_a_database_failure_is_one_line_that_does_not_quote_the_row(
    client, shipped, order, version, pay, monkeypatch, caplog
):
    def broken(*args, **kwargs):
        raise DatabaseError("value too long") from ValueError(f"value too long\nDETAIL: Failing row: ({OPENID})")

    monkeypatch.setattr(type(Order.objects.all()), "settle", broken)
    row = check(client, pay("A-1", 100), version, "unavailable")
    (record,) = [record for record in caplog.records if record.name == "wechatpay_notify"]
    assert (record.outcome, record.exc_info) == ("unavailable", None)
    assert "value too long" in row.detail
    assert "value too long" in caplog.text
    assert OPENID not in caplog.text + row.detail


@pytest.mark.parametrize(("error", "outcome"), [(ZeroDivisionError, "error"), (ProgrammingError, "unavailable")])
def test_a_failure_after_the_row_was_written_touches_no_other_row(
    client, shipped, order, version, pay, monkeypatch, error, outcome
):
    Order.objects.expect(out_trade_no="A-2", amount=100)
    rows_for, answer = delivery.rows_for, processing.answer

    def broken(*args):
        monkeypatch.setattr(delivery, "rows_for", rows_for)
        raise error

    def overtaken(*args):
        """Another notification takes the number of the row that was rolled back."""
        monkeypatch.setattr(processing, "answer", answer)
        check(client, pay("A-2", 100), version, "confirmed")
        answer(*args)

    monkeypatch.setattr(delivery, "rows_for", broken)
    monkeypatch.setattr(processing, "answer", overtaken)
    check(client, pay("A-1", 100), version, outcome)
    assert list(NotificationLog.objects.order_by("pk").values_list("out_trade_no", "outcome")) == [
        ("A-2", "confirmed"),
        ("A-1", outcome),
    ]


@pytest.mark.parametrize(("error", "outcome"), [(ZeroDivisionError, "error"), (DatabaseError, "unavailable")])
def test_a_failure_after_the_fact_leaves_what_was_stored_as_it_is(
    client, unexpected, order, version, pay, monkeypatch, error, outcome
):
    def broken(*args, **kwargs):
        raise error("in the middle")

    monkeypatch.setattr(delivery, "run", broken)
    assert check(client, pay("A-1", 101), version, outcome).detail == "paid 101 CNY, ordered 100 CNY"


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


def test_a_long_description_of_a_resolver_is_cut_and_the_payment_confirmed(client, shipped, resolve, version, pay):
    resolve(lambda _: ExpectedOrder(amount=100, description="\0" + "茶" * 300))
    check(client, pay("R-1", 100), version, "confirmed")
    assert Order.objects.get().description == "茶" * 255


def test_pruning_takes_refused_requests_alone_and_asks_for_them_by_outcome(
    client, settings, django_assert_max_num_queries
):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"REJECTED_LOG_KEEP": 0}
    kept = {"api_version": "v3", "merchant": "default", "received_at": timezone.now(), "body": b""}
    for outcome in ("error", "unavailable", *refusals.CODES):
        NotificationLog.objects.create(outcome=outcome, **kept)
    with django_assert_max_num_queries(5) as asked:
        check(client, OTHER.payment_v3("A-1", 100), "v3", "signature_invalid")
    assert list(NotificationLog.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "error",
        "unavailable",
        "signature_invalid",
    ]
    query = next(query["sql"] for query in asked.captured_queries if query["sql"].startswith("SELECT"))
    assert "outcome" in query.partition("WHERE")[2].partition("ORDER BY")[0]


def test_a_row_is_called_by_its_number_and_by_nothing_its_sender_claimed(client):
    claimed = PLATFORM.v3("CLAIMED.EVENT", {}, notification_id="claimed-id")
    rows = [
        check(client, claimed.with_body(claimed.body + b" "), "v3", "signature_invalid"),
        check(client, OTHER.payment_v2("claimed-order", 100, transaction_id="claimed-42"), "v2", "signature_invalid"),
    ]
    assert rows[0].notification_id == "claimed-id"
    assert rows[1].out_trade_no == "claimed-order"
    assert [str(row) for row in rows] == [str(row.pk) for row in rows]


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
