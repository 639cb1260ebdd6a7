from django.conf import settings
from django.contrib import admin

from .models import Product, Shipment, ShopOrder, StaffNote


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "price_fen", "stock")


@admin.register(ShopOrder)
class ShopOrderAdmin(admin.ModelAdmin):
    """An order entered here is not announced: its payment finds it through ORDER_RESOLVER."""

    list_display = ("number", "product", "quantity", "total_fen", "status", "paid_at", "refunded_fen", "shipped")
    list_filter = ("status", "shipped")
    readonly_fields = ("status", "paid_at", "refunded_fen")
    search_fields = ("number__exact",)


@admin.register(Shipment)
class ShipmentAdmin(admin.ModelAdmin):
    list_display = ("order", "created_at")


@admin.register(StaffNote)
class StaffNoteAdmin(admin.ModelAdmin):
    list_display = ("text", "created_at", "done")
    list_filter = ("done",)


if settings.THEME == "unfold":
    from . import themed  # noqa: F401 (it registers this app's models anew)
