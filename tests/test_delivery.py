"""Telling the receivers: each alone, each once, each with its own mark."""

import pytest
from django.db import transaction

from tests.settings import PLATFORM
from tests.shop.models import Shipment
from wechatpay_notify import delivery, signals
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.processing import confirm_payment
from wechatpay_notify.protocol.results import payment_from_v2, payment_from_v3

URL = "/wechatpay/notify/"


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no="A-1", amount=100)


def ships(receiver):
    """Make a receiver write to the database, so that its transaction is seen."""
    receiver.before = lambda **kwargs: Shipment.objects.create(
        out_trade_no=kwargs["order"].out_trade_no, receiver=receiver.name
    )
    return receiver


def test_one_failing_receiver_stops_no_other_and_is_run_again_alone(client, connect, order):
    first, second, third = (ships(connect(signals.payment_confirmed, name)) for name in ("a", "b", "c"))
    second.failures = [RuntimeError("no paper"), RuntimeError("no ink")]
    signed = PLATFORM.payment_v3("A-1", 100)
    assert [signed.post(client, URL).status_code for _ in range(4)] == [503, 503, 200, 200]
    assert [len(receiver.calls) for receiver in (first, second, third)] == [1, 3, 1]
    assert sorted(Shipment.objects.values_list("receiver", flat=True)) == ["a", "b", "c"]
    row = SignalDelivery.objects.get(receiver="b")
    assert (row.status, row.attempts, row.last_error) == ("done", 3, "")


def test_a_failed_receivers_writes_are_rolled_back_and_its_traceback_kept(client, connect, order):
    receiver = ships(connect(signals.payment_confirmed))
    receiver.failures = [RuntimeError("纸没了\0")]
    PLATFORM.payment_v3("A-1", 100).post(client, URL)
    assert not Shipment.objects.exists()
    row = SignalDelivery.objects.get()
    assert (row.status, row.attempts) == ("pending", 1)
    assert "Traceback" in row.last_error
    assert "RuntimeError" in row.last_error
    assert row.next_attempt_at > row.created_at


def test_every_attempt_has_the_same_idempotency_key_and_other_receivers_another(client, connect, order):
    first, second = connect(signals.payment_confirmed, "a"), connect(signals.payment_confirmed, "b")
    first.failures = [RuntimeError]
    signed = PLATFORM.payment_v3("A-1", 100)
    signed.post(client, URL)
    signed.post(client, URL)
    keys = [call["idempotency_key"] for call in first.calls]
    assert keys[0] == keys[1] != second.calls[0]["idempotency_key"]


def test_a_later_attempt_is_told_the_same_as_the_first(client, connect, order):
    receiver = connect(signals.payment_confirmed)
    receiver.failures = [RuntimeError]
    signed = PLATFORM.payment_v3("A-1", 100, attach="门店", success_time="2026-11-22T10:00:00.120+08:00")
    signed.post(client, URL)
    signed.post(client, URL)
    first, second = receiver.calls
    assert first["payment"] == second["payment"]
    assert second["payment"].raw["attach"] == "门店"
    assert first["notification"] == second["notification"] == NotificationLog.objects.earliest("pk")
    assert second["order"].status == "paid"


def test_a_receiver_cannot_spoil_the_order_for_the_next(client, connect, order):
    first, second = connect(signals.payment_confirmed, "a"), connect(signals.payment_confirmed, "b")
    first.before = lambda **kwargs: setattr(kwargs["order"], "amount", 1)
    PLATFORM.payment_v3("A-1", 100).post(client, URL)
    assert second.calls[0]["order"].amount == 100


def test_a_receiver_added_later_does_not_run_for_old_orders(client, shipped, connect, order):
    signed = PLATFORM.payment_v3("A-1", 100)
    signed.post(client, URL)
    late = connect(signals.payment_confirmed, "late")
    assert signed.post(client, URL).status_code == 200
    assert not late.calls


def test_a_receiver_may_save_the_order(client, connect, order):
    receiver = connect(signals.payment_confirmed)

    def describe(order, **kwargs):
        order.description = "shipped"
        order.save()

    receiver.before = describe
    assert PLATFORM.payment_v3("A-1", 100).post(client, URL).status_code == 200
    order.refresh_from_db()
    assert (order.description, order.status) == ("shipped", "paid")


def test_a_receiver_that_marks_its_transaction_for_rollback_has_failed(client, connect, order):
    receiver = connect(signals.payment_confirmed)
    receiver.before = lambda **_: transaction.set_rollback(len(receiver.calls) == 1)
    signed = PLATFORM.payment_v3("A-1", 100)
    assert [signed.post(client, URL).status_code for _ in range(2)] == [503, 200]


@pytest.mark.django_db(transaction=True)
def test_an_on_commit_callback_that_raises_does_not_undo_what_is_done(client, connect, caplog):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    receiver = ships(connect(signals.payment_confirmed))
    original = receiver.before

    def broken():
        raise RuntimeError("broker down")

    def before(**kwargs):
        original(**kwargs)
        transaction.on_commit(broken)

    receiver.before = before
    signed = PLATFORM.payment_v3("A-1", 100)
    assert [signed.post(client, URL).status_code for _ in range(2)] == [200, 200]
    assert len(receiver.calls) == Shipment.objects.count() == 1
    assert "on_commit" in caplog.text


