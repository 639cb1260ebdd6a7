"""Refunds, from the wire to the shop's receiver: what counts, what waits, what contradicts."""

import contextlib

import pytest
from django.db import connection
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.answers import outcome
from tests.settings import PLATFORM
from tests.test_payment import statements
from wechatpay_notify import signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.processing import confirm_refund
from wechatpay_notify.protocol.errors import Malformed
from wechatpay_notify.protocol.results import payment_from_v3, refund_from_v3
from wechatpay_notify.protocol.types import ExpectedOrder
from wechatpay_notify.testing import xml

pytestmark = pytest.mark.django_db

URL = "/wechatpay/notify/"
PAID_BY, ANOTHER = "4200000001202611220000000001", "4200000001202611220000000002"
STATES = {
    "SUCCESS": ("refund_confirmed", "SUCCESS"),
    "ABNORMAL": ("refund_abnormal", "CHANGE"),
    "CLOSED": ("refund_closed", "REFUNDCLOSE"),
}
"""State → its signal, and v2's word for it."""


@pytest.fixture
def order():
    return Order.objects.expect(out_trade_no="A-1", amount=100, reference="shop-1")


@pytest.fixture
def told(connect):
    """The shop's receivers of the three refund signals, by signal."""
    return {name: connect(getattr(signals, name), f"shop.{name}") for name, _ in STATES.values()}


@pytest.fixture
def paid(client, order, shipped):
    """The order, paid and fulfilled."""
    assert pay(client) == "confirmed"
    order.refresh_from_db()
    return order


def pay(client, transaction_id=PAID_BY, amount=100):
    return outcome(client, PLATFORM.payment_v3("A-1", amount, transaction_id=transaction_id))


def refund_v3(amount=100, number="R-1", status="SUCCESS", transaction_id=PAID_BY, **fields):
    numbers = {"transaction_id": transaction_id, "out_refund_no": number}
    return PLATFORM.refund_v3("A-1", amount, total=100, **numbers, status=status, **fields)


def refund_v2(amount=100, number="R-1", status="SUCCESS", transaction_id=PAID_BY, **fields):
    numbers = {"transaction_id": transaction_id, "out_refund_no": number}
    return PLATFORM.refund_v2("A-1", amount, **{"total": 100} | numbers, status=STATES[status][1], **fields)


@pytest.fixture(params=[refund_v3, refund_v2], ids=["v3", "v2"])
def refund(request):
    return request.param


def recorded():
    return [(row.out_refund_no, row.amount, row.status) for row in Refund.objects.order_by("pk")]


@pytest.mark.parametrize("status", STATES)
def test_a_refund_is_recorded_and_told_once(client, paid, told, refund, status):
    signed = refund(status=status)
    assert [outcome(client, signed), outcome(client, signed)] == ["refunded", "duplicate"]

    row = Refund.objects.get()
    assert (row.mchid, row.sub_mchid, row.out_refund_no, row.transaction_id) == (PLATFORM.mchid, "", "R-1", PAID_BY)
    assert (row.order, row.amount, row.status) == (paid, 100, status)
    assert (row.success_time is not None) is (status == "SUCCESS")
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_amount) == ("paid", 0 if status == "CLOSED" else 100)

    assert {name: len(receiver.calls) for name, receiver in told.items()} == {
        name: int(name == STATES[status][0]) for name in told
    }
    (call,) = told[STATES[status][0]].calls
    assert (call["sender"], call["refund"], call["order"]) == (Refund, row, paid)
    assert (call["result"].refund_status, call["result"].amount, call["result"].total) == (status, 100, 100)
    assert call["notification"] == NotificationLog.objects.filter(out_refund_no="R-1").earliest("pk")
    assert call["idempotency_key"] == SignalDelivery.objects.get(signal=STATES[status][0]).idempotency_key


def test_a_refund_takes_at_most_12_statements_and_a_duplicate_4(client, paid, told, refund):
    signed = refund(30)
    with CaptureQueriesContext(connection) as first:
        signed.post(client, URL)
    with CaptureQueriesContext(connection) as again:
        signed.post(client, URL)
    assert len(told["refund_confirmed"].calls) == 1
    assert len(statements(first)) <= 12
    assert len(statements(again)) <= 4  # the last asks for what another copy recorded meanwhile


