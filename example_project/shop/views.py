"""The shop's pages."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from wechatpay_notify.models import Order

from .models import MAX_QUANTITY, Product, ShopOrder
from .payments import cancel_order, place_order
from .pretend_qr import PretendQR


class BuyForm(forms.Form):
    quantity = forms.IntegerField(min_value=1, max_value=MAX_QUANTITY)


@require_GET
def products(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/products.html", {"products": Product.objects.order_by("pk"), "most": MAX_QUANTITY})


@require_POST
def buy(request: HttpRequest, pk: int) -> HttpResponse:
    product = get_object_or_404(Product, pk=pk)
    form = BuyForm(request.POST)
    if not form.is_valid() or form.cleaned_data["quantity"] > product.stock:
        messages.error(request, f"Only {product.stock} left 仅剩 {product.stock} 件: {product.name}")
        return redirect("shop:products")
    return redirect(place_order(product, form.cleaned_data["quantity"]))


@require_GET
@never_cache
def order(request: HttpRequest, number: str) -> HttpResponse:
    shop_order = get_object_or_404(ShopOrder.objects.select_related("product"), number=number)
    announced = Order.objects.filter(reference=number).first()
    context = {
        "order": shop_order,
        # An order that was not announced has nothing to poll yet: its page reloads instead.
        "status_url": announced and reverse("wechatpay_notify_status:order", args=[announced.public_id]),
        "state": _state(shop_order, announced),
        "qr": PretendQR(number),
        "pretend": settings.DEBUG,
        "data": settings.DATA_DIR,
    }
    return render(request, "shop/order.html", context)


def _state(shop_order: ShopOrder, announced: Order | None) -> str:
    """What the customer sees: "paid" as soon as the money is there, even before the parcel is packed; "late" if it came
    when nobody waited for it any more."""
    if announced and announced.status == Order.Status.PAID and shop_order.status == ShopOrder.Status.CANCELLED:
        return "late"
    if announced and announced.status == Order.Status.PAID and shop_order.status != ShopOrder.Status.REFUNDED:
        return "paid"
    return shop_order.status


@require_POST
def cancel(request: HttpRequest, number: str) -> HttpResponse:
    shop_order = get_object_or_404(ShopOrder, number=number)
    if not cancel_order(shop_order):
        messages.error(request, "Too late: the order is paid or cancelled. 订单已支付或已取消。")
    return redirect(shop_order)
