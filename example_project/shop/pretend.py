"""The button "pay now": the server signs a real notification and sends it to itself over HTTP.

Never routed outside of DEBUG.
"""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from wechatpay_notify.testing import development_platform

from .models import ShopOrder


@require_POST
def pay(request: HttpRequest, number: str) -> HttpResponse:
    shop_order = get_object_or_404(ShopOrder, number=number)
    signed = development_platform(settings.DATA_DIR / ".wechatpay").payment_v3(number, shop_order.total_fen)
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
