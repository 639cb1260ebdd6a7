"""Whatever happens in whatever order: payments, second transactions, refunds, closing, failing receivers, retries.

A state machine that plays WeChat and the shop against the real views, and the invariants of the threat model.
"""

from collections import Counter

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.answers import ANSWERS
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

URL = "/wechatpay/notify/"
AMOUNT = 100
ORDERS = {"A-1": "shop-1", "A-2": "shop-1", "B-1": "shop-2"}
"""Two attempts to pay one shop order, and another; number → reference."""
TRANSACTION = "4200000001202611220000000001"
V2_WORDS = {"SUCCESS": "SUCCESS", "ABNORMAL": "CHANGE", "CLOSED": "REFUNDCLOSE"}
SIGNALS = {"refund_confirmed": "SUCCESS", "refund_abnormal": "ABNORMAL", "refund_closed": "CLOSED"}
FINAL = ("SUCCESS", "CLOSED")


class Shop:
    """Receivers that remember what they did, and fail as often as they are told to."""

    def __init__(self):
        self.failures, self.done, self.shipped_before_refund = 0, Counter(), []

    def connect(self):
        for signal in signals.LEDGER_SIGNALS.values():
            signal.connect(self.hear, weak=False, dispatch_uid=f"shop.{signal.name}")

    def disconnect(self):
        for signal in signals.LEDGER_SIGNALS.values():
            signal.disconnect(self.hear, dispatch_uid=f"shop.{signal.name}")

    def hear(self, signal, idempotency_key, order=None, **kwargs):
        if self.failures:
            self.failures -= 1
            raise OSError("not now")
        if signal.name in SIGNALS:
            assert order.status == "paid"
            waiting = SignalDelivery.objects.filter(order=order, signal="payment_confirmed", status="pending")
            assert not waiting.exists(), "told of a refund before its payment"
        self.done[signal.name, idempotency_key] += 1


class Notice:
    """Something WeChat has to say, for as long as it is not understood."""

    def __init__(self, signed):
        self.signed, self.acknowledged = signed, False

    def send(self, client):
        response = self.signed.post(client, URL)
        row = NotificationLog.objects.latest("pk")
        status, word = ANSWERS[row.outcome]
        assert response.status_code == (status if row.api_version == "v3" else 200)
        assert row.outcome != "error"
        self.acknowledged = not word


def payment(version, number, transaction, amount=AMOUNT):
    make = PLATFORM.payment_v3 if version == "v3" else PLATFORM.payment_v2
    return Notice(make(number, amount, transaction_id=transaction))


def refund(version, number, transaction, out_refund_no, amount, status):
    numbers = {"total": AMOUNT, "transaction_id": transaction, "out_refund_no": out_refund_no}
    if version == "v3":
        return Notice(PLATFORM.refund_v3(number, amount, **numbers, status=status))
    return Notice(PLATFORM.refund_v2(number, amount, **numbers, status=V2_WORDS[status]))


def refunded(order):
    """What the rows say is refunded of the transaction that paid this order."""
    rows = Refund.objects.filter(order=order, transaction_id=order.transaction_id).exclude(status="CLOSED")
    return sum(row.amount for row in rows)


def forget_everything():
    Refund.objects.all().delete()
    for model in (SignalDelivery, Discrepancy, NotificationLog, Order):
        model.objects.all().delete()
    cache.clear()


