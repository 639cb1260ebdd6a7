"""The admin: what arrived, what was decided and why, what was answered, which receivers ran.

Never a door to change evidence: every page is read-only. The classes may be registered on another admin site.
"""

from django.contrib import admin

from wechatpay_notify.models import Desk, Discrepancy, NotificationLog, Order, Refund, SignalDelivery

from .desk import DeskAdmin
from .ledger import DiscrepancyAdmin, SignalDeliveryAdmin
from .notifications import NotificationLogAdmin
from .readonly import ReadOnlyAdmin
from .records import OrderAdmin
from .refunds import RefundAdmin

__all__ = [
    "DeskAdmin",
    "DiscrepancyAdmin",
    "NotificationLogAdmin",
    "OrderAdmin",
    "ReadOnlyAdmin",
    "RefundAdmin",
    "SignalDeliveryAdmin",
]

admin.site.register(Desk, DeskAdmin)
admin.site.register(Order, OrderAdmin)
admin.site.register(Refund, RefundAdmin)
admin.site.register(NotificationLog, NotificationLogAdmin)
admin.site.register(SignalDelivery, SignalDeliveryAdmin)
admin.site.register(Discrepancy, DiscrepancyAdmin)