@pytest.mark.parametrize(("failures", "answers"), [(1, [503, 200]), (2, [503, 503])])
def test_the_copy_that_comes_second_to_the_placeholder_tells_what_the_first_left(
    client, connect, order, monkeypatch, failures, answers
):
    signed = PLATFORM.payment_v3("A-1", 100)
    assert signed.post(client, URL).status_code == 503
    assert SignalDelivery.objects.get().receiver == ""
    receiver, run, statuses = connect(signals.payment_confirmed), delivery.run, []
    receiver.failures = [RuntimeError] * failures

    def beaten(rows, **known):
        """Another copy replaces the placeholder after this one has read it."""
        monkeypatch.setattr(delivery, "run", run)
        statuses.append(signed.post(client, URL).status_code)
        return run(rows, **known)

    monkeypatch.setattr(delivery, "run", beaten)
    statuses.append(signed.post(client, URL).status_code)
    assert statuses == answers
    assert len(receiver.calls) == 2
    assert SignalDelivery.objects.get().status == ("done" if failures == 1 else "pending")


def test_while_another_process_holds_the_placeholder_nothing_is_answered_with_success(
    client, connect, order, monkeypatch
):
    signed = PLATFORM.payment_v3("A-1", 100)
    signed.post(client, URL)
    receiver = connect(signals.payment_confirmed)
    with monkeypatch.context() as held:
        held.setattr(delivery.telling, "claim", lambda *_: "taken")
        assert signed.post(client, URL).status_code == 503
    assert not receiver.calls
    assert signed.post(client, URL).status_code == 200
    assert len(receiver.calls) == 1


@pytest.mark.django_db(transaction=True)
def test_the_fact_is_committed_before_a_receiver_runs(client, connect):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    receiver = connect(signals.payment_confirmed)
    receiver.failures = [SystemExit]  # the worker is told to stop in the middle
    with pytest.raises(SystemExit):
        PLATFORM.payment_v3("A-1", 100).post(client, URL)
    assert Order.objects.get().status == "paid"
    row = NotificationLog.objects.get()
    assert (row.outcome, row.http_status) == ("", None)
    assert PLATFORM.payment_v3("A-1", 100, transaction_id=row.transaction_id).post(client, URL).status_code == 200
    assert len(receiver.calls) == 2
    assert SignalDelivery.objects.get().status == "done"


@pytest.mark.django_db(transaction=True)
def test_inside_somebody_elses_transaction_nothing_is_confirmed(shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    result = payment_from_v3(PLATFORM.payment_resource("A-1", 100))
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        confirm_payment(result)
    assert Order.objects.get().status == "pending"
    assert not shipped.calls


def test_a_query_answer_takes_the_same_line(client, shipped, order):
    resource = PLATFORM.payment_resource("A-1", 100, transaction_id="42")
    result = payment_from_v3(resource)
    assert confirm_payment(result) == "confirmed"
    assert confirm_payment(result) == "duplicate"
    order.refresh_from_db()
    assert (order.status, order.confirmed_by) == ("paid", "query")
    (call,) = shipped.calls
    assert call["notification"] is None
    assert PLATFORM.payment_v3("A-1", 100, transaction_id="42").post(client, URL).status_code == 200
    assert len(shipped.calls) == 1


def test_a_query_answer_is_compared_like_a_notification(shipped, order):
    fields = {"trade_type": "JSAPI", "return_code": "SUCCESS", "result_code": "SUCCESS", "appid": PLATFORM.appid}
    numbers = {"mch_id": PLATFORM.mchid, "out_trade_no": "A-1", "transaction_id": "42"}
    assert confirm_payment(payment_from_v2(fields | numbers | {"total_fee": "99"})) == "amount_mismatch"
    assert (
        confirm_payment(payment_from_v2(fields | numbers | {"total_fee": "100", "trade_state": "NOTPAY"})) == "received"
    )
    assert confirm_payment(payment_from_v2(fields | numbers | {"total_fee": "100"}), confirmed_by="bill") == "confirmed"
    assert (
        confirm_payment(payment_from_v2(fields | numbers | {"total_fee": "1", "out_trade_no": "Z"})) == "unknown_order"
    )


def test_two_failed_query_answers_without_a_transaction_are_told_separately(connect, order):
    failed = connect(signals.payment_failed)
    first, second = (
        payment_from_v3(
            PLATFORM.payment_resource("A-1", 100, trade_state="PAYERROR", trade_state_desc=said)
            | {"transaction_id": ""}
        )
        for said in ("余额不足", "卡已过期")
    )
    assert [confirm_payment(result) for result in (first, second, first)] == [
        "payment_failed",
        "payment_failed",
        "duplicate",
    ]
    assert [call["payment"] for call in failed.calls] == [first, second]