class WeChatAndTheShop(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        forget_everything()
        self.client, self.shop, self.said, self.seen, self.ended = Client(), Shop(), [], {}, {}
        self.shop.connect()

    def teardown(self):
        """WeChat goes on until it is understood, and the shop is well again: then nothing is left undone."""
        try:
            self.shop.failures = 0
            for _ in range(6):
                for notice in self.said:
                    notice.send(self.client)
            self.nothing_is_lost_or_doubled()
            orders = {order.pk: order for order in Order.objects.all()}
            for row in SignalDelivery.objects.filter(status="pending"):
                # What waits: an unknown order for its grace, a refund for a payment that never came; and what failed
                # to hear of the refund of an unknown order before that order was recorded.
                unpaid = row.order_id and orders[row.order_id].status != "paid"
                assert row.signal in ("payment_unexpected", "notification_received") or unpaid
            for order in orders.values():
                confirmed = SignalDelivery.objects.filter(order=order, signal="payment_confirmed", status="done")
                given_up = SignalDelivery.objects.filter(order=order, signal="payment_confirmed", status="gave_up")
                unexpected = Discrepancy.objects.filter(order=order, transaction_id=order.transaction_id or "-")
                assert order.status != "paid" or confirmed or given_up or unexpected
        finally:
            self.shop.disconnect()

    def say(self, notice):
        self.said.append(notice)
        notice.send(self.client)

    versions = st.sampled_from(["v3", "v2"])
    numbers = st.sampled_from(sorted(ORDERS))
    attempts = st.sampled_from(["1", "2"])

    @rule(number=numbers)
    def the_shop_expects(self, number):
        Order.objects.expect(out_trade_no=number, amount=AMOUNT, reference=ORDERS[number])

    @rule(number=numbers)
    def the_shop_closes(self, number):
        for order in Order.objects.filter(out_trade_no=number):
            Order.objects.close(order)

    @rule(version=versions, number=numbers, attempt=attempts)
    def somebody_pays(self, version, number, attempt):
        self.say(payment(version, number, f"T-{number}-{attempt}"))

    @rule(number=numbers, attempt=attempts)
    def somebody_pays_too_little(self, number, attempt):
        self.say(payment("v3", number, f"T-{number}-{attempt}", amount=1))

    @rule(
        version=versions,
        number=numbers,
        attempt=attempts,
        refund_number=st.sampled_from(["1", "2", "3"]),
        amount=st.sampled_from([30, 50, AMOUNT]),
        status=st.sampled_from(sorted(V2_WORDS)),
    )
    def money_goes_back(self, version, number, attempt, refund_number, amount, status):
        transaction = f"T-{number}-{attempt}"
        self.say(refund(version, number, transaction, f"R-{number}-{refund_number}", amount, status))

    @precondition(lambda self: self.said)
    @rule(data=st.data(), times=st.integers(1, 3))
    def wechat_sends_again(self, data, times):
        notice = data.draw(st.sampled_from(self.said))
        for _ in range(times):
            notice.send(self.client)

    @rule(times=st.integers(1, 3))
    def the_next_receivers_fail(self, times):
        self.shop.failures = times

    @invariant()
    def nothing_is_lost_or_doubled(self):
        assert all(times == 1 for times in self.shop.done.values()), self.shop.done
        shipped = SignalDelivery.objects.filter(signal="payment_confirmed", status="done").select_related("order")
        assert all(times == 1 for times in Counter(row.order.reference for row in shipped).values()), "shipped twice"
        assert NotificationLog.objects.filter(http_status=None).count() == 0

    @invariant()
    def orders_move_forward_and_add_up(self):
        for order in Order.objects.all():
            status, transaction = self.seen.get(order.pk, ("pending", None))
            assert (status, order.status) not in [("paid", "pending"), ("paid", "closed"), ("closed", "pending")]
            assert status != "paid" or order.transaction_id == transaction
            assert 0 <= order.refunded_amount <= order.amount
            assert order.status != "paid" or order.refunded_amount == refunded(order)
            self.seen[order.pk] = (order.status, order.transaction_id)

    @invariant()
    def a_refund_that_has_ended_stays_so(self):
        for row in Refund.objects.all():
            assert self.ended.get(row.pk, row.status) == row.status
            if row.status in FINAL:
                self.ended[row.pk] = row.status


@pytest.mark.django_db
def test_whatever_wechat_and_the_shop_do_nothing_is_lost_or_doubled():
    run_state_machine_as_test(
        WeChatAndTheShop,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.generate],  # to shrink an example takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


REFUNDS = st.lists(
    st.tuples(st.sampled_from([10, 20, 30, AMOUNT]), st.sampled_from(["SUCCESS", "CLOSED"]), st.booleans()),
    min_size=1,
    max_size=4,
)
"""Amount, how it ends, and whether it is ABNORMAL before that."""


def told_until_acknowledged(client, notices):
    for _ in range(8):
        for notice in notices:
            if not notice.acknowledged:
                notice.send(client)
    return all(notice.acknowledged for notice in notices)


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), REFUNDS, st.integers(0, 4))
def test_any_order_of_arrival_ends_in_the_same_state(data, refunds, failures):
    forget_everything()
    shop, client = Shop(), Client()
    shop.failures = failures
    order = Order.objects.expect(out_trade_no="A-1", amount=AMOUNT)
    notices = [payment("v3", "A-1", TRANSACTION), payment("v2", "A-1", TRANSACTION)]
    for number, (amount, end, abnormal) in enumerate(refunds, 1):
        states = ["ABNORMAL", end] if abnormal else [end]
        notices += [refund("v3", "A-1", TRANSACTION, f"R-{number}", amount, status) for status in states]
    counted = sum(amount for amount, end, _ in refunds if end == "SUCCESS")
    most = sum(amount for amount, end, abnormal in refunds if end == "SUCCESS" or abnormal)
    if most > AMOUNT:  # then some are refused for a while, and which depends on what comes first
        return
    shop.connect()
    try:
        assert told_until_acknowledged(client, data.draw(st.permutations(notices)))
    finally:
        shop.disconnect()
    order.refresh_from_db()
    assert (order.status, order.transaction_id, order.refunded_amount) == ("paid", TRANSACTION, counted)
    assert list(Refund.objects.order_by("out_refund_no").values_list("amount", "status")) == [
        (amount, end) for amount, end, _ in refunds
    ]
    told = Counter(name for name, _ in shop.done.elements())
    ends = Counter(end for _, end, _ in refunds)
    assert told["refund_confirmed"] == ends["SUCCESS"]
    assert told["refund_closed"] == ends["CLOSED"]
    # Reported when all of it was on its way back, a payment fulfils nothing; a person is told.
    unexpected = Discrepancy.objects.filter(reason="already_refunded", resolved_at=None).count()
    assert (told["payment_confirmed"], told["payment_unexpected"]) in {(1, 0), (0, unexpected)} or counted == AMOUNT
    assert not SignalDelivery.objects.filter(status="pending").exists()
