"""The admin pages of the ledger: which receivers were told what, and which money does not fit the record.

Never run a receiver or resolve a discrepancy by being looked at; see actions for what staff may have done.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.judgement import HEALED_BY_CONFIRMATION
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES

from . import panels
from .actions.delivering import DELIVER, FORCE
from .actions.doing import as_actions
from .actions.exporting import EXPORT_DELIVERIES, EXPORT_DISCREPANCIES
from .actions.resolving import RESOLVE
from .cells import Panel, badge
from .disclosure import json_text, moment, money
from .panels import AMOUNT_ORDERED, AMOUNT_REPORTED, Links
from .readonly import shown, shown_moment
from .records import FoundByOrder
from .remarks import translated

TO_DO = {
    Discrepancy.Reason.ALREADY_REFUNDED.value: _(
        "All of this payment was refunded, or being refunded, before it was reported. Do not ship. If that refund is "
        "closed later, the money stays with you and nobody is told to ship: do it by hand, or refund again."
    ),
    Discrepancy.Reason.REFUND_CONFLICT.value: _(
        "WeChat reports a refund that contradicts the record, so it is not recorded; the notification's detail says "
        "how. Compare the refunds below with the list on the merchant platform before you refund again. If the order's "
        "amount is recorded wrongly, mend it and the next attempt records the refund."
    ),
}
"""What to do about a reason that is no outcome of its own."""


def advice(reason: str) -> str | Promise:
    """What to do about a discrepancy of this reason."""
    return TO_DO.get(reason) or OUTCOMES.get(reason, OUTCOMES["unexpected"]).hint


class OpenFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("open", _("open")), ("resolved", _("resolved"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(resolved_at__isnull=self.value() == "open") if self.value() else None


class DiscrepancyAdmin(FoundByOrder):
    deeds = (RESOLVE, EXPORT_DISCREPANCIES)
    actions = as_actions(*deeds)
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
                    ("resolved_at_shown", "resolved_by", "resolution_shown"),
                )
            },
        ),
    )

    amount_shown = shown(Discrepancy, "amount", lambda row: money(row.amount, row.currency), AMOUNT_REPORTED)
    first_seen_shown, last_seen_shown = shown_moment(Discrepancy, "first_seen"), shown_moment(Discrepancy, "last_seen")
    resolved_at_shown = shown_moment(Discrepancy, "resolved_at")
    resolution_shown = shown(Discrepancy, "resolution", lambda row: translated(row.resolution))

    @admin.display(description=AMOUNT_ORDERED)
    def expected_amount_shown(self, row: Discrepancy) -> str:
        # The order's currency, which may be what differs.
        currency = row.order.currency if row.order else row.currency
        return money(row.expected_amount, currency) or self.get_empty_value_display()

    @admin.display(description=_("difference"))
    def difference(self, row: Discrepancy) -> str:
        of_refund = row.reason == Discrepancy.Reason.REFUND_CONFLICT  # a part of the payment, as a rule
        if of_refund or row.expected_amount is None or (row.order and row.order.currency != row.currency):
            return self.get_empty_value_display()
        return money(row.amount - row.expected_amount, row.currency)

    @admin.display(description=_("state"))
    def state(self, row: Discrepancy) -> SafeString:
        text, _url, tone = panels.discrepancy_state(row)
        return badge(text, tone)

    @admin.display(description=_("what to do"))
    def to_do(self, row: Discrepancy) -> Any:
        return advice(row.reason)

    @admin.display(description=_("how it is resolved"))
    def resolving(self, row: Discrepancy) -> Any:
        if row.resolved_at is not None:
            return translated(row.resolution) or self.get_empty_value_display()
        if row.reason in HEALED_BY_CONFIRMATION:
            return _(
                "By itself, when this payment is confirmed after all. Otherwise by somebody who has dealt with the "
                "money and may resolve discrepancies, with a reason."
            )
        return _("By somebody who has dealt with the money and may resolve discrepancies, with a reason that says how.")

    def panels(self, row: Discrepancy, links: Links) -> list[Panel | None]:
        concerned = Q(out_trade_no=row.out_trade_no) | Q(transaction_id=row.transaction_id)
        if row.order_id:  # "id IS NULL OR …" would have SQLite read every order
            concerned |= Q(pk=row.order_id)
        about = NotificationLog.objects.filter(out_trade_no=row.out_trade_no)
        of_refund = row.reason == Discrepancy.Reason.REFUND_CONFLICT
        return [
            panels.orders(Order.objects.filter(concerned), links),
            panels.refunds(Refund.objects.filter(order=row.order_id), links) if of_refund else None,
            panels.deliveries(SignalDelivery.objects.filter(subject=f"discrepancy:{row.pk}"), links),
            panels.notifications(about, links, _("Notifications of this number"), row.out_trade_no),
        ]


class SignalDeliveryAdmin(FoundByOrder):
    deeds = (DELIVER, FORCE, EXPORT_DELIVERIES)
    actions = as_actions(*deeds)
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

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # Along the index of the status: those that gave up may all be old, a million rows down.
        by_status = any(name.startswith("status") for name in request.GET)
        return ("-next_attempt_at", "-id") if by_status else ("-id",)

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

    @admin.display(description=_("idempotency key"))
    def idempotency_key(self, row: SignalDelivery) -> str:
        return row.idempotency_key

    def panels(self, row: SignalDelivery, links: Links) -> list[Panel | None]:
        payload = Panel(title=_("What the receiver is told"), text=json_text(row.payload))
        others = SignalDelivery.objects.filter(subject=row.subject).exclude(pk=row.pk)
        discrepancy, refund = row.payload.get("discrepancy"), row.payload.get("refund")
        told_of = NotificationLog.objects.filter(pk=row.payload.get("notification"))
        return [
            _why_not_done(row),
            panels.orders(Order.objects.filter(pk=row.order_id), links) if row.order_id else None,
            panels.refunds(Refund.objects.filter(pk=refund), links) if refund else None,
            panels.discrepancies(Discrepancy.objects.filter(pk=discrepancy), links) if discrepancy else None,
            panels.notifications(told_of, links, _("The notification it tells of")),
            panels.deliveries(others, links, _("Other receivers of the same")),
            payload,
        ]


def _why_not_done(row: SignalDelivery) -> Panel | None:
    if panels.called_off(row):
        note = _(
            "The customer has all of the money back, so this must not be fulfilled any more. If an attempt was made "
            "before, see whether it left something to undo."
        )
        return Panel(title=_("Why it is not run"), text=translated(row.last_error), note=note)
    return Panel(title=_("Last error"), text=translated(row.last_error)) if row.last_error else None
