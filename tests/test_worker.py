"""The worker: receivers run outside of the request, once each, whatever fails, waits or is missing."""

import re
import signal
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from tests.answers import answer
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.delivery import deliver_due
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.protocol.errors import Misconfigured

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/wechatpay/notify/"
PAID_BY = "4200000001202611220000000001"
REFUND = {"total": 100, "transaction_id": PAID_BY, "out_refund_no": "R-1"}


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no="A-1", amount=100)


def outcome(client, signed):
    response = signed.post(client, URL)
    row = NotificationLog.objects.latest("pk")
    assert (response.status_code, response.content) == answer(row.api_version, row.outcome)
    return row.outcome


def pay(client):
    return outcome(client, PLATFORM.payment_v3("A-1", 100, transaction_id=PAID_BY))


def refund(client, amount=30):
    return outcome(client, PLATFORM.refund_v3("A-1", amount, **REFUND))


def let_pass(**interval):
    """Time goes by for all deliveries."""
    for row in SignalDelivery.objects.all():
        earlier = {name: getattr(row, name) - timedelta(**interval) for name in ("next_attempt_at", "created_at")}
        SignalDelivery.objects.filter(pk=row.pk).update(**earlier)


def deliver(*arguments):
    out = StringIO()
    call_command("wechatpay_deliver", *arguments, stdout=out)
    return out.getvalue().strip()


def test_deferred_answers_success_before_any_receiver_runs(client, deferred, order, shipped):
    assert [pay(client), pay(client)] == ["confirmed", "duplicate"]
    assert not shipped.calls
    order.refresh_from_db()
    assert order.status == "paid"
    assert deliver("--once") == "1 done"
    (call,) = shipped.calls
    assert (call["order"], call["payment"].amount) == (order, 100)
    assert call["notification"] == NotificationLog.objects.earliest("pk")
    assert call["notification"].resource["out_trade_no"] == "A-1"
    assert deliver("--once") == "0 due"
    assert len(shipped.calls) == 1


def test_a_failed_receiver_runs_again_later_and_the_other_does_not(client, deferred, order, shipped, connect):
    second = connect(signals.payment_confirmed, "shop.second")
    shipped.failures = [OSError("no stock")]
    pay(client)
    assert deliver() == "1 done, 1 failed"
    row = SignalDelivery.objects.get(receiver="shop.ship")
    assert (row.status, row.attempts) == ("pending", 1)
    assert "no stock" in row.last_error
    assert 10 < (row.next_attempt_at - timezone.now()).total_seconds() < 20
    assert deliver() == "0 due"
    let_pass(seconds=20)
    assert deliver() == "1 done"
    assert (len(shipped.calls), len(second.calls)) == (2, 1)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.last_error) == ("done", 2, "")


def test_a_receiver_that_always_fails_is_given_up_and_holds_up_nothing(client, deferred, order, shipped, connect):
    second = connect(signals.payment_confirmed, "shop.second")
    shipped.failures = [OSError("broken")] * 99
    pay(client)
    ends = []
    for _ in range(25):
        ends.append(deliver())
        let_pass(hours=8)
    assert ends[0] == "1 done, 1 failed"
    assert ends[1:20] == ["1 failed"] * 18 + ["1 gave_up"]
    assert ends[20:] == ["0 due"] * 5
    row = SignalDelivery.objects.get(receiver="shop.ship")
    assert (row.status, row.attempts) == ("gave_up", 20)
    assert "broken" in row.last_error
    assert len(second.calls) == 1


def test_a_receiver_that_ends_its_process_is_counted_before_it_is_called(client, deferred, order, shipped):
    pay(client)
    shipped.failures = [SystemExit()] * 99
    for _ in range(20):
        with pytest.raises(SystemExit):
            deliver_due()
        let_pass(hours=8)
    assert deliver() == "1 gave_up"
    assert len(shipped.calls) == 20
    row = SignalDelivery.objects.get()
    assert (row.status, row.attempts) == ("gave_up", 20)
    assert "process ended" in row.last_error


def test_a_refund_waits_for_its_payment_to_be_reported_and_told(client, deferred, order, shipped, connect):
    refunded = connect(signals.refund_confirmed)
    assert refund(client) == "refunded"
    assert deliver() == "1 waiting"
    assert pay(client) == "confirmed"
    shipped.failures = [OSError("no stock")]
    let_pass(minutes=2)
    assert deliver() == "1 failed, 1 waiting"
    let_pass(minutes=2)
    assert deliver() == "2 done"
    assert (len(shipped.calls), len(refunded.calls)) == (2, 1)
    assert refunded.calls[0]["order"].refunded_amount == 30


