"""The points of one notification: at each of them a process is killed, and then the shop has to come right by itself.

Never repairs anything: what follows a kill is WeChat's retry, or the worker, or both.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.test import Client, override_settings
from django.utils import timezone

from tests.shop.models import Shipment
from wechatpay_notify.delivery import deliver_due
from wechatpay_notify.models import NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.testing import Platform, Signed, transaction_number

from .fuse import ACKNOWLEDGED, End, Fuse, killed
from .receivers import OF_PAYMENTS, OF_REFUNDS
from .sender import AMOUNT, REFUNDED

ROUNDS = 200
"""How often what is left is tried: a server may take a moment to notice that the killed process is gone."""
PAUSE = 0.02
URL = "/wechatpay/notify/"
KINDS = {"v3": "v3 payment", "v2": "v2 payment", "resolved": "v3 payment, order unknown before", "refund": "v3 refund"}
"""By the first word of the order number."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the notification is delivered, and whether WeChat sends it again."""

    delivery: str
    again: bool

    def __str__(self) -> str:
        return f"{self.delivery}, {'then a retry' if self.again else 'no retry'}"


WAYS = [Way(delivery, again) for delivery in ("inline", "deferred") for again in (True, False)]


class Case:
    """One order and the notification that a process is killed over."""

    def __init__(self, platform: Platform, kind: str, number: int) -> None:
        self.platform, self.kind = platform, kind
        self.number, self.transaction = f"{kind}-{number}", transaction_number()
        if kind != "resolved":
            Order.objects.expect(out_trade_no=self.number, amount=AMOUNT)
        if kind == "refund":
            _post(self._payment())
            deliver_due()

    def signed(self) -> Signed:
        """The notification, signed now."""
        if self.kind != "refund":
            return self._payment()
        numbers = {"transaction_id": self.transaction, "out_refund_no": self.number}
        return self.platform.refund_v3(self.number, REFUNDED, total=AMOUNT, **numbers)

    def _payment(self) -> Signed:
        make = self.platform.payment_v2 if self.kind == "v2" else self.platform.payment_v3
        return make(self.number, AMOUNT, transaction_id=self.transaction)

    def effects(self) -> dict[str, int]:
        return Counter(Shipment.objects.filter(out_trade_no=self.number).values_list("receiver", flat=True))

    def pending(self) -> bool:
        return self._deliveries().filter(status=SignalDelivery.Status.PENDING).exists()

    def wrong(self, end: End, again: bool) -> str:
        """What does not hold, "" if all does."""
        fulfilled = dict.fromkeys(OF_PAYMENTS, 1)
        if self.kind == "refund":
            before, after = fulfilled, fulfilled | dict.fromkeys(OF_REFUNDS, 1)
            recorded = Refund.objects.filter(out_refund_no=self.number, status="SUCCESS", amount=REFUNDED).exists()
        else:
            before, after = {}, fulfilled
            paid = {"out_trade_no": self.number, "status": "paid", "transaction_id": self.transaction}
            recorded = Order.objects.filter(**paid).exists()
        rows = NotificationLog.objects.filter(out_trade_no=self.number)
        logged = rows.filter(out_refund_no=self.number if self.kind == "refund" else "").exists()
        if not recorded and (again or end.acknowledged):
            return "acknowledged, not recorded"
        if recorded != logged:
            return f"half recorded: the fact {recorded}, the notification {logged}"
        effects, expected = self.effects(), after if recorded else before
        if effects != expected:
            return f"told {dict(effects)}, not {expected}"
        states = Counter(self._deliveries().values_list("status", flat=True))
        return "" if states == Counter(["done"] * len(expected)) else f"deliveries {dict(states)}"

    def _deliveries(self):
        return SignalDelivery.objects.filter(order__out_trade_no=self.number)


def sweep(platform: Platform, kind: str, every: int) -> Iterator[tuple[str, str]]:
    """Kill at each `every`th point, in all ways: the place, and what is wrong afterwards ("" if nothing)."""
    numbers = itertools.count(1)
    for number, way in enumerate(WAYS):
        with override_settings(WECHATPAY_NOTIFY=settings.WECHATPAY_NOTIFY | {"DELIVERY": way.delivery}):
            # Each way begins elsewhere, so that together they leave out less.
            for at in itertools.count(1 + number % every, every):
                case = Case(platform, kind, next(numbers))
                end = killed(at, _work(case))
                if not end.killed_at:
                    break
                _go_on(case, way)
                yield f"{KINDS[kind]}, {way}, killed {end.killed_at} ({at})", case.wrong(end, way.again)


def _work(case: Case) -> Callable[[Fuse], None]:
    """One request and its answer, and the worker's turn after it where there is a worker."""

    def work(fuse: Fuse) -> None:
        answered = _post(case.signed())
        with fuse.around("the answer"):
            if answered:
                fuse.say(ACKNOWLEDGED)
        if settings.WECHATPAY_NOTIFY["DELIVERY"] == "deferred":
            deliver_due()

    return work


def _go_on(case: Case, way: Way) -> None:
    """Until all is told. Inline, success must mean that nothing is left for a worker."""
    if way.again:
        _until(lambda: _post(case.signed()))
    if not way.again or way.delivery == "deferred":
        _until(lambda: _work_on(case))


def _work_on(case: Case) -> bool:
    """The worker's turn, after the time that what was not finished has to wait. Whether nothing is left."""
    pending = SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING)
    pending.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    deliver_due()
    return not case.pending()


def _until(done: Callable[[], object]) -> None:
    for _ in range(ROUNDS):
        if done():
            return
        time.sleep(PAUSE)


def _post(signed: Signed) -> bool:
    """Whether it was answered with success."""
    response = signed.post(Client(), URL)
    return response.status_code == 200 and b"SUCCESS" in response.content
