"""Retention: what is old goes, what anything still needs stays, and a replay of what went is still no news."""

from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.answers import answer
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/wechatpay/notify/"
PAID_BY = "4200000001202611220000000001"
EVENT = {"mchid": PLATFORM.mchid, "out_trade_no": "D-1", "state": "USER_PAID"}


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no="A-1", amount=100)


def outcome(client, signed):
    response = signed.post(client, URL)
    row = NotificationLog.objects.latest("pk")
    assert response.status_code == answer(row.api_version, row.outcome)[0]
    return row.outcome


def pay(client, api="v3", **fields):
    make = PLATFORM.payment_v3 if api == "v3" else PLATFORM.payment_v2
    return make("A-1", 100, transaction_id=PAID_BY, **fields)


def let_pass(**interval):
    """Time goes by for every notification."""
    for row in NotificationLog.objects.all():
        NotificationLog.objects.filter(pk=row.pk).update(received_at=row.received_at - timedelta(**interval))


def prune(*arguments):
    out = StringIO()
    call_command("wechatpay_prune", *arguments, stdout=out)
    return out.getvalue().splitlines()


def kept():
    return list(NotificationLog.objects.order_by("pk").values_list("outcome", flat=True))


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_payment_that_was_pruned_is_a_duplicate_years_later(client, order, shipped, api):
    captured = pay(client, api)
    assert outcome(client, captured) == "confirmed"
    let_pass(days=181)
    assert prune() == [
        "refused, older than 30 days: 0 deleted",
        "proven, older than 180 days: 1 deleted",
        "told events (v3) that went with them: 0",
    ]
    assert kept() == []
    with time_machine.travel(timezone.now() + timedelta(days=3650), tick=False):
        # A captured v3 request is too old by then; WeChat itself would sign it anew.
        assert outcome(client, captured) == {"v3": "stale", "v2": "duplicate"}[api]
        assert outcome(client, pay(client, api)) == "duplicate"
    assert len(shipped.calls) == 1


@pytest.mark.parametrize("status", ["SUCCESS", "ABNORMAL"])
def test_a_refund_that_was_pruned_is_a_duplicate_years_later(client, order, shipped, connect, status):
    refunded = [connect(signals.refund_confirmed), connect(signals.refund_abnormal)]
    numbers = {"total": 100, "transaction_id": PAID_BY, "out_refund_no": "R-1", "status": status}
    v2 = {"SUCCESS": "SUCCESS", "ABNORMAL": "CHANGE"}[status]
    outcome(client, pay(client))
    assert outcome(client, PLATFORM.refund_v3("A-1", 30, **numbers)) == "refunded"
    let_pass(days=181)
    prune()
    assert kept() == []
    with time_machine.travel(timezone.now() + timedelta(days=3650), tick=False):
        assert outcome(client, PLATFORM.refund_v3("A-1", 30, **numbers)) == "duplicate"
        assert outcome(client, PLATFORM.refund_v2("A-1", 30, **numbers | {"status": v2})) == "duplicate"
    assert sum(len(receiver.calls) for receiver in refunded) == 1
    assert Refund.objects.get().status == status


def test_a_v2_event_and_a_failed_payment_are_told_once_for_ever(client, order, connect):
    heard = [connect(signals.notification_received), connect(signals.payment_failed)]
    event = PLATFORM.event_v2("PAYSCORE.USER_PAID", {"out_order_no": "D-1"})
    contract = PLATFORM.v2({"mch_id": PLATFORM.mchid, "change_type": "ADD", "contract_code": "C-1"})
    failed = pay(client, "v2", result_code="FAIL", err_code="PAYERROR")
    assert [outcome(client, signed) for signed in (event, contract, failed)] == [
        "received",
        "received",
        "payment_failed",
    ]
    let_pass(days=181)
    assert prune()[-2:] == [
        "proven, older than 180 days: 2 deleted; 1 kept: an order is unpaid",
        "told events (v3) that went with them: 0",
    ]
    with time_machine.travel(timezone.now() + timedelta(days=3650), tick=False):
        assert [outcome(client, signed) for signed in (event, contract, failed)] == ["duplicate"] * 3
    assert [len(receiver.calls) for receiver in heard] == [2, 1]