def test_partial_refunds_add_up_to_the_amount_and_no_further(client, paid, told, refund):
    assert outcome(client, refund(30, "R-1")) == "refunded"
    assert outcome(client, refund(70, "R-2")) == "refunded"
    assert outcome(client, refund(1, "R-3")) == "conflict"
    paid.refresh_from_db()
    assert paid.refunded_amount == 100
    assert [call["order"].refunded_amount for call in told["refund_confirmed"].calls] == [30, 100]
    assert recorded() == [("R-1", 30, "SUCCESS"), ("R-2", 70, "SUCCESS")]
    discrepancy = Discrepancy.objects.get()
    assert (discrepancy.reason, discrepancy.amount, discrepancy.currency) == ("refund_conflict", 1, "CNY")


def test_a_refund_that_was_closed_makes_room_for_another(client, paid, told):
    assert outcome(client, refund_v3(100, "R-1", "ABNORMAL")) == "refunded"
    assert outcome(client, refund_v3(100, "R-2")) == "conflict"
    assert outcome(client, refund_v3(100, "R-1", "CLOSED")) == "refunded"
    assert outcome(client, refund_v3(100, "R-2")) == "refunded"
    paid.refresh_from_db()
    assert paid.refunded_amount == 100
    assert recorded() == [("R-1", 100, "CLOSED"), ("R-2", 100, "SUCCESS")]


def test_late_news_of_a_refund_that_was_closed_is_no_conflict_though_its_room_is_taken(client, paid, told, refund):
    assert outcome(client, refund(100, "R-1", "CLOSED")) == "refunded"
    assert outcome(client, refund(100, "R-2")) == "refunded"
    assert outcome(client, refund(100, "R-1", "ABNORMAL")) == "duplicate"
    assert recorded() == [("R-1", 100, "CLOSED"), ("R-2", 100, "SUCCESS")]
    assert not Discrepancy.objects.exists()


@pytest.mark.parametrize(
    ("first", "then", "end"), [("ABNORMAL", "SUCCESS", "SUCCESS"), ("SUCCESS", "ABNORMAL", "SUCCESS")]
)
def test_abnormal_and_success_end_alike_whichever_comes_first(client, paid, told, first, then, end):
    assert outcome(client, refund_v3(status=first)) == "refunded"
    assert outcome(client, refund_v3(status=then)) == ("refunded" if then == "SUCCESS" else "duplicate")
    paid.refresh_from_db()
    assert (recorded(), paid.refunded_amount) == ([("R-1", 100, end)], 100)
    assert len(told["refund_confirmed"].calls) == 1


def test_a_late_report_of_a_closed_refund_asks_for_no_room(client, paid, told):
    assert [outcome(client, refund_v3(30, "R-1", "CLOSED")), outcome(client, refund_v3(100, "R-2"))] == ["refunded"] * 2
    assert outcome(client, refund_v3(30, "R-1", "ABNORMAL")) == "duplicate"
    assert recorded() == [("R-1", 30, "CLOSED"), ("R-2", 100, "SUCCESS")]
    assert not Discrepancy.objects.exists()


@pytest.mark.parametrize(("first", "then"), [("CLOSED", "SUCCESS"), ("SUCCESS", "CLOSED")])
def test_success_and_closed_contradict_each_other(client, paid, told, first, then):
    assert [outcome(client, refund_v3(status=first)), outcome(client, refund_v3(status=then))] == [
        "refunded",
        "conflict",
    ]
    assert recorded() == [("R-1", 100, first)]


@pytest.mark.parametrize(
    "changed",
    [{"amount": 40}, {"refund_id": "50300000000000000000000000009"}, {"number": "R-9"}],
    ids=["another amount", "another refund_id", "another number"],
)
def test_a_known_refund_with_other_numbers_is_a_conflict(client, paid, told, refund, changed):
    refund_id = {"refund_id": "50300000000000000000000000001"}
    assert outcome(client, refund(30, **refund_id)) == "refunded"
    assert outcome(client, refund(**{"amount": 30} | refund_id | changed)) == "conflict"
    paid.refresh_from_db()
    assert (recorded(), paid.refunded_amount) == ([("R-1", 30, "SUCCESS")], 30)
    assert len(told["refund_confirmed"].calls) == 1
    assert Discrepancy.objects.get().reason == "refund_conflict"


