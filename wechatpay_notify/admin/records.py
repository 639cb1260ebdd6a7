"""The admin pages of the shop's own record: orders, discrepancies, and the ledger of told receivers.

Never show an openid whole, and never offer a change.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.judgement import HEALED_BY_CONFIRMATION
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES

from . import panels
from .disclosure import json_text, moment, money
from .panels import Links, Panel
from .readonly import ReadOnlyAdmin, any_of, shown, shown_moment

ORDER_NUMBERS = ("out_trade_no__exact", "transaction_id__exact", "reference__exact")
MOST_ORDERS = 100
"""Orders of one reference that a search follows to what belongs to them."""


def named(number: str) -> Q:
    """What an order fulfils that has this number, of whichever kind."""
    condition = any_of(ORDER_NUMBERS, number)
    try:
        return condition | Q(public_id=UUID(number))
    except ValueError:
        return condition


def badge(text: Any, tone: str) -> SafeString:
    """A coloured word; `tone` is one of this app's own."""
    return format_html('<span class="wechatpay-badge wechatpay-{}">{}</span>', tone, text)


class OrderAdmin(ReadOnlyAdmin):
    list_display = (
        "out_trade_no",
        "state",
        "amount_shown",
        "reference",
        "paid_at_shown",
    )
    list_filter = ("status", "confirmed_by")
    search_fields = ORDER_NUMBERS
    rare_search_fields = ("combine_out_trade_no__exact",)
    search_help_text = _("Order number, WeChat transaction, the shop's reference, public id: a whole one, exactly.")
    fieldsets = (
        (None, {"fields": (("out_trade_no", "state", "amount_shown"), ("reference", "description"))}),
        (
            _("Payment"),
            {
                "fields": (
                    ("transaction_id", "paid_at_shown", "confirmed_by"),
                    ("payer_total_shown", "refunded_amount_shown"),
                    ("trade_type", "bank_type"),
                    ("openid", "sub_openid"),
                    "attach",
                )
            },
        ),
        (_("Merchant"), {"fields": (("mchid", "sub_mchid"), ("appid", "sub_appid"), "combine_out_trade_no")}),
        (
            _("Record"),
            {
                "fields": (
                    ("created_at_shown", "updated_at_shown", "closed_at_shown"),
                    ("public_id", "settled_reference"),
                )
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
        return badge(order.get_status_display(), panels.order_tone(order))

    def search_condition(self, number: str) -> Q:
        return named(number)

    def panels(self, row: Order, links: Links) -> list[Panel | None]:
        # The notification of a combined payment goes by the combined order's number.
        numbers = [number for number in (row.out_trade_no, row.combine_out_trade_no) if number]
        about = NotificationLog.objects.filter(out_trade_no__in=numbers)
        return [
            panels.deliveries(SignalDelivery.objects.filter(order=row.pk), links),
            panels.discrepancies(Discrepancy.objects.filter(order=row.pk), links),
            panels.notifications(about, links, _("Notifications of this number"), row.out_trade_no),
        ]


class FoundByOrder(ReadOnlyAdmin):
    """Rows that the numbers of their order find too."""

    list_select_related = ("order",)

    def search_condition(self, number: str) -> Q:
        # Two steps: a condition over both tables at once would use no index.
        orders = list(Order.objects.filter(named(number)).values_list("pk", flat=True)[:MOST_ORDERS])
        return super().search_condition(number) | Q(order__in=orders)


class OpenFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("open", _("open")), ("resolved", _("resolved"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(resolved_at__isnull=self.value() == "open") if self.value() else None


class DiscrepancyAdmin(FoundByOrder):
    list_display = (
        "out_trade_no",
        "reason",
        "state",
        "amount_shown",
        "expected_amount_shown",
        "last_seen_shown",
    )
    list_filter = (OpenFilter, "reason")
    search_fields = ("out_trade_no__exact", "transaction_id__exact")
    search_help_text = _("Order number, WeChat transaction or the shop's reference: a whole one, exactly.")
    fieldsets = (
        (None, {"fields": (("reason", "state"), "to_do", "resolving")}),
        (_("Money"), {"fields": (("amount_shown", "expected_amount_shown", "difference"),)}),
        (_("Numbers"), {"fields": (("out_trade_no", "transaction_id", "merchant"),)}),
        (
            _("Record"),
            {
                "fields": (
                    ("first_seen_shown", "last_seen_shown", "times"),
                    ("resolved_at_shown", "resolved_by", "resolution"),
                )
            },
        ),
    )

    amount_shown = shown(Discrepancy, "amount", lambda row: money(row.amount, row.currency))
    first_seen_shown, last_seen_shown = shown_moment(Discrepancy, "first_seen"), shown_moment(Discrepancy, "last_seen")
    resolved_at_shown = shown_moment(Discrepancy, "resolved_at")

    @admin.display(description=_("amount expected"))
    def expected_amount_shown(self, row: Discrepancy) -> str:
        # The order's currency, which may be what differs.
        currency = row.order.currency if row.order else row.currency
        return money(row.expected_amount, currency) or self.get_empty_value_display()

    @admin.display(description=_("difference"))
    def difference(self, row: Discrepancy) -> str:
        if row.expected_amount is None or (row.order and row.order.currency != row.currency):
            return self.get_empty_value_display()
        return money(row.amount - row.expected_amount, row.currency)

    @admin.display(description=_("state"))
    def state(self, row: Discrepancy) -> SafeString:
        text, _url, tone = panels.discrepancy_state(row)
        return badge(text, tone)

    @admin.display(description=_("what to do"))
    def to_do(self, row: Discrepancy) -> Any:
        return OUTCOMES.get(row.reason, OUTCOMES["unexpected"]).hint

    @admin.display(description=_("how it is resolved"))
    def resolving(self, row: Discrepancy) -> Any:
        if row.resolved_at is not None:
            return row.resolution or self.get_empty_value_display()
        if row.reason in HEALED_BY_CONFIRMATION:
            return _(
                "By itself, when this payment is confirmed after all. Otherwise in code, by writing resolved_at, "
                "resolved_by and resolution; the documentation of the admin has the lines."
            )
        return _(
            "In code, when somebody has dealt with the money: by writing resolved_at, resolved_by and resolution; the "
            "documentation of the admin has the lines."
        )

    def panels(self, row: Discrepancy, links: Links) -> list[Panel | None]:
        concerned = Q(pk=row.order_id) | Q(out_trade_no=row.out_trade_no) | Q(transaction_id=row.transaction_id)
        about = NotificationLog.objects.filter(out_trade_no=row.out_trade_no)
        return [
            panels.orders(Order.objects.filter(concerned), links),
            panels.deliveries(SignalDelivery.objects.filter(subject=f"discrepancy:{row.pk}"), links),
            panels.notifications(about, links, _("Notifications of this number"), row.out_trade_no),
        ]


class SignalDeliveryAdmin(FoundByOrder):
    list_display = ("receiver_name", "signal", "state", "order_number", "error")
    list_filter = ("status",)
    search_fields = ("subject__exact",)
    search_help_text = _("Order number, WeChat transaction, the shop's reference or the subject: a whole one, exactly.")
    heavy_fields = ("payload",)
    fieldsets = (
        (None, {"fields": (("receiver_name", "signal"), ("state", "order_number"))}),
        (_("Attempts"), {"fields": (("attempts", "due"), ("created_at_shown", "done_at_shown", "duration_ms"))}),
        (_("Identity"), {"fields": ("subject", "idempotency_key")}),
    )

    done_at_shown, created_at_shown = (
        shown_moment(SignalDelivery, "done_at"),
        shown_moment(SignalDelivery, "created_at"),
    )
    error = shown(SignalDelivery, "last_error", lambda row: panels.last_line(row.last_error))

    @admin.display(description=_("receiver"))
    def receiver_name(self, row: SignalDelivery) -> Any:
        return row.receiver or _("no receiver is connected")

    @admin.display(description=_("status"))
    def state(self, row: SignalDelivery) -> SafeString:
        return badge(panels.delivery_mark(row), panels.delivery_tone(row))

    @admin.display(description=_("next attempt"))
    def due(self, row: SignalDelivery) -> str:
        pending = row.status == SignalDelivery.Status.PENDING
        return moment(row.next_attempt_at) if pending else self.get_empty_value_display()

    @admin.display(description=_("order"))
    def order_number(self, row: SignalDelivery) -> str:
        return row.order.out_trade_no if row.order else self.get_empty_value_display()

    @admin.display(description=_("idempotency key"))
    def idempotency_key(self, row: SignalDelivery) -> str:
        return row.idempotency_key

    def panels(self, row: SignalDelivery, links: Links) -> list[Panel | None]:
        error = Panel(title=_("Last error"), text=row.last_error) if row.last_error else None
        payload = Panel(title=_("What the receiver is told"), text=json_text(row.payload))
        others = SignalDelivery.objects.filter(subject=row.subject).exclude(pk=row.pk)
        discrepancy = row.payload.get("discrepancy")
        told_of = NotificationLog.objects.filter(pk=row.payload.get("notification"))
        return [
            error,
            panels.orders(Order.objects.filter(pk=row.order_id), links) if row.order_id else None,
            panels.discrepancies(Discrepancy.objects.filter(pk=discrepancy), links) if discrepancy else None,
            panels.notifications(told_of, links, _("The notification it tells of")),
            panels.deliveries(others, links, _("Other receivers of the same")),
            payload,
        ]
