"""What the pretend WeChat sends in the demo, and what must come of it.

Never decides anything: what was answered, decided and fulfilled is read back and compared.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace

from django.db.models import F

from shop.models import Product, ShopOrder, order_number
from shop.payments import cancel_order, place_order
from wechatpay_notify.testing import Platform, Signed, transaction_number

PAID = "200 SUCCESS"
RETRY = "503 FAIL retry"
REFUSED = "401 FAIL unauthorized"
SUB_MCHID = "1900000201"


@dataclass(frozen=True, slots=True)
class Scene:
    """One request (or several copies of it) and what must come of it."""

    sent: str
    signed: Signed
    order: ShopOrder
    _: KW_ONLY
    answered: str = PAID
    decided: str = "confirmed"
    fulfilled: int = 1
    """Parcels packed for the order, in the end."""
    refunded: int = 0
    """What the shop counts as refunded of it, in fen."""
    others: tuple[ShopOrder, ...] = ()
    """The orders that are paid together with it; each must come to the same."""
    copies: int = 1
    """How many arrive at the same moment; each is sent again, as WeChat would, while the answer says retry."""


def scenes(platform: Platform) -> Iterator[Scene]:
    """The scenes in their order. Each is prepared only when the one before it is over."""
    tea, cup, brush = Product.objects.order_by("pk")[:3]
    yield from _payments(platform, tea)
    yield from _frauds(platform, tea)
    yield from _probed(platform, tea)
    yield from _healed(platform, brush)
    yield from _unannounced(platform, tea)
    yield from _refunded(platform, cup)
    yield from _refunded_by_v2(platform, cup)
    yield from _refunded_first(platform, cup)
    yield from _of_several(platform, [tea, cup, brush])
    yield from _events(platform, tea)
    yield from _for_the_staff(platform, tea, brush)


def _payments(platform: Platform, product: Product) -> Iterator[Scene]:
    order = place_order(product, 1)
    yield Scene("a v3 payment", platform.payment_v3(order.number, order.total_fen), order)
    order = place_order(product, 2)
    yield Scene("a v2 payment, MD5", platform.payment_v2(order.number, order.total_fen), order)
    order = place_order(product, 1)
    signed = platform.payment_v2(order.number, order.total_fen, sign_type="HMAC-SHA256")
    yield Scene("a v2 payment, HMAC-SHA256", signed, order)
    order = place_order(product, 1)
    signed = platform.payment_v3(order.number, order.total_fen)
    yield Scene("8 copies of one payment at once", signed, order, copies=8)


def _frauds(platform: Platform, product: Product) -> Iterator[Scene]:
    order = place_order(product, 1)
    # The forger knows even the APIv3 key; what is missing is the private key that only WeChat has.
    forged = platform.stranger().payment_v3(order.number, order.total_fen)
    yield _refused("a forgery: another key signed it", forged, order, "signature_invalid")
    genuine = platform.payment_v3(order.number, order.total_fen)
    yield _refused("a tampered body, v3", genuine.tampered(), order, "signature_invalid")
    genuine = platform.payment_v2(order.number, order.total_fen)
    yield Scene(
        "a tampered body, v2",
        genuine.tampered(),
        order,
        answered="200 FAIL unauthorized",  # API v2 has no other status for it
        decided="signature_invalid",
        fulfilled=0,
    )
    cheap = platform.payment_v3(order.number, 1)
    yield Scene(
        "a genuine payment of 1 fen for it",
        cheap,
        order,
        answered="409 FAIL rejected",
        decided="amount_mismatch",
        fulfilled=0,
    )


def _probed(platform: Platform, product: Product) -> Iterator[Scene]:
    order = place_order(product, 1)
    genuine = platform.payment_v3(order.number, order.total_fen)
    yield _refused("WeChat's signature probe", genuine.probe(), order, "probe")
    yield Scene("… and the genuine one after it", genuine, order)


def _healed(platform: Platform, product: Product) -> Iterator[Scene]:
    """The shelf is empty when the customer's money comes: shop.receivers.fulfil raises."""
    order = place_order(product, 1)
    in_stock = product.stock
    Product.objects.filter(pk=product.pk).update(stock=0)
    transaction = transaction_number()
    signed = platform.payment_v3(order.number, order.total_fen, transaction_id=transaction)
    yield Scene(
        "a payment whose receiver fails",
        signed,
        order,
        answered=RETRY,
        decided="receiver_failed",
        fulfilled=0,
    )
    Product.objects.filter(pk=product.pk).update(stock=F("stock") + in_stock)
    again = platform.payment_v3(order.number, order.total_fen, transaction_id=transaction)
    yield Scene("… WeChat's retry, the cause mended", again, order)


def _unannounced(platform: Platform, product: Product) -> Iterator[Scene]:
    order = ShopOrder.objects.create(product=product, total_fen=product.price_fen)
    yield Scene("an order only ORDER_RESOLVER knows", platform.payment_v3(order.number, order.total_fen), order)


