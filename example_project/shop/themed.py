"""The recipe for a theme: this app's admin classes first, the theme's ModelAdmin second; here with django-unfold.

Tried with `EXAMPLE_THEME=unfold uv run --with django-unfold example_project/manage.py demo`; never needed without.
"""

from django.contrib import admin
from unfold.admin import ModelAdmin

from wechatpay_notify import models
from wechatpay_notify.admin import (
    DeskAdmin,
    DiscrepancyAdmin,
    NotificationLogAdmin,
    OrderAdmin,
    RefundAdmin,
    SignalDeliveryAdmin,
)


class ThemedDeskAdmin(DeskAdmin, ModelAdmin):
    pass


class ThemedOrderAdmin(OrderAdmin, ModelAdmin):
    pass


class ThemedRefundAdmin(RefundAdmin, ModelAdmin):
    pass


class ThemedNotificationLogAdmin(NotificationLogAdmin, ModelAdmin):
    pass


class ThemedSignalDeliveryAdmin(SignalDeliveryAdmin, ModelAdmin):
    pass


class ThemedDiscrepancyAdmin(DiscrepancyAdmin, ModelAdmin):
    pass


for model, themed in (
    (models.Desk, ThemedDeskAdmin),
    (models.Order, ThemedOrderAdmin),
    (models.Refund, ThemedRefundAdmin),
    (models.NotificationLog, ThemedNotificationLogAdmin),
    (models.SignalDelivery, ThemedSignalDeliveryAdmin),
    (models.Discrepancy, ThemedDiscrepancyAdmin),
):
    admin.site.unregister(model)
    admin.site.register(model, themed)