def test_what_was_told_of_a_v3_event_goes_with_its_last_notification(client, connect):
    heard = connect(signals.notification_received)
    events = [PLATFORM.v3("PAYSCORE.USER_PAID", EVENT, notification_id="E-1") for _ in range(2)]
    assert [outcome(client, event) for event in events] == ["received", "duplicate"]
    first = NotificationLog.objects.earliest("pk")
    NotificationLog.objects.filter(pk=first.pk).update(received_at=first.received_at - timedelta(days=181))
    assert prune()[-1] == "told events (v3) that went with them: 0"
    assert (kept(), SignalDelivery.objects.count()) == (["duplicate"], 1)
    let_pass(days=181)
    assert prune()[-1] == "told events (v3) that went with them: 1"
    assert (kept(), SignalDelivery.objects.count()) == ([], 0)
    with time_machine.travel(timezone.now() + timedelta(days=181)):
        assert [outcome(client, event) for event in events] == ["stale", "stale"]
    assert len(heard.calls) == 1


def test_a_forged_id_frees_nothing(client, connect):
    heard = connect(signals.notification_received)
    event = PLATFORM.v3("PAYSCORE.USER_PAID", EVENT, notification_id="E-1")
    forged = PLATFORM.stranger().v3("PAYSCORE.USER_PAID", EVENT, notification_id="E-1")
    assert [outcome(client, signed) for signed in (event, forged)] == ["received", "signature_invalid"]
    let_pass(days=31)
    assert prune("--refused", "1")[0] == "refused, older than 1 days: 1 deleted"
    assert outcome(client, event) == "duplicate"
    assert len(heard.calls) == 1


def test_a_delivery_that_is_unfinished_keeps_its_notification(client, order, shipped):
    shipped.failures = [OSError("no stock")] * 2
    assert [outcome(client, pay(client)) for _ in range(2)] == ["receiver_failed"] * 2
    let_pass(days=9999)
    for status in ("pending", "gave_up"):
        SignalDelivery.objects.update(status=status)
        assert prune()[1].endswith("; 1 kept: a delivery is unfinished")
        assert kept() == ["receiver_failed"]
    SignalDelivery.objects.update(status="pending")
    call_command("wechatpay_deliver", stdout=StringIO())
    SignalDelivery.objects.update(next_attempt_at=timezone.now())
    call_command("wechatpay_deliver", stdout=StringIO())
    assert shipped.calls[-1]["notification"].transaction_id == PAID_BY
    prune()
    assert kept() == []


def test_an_unpaid_order_keeps_whatever_names_it(client, order, shipped):
    forged = pay(client, "v2").with_body(pay(client, "v2").body.replace(b"CNY", b"USD"))
    assert outcome(client, forged) == "signature_invalid"
    let_pass(days=9999)
    assert prune()[0] == "refused, older than 30 days: 0 deleted; 1 kept: an order is unpaid"
    outcome(client, pay(client, "v2"))
    assert prune()[0] == "refused, older than 30 days: 1 deleted"
    assert kept() == ["confirmed"]


def test_an_open_discrepancy_keeps_what_it_came_from_until_somebody_resolves_it(client, order, shipped):
    assert outcome(client, PLATFORM.payment_v3("A-1", 1)) == "amount_mismatch"
    assert outcome(client, PLATFORM.payment_v3("B-1", 1)) == "unknown_order"
    Order.objects.close(order)
    let_pass(days=9999)
    assert prune()[1] == "proven, older than 180 days: 0 deleted; 2 kept: a discrepancy is open"
    Discrepancy.objects.update(resolved_at=timezone.now(), resolution="refunded by hand")
    SignalDelivery.objects.update(status="done")
    assert prune()[1] == "proven, older than 180 days: 2 deleted"


def test_a_combined_notification_stays_for_one_of_its_orders(client, order, shipped):
    signed = PLATFORM.combined_v3("C-1", {"B-1": 1, "A-1": 1})
    Order.objects.expect(out_trade_no="B-1", amount=1, combine_out_trade_no="C-1")
    assert outcome(client, signed) == "amount_mismatch"
    Order.objects.all().delete()
    let_pass(days=9999)
    assert Discrepancy.objects.get().out_trade_no == "A-1"
    assert prune()[1].endswith("0 deleted; 1 kept: a discrepancy is open")


