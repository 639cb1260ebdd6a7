"""Delivering again: what failed or was given up runs at once, in order and once, and what was called off never."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from tests.answers import outcome
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.delivery import WHOLLY_REFUNDED, again, deliver_due
from wechatpay_notify.delivery.again import deliver_again, eligible
from wechatpay_notify.models import Discrepancy, Order, SignalDelivery

pytestmark = pytest.mark.django_db(transaction=True)

PAID_BY = "4200000001202611220000000001"


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no="A-1", amount=100)


def pay(client):
    return outcome(client, PLATFORM.payment_v3("A-1", 100, transaction_id=PAID_BY))


def refund(client, amount=30, status="SUCCESS", number="R-1"):
    numbers = {"total": 100, "transaction_id": PAID_BY, "out_refund_no": number}
    return outcome(client, PLATFORM.refund_v3("A-1", amount, status=status, **numbers))


def delivery(**fields):
    return SignalDelivery.objects.get(**fields)


def every():
    return list(SignalDelivery.objects.order_by("-pk").values_list("pk", flat=True))


def press(*, force=False):
    """Deliver all rows again; how they ended, those that were passed over left out."""
    return {ended: count for ended, count in deliver_again(every(), force=force).items() if ended != "gone"}


def give_up():
    SignalDelivery.objects.filter(status="pending").update(status="gave_up", attempts=20)


@pytest.mark.parametrize("mode", ["inline", "deferred"])
def test_what_was_given_up_runs_at_once_under_the_same_key(client, order, shipped, settings, mode):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"DELIVERY": mode}
    shipped.failures = [OSError("no stock")]
    pay(client)
    deliver_due()
    assert len(shipped.calls) == 1
    give_up()
    assert deliver_again(every()) == {"done": 1}
    row = delivery()
    assert (row.status, row.attempts, row.last_error) == ("done", 1, "")
    assert row.done_at is not None
    first, second = shipped.calls
    assert first["idempotency_key"] == second["idempotency_key"] == row.idempotency_key
    assert second["order"].status == "paid"
    assert pay(client) == "duplicate"
    assert len(shipped.calls) == 2


def test_what_was_given_up_and_fails_again_has_all_its_attempts_and_keeps_its_error(client, order, shipped):
    shipped.failures = [OSError("no stock"), OSError("still no stock")]
    pay(client)
    give_up()
    errors = []
    shipped.before = lambda **_: errors.append(delivery().last_error)
    assert deliver_again(every()) == {"failed": 1}
    assert "no stock" in errors[0]
    row = delivery()
    assert (row.status, row.attempts) == ("pending", 1)
    assert "still no stock" in row.last_error
    assert 10 < (row.next_attempt_at - timezone.now()).total_seconds() < 20
    assert pay(client) == "confirmed"
    assert delivery().last_error == ""


def test_what_waits_for_its_next_attempt_need_not_wait(client, order, shipped):
    shipped.failures = [OSError("no stock")] * 2
    pay(client)
    assert deliver_again(every()) == {"failed": 1}
    assert delivery().attempts == 2
    assert deliver_again(every()) == {"done": 1}
    assert delivery().attempts == 3


def test_what_is_done_runs_again_only_by_force_and_under_the_same_key(client, order, shipped, connect):
    second = connect(signals.payment_confirmed, "shop.second")
    pay(client)
    assert not eligible(SignalDelivery.objects.all(), force=False).exists()
    assert deliver_again(every()) == {"gone": 2}
    assert (len(shipped.calls), len(second.calls)) == (1, 1)
    assert deliver_again([delivery(receiver="shop.ship").pk] * 2, force=True) == {"done": 1}
    assert (len(shipped.calls), len(second.calls)) == (2, 1)
    assert shipped.calls[0]["idempotency_key"] == shipped.calls[1]["idempotency_key"]
    row = delivery(receiver="shop.ship")
    assert (row.status, row.attempts) == ("done", 1)


def test_what_was_forced_and_failed_is_tried_again_by_the_next_notification(client, order, shipped):
    pay(client)
    shipped.failures = [OSError("no stock")]
    assert deliver_again(every(), force=True) == {"failed": 1}
    assert delivery().status == "pending"
    assert pay(client) == "confirmed"
    assert len(shipped.calls) == 3


@pytest.mark.parametrize("force", [False, True])
def test_what_was_called_off_for_a_refund_is_never_run(client, order, shipped, force):
    shipped.failures = [OSError("no stock")]
    pay(client)
    refund(client, 100)
    row = delivery(signal="payment_confirmed")
    assert (row.status, row.last_error) == ("gave_up", WHOLLY_REFUNDED)
    assert not eligible(SignalDelivery.objects.all(), force=force).exists()
    assert press(force=force) == {}
    assert len(shipped.calls) == 1
    assert delivery(pk=row.pk).last_error == WHOLLY_REFUNDED


@pytest.mark.parametrize(("status", "told"), [("done", "done"), ("gave_up", "done"), ("pending", "waiting")])
def test_a_payment_of_which_all_is_refunded_by_now_is_not_fulfilled(client, order, shipped, connect, status, told):
    refunded = connect(signals.refund_confirmed)
    pay(client)
    refund(client, 100)
    SignalDelivery.objects.filter(signal="payment_confirmed").update(status=status, last_error="no stock")
    assert press(force=True) == {told: 1}
    SignalDelivery.objects.filter(status="pending").update(next_attempt_at=timezone.now())
    deliver_due()
    deliver_again(every())
    assert (len(shipped.calls), len(refunded.calls)) == (1, 2)


def test_a_payment_that_is_refunded_in_the_same_moment_is_not_fulfilled(client, order, shipped, monkeypatch):
    shipped.failures = [OSError("no stock")]
    pay(client)
    run = again.run_reserved

    def refunded_first(*arguments):
        Order.objects.update(refunded_amount=100)
        return run(*arguments)

    monkeypatch.setattr(again, "run_reserved", refunded_first)
    assert deliver_again(every()) == {"gone": 1}
    assert (delivery().status, delivery().last_error) == ("gave_up", WHOLLY_REFUNDED)
    assert len(shipped.calls) == 1


def test_a_refund_is_told_after_its_payment_and_waits_when_that_fails(client, order, shipped, connect):
    told = []
    refunded = connect(signals.refund_confirmed)
    shipped.before = lambda **_: told.append("payment")
    refunded.before = lambda **_: told.append("refund")
    refund(client)
    shipped.failures = [OSError("no stock")] * 2
    pay(client)
    give_up()
    assert delivery(signal="refund_confirmed").pk < delivery(signal="payment_confirmed").pk
    told.clear()
    assert deliver_again(every()) == {"failed": 1, "waiting": 1}
    assert deliver_again(every()) == {"done": 2}
    assert told == ["payment", "payment", "refund"]


def test_what_no_receiver_is_connected_for_waits(client, order, shipped):
    shipped.failures = [OSError("no stock")]
    pay(client)
    give_up()
    signals.payment_confirmed.disconnect(dispatch_uid="shop.ship")
    assert deliver_again(every()) == {"waiting": 1}
    row = delivery()
    assert (row.status, row.attempts) == ("pending", 0)
    assert "no stock" in row.last_error


def test_a_payment_that_nobody_was_there_for_is_told_once_somebody_is(client, order, connect):
    assert pay(client) == "no_receiver"
    assert deliver_again(every()) == {"waiting": 1}
    receivers = [connect(signals.payment_confirmed, name) for name in ("shop.ship", "shop.invoice")]
    heard = []
    assert deliver_again(every(), told=heard.append) == {"done": 2}
    assert heard == ["done", "done"]
    assert [len(receiver.calls) for receiver in receivers] == [1, 1]
    assert pay(client) == "duplicate"


def test_nobody_is_told_again_to_refund_what_was_confirmed_meanwhile(client, shipped, unexpected):
    assert pay(client) == "unknown_order"
    SignalDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=6))
    deliver_due()
    assert len(unexpected.calls) == 1
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert pay(client) == "confirmed"
    row = delivery(signal="payment_unexpected")
    assert deliver_again([row.pk], force=True) == {"gone": 1}
    assert delivery(pk=row.pk).status == "done"
    assert len(unexpected.calls) == 1
    Discrepancy.objects.all().delete()
    assert deliver_again([row.pk], force=True) == {"failed": 1}


@pytest.mark.parametrize("force", [False, True])
def test_when_two_press_at_once_it_runs_once(client, order, shipped, monkeypatch, force):
    pay(client)
    if not force:
        give_up_done()
    reserve, others = again._reserve, []

    def after_another(row, using):
        if not others:
            others.append({})
            others[0] = deliver_again([row.pk], force=force)
        return reserve(row, using)

    monkeypatch.setattr(again, "_reserve", after_another)
    assert deliver_again(every(), force=force) == {"gone": 1}
    assert others == [{"done": 1}]
    assert len(shipped.calls) == 2


def give_up_done():
    SignalDelivery.objects.update(status="gave_up", attempts=20)


def test_a_worker_that_comes_in_between_runs_it_once(client, order, shipped, monkeypatch):
    shipped.failures = [OSError("no stock")]
    pay(client)
    SignalDelivery.objects.update(next_attempt_at=timezone.now())
    reserve = again._reserve

    def after_a_worker(row, using):
        assert deliver_due() == {"done": 1}
        return reserve(row, using)

    monkeypatch.setattr(again, "_reserve", after_a_worker)
    assert deliver_again(every()) == {"gone": 1}
    assert len(shipped.calls) == 2


def test_what_it_has_in_hand_no_worker_takes(client, order, shipped, monkeypatch):
    pay(client)
    run = again.run_reserved

    def beside_a_worker(*arguments):
        assert deliver_due() == {}
        return run(*arguments)

    monkeypatch.setattr(again, "run_reserved", beside_a_worker)
    assert deliver_again(every(), force=True) == {"done": 1}
    assert len(shipped.calls) == 2


def test_a_receiver_that_ends_its_process_is_counted_and_left_to_the_worker(client, order, shipped):
    pay(client)
    shipped.failures = [SystemExit()]
    with pytest.raises(SystemExit):
        deliver_again(every(), force=True)
    assert (delivery().status, delivery().attempts) == ("pending", 1)
    SignalDelivery.objects.update(next_attempt_at=timezone.now())
    out = StringIO()
    call_command("wechatpay_deliver", stdout=out)
    assert out.getvalue() == "1 done\n"


def test_inside_of_a_transaction_it_is_refused(client, order, shipped):
    pay(client)
    with pytest.raises(RuntimeError), transaction.atomic():
        deliver_again(every(), force=True)
    assert len(shipped.calls) == 1


def test_what_is_not_there_is_passed_over(client, order, shipped):
    assert deliver_again([4711]) == {}


def test_a_forced_run_that_fails_does_not_forget_that_it_was_done(client, order, shipped):
    pay(client)
    done_at = delivery().done_at
    shipped.failures = [RuntimeError("still broken")]
    assert press(force=True) == {"failed": 1}
    assert (delivery().status, delivery().done_at) == ("pending", done_at)


def test_what_was_forced_and_failed_is_done_all_the_same_once_all_is_refunded(client, order, shipped):
    pay(client)
    shipped.failures = [RuntimeError("still broken")]
    press(force=True)
    refund(client, amount=order.amount)
    assert (delivery(signal="payment_confirmed").status, len(shipped.calls)) == ("done", 2)


def test_what_was_done_since_somebody_decided_is_not_forced(client, order, shipped):
    pay(client)
    row = delivery()
    earlier = row.done_at - timedelta(seconds=1)
    assert deliver_again([row.pk], force=True, unless_done_since=earlier) == {"gone": 1}
    assert len(shipped.calls) == 1
