"""What the pretend WeChat sends in the demo, and what must come of it.

Never decides anything: what was answered, decided and fulfilled is read back and compared.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from django.db.models import F

from shop.models import Product, ShopOrder
from shop.payments import place_order
from wechatpay_notify.testing import Platform, Signed, transaction_number

PAID = "200 SUCCESS"
REFUSED = "401 FAIL unauthorized"


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
    copies: int = 1
    """How many arrive at the same moment; each is sent again, as WeChat would, while the answer says retry."""


def scenes(platform: Platform) -> Iterator[Scene]:
    """The scenes in their order. Each is prepared only when the one before it is over."""
    tea, brush = Product.objects.order_by("pk")[0], Product.objects.order_by("pk")[2]
    yield from _payments(platform, tea)
    yield from _frauds(platform, tea)
    yield from _probed(platform, tea)
    yield from _healed(platform, brush)
    yield from _unannounced(platform, tea)


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
        answered="503 FAIL retry",
        decided="receiver_failed",
        fulfilled=0,
    )
    Product.objects.filter(pk=product.pk).update(stock=F("stock") + in_stock)
    again = platform.payment_v3(order.number, order.total_fen, transaction_id=transaction)
    yield Scene("… WeChat's retry, the cause mended", again, order)


def _unannounced(platform: Platform, product: Product) -> Iterator[Scene]:
    order = ShopOrder.objects.create(product=product, total_fen=product.price_fen)
    yield Scene("an order only ORDER_RESOLVER knows", platform.payment_v3(order.number, order.total_fen), order)


def _refused(sent: str, signed: Signed, order: ShopOrder, decided: str) -> Scene:
    return Scene(sent, signed, order, answered=REFUSED, decided=decided, fulfilled=0)