def test_a_refund_of_another_total_is_a_conflict(client, paid, told):
    amount = {"total": 99, "refund": 30, "payer_total": 99, "payer_refund": 30}
    assert outcome(client, refund_v3(30)) == "refunded"
    numbers = {"transaction_id": PAID_BY, "out_refund_no": "R-2"}
    assert outcome(client, PLATFORM.refund_v3("A-1", 30, total=99, **numbers)) == "conflict"
    assert outcome(client, PLATFORM.refund_v2("A-1", 30, total=99, **numbers)) == "conflict"
    dollars = {"amount": amount | {"total": 100, "currency": "USD"}}
    assert outcome(client, PLATFORM.v3("REFUND.SUCCESS", resource(**dollars))) == "conflict"
    assert recorded() == [("R-1", 30, "SUCCESS")]


def resource(**fields):
    """The resource of a refund of 30 fen, number R-2."""
    return {
        "mchid": PLATFORM.mchid,
        "out_trade_no": "A-1",
        "transaction_id": PAID_BY,
        "out_refund_no": "R-2",
        "refund_id": "50300000000000000000000000002",
        "refund_status": "SUCCESS",
        "amount": {"total": 100, "refund": 30},
    } | fields


def test_a_refund_under_the_transaction_of_another_order_is_a_conflict(client, paid, told, refund):
    Order.objects.expect(out_trade_no="B-2", amount=100)
    make = {refund_v3: PLATFORM.refund_v3, refund_v2: PLATFORM.refund_v2}[refund]
    numbers = {"transaction_id": PAID_BY, "out_refund_no": "R-1"}
    assert outcome(client, make("B-2", 100, total=100, **numbers)) == "conflict"
    assert not Refund.objects.exists()
    assert not told["refund_confirmed"].calls


def test_a_refund_of_another_merchants_order_is_a_conflict_and_tells_its_order_nothing(client, told, refund):
    theirs = Order.objects.expect(out_trade_no="A-1", amount=100, mchid="1900000999")
    Order.objects.filter(pk=theirs.pk).update(status="paid", transaction_id=PAID_BY)
    assert outcome(client, refund()) == "conflict"
    assert not Refund.objects.exists()
    assert not theirs.discrepancies.exists()


def test_a_refund_that_is_another_merchants_is_refused(client, paid, told):
    assert outcome(client, refund_v3(mchid="1900000999")) == "wrong_merchant"
    assert outcome(client, refund_v2(outer={"mch_id": "1900000999"})) == "wrong_merchant"
    assert not Refund.objects.exists()


def test_the_refund_of_an_order_that_is_not_ours_to_know_is_received(client, connect, told, refund):
    heard = connect(signals.notification_received)
    signed = refund()
    assert [outcome(client, signed), outcome(client, signed)] == ["received", "duplicate"]
    assert not Refund.objects.exists()
    assert heard.calls[0]["resource"]["out_refund_no"] == "R-1"


def test_the_resolver_is_asked_for_the_order_of_a_refund(client, settings, shipped, told):
    asked = []

    def expected(result):
        asked.append(result)
        return ExpectedOrder(amount=100)

    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ORDER_RESOLVER": expected}
    assert outcome(client, refund_v3(30)) == "busy"
    assert asked[0].out_refund_no == "R-1"
    assert pay(client) == "confirmed"
    assert outcome(client, refund_v3(30)) == "refunded"
    assert Order.objects.get().refunded_amount == 30


def test_a_refund_before_its_payment_waits_and_is_told_after_it(client, order, shipped, told):
    order_of_calls = []
    shipped.before = lambda **_: order_of_calls.append("payment")
    told["refund_confirmed"].before = lambda **_: order_of_calls.append("refund")
    assert [outcome(client, refund_v3(30)), outcome(client, refund_v3(30))] == ["busy", "busy"]
    order.refresh_from_db()
    assert (order.status, order.refunded_amount, recorded()) == ("pending", 30, [("R-1", 30, "SUCCESS")])
    assert pay(client) == "confirmed"
    assert [outcome(client, refund_v3(30)), outcome(client, refund_v3(30))] == ["refunded", "duplicate"]
    order.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("paid", 30)
    assert order_of_calls == ["payment", "refund"]