def _refunded(platform: Platform, product: Product) -> Iterator[Scene]:
    order, transaction = place_order(product, 2), transaction_number()
    paid = platform.payment_v3(order.number, order.total_fen, transaction_id=transaction)
    yield Scene("a payment that will be refunded", paid, order)
    half, numbers = order.total_fen // 2, {"total": order.total_fen, "transaction_id": transaction}
    signed = platform.refund_v3(order.number, half, out_refund_no=f"{order.number}-1", **numbers)
    yield Scene("… half of it", signed, order, decided="refunded", refunded=half)
    numbers["out_refund_no"] = f"{order.number}-2"
    signed = platform.refund_v3(order.number, half, status="ABNORMAL", **numbers)
    yield Scene("… the rest is stuck (ABNORMAL)", signed, order, decided="refunded", refunded=half)
    signed = platform.refund_v3(order.number, half, **numbers)
    yield Scene("… and goes back: parcel unpacked", signed, order, decided="refunded", fulfilled=0, refunded=2 * half)


def _refunded_by_v2(platform: Platform, product: Product) -> Iterator[Scene]:
    order, transaction = place_order(product, 1), transaction_number()
    paid = platform.payment_v2(order.number, order.total_fen, transaction_id=transaction)
    yield Scene("a v2 payment that will be refunded", paid, order)
    numbers = {"total": order.total_fen, "transaction_id": transaction, "out_refund_no": f"{order.number}-1"}
    signed = platform.refund_v2(order.number, order.total_fen, **numbers)
    yield Scene("… by a v2 notice", signed, order, decided="refunded", fulfilled=0, refunded=order.total_fen)


def _refunded_first(platform: Platform, product: Product) -> Iterator[Scene]:
    order, transaction = place_order(product, 2), transaction_number()
    half = order.total_fen // 2
    numbers = {"total": order.total_fen, "transaction_id": transaction, "out_refund_no": f"{order.number}-1"}
    refund = platform.refund_v3(order.number, half, **numbers)
    yield Scene("a refund before its payment", refund, order, answered=RETRY, decided="busy", fulfilled=0)
    paid = platform.payment_v3(order.number, order.total_fen, transaction_id=transaction)
    yield Scene("… the payment", paid, order)
    yield Scene("… WeChat's retry of the refund", refund, order, decided="refunded", refunded=half)


def _of_several(platform: Platform, products: list[Product]) -> Iterator[Scene]:
    """Merchants: several orders that are paid at once, and one of a service provider's sub-merchant."""
    combined = order_number()
    orders = [place_order(product, 1, combine_out_trade_no=combined) for product in products]
    signed = platform.combined_v3(combined, {order.number: order.total_fen for order in orders})
    yield Scene("a combined payment of three orders", signed, orders[0], others=tuple(orders[1:]))
    order = place_order(products[0], 1, sub_mchid=SUB_MCHID)
    signed = platform.payment_v3(order.number, order.total_fen, sub_mchid=SUB_MCHID)
    yield Scene("a payment to a sub-merchant", signed, order)


def _events(platform: Platform, product: Product) -> Iterator[Scene]:
    """What is genuine and pays nothing, although it names the order."""
    order = place_order(product, 1)
    receiver = {"type": "MERCHANT_ID", "account": SUB_MCHID, "amount": order.total_fen, "description": "分账"}
    resource = {
        "mchid": platform.mchid,
        "transaction_id": transaction_number(),
        "order_id": transaction_number(),
        "out_order_no": order.number,
        "receiver": receiver,
    }
    signed = platform.v3("TRANSACTION.SUCCESS", resource, summary="分账")
    yield Scene("a profit share (TRANSACTION.SUCCESS)", signed, order, decided="received", fulfilled=0)
    used = {"stock_id": "9856000", "coupon_id": "9856000001", "consume_information": {"out_trade_no": order.number}}
    yield Scene("a coupon (COUPON.USE)", platform.v3("COUPON.USE", used), order, decided="received", fulfilled=0)


def _for_the_staff(platform: Platform, product: Product, sold_out: Product) -> Iterator[Scene]:
    """What heals by no retry: it waits in the admin for somebody who mends the cause."""
    order = place_order(product, 1)
    cancel_order(order)
    signed = platform.payment_v3(order.number, order.total_fen)
    yield Scene("a payment of a cancelled order", signed, order, decided="unexpected", fulfilled=0)
    order = place_order(product, 1)
    genuine = platform.payment_v3(order.number, order.total_fen)
    rewritten = genuine.with_body(json.dumps(json.loads(genuine.body), indent=2).encode())
    yield _refused("a proxy wrote the JSON anew", rewritten, order, "signature_invalid")
    order = place_order(product, 1)
    other = replace(platform, api_v3_key=secrets.token_hex(16))
    signed = other.payment_v3(order.number, order.total_fen)
    yield Scene(
        "the APIv3 key was changed at WeChat", signed, order, answered=RETRY, decided="undecryptable", fulfilled=0
    )
    order = place_order(sold_out, 1)
    Product.objects.filter(pk=sold_out.pk).update(stock=0)
    signed = platform.payment_v3(order.number, order.total_fen)
    yield Scene(
        "a payment, and the shelf stays empty", signed, order, answered=RETRY, decided="receiver_failed", fulfilled=0
    )


def _refused(sent: str, signed: Signed, order: ShopOrder, decided: str) -> Scene:
    return Scene(sent, signed, order, answered=REFUSED, decided=decided, fulfilled=0)
