"""The admin page of one notification: what WeChat sent, what was decided and why, what was answered.

Never shows a body raw: it is masked, made plain, and escaped by the template.
"""

import logging
from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.events import meaning
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES, label

from . import panels
from .actions.doing import as_actions
from .actions.exporting import EXPORT_NOTIFICATIONS
from .actions.fixture import FIXTURE
from .actions.processing import PROCESS, REVERIFY
from .cells import Panel, badge
from .panels import Links
from .readonly import CappedPaginator, ReadOnlyAdmin, any_of, shown_moment
from .records import MOST_ORDERS, named
from .refunds import REFUND_NUMBERS, naming, unrecorded_refunds
from .story import timeline
from .strip import strip

ATTENTION = [code for code, outcome in OUTCOMES.items() if outcome.level >= logging.ERROR]
NEWEST = 2_000
"""Rows of the log that are read one by one, where no index helps."""


class OutcomeFilter(admin.SimpleListFilter):
    """`outcome` has no choices in the model, so that a new one needs no migration."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        first = [("attention", _("needs a person")), ("interrupted", _("no answer was sent"))]
        return first + [(code, label(code)) for code in OUTCOMES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() == "attention":
            return queryset.filter(outcome__in=ATTENTION)
        if self.value() == "interrupted":
            return queryset.filter(outcome="", http_status=None, replay_of=None)
        return queryset.filter(outcome=self.value()) if self.value() else None


class VersionFilter(admin.SimpleListFilter):
    """Among the newest alone: the version has no index, and the last one of a version that fell silent may be far."""

    title = _("API version")
    parameter_name = "api_version__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        among = _("%(version)s, of the newest %(number)d")
        return [(value, among % {"version": value, "number": NEWEST}) for value in NotificationLog.Version.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if not self.value():
            return queryset
        found = queryset.filter(api_version=self.value())
        if request.GET.get(SEARCH_VAR, "").strip():
            return found  # few rows anyway
        newest = NotificationLog.objects.using(queryset.db).values_list("received_at", flat=True)
        oldest = newest.order_by("-received_at", "-id")[NEWEST - 1 : NEWEST].first()
        return found.filter(received_at__gte=oldest) if oldest else found


class NotificationLogAdmin(ReadOnlyAdmin):
    deeds = (PROCESS, EXPORT_NOTIFICATIONS, FIXTURE)
    list_deeds = (REVERIFY,)
    actions = as_actions(PROCESS, EXPORT_NOTIFICATIONS)
    list_display = (
        "received_at_shown",
        "outcome_badge",
        "out_trade_no",
        "answer",
        "event_listed",
    )
    list_filter = (OutcomeFilter, VersionFilter)
    ordering = ("-received_at", "-id")
    heavy_fields = ("body", "headers", "resource")
    search_fields = ("out_trade_no__exact", "transaction_id__exact", "notification_id__exact")
    search_help_text = _(
        "Order number, WeChat transaction, notification id, refund number, shop's reference: a whole one, exactly."
    )
    fieldsets = (
        (_("What was decided"), {"fields": (("outcome_badge", "verified"), "detail")}),
        (_("What we answered"), {"fields": (("answer", "duration_ms", "attempt_estimate"),)}),
        (
            _("What it is about"),
            {"fields": (("out_trade_no", "transaction_id"), ("event", "notification_id", "out_refund_no"))},
        ),
        (_("How it came"), {"fields": (("received_at_shown", "merchant", "remote_addr"),)}),
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        found = request.method != "GET" or SEARCH_VAR in request.GET  # whoever looks for a number wants that alone
        health = {} if found else strip(Links(self.admin_site, request))
        return super().changelist_view(request, health | (extra_context or {}))

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> CappedPaginator:
        paginator = cast("CappedPaginator", super().get_paginator(request, *args, **kwargs))
        if request.GET.get(OutcomeFilter.parameter_name) == "attention":
            # Each outcome is in order along its index; sorting them all takes a second when an outage left many.
            paginator.branches = [Q(outcome=code) for code in ATTENTION]
        return paginator

    def heading(self, row: NotificationLog) -> str:
        return f"#{row.pk} · {panels.outcome_label(row)}"

    received_at_shown = shown_moment(NotificationLog, "received_at")

    @admin.display(description=_("outcome"))
    def outcome_badge(self, row: NotificationLog) -> SafeString:
        return badge(panels.outcome_label(row), panels.outcome_tone(row))

    @admin.display(description=_("event"))
    def event(self, row: NotificationLog) -> SafeString:
        return format_html('{}<br><span class="wechatpay-quiet">{}</span>', panels.event(row), meaning(row.event_type))

    @admin.display(description=_("event"))
    def event_listed(self, row: NotificationLog) -> SafeString:
        # A narrow column breaks it before its dot, not anywhere.
        first, dot, rest = panels.event(row).partition(".")
        return format_html('<span title="{}">{}<wbr>{}{}</span>', meaning(row.event_type), first, dot, rest)

    @admin.display(description=_("answer"))
    def answer(self, row: NotificationLog) -> str:
        return panels.answer(row)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, many = super().get_search_results(request, queryset, search_term)
        number = search_term.strip()
        if number and not found.exists():
            unrecorded = queryset.filter(unrecorded_refunds([number])).order_by().values_list("pk", flat=True)
            found = queryset.filter(pk__in=list(unrecorded[:MOST_ORDERS]))  # looked through once, not to count them too
        return found, many

    def search_condition(self, number: str) -> Q:
        # A notification does not know the shop's reference, nor has it an index of refund numbers; its order has both.
        orders = list(Order.objects.filter(named(number)).values_list("out_trade_no", flat=True)[:MOST_ORDERS])
        refunds = naming(Refund.objects.filter(any_of(REFUND_NUMBERS, number)))
        return super().search_condition(number) | Q(out_trade_no__in=orders) | refunds

    def story(self, row: NotificationLog, links: Links) -> timeline.Story:
        return timeline.of_notification(row, links)

    def panels(self, row: NotificationLog, links: Links) -> list[Panel | None]:
        numbers = row.order_numbers()
        concerned = Q(out_trade_no__in=numbers)
        if row.transaction_id:
            concerned |= Q(transaction_id=row.transaction_id)
        orders, discrepancies = Order.objects.filter(concerned), Discrepancy.objects.filter(concerned)
        subjects = [f"discrepancy:{pk}" for pk in discrepancies.values_list("pk", flat=True)[:MOST_ORDERS]]
        if row.notification_id:
            subjects.append(f"{row.merchant}:{row.notification_id}")
        found = list(orders.values_list("pk", flat=True)[:MOST_ORDERS])
        told = Q(order__in=found) | Q(subject__in=subjects)
        refunds = Refund.objects.filter(out_refund_no=row.out_refund_no, order__in=found)
        unrecorded = _("No refund of this number is recorded.")
        return [
            panels.orders(orders, links),
            panels.refunds(refunds, links, unrecorded) if row.out_refund_no else None,
            panels.deliveries(SignalDelivery.objects.filter(told), links),
            panels.discrepancies(discrepancies, links),
            _siblings(row, links),
        ]


def _siblings(row: NotificationLog, links: Links) -> Panel | None:
    """The other deliveries of this number: redeliveries, refunds, refusals that claim it."""
    for name in ("out_trade_no", "transaction_id", "notification_id"):
        number = getattr(row, name)
        if number:
            others = NotificationLog.objects.filter(**{name: number}).exclude(pk=row.pk)
            return panels.notifications(others, links, _("Other notifications of this number"), number)
    return None