def test_a_payment_that_was_wholly_refunded_before_fulfils_nothing(client, order, shipped, told, unexpected):
    assert outcome(client, refund_v3()) == "busy"
    assert [pay(client), pay(client)] == ["unexpected", "duplicate"]
    order.refresh_from_db()
    assert (order.status, order.refunded_amount, order.settled_reference) == ("paid", 100, None)
    assert not shipped.calls
    assert [call["reason"] for call in unexpected.calls] == ["already_refunded"]
    assert outcome(client, refund_v3()) == "refunded"
    assert len(told["refund_confirmed"].calls) == 1
    # The customer pays again under another number of the same shop order: that one is fulfilled.
    Order.objects.expect(out_trade_no="A-2", amount=100, reference="shop-1")
    assert outcome(client, PLATFORM.payment_v3("A-2", 100)) == "confirmed"
    assert len(shipped.calls) == 1


def test_only_refunds_of_the_transaction_that_pays_count_for_the_order(client, order, shipped, told):
    assert outcome(client, refund_v3(100, "R-1", transaction_id=ANOTHER)) == "busy"
    assert pay(client) == "confirmed"
    order.refresh_from_db()
    assert order.refunded_amount == 0
    assert outcome(client, refund_v3(100, "R-1", transaction_id=ANOTHER)) == "refunded"
    assert outcome(client, refund_v3(30, "R-2")) == "refunded"
    order.refresh_from_db()
    assert order.refunded_amount == 30
    assert [call["refund"].transaction_id for call in told["refund_confirmed"].calls] == [ANOTHER, PAID_BY]


def test_a_payment_judged_before_its_refund_came_does_not_settle(client, order, told):
    """What is refunded of another transaction may come to the same sum: the order looks as it did."""
    assert outcome(client, refund_v3(100, "R-1", transaction_id=ANOTHER)) == "busy"
    seen = Order.objects.get()
    assert outcome(client, refund_v3(100, "R-2")) == "busy"
    result = payment_from_v3(PLATFORM.payment_resource("A-1", 100, transaction_id=PAID_BY))
    assert not Order.objects.settle(seen, result, refunded=0)
    assert Order.objects.settle(Order.objects.get(), result)
    assert Order.objects.get().refunded_amount == 100


def test_the_second_payment_of_an_order_is_refunded_without_touching_the_first(client, paid, told, unexpected):
    assert pay(client, ANOTHER) == "unexpected"
    assert outcome(client, refund_v3(100, "R-1", transaction_id=ANOTHER)) == "refunded"
    assert outcome(client, refund_v3(1, "R-2", transaction_id=ANOTHER)) == "conflict"
    paid.refresh_from_db()
    assert (paid.refunded_amount, recorded()) == (0, [("R-1", 100, "SUCCESS")])


def test_what_is_not_fulfilled_yet_is_not_fulfilled_after_the_whole_payment_went_back(client, order, shipped, told):
    shipped.failures = [OSError("no stock")]
    assert pay(client) == "receiver_failed"
    assert outcome(client, refund_v3()) == "refunded"
    assert pay(client) == "duplicate"
    assert len(shipped.calls) == 1
    row = SignalDelivery.objects.get(signal="payment_confirmed")
    assert (row.status, row.last_error) == ("gave_up", "Not run: the whole payment was refunded before.")
    assert len(told["refund_confirmed"].calls) == 1


def test_what_was_not_fulfilled_for_a_refund_is_fulfilled_when_that_refund_is_closed(client, order, shipped, told):
    shipped.failures = [OSError("no stock")]
    assert pay(client) == "receiver_failed"
    assert outcome(client, refund_v3(status="ABNORMAL")) == "refunded"
    assert SignalDelivery.objects.get(signal="payment_confirmed").status == "gave_up"
    assert outcome(client, refund_v3(status="CLOSED")) == "refunded"
    assert len(shipped.calls) == 2
    assert SignalDelivery.objects.get(signal="payment_confirmed").status == "done"
    assert len(told["refund_closed"].calls) == 1
    order.refresh_from_db()
    assert order.refunded_amount == 0


def test_the_refund_of_a_payment_that_was_not_accepted_contradicts_nothing(client, order, shipped, told, unexpected):
    assert pay(client, amount=1) == "amount_mismatch"
    numbers = {"transaction_id": PAID_BY, "out_refund_no": "R-1"}
    assert outcome(client, PLATFORM.refund_v3("A-1", 1, total=1, **numbers)) == "received"
    assert not Refund.objects.exists()
    assert [row.reason for row in Discrepancy.objects.all()] == ["amount_mismatch"]
    assert outcome(client, PLATFORM.refund_v3("A-1", 1, total=2, **numbers)) == "conflict"


