"""Where the shop's orders meet WeChat's order numbers: announcing, answering, closing.

Never marks anything paid: only the receivers do, when WeChat's notification is proven.
"""

from django.db import transaction

from wechatpay_notify.models import Order
from wechatpay_notify.protocol.types import ExpectedOrder, PaymentResult, RefundResult

from .models import Product, ShopOrder


def place_order(product: Product, quantity: int, **numbers: str) -> ShopOrder:
    """The first way: record the order and announce at once what must be paid for it.

    `numbers`: sub_mchid of a service provider's order, combine_out_trade_no of one that is paid together with others.
    """
    with transaction.atomic():
        shop_order = ShopOrder.objects.create(
            product=product, quantity=quantity, total_fen=product.price_fen * quantity
        )
        Order.objects.expect(
            out_trade_no=shop_order.number,
            amount=shop_order.total_fen,
            reference=shop_order.number,
            description=product.name,
            **numbers,
        )
    return shop_order


def expected_order(result: PaymentResult | RefundResult) -> ExpectedOrder | None:
    """The second way (ORDER_RESOLVER): say what an order costs when its payment or refund arrives unannounced.

    For orders that the staff enter in the admin, say.
    """
    shop_order = ShopOrder.objects.select_related("product").filter(number=result.out_trade_no).first()
    if shop_order is None:
        return None
    return ExpectedOrder(
        amount=shop_order.total_fen,
        reference=shop_order.number,
        description=shop_order.product.name,
        # Of a shop that moves over: what is cancelled, or fulfilled by its old callback, is not to be fulfilled now.
        closed=shop_order.status != ShopOrder.Status.NEW,
    )


def cancel_order(shop_order: ShopOrder) -> bool:
    """Cancel, unless the payment was faster. A payment that comes later all the same becomes a staff note."""
    with transaction.atomic():
        announced = Order.objects.filter(reference=shop_order.number).first()
        if announced is not None and not Order.objects.close(announced):
            return False
        waiting = ShopOrder.objects.filter(pk=shop_order.pk, status=ShopOrder.Status.NEW)
        return bool(waiting.update(status=ShopOrder.Status.CANCELLED))