def test_a_refund_whose_payment_never_comes_is_given_up_after_a_week(client, deferred, order, connect):
    refunded = connect(signals.refund_confirmed)
    refund(client)
    let_pass(days=8)
    assert deliver() == "1 gave_up"
    assert SignalDelivery.objects.get().last_error == "Not run: its payment was not reported, or not told, before."
    assert not refunded.calls


def test_what_another_deploy_knows_waits_and_is_reported_once(client, deferred, order, shipped, caplog):
    pay(client)
    SignalDelivery.objects.update(receiver="shop.receivers.new")
    assert [deliver(), deliver()] == ["1 waiting", "0 due"]
    let_pass(minutes=2)
    assert deliver() == "1 waiting"
    warned = [record.getMessage() for record in caplog.records if "deliveries wait" in record.getMessage()]
    assert warned == ["deliveries wait: no receiver 'shop.receivers.new' is connected to payment_confirmed"]
    assert SignalDelivery.objects.get().attempts == 0
    assert deliver("--missing") == "1 of payment_confirmed wait for shop.receivers.new"


def test_a_receiver_that_is_gone_is_closed_with_a_reason(client, deferred, order, shipped):
    pay(client)
    SignalDelivery.objects.update(receiver="shop.receivers.old")
    with pytest.raises(CommandError, match="--reason"):
        deliver("--close", "shop.receivers.old")
    assert deliver("--close", "shop.receivers.old", "--reason", "points were dropped") == "1 given up."
    row = SignalDelivery.objects.get()
    assert (row.status, row.last_error) == ("gave_up", "Closed: points were dropped")


def test_a_receiver_that_moved_is_renamed_and_not_run_again(client, deferred, order, shipped):
    pay(client)
    SignalDelivery.objects.update(receiver="shop.receivers.old")
    with pytest.raises(CommandError, match="connected to no signal"):
        deliver("--rename", "shop.receivers.old", "shop.receivers.typo")
    assert deliver("--rename", "shop.receivers.old", "shop.ship") == "1 renamed."
    assert deliver() == "1 done"
    assert deliver("--rename", "shop.receivers.old", "shop.ship") == "0 renamed."
    assert len(shipped.calls) == 1


def test_a_new_receiver_hears_of_old_orders_only_when_asked(client, deferred, order, shipped, connect):
    pay(client)
    deliver()
    points = connect(signals.payment_confirmed, "shop.points")
    assert deliver() == "0 due"
    today = timezone.localdate().isoformat()
    assert deliver("--enlist", "payment_confirmed", "shop.points", "--since", today) == "1 to be told."
    assert deliver("--enlist", "payment_confirmed", "shop.points", "--since", today) == "0 to be told."
    assert deliver() == "1 done"
    assert (len(points.calls), len(shipped.calls)) == (1, 1)
    assert points.calls[0]["order"] == order


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--enlist", "payment_confirmed", "shop.nobody", "--since", "2026-01-01"], "not connected"),
        (["--enlist", "nothing", "shop.ship", "--since", "2026-01-01"], "no signal of the ledger"),
        (["--enlist", "payment_confirmed", "shop.ship"], "--since needs a day"),
    ],
)
def test_a_wrong_order_to_the_worker_is_refused_with_a_hint(shipped, arguments, said):
    with pytest.raises(CommandError, match=said):
        deliver(*arguments)


def test_without_any_receiver_wechat_is_asked_to_send_again_and_the_worker_catches_up(client, deferred, order, connect):
    assert pay(client) == "no_receiver"
    assert deliver() == "1 waiting"
    receiver = connect(signals.payment_confirmed)
    let_pass(minutes=2)
    assert deliver() == "1 done"
    assert len(receiver.calls) == 1
    assert pay(client) == "duplicate"


def test_in_inline_mode_the_worker_runs_what_the_requests_left(client, order, shipped):
    shipped.failures = [OSError("no stock")]
    assert pay(client) == "receiver_failed"
    assert deliver() == "0 due"
    let_pass(seconds=20)
    assert deliver() == "1 done"
    assert pay(client) == "duplicate"
    assert len(shipped.calls) == 2