def test_another_refund_that_contradicts_is_open_again_although_the_first_was_resolved(client, paid, told):
    assert outcome(client, refund_v3(101, "R-1")) == "conflict"
    Discrepancy.objects.update(resolved_at=timezone.now(), resolution="a typing error")
    assert outcome(client, refund_v3(101, "R-1")) == "conflict"
    assert Discrepancy.objects.get().resolved_at is not None
    assert outcome(client, refund_v3(102, "R-2")) == "conflict"
    row = Discrepancy.objects.get()
    assert (row.resolved_at, row.resolution, row.amount, row.times) == (None, "", 102, 3)


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"amount": -1}, {"amount": 1.0}, {"out_refund_no": "R 1"}])
def test_the_shop_cannot_record_a_refund_that_cannot_be(paid, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Refund.objects.create(order=paid, **{"out_refund_no": "R-1", "amount": 30} | wrong)


def test_the_shop_cannot_record_a_refund_of_an_order_that_is_not_paid(order):
    with pytest.raises(ValueError, match="not paid yet"):
        Refund.objects.create(order=order, out_refund_no="R-1", amount=30)


def test_a_query_answer_in_a_state_that_no_refund_has_is_malformed():
    answered = resource() | {"status": "REFUNDING"}
    del answered["refund_status"]
    with pytest.raises(Malformed, match="REFUNDING"):
        refund_from_v3(answered)


def test_a_refund_is_told_after_its_payment_even_if_that_failed_before(client, order, shipped, told):
    shipped.failures = [OSError("no stock"), OSError("still none")]
    assert pay(client) == "receiver_failed"
    assert outcome(client, refund_v3(30)) == "receiver_failed"
    assert not told["refund_confirmed"].calls
    assert outcome(client, refund_v3(30)) == "refunded"
    assert (len(shipped.calls), len(told["refund_confirmed"].calls)) == (3, 1)
    assert pay(client) == "duplicate"


def test_a_receiver_of_a_refund_that_fails_is_run_again_and_alone(client, connect, paid, told):
    second = connect(signals.refund_confirmed, "shop.second")
    told["refund_confirmed"].failures = [OSError("printer on fire")]
    assert outcome(client, refund_v3(30)) == "receiver_failed"
    assert outcome(client, refund_v3(30)) == "refunded"
    assert (len(told["refund_confirmed"].calls), len(second.calls)) == (2, 1)
    paid.refresh_from_db()
    assert paid.refunded_amount == 30


@contextlib.contextmanager
def after_reading_the_order(meanwhile):
    """Once an order has been read, and before what was read is acted on, this happens."""
    waiting = [meanwhile]

    def execute(run, sql, *args):
        read = run(sql, *args)
        if waiting and sql.startswith("SELECT") and sql.count(Order._meta.db_table):
            waiting.pop()()
        return read

    with connection.execute_wrapper(execute):
        yield


def test_a_copy_that_read_the_order_just_before_is_not_answered_while_nobody_was_told(client, paid, told):
    told["refund_confirmed"].failures = [OSError("printer on fire")]
    first = []
    with after_reading_the_order(lambda: first.append(outcome(client, refund_v3(30)))):
        assert outcome(client, refund_v3(30)) == "refunded"
    assert first == ["receiver_failed"]
    assert [row.status for row in SignalDelivery.objects.filter(signal="refund_confirmed")] == ["done"]


def test_refunds_that_come_to_the_same_sum_meanwhile_do_not_hide_from_the_payment(client, order, shipped, unexpected):
    assert outcome(client, refund_v3(100, "R-1", transaction_id=ANOTHER)) == "busy"
    with after_reading_the_order(lambda: outcome(client, refund_v3(100, "R-2"))):
        assert pay(client) == "unexpected"
    order.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("paid", 100)
    assert not shipped.calls
    assert [call["reason"] for call in unexpected.calls] == ["already_refunded"]


def test_a_refund_nobody_listens_to_is_recorded_all_the_same(client, paid):
    assert [outcome(client, refund_v3(30)), outcome(client, refund_v3(30))] == ["refunded", "duplicate"]
    assert recorded() == [("R-1", 30, "SUCCESS")]


def test_the_refund_of_a_closed_order_waits_for_its_payment(client, order, shipped, told, unexpected):
    Order.objects.close(order)
    assert outcome(client, refund_v3(30)) == "busy"
    assert pay(client) == "unexpected"
    assert outcome(client, refund_v3(30)) == "refunded"
    order.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("paid", 30)


def test_v2_is_a_hint_that_records_nothing_before_the_payment_is_known(client, order, shipped, told):
    assert outcome(client, refund_v2(30)) == "busy"
    assert not Refund.objects.exists()
    assert pay(client) == "confirmed"
    assert outcome(client, refund_v2(30)) == "refunded"


def test_v2_says_nothing_of_another_transaction_than_the_one_that_paid(client, connect, paid, told):
    heard = connect(signals.notification_received)
    assert outcome(client, refund_v2(30, transaction_id=ANOTHER)) == "received"
    assert not Refund.objects.exists()
    assert len(heard.calls) == 1


def test_a_query_confirms_what_a_hint_could_not(paid, told):
    answered = resource() | {"status": "PROCESSING"}
    del answered["refund_status"]
    assert confirm_refund(refund_from_v3(answered)) == "refunded"
    assert recorded() == [("R-2", 30, "PROCESSING")]
    assert not any(receiver.calls for receiver in told.values())
    assert confirm_refund(refund_from_v3(answered | {"status": "SUCCESS"})) == "refunded"
    assert confirm_refund(refund_from_v3(answered)) == "duplicate"
    (call,) = told["refund_confirmed"].calls
    assert call["notification"] is None
    paid.refresh_from_db()
    assert (recorded(), paid.refunded_amount) == ([("R-2", 30, "SUCCESS")], 30)


def test_a_refund_the_shop_recorded_itself_is_moved(client, paid, told):
    ours = Refund.objects.create(order=paid, out_refund_no="R-1", amount=30)
    assert (ours.mchid, ours.transaction_id, ours.status) == (PLATFORM.mchid, PAID_BY, "PROCESSING")
    assert outcome(client, refund_v3(30)) == "refunded"
    ours.save()  # a stale instance
    assert recorded() == [("R-1", 30, "SUCCESS")]
    assert Refund.objects.get().refund_id


def test_what_the_shop_recorded_beyond_the_amount_does_not_keep_a_refund_from_being_closed(client, paid, told):
    for number in ("R-1", "R-2", "R-3"):
        Refund.objects.create(order=paid, out_refund_no=number, amount=100)
    for number, counted in (("R-1", 100), ("R-2", 100), ("R-3", 0)):
        assert outcome(client, refund_v3(number=number, status="CLOSED")) == "refunded"
        paid.refresh_from_db()
        assert paid.refunded_amount == counted
    assert len(told["refund_closed"].calls) == 3


def test_an_order_with_refunds_cannot_be_deleted(client, paid, told):
    outcome(client, refund_v3(30))
    with pytest.raises(ProtectedError):
        paid.delete()


def test_a_service_providers_refund_is_its_sub_merchants(client, settings, shipped, told):
    order = Order.objects.expect(out_trade_no="A-1", amount=100, sub_mchid="1900000201")
    partner = {"sub_mchid": "1900000201"}
    assert outcome(client, PLATFORM.payment_v3("A-1", 100, transaction_id=PAID_BY, **partner)) == "confirmed"
    assert outcome(client, refund_v3(30, **partner)) == "refunded"
    # Some samples name the provider `mchid` (protocol, 2.12).
    named_mchid = resource(sub_mchid="1900000201", amount={"total": 100, "refund": 20})
    assert outcome(client, PLATFORM.v3("REFUND.SUCCESS", named_mchid)) == "refunded"
    assert outcome(client, refund_v2(10, "R-3", outer={"sub_mch_id": "1900000201"})) == "refunded"
    order.refresh_from_db()
    assert order.refunded_amount == 60
    assert {row.sub_mchid for row in Refund.objects.all()} == {"1900000201"}
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(SUB_MCHIDS=["1900000202"])}}
    assert outcome(client, refund_v3(30, "R-4", **partner)) == "wrong_merchant"


