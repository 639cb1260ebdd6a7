"""The shop's receivers: each writes one row a call, and nothing but the package keeps it from writing two."""

import contextlib
from collections.abc import Callable

from tests.shop.models import Shipment
from wechatpay_notify.protocol.types import ExpectedOrder
from wechatpay_notify.signals import payment_confirmed, refund_confirmed

from .sender import AMOUNT

OF_PAYMENTS, OF_REFUNDS = ("ship", "invoice"), ("restock", "credit")

around: Callable[[str], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
"""What every call is wrapped in; the sweep kills the process there."""


def ship(order, **kwargs):
    _write(order.out_trade_no, "ship")


def invoice(order, **kwargs):
    _write(order.out_trade_no, "invoice")


def restock(order, **kwargs):
    _write(order.out_trade_no, "restock")


def credit(order, **kwargs):
    _write(order.out_trade_no, "credit")


def connect():
    for signal, receivers in ((payment_confirmed, (ship, invoice)), (refund_confirmed, (restock, credit))):
        for receiver in receivers:
            signal.connect(receiver, dispatch_uid=receiver.__name__)


def expected_order(result):
    """The shop's record of orders that the app has not heard of yet."""
    return ExpectedOrder(amount=AMOUNT) if result.out_trade_no.startswith("resolved-") else None


def _write(number, receiver):
    with around(f"receiver {receiver}"):
        Shipment.objects.create(out_trade_no=number, receiver=receiver)
