"""The buttons "pay now" and "refund": the server signs a real notification and sends it to itself over HTTP.

Never routed outside of DEBUG.
"""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from wechatpay_notify.models import Order
from wechatpay_notify.testing import Platform, Signed, development_platform

from .models import ShopOrder


@require_POST
def pay(request: HttpRequest, number: str) -> HttpResponse:
    shop_order = get_object_or_404(ShopOrder, number=number)
    return _send(request, _platform().payment_v3(number, shop_order.total_fen), shop_order)


@require_POST
def refund(request: HttpRequest, number: str) -> HttpResponse:
    """All that the customer has not got back yet; the same refund again until the shop has counted it."""
    shop_order = get_object_or_404(ShopOrder, number=number)
    order = get_object_or_404(Order, out_trade_no=number, status=Order.Status.PAID)
    left = shop_order.total_fen - shop_order.refunded_fen
    signed = _platform().refund_v3(
        number,
        left,
        total=order.amount,
        transaction_id=order.transaction_id or "",
        out_refund_no=f"{number}-{left}",
    )
    return _send(request, signed, shop_order)


def _platform() -> Platform:
    return development_platform(settings.DATA_DIR / ".wechatpay")


def _send(request: HttpRequest, signed: Signed, shop_order: ShopOrder) -> HttpResponse:
    # The port this server listens on, not the Host header, which is the visitor's to choose.
    url = f"http://127.0.0.1:{request.META['SERVER_PORT']}{reverse('wechatpay_notify:notify')}"
    try:
        status, _ = signed.send(url)
    except OSError as error:
        messages.error(request, f"The notification was not answered: {error}")
    else:
        if status != 200:
            messages.error(request, f"The notification was answered {status}; see it in the admin. 见后台通知记录。")
    return redirect(shop_order)