def test_what_was_never_taken_stays_until_wechats_next_attempt_was(client, settings, order, shipped):
    good = settings.WECHATPAY_NOTIFY
    wrong_key = {"MERCHANTS": {"default": PLATFORM.merchant(API_V3_KEY="x" * 32)}}
    no_key = {"MERCHANTS": {"default": PLATFORM.merchant(API_V3_KEY="short")}}

    def resolver(result):
        raise OSError("no shop")

    assert outcome(client, PLATFORM.payment_v3("A-1", 100, mchid="1900000000")) == "wrong_merchant"
    for broken, code in ((wrong_key, "undecryptable"), (no_key, "misconfigured")):
        settings.WECHATPAY_NOTIFY = good | broken
        assert outcome(client, pay(client)) == code
    again = [PLATFORM.payment_v3("B-1", 1, notification_id="E-1", transaction_id="42") for _ in range(2)]
    settings.WECHATPAY_NOTIFY = good | {"ORDER_RESOLVER": resolver}
    assert outcome(client, again[0]) == "unavailable"
    settings.WECHATPAY_NOTIFY = good
    outcome(client, pay(client))
    let_pass(days=9999)
    assert prune()[1] == "proven, older than 180 days: 1 deleted; 4 kept: never taken"
    Order.objects.expect(out_trade_no="B-1", amount=1)
    assert outcome(client, again[1]) == "confirmed"
    let_pass(days=9999)
    assert prune()[1] == "proven, older than 180 days: 2 deleted; 3 kept: never taken"
    assert kept() == ["wrong_merchant", "undecryptable", "misconfigured"]


def test_a_success_of_something_else_does_not_speak_for_what_was_never_taken(client, settings, order, shipped):
    """Both name one transaction; profit sharing even comes with the same event type."""
    shared = {"mchid": PLATFORM.mchid, "transaction_id": PAID_BY, "order_id": "30", "receiver": {"type": "MERCHANT_ID"}}

    def resolver(result):
        raise OSError("no shop")

    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ORDER_RESOLVER": resolver}
    assert outcome(client, PLATFORM.payment_v3("B-1", 1, transaction_id=PAID_BY)) == "unavailable"
    assert outcome(client, PLATFORM.payment_v2("B-1", 1, transaction_id=PAID_BY)) == "unavailable"
    assert outcome(client, PLATFORM.v3("TRANSACTION.SUCCESS", shared)) == "received"
    let_pass(days=9999)
    prune()
    assert kept() == ["unavailable", "unavailable"]


def test_young_rows_stay_and_a_dry_run_touches_nothing(client, order, shipped):
    outcome(client, pay(client))
    outcome(client, pay(client, timestamp=0))
    let_pass(days=29)
    assert [line.split(": ")[1] for line in prune()] == ["0 deleted", "0 deleted", "0"]
    let_pass(days=2)
    assert prune("--dry-run", "--proven", "30") == [
        "refused, older than 30 days: 1 would be deleted",
        "proven, older than 30 days: 1 would be deleted",
    ]
    assert kept() == ["confirmed", "stale"]
    prune()
    assert kept() == ["confirmed"]


def test_more_rows_than_a_batch_of_one_moment_all_go_and_none_is_met_twice(client, order, shipped, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.retention.BATCH", 3)
    for number in range(8):
        Order.objects.expect(out_trade_no=f"N-{number}", amount=1)
        outcome(client, PLATFORM.payment_v3(f"N-{number}", 1))
    NotificationLog.objects.update(received_at=timezone.now() - timedelta(days=181))
    Order.objects.filter(out_trade_no__in=["N-1", "N-2", "N-3"]).update(status="pending")
    assert prune()[1] == "proven, older than 180 days: 5 deleted; 3 kept: an order is unpaid"


def test_on_a_terminal_a_bar_shows_how_far_it_is(client, order, shipped):
    class Terminal(StringIO):
        def isatty(self):
            return True

    outcome(client, pay(client))
    let_pass(days=181)
    terminal = Terminal()
    call_command("wechatpay_prune", stdout=terminal)
    assert "] 1/1," in terminal.getvalue()


@pytest.mark.parametrize("arguments", [("--proven", "1"), ("--refused", "0")])
def test_what_wechat_may_still_send_again_is_never_pruned(arguments):
    with pytest.raises(CommandError, match="at least 2"):
        prune(*arguments)


def test_a_run_that_is_stopped_leaves_whole_batches_behind(client, connect, monkeypatch):
    connect(signals.notification_received)
    monkeypatch.setattr("wechatpay_notify.retention.BATCH", 2)
    for number in range(4):
        outcome(client, PLATFORM.v3("PAYSCORE.USER_PAID", EVENT, notification_id=f"E-{number}"))
    let_pass(days=181)

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("wechatpay_notify.retention.time.sleep", stop)
    with pytest.raises(KeyboardInterrupt):
        prune()
    assert (len(kept()), SignalDelivery.objects.count()) == (2, 2)
