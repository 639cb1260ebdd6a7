"""The admin page of an order, the shop's own record, and how an order's numbers find what belongs to it.

Never shows an openid whole without the permission for it, and never offers a change.
"""

import contextlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.models import Order

from . import panels
from .actions.delivering import DELIVER_ORDER
from .actions.doing import as_actions
from .actions.exporting import EXPORT_ORDERS
from .cells import badge
from .disclosure import money
from .panels import Links
from .readonly import ReadOnlyAdmin, shown, shown_moment
from .story import timeline

ORDER_NUMBERS = ("out_trade_no", "transaction_id", "reference", "combine_out_trade_no", "openid", "sub_openid")
"""Each with an index."""
MOST_ORDERS = 100
"""Orders of one reference that a search follows to what belongs to them."""
MOST_NAMED = 1_000
"""Orders that a number finds: one payer may have many."""


def named(*numbers: str) -> Q:
    """What an order fulfils that has one of these numbers, of whichever kind; asks at once which these are.

    Each column by itself: of a condition over all of them SQLite makes a scan when one of them is hardly ever filled.
    """
    wanted: dict[str, Sequence[Any]] = dict.fromkeys(ORDER_NUMBERS, numbers)
    public = []
    for number in numbers:
        with contextlib.suppress(ValueError):
            public.append(UUID(number))
    if public:
        wanted["public_id"] = public
    first, *rest = [
        Order.objects.filter(**{f"{name}__in": values}).order_by().values_list("pk", flat=True)
        for name, values in wanted.items()
    ]
    return Q(pk__in=list(first.union(*rest, all=True)[:MOST_NAMED]))


class OrderAdmin(ReadOnlyAdmin):
    deeds = (DELIVER_ORDER, EXPORT_ORDERS)
    actions = as_actions(*deeds)
    list_display = (
        "out_trade_no",
        "state",
        "amount_listed",
        "reference",
        "paid_at_shown",
    )
    list_filter = ("status", "confirmed_by")
    search_fields = tuple(f"{name}__exact" for name in ORDER_NUMBERS)
    search_help_text = _(
        "Order number, WeChat transaction, the shop's reference, public id, the payer's openid: a whole one, exactly."
    )
    fieldsets = (
        (None, {"fields": (("out_trade_no", "state", "amount_shown"), ("reference", "description"))}),
        (
            _("Payment"),
            {
                "fields": (
                    ("transaction_id", "paid_at_shown", "confirmed_by"),
                    ("payer_total_shown", "refunded_amount_shown", "left"),
                    ("trade_type", "bank_type"),
                    ("openid", "sub_openid"),
                    "attach",
                )
            },
        ),
        (
            _("Merchant"),
            {
                "classes": ["collapse"],
                "fields": (("mchid", "sub_mchid"), ("appid", "sub_appid"), "combine_out_trade_no"),
            },
        ),
        (
            _("Record"),
            {
                "classes": ["collapse"],
                "fields": (
                    ("created_at_shown", "updated_at_shown", "closed_at_shown"),
                    ("public_id", "settled_reference"),
                ),
            },
        ),
    )

    amount_shown = shown(Order, "amount", lambda order: money(order.amount, order.currency), _("amount"))
    payer_total_shown = shown(Order, "payer_total", lambda order: money(order.payer_total, order.currency))
    refunded_amount_shown = shown(Order, "refunded_amount", lambda order: money(order.refunded_amount, order.currency))
    paid_at_shown, closed_at_shown = shown_moment(Order, "paid_at"), shown_moment(Order, "closed_at")
    created_at_shown, updated_at_shown = shown_moment(Order, "created_at"), shown_moment(Order, "updated_at")

    @admin.display(description=_("status"))
    def state(self, order: Order) -> SafeString:
        shown = badge(order.get_status_display(), panels.order_tone(order))
        if order.status != Order.Status.PAID or order.closed_at is None:
            return shown
        return format_html("{} {}", shown, badge(_("was closed"), "warn"))

    @admin.display(description=_("amount"))
    def amount_listed(self, order: Order) -> SafeString:
        if not order.refunded_amount:
            return format_html("{}", money(order.amount, order.currency))
        back = _("refunded %(amount)s") % {"amount": money(order.refunded_amount, order.currency)}
        return format_html('{}<br><small class="wechatpay-quiet">{}</small>', money(order.amount, order.currency), back)

    @admin.display(description=_("left to refund"))
    def left(self, order: Order) -> str:
        paid = order.status == Order.Status.PAID
        return money(order.amount - order.refunded_amount, order.currency) if paid else self.get_empty_value_display()

    def search_condition(self, number: str) -> Q:
        return named(number)

    def story(self, row: Order, links: Links) -> timeline.Story:
        return timeline.of_order(row, links)


class FoundByOrder(ReadOnlyAdmin):
    """Rows that the numbers of their order find too."""

    list_select_related = ("order",)

    @admin.display(description=_("order"))
    def order_number(self, row: Any) -> str:
        return row.order.out_trade_no if row.order else self.get_empty_value_display()

    def search_condition(self, number: str) -> Q:
        # Two steps: a condition over both tables at once would use no index.
        orders = list(Order.objects.filter(named(number)).values_list("pk", flat=True)[:MOST_ORDERS])
        return super().search_condition(number) | Q(order__in=orders)