def test_the_refund_of_a_sub_order_counts_for_that_one_alone(client, shipped, told):
    parts = dict.fromkeys(("C-1-1", "C-1-2"), 100)
    for number in parts:
        Order.objects.expect(out_trade_no=number, amount=100, combine_out_trade_no="C-1")
    assert outcome(client, PLATFORM.combined_v3("C-1", parts)) == "confirmed"
    numbers = {"transaction_id": Order.objects.get(out_trade_no="C-1-2").transaction_id, "out_refund_no": "R-1"}
    assert outcome(client, PLATFORM.refund_v3("C-1-2", 100, total=100, **numbers)) == "refunded"
    assert dict(Order.objects.values_list("out_trade_no", "refunded_amount")) == {"C-1-1": 0, "C-1-2": 100}
    assert len(shipped.calls) == 2


def test_a_global_refund_is_compared_in_its_currency(client, shipped, told):
    order = Order.objects.expect(out_trade_no="A-1", amount=528800, currency="HKD")
    amount = {"total": 528800, "currency": "HKD", "payer_total": 528800, "payer_currency": "HKD"}
    assert outcome(client, PLATFORM.payment_v3("A-1", 528800, transaction_id=PAID_BY, amount=amount)) == "confirmed"
    numbers = {"transaction_id": PAID_BY, "out_refund_no": "R-1", "recv_account": "招商银行信用卡0403"}
    signed = PLATFORM.refund_v3("A-1", 528800, total=528800, **numbers, amount=amount | {"refund": 528800})
    assert outcome(client, signed) == "refunded"
    order.refresh_from_db()
    assert order.refunded_amount == 528800


