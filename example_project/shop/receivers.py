"""What the shop does when money arrives or goes back.

Never guards against duplicates: each receiver's writes and its mark in the ledger commit together, once an order or
refund.
"""

import time

from django.conf import settings
from django.db.models import F

from wechatpay_notify.models import Order, Refund
from wechatpay_notify.protocol.types import PaymentResult

from .models import Product, Shipment, ShopOrder, StaffNote
from .templatetags.money import yuan


class OutOfStock(Exception):
    """The customer has paid and the shelf is empty. Restock: the next attempt then fulfils the order."""


def fulfil(*, order: Order, **_: object) -> None:
    """payment_confirmed: take the goods off the shelf, mark the order paid, pack a parcel.

    If anything here raises, all of it is rolled back, WeChat is asked to send again, and the next attempt begins anew.
    """
    shop_order = ShopOrder.objects.get(number=order.reference)
    shelf = Product.objects.filter(pk=shop_order.product_id, stock__gte=shop_order.quantity)
    if not shelf.update(stock=F("stock") - shop_order.quantity):
        raise OutOfStock(f"order {shop_order} wants {shop_order.quantity} of {shop_order.product}")
    ShopOrder.objects.filter(pk=shop_order.pk).update(status=ShopOrder.Status.PAID, paid_at=order.paid_at)
    Shipment.objects.create(order=shop_order)
    time.sleep(settings.PACKING_SECONDS)


def tell_the_staff(*, payment: PaymentResult, reason: str, **_: object) -> None:
    """payment_unexpected: genuine money that fulfils nothing. Somebody has to look, and usually to refund."""
    StaffNote.objects.create(
        text=f"{payment.amount / 100:.2f} {payment.currency} paid for {payment.out_trade_no}: {reason} "
        f"(transaction {payment.transaction_id})"
    )


def give_back(*, order: Order, refund: Refund, **_: object) -> None:
    """refund_confirmed: add up what went back; when that is all of it, unpack the parcel."""
    if refund.transaction_id != order.transaction_id:
        return  # of a second payment, which bought nothing
    shop_orders = ShopOrder.objects.filter(number=order.reference)
    shop_orders.update(refunded_fen=F("refunded_fen") + refund.amount)
    shop_order = shop_orders.get()
    if shop_order.refunded_fen < shop_order.total_fen:
        return
    shop_orders.update(status=ShopOrder.Status.REFUNDED)
    # What has left comes back by post, if at all; what was never packed never left the shelf.
    if not shop_order.shipped and shop_order.shipments.all().delete()[0]:
        Product.objects.filter(pk=shop_order.product_id).update(stock=F("stock") + shop_order.quantity)


def refund_by_hand(*, order: Order, refund: Refund, **_: object) -> None:
    """refund_abnormal: the customer's account took nothing. Somebody has to send the money another way."""
    StaffNote.objects.create(
        text=f"{yuan(refund.amount)} could not be refunded for {order.out_trade_no}: see {refund.out_refund_no} on the "
        "merchant platform"
    )