def test_the_wake_up_is_called_after_the_commit_and_may_fail(client, settings, order, shipped, caplog):
    woken = []

    def wake():
        woken.append(Order.objects.get().status)
        raise OSError("no broker")

    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"DELIVERY": wake}
    assert pay(client) == "confirmed"
    assert woken == ["paid"]
    assert "no broker" in caplog.text
    assert deliver() == "1 done"


def test_check_says_what_was_given_up_and_what_nobody_runs(client, deferred, order, shipped, capsys):
    def complaints():
        call_command("check", databases=["default"])
        return re.findall(r"W03[78]", capsys.readouterr().err)

    pay(client)
    assert complaints() == []
    let_pass(minutes=11)
    assert complaints() == ["W038"]
    SignalDelivery.objects.update(status="gave_up")
    assert complaints() == ["W037"]


def test_async_receivers_are_run_by_the_worker_too(client, deferred, order):
    heard = []

    async def hear(order, **kwargs):
        heard.append(order.out_trade_no)

    signals.payment_confirmed.connect(hear, weak=False, dispatch_uid="shop.hear")
    try:
        pay(client)
        assert deliver() == "1 done"
    finally:
        signals.payment_confirmed.disconnect(dispatch_uid="shop.hear")
    assert heard == ["A-1"]


def test_what_a_stopped_worker_had_not_begun_is_given_back_uncounted(client, deferred, order, shipped):
    pay(client)
    Order.objects.expect(out_trade_no="A-2", amount=100)
    outcome(client, PLATFORM.payment_v3("A-2", 100))
    assert deliver_due(stop=lambda: bool(shipped.calls)) == {"done": 1}
    (left,) = SignalDelivery.objects.filter(status="pending")
    assert (left.attempts, left.next_attempt_at <= timezone.now()) == (0, True)
    assert deliver() == "1 done"
    left.refresh_from_db()
    assert left.attempts == 1


def test_a_failure_is_not_counted_for_the_delivery_after_it(client, deferred, order, shipped):
    shipped.failures = [OSError("no stock")]
    pay(client)
    Order.objects.expect(out_trade_no="A-2", amount=100)
    outcome(client, PLATFORM.payment_v3("A-2", 100))
    assert deliver() == "1 done, 1 failed"
    assert [row.attempts for row in SignalDelivery.objects.order_by("pk")] == [1, 1]


def test_a_signal_of_a_newer_release_waits_and_holds_up_nothing(client, deferred, order, shipped):
    pay(client)
    SignalDelivery.objects.update(signal="payment_postponed")
    Order.objects.expect(out_trade_no="A-2", amount=100)
    outcome(client, PLATFORM.payment_v3("A-2", 100))
    assert deliver() == "1 done, 1 waiting"
    assert deliver("--missing") == "1 of payment_postponed wait for shop.ship"


def test_a_new_receiver_does_not_hear_of_what_was_wholly_refunded(client, deferred, order, shipped, connect):
    pay(client)
    refund(client, 100)
    assert SignalDelivery.objects.get(signal="payment_confirmed").status == "gave_up"
    points = connect(signals.payment_confirmed, "shop.points")
    today = timezone.localdate().isoformat()
    assert deliver("--enlist", "payment_confirmed", "shop.points", "--since", today) == "0 to be told."
    deliver()
    assert not points.calls


@pytest.mark.parametrize("lost", [OperationalError, InterfaceError])
def test_a_loop_outlives_its_connection_whatever_the_driver_calls_that(
    client, deferred, order, shipped, monkeypatch, lost
):
    pay(client)
    looks = []

    def look(stop, told):
        looks.append(stop)
        if len(looks) == 1:
            raise lost("connection already closed")
        signal.raise_signal(signal.SIGTERM)
        return deliver_due(told=told)

    monkeypatch.setattr("wechatpay_notify.management.commands.wechatpay_deliver.deliver_due", look)
    assert deliver("--loop", "--interval", "0.01") == "1 done"


def test_without_autocommit_nothing_is_answered_with_success(client, order, shipped):
    """The end of the connection would take back what was told to be recorded."""
    connection.set_autocommit(False)
    try:
        response = PLATFORM.payment_v3("A-1", 100).post(client, URL)
        with pytest.raises(Misconfigured, match="AUTOCOMMIT"):
            deliver_due()
    finally:
        connection.rollback()
        connection.set_autocommit(True)
    assert (response.status_code, response.json()) == (503, {"code": "FAIL", "message": "retry"})
    assert not shipped.calls
    assert Order.objects.get().status == "pending"