@pytest.mark.parametrize("announced", ["REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"])
def test_type_and_state_must_agree(client, paid, told, announced):
    for status in STATES.keys() - {announced.removeprefix("REFUND.")} | {"PROCESSING", "CHANGE"}:
        assert outcome(client, refund_v3(status=status, event_type=announced)) == "received"
    assert not Refund.objects.exists()


REQUIRED = ("mchid", "out_trade_no", "transaction_id", "out_refund_no", "refund_id", "amount")


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_v3_refund_without_what_it_must_have_is_malformed(client, paid, told, missing):
    for wrong in (None, "", [], {}, 0, True):
        assert outcome(client, PLATFORM.v3("REFUND.SUCCESS", resource(**{missing: wrong}))) == "malformed"
    assert not Refund.objects.exists()


@pytest.mark.parametrize("amount", [0, -1, True, "30", 30.0, 2**63, 10**18, None, [30]])
def test_a_v3_refund_amount_is_a_whole_number_of_fen(client, paid, told, amount):
    signed = PLATFORM.v3("REFUND.SUCCESS", resource(amount={"total": 100, "refund": amount}))
    assert outcome(client, signed) == "malformed"
    assert not Refund.objects.exists()


WRONG_IN_V2 = {
    "no amount": {"refund_fee": ""},
    "an amount that is none": {"refund_fee": "3e1"},
    "an unknown state": {"refund_status": "PROCESSING"},
    "no refund number": {"out_refund_no": ""},
}


@pytest.mark.parametrize("wrong", WRONG_IN_V2.values(), ids=WRONG_IN_V2)
def test_every_fault_inside_a_v2_refund_looks_like_a_wrong_key(client, paid, told, wrong):
    inner = {
        "out_trade_no": "A-1",
        "transaction_id": PAID_BY,
        "out_refund_no": "R-1",
        "refund_id": "503",
        "total_fee": "100",
        "refund_fee": "30",
        "refund_status": "SUCCESS",
    }
    assert outcome(client, sealed(inner | wrong)) == "signature_invalid"
    assert not Refund.objects.exists()
    assert outcome(client, sealed(inner)) == "refunded"


def sealed(inner):
    around = {"appid": PLATFORM.appid, "mch_id": PLATFORM.mchid}
    return xml(around | {"req_info": PLATFORM.req_info(xml(inner, "root").body)})


def test_another_refund_that_contradicts_the_record_is_looked_at_though_its_amount_is_the_same(client, paid, told):
    refund_v3(60, "R-0").post(client, "/wechatpay/notify/")
    refund_v3(41, "R-1").post(client, "/wechatpay/notify/")
    first = Discrepancy.objects.get()
    assert Discrepancy.objects.resolve(first, by="mei", reason="R-1 is dealt with")
    refund_v3(41, "R-2").post(client, "/wechatpay/notify/")
    again = Discrepancy.objects.get()
    assert (again.resolved_at, again.out_refund_no) == (None, "R-2")
