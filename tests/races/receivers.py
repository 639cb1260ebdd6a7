"""The shop's receivers. How `ship` misbehaves is the first word of the order number: "waits-1", "dies-7"; how `book`
does is that of the refund number.

Every call is counted in a file, which neither a rollback nor SIGKILL takes back.
"""

import contextlib
import os
import signal
import time

from django.conf import settings
from django.db import DatabaseError, transaction

from tests.shop.models import Shipment
from wechatpay_notify.models import Discrepancy, Order, Refund
from wechatpay_notify.signals import (
    payment_confirmed,
    payment_unexpected,
    refund_abnormal,
    refund_closed,
    refund_confirmed,
)

GATE_SECONDS = 6
"""A receiver at the gate goes on after this even if nobody opened it: whoever waited for it is found out by then."""
NOTE_SECONDS = 0.4


class SlowToPrint(Exception):
    """Takes its time between the rollback of the receiver and the note of its failure, as a slow log handler does."""

    def __str__(self):
        time.sleep(NOTE_SECONDS)
        return "slow to print"


def ship(order, idempotency_key, **kwargs):
    call = _count(f"ship.{order.out_trade_no}")
    Shipment.objects.create(out_trade_no=order.out_trade_no, receiver="ship")
    _PLANS.get(order.out_trade_no.partition("-")[0], _behave)(order, call)


def invoice(order, **kwargs):
    _count(f"invoice.{order.out_trade_no}")
    Shipment.objects.create(out_trade_no=order.out_trade_no, receiver="invoice")


def alarm(payment, reason, discrepancy, order, **kwargs):
    call = _count(f"alarm.{payment.out_trade_no}")
    Shipment.objects.create(out_trade_no=payment.out_trade_no, receiver=f"alarm {reason}")
    if payment.out_trade_no.startswith("disputed-"):
        Discrepancy.objects.filter(pk=discrepancy.pk).update(resolution="being looked at")
        _waits(order, call)
    if payment.out_trade_no.startswith("returned-"):
        numbers = {"out_refund_no": f"books-{payment.transaction_id}", "transaction_id": payment.transaction_id}
        Refund.objects.create(order=order, amount=payment.amount, **numbers)
        _waits(order, call)


def book(refund, result, order, **kwargs):
    told = f"{result.refund_status} {refund.out_refund_no}"
    call = _count(f"{told}.{order.out_trade_no}")
    Shipment.objects.create(out_trade_no=order.out_trade_no, receiver=told)
    _PLANS.get(refund.out_refund_no.partition("-")[0], _behave)(order, call)


def connect():
    payment_confirmed.connect(ship)
    payment_confirmed.connect(invoice)
    payment_unexpected.connect(alarm)
    refund_confirmed.connect(book)
    refund_abnormal.connect(book)
    refund_closed.connect(book)


def gate_of(number):
    """The file whose presence lets the receiver of this order go on."""
    return settings.DIRECTORY / "calls" / f"gate.{number}"


def _count(name):
    """Which call this is. One byte a call, appended: no two processes get the same number."""
    path = settings.DIRECTORY / "calls" / name
    path.parent.mkdir(exist_ok=True)
    with path.open("ab", buffering=0) as calls:
        calls.write(b".")
        return calls.tell()


def _behave(order, call):
    pass


def _fails(order, call):
    if call <= 2:
        raise RuntimeError("the warehouse does not answer")


def _waits(order, call):
    """Is at work until the test opens the gate."""
    gate = gate_of(order.out_trade_no)
    until = time.monotonic() + GATE_SECONDS
    while not gate.exists() and time.monotonic() < until:
        time.sleep(0.02)


def _holds(order, call):
    Order.objects.select_for_update().get(pk=order.pk)
    Order.objects.filter(pk=order.pk).update(description="being packed")
    _waits(order, call)


def _hooks(order, call):
    transaction.on_commit(_raise)


def _dies(order, call):
    if call == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def _prints(order, call):
    if call == 1:
        raise SlowToPrint
    _waits(order, call)


def _crosses(order, call):
    """Two orders take the same two shelves in opposite order: crosses-1-a and crosses-1-b."""
    _, number, side = order.out_trade_no.split("-")
    shelves = list(Shipment.objects.filter(out_trade_no=f"shelf-{number}").order_by("pk"))
    for shelf in shelves if side == "a" else reversed(shelves):
        # A read: Django takes a failed write in a transaction for the end of it by itself, a failed read not.
        Shipment.objects.select_for_update().get(pk=shelf.pk)
        time.sleep(0.15)


def _swallows(order, call):
    with contextlib.suppress(DatabaseError):
        _crosses(order, call)


def _raise():
    raise RuntimeError("the message queue is down")


_PLANS = {
    "fails": _fails,
    "waits": _waits,
    "holds": _holds,
    "hooks": _hooks,
    "dies": _dies,
    "prints": _prints,
    "crosses": _crosses,
    "swallows": _swallows,
}
