"""The pages of this app's admin, found rather than listed: of its lists, filters and searches, of rows, and its own.

Never says how fast or how right one is; the benchmark and the tests that ask them do.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.urls import NoReverseMatch, reverse

from wechatpay_notify.models import NotificationLog, Order, Refund, SignalDelivery

SHOWN = (200, 503)
"""What a page answers; 503 are the figures for monitoring when somebody has to look."""
Page = tuple[str, str]
"""What kind it is, and where."""
SEARCH = "a search"
STANDARD = ("changelist", "add", "delete", "change", "history")
NOBODYS = ("NOBODY-HAS-THIS", "4200000000000000000000000000")


def found(client: Any) -> Iterator[Page]:
    """Every page that this client may GET; rows must be there of each kind."""
    yield "index of the admin", reverse("admin:index")
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label == "wechatpay_notify":
            name = f"admin:wechatpay_notify_{model._meta.model_name}"
            if not model._meta.proxy:
                yield from _of_list(client, reverse(f"{name}_changelist"), str(model._meta.verbose_name_plural))
                for row in samples(model):
                    yield f"page of a {model._meta.verbose_name}", reverse(f"{name}_change", args=[row])
            yield from _of_its_own(client, model, model_admin)
    with contextlib.suppress(NoReverseMatch):  # which a project includes by choice
        yield "figures for monitoring", reverse("wechatpay_notify_health:health")


def _of_list(client: Any, url: str, name: str) -> Iterator[Page]:
    changes = client.get(url).context["cl"]
    for page in _turned(changes):
        yield f"{name}: first, next and last page", f"{url}?{urlencode({PAGE_VAR: page})}"
    for spec in changes.filter_specs:
        for choice in spec.choices(changes):
            filtered = f"{url}{choice['query_string']}"
            if choice["selected"]:
                continue
            for page in _turned(client.get(filtered).context["cl"]):
                yield f"{name}: a filter, its first, next and last page", f"{filtered}&{PAGE_VAR}={page}"
    for number in numbers():
        yield f"{name}: {SEARCH}", f"{url}?{urlencode({SEARCH_VAR: number})}"


def _turned(changes: Any) -> list[int]:
    last = changes.paginator.num_pages
    return sorted({1, min(2, last), last})


def _of_its_own(client: Any, model: Any, model_admin: Any) -> Iterator[Page]:
    """Addresses that a ModelAdmin has besides Django's; what takes only a POST, or leads elsewhere, is left out."""
    names = {pattern.name for pattern in model_admin.get_urls() if pattern.name}
    standard = {f"wechatpay_notify_{model._meta.model_name}_{page}" for page in STANDARD}
    if model._meta.proxy:
        standard.discard(f"wechatpay_notify_{model._meta.model_name}_changelist")
    for name in sorted(names - standard):
        for args in ([], samples(model)[:1]):
            try:
                url = reverse(f"admin:{name}", args=args)
            except NoReverseMatch:
                continue
            words = name.removeprefix("wechatpay_notify_").replace("_", " ")
            if client.get(url).status_code == 200:
                yield words, url
            if model._meta.proxy and not args:
                searches = [f"{url}?{urlencode({SEARCH_VAR: number})}" for number in numbers()]
                yield from ((f"{words}: {SEARCH}", found) for found in searches if client.get(found).status_code == 200)


def samples(model: Any) -> list[int]:
    """Primary keys: some from the oldest to the newest, and the newest of each state."""
    rows = model._default_manager.order_by("pk").values_list("pk", flat=True)
    first, last = rows.first(), rows.last()
    spread = {rows.filter(pk__gte=first + (last - first) * tenth // 10).first() for tenth in range(1, 10, 2)}
    column = "outcome" if model is NotificationLog else "status" if hasattr(model, "Status") else "reason"
    newest = model._default_manager.order_by("pk").filter(pk__gt=last - 20_000).values_list(column, "pk")
    return sorted(spread | set(dict(newest).values()))


def numbers() -> list[str]:
    """One number of each kind that somebody may have, and some that nobody has."""
    order = Order.objects.filter(status="paid").latest("pk")
    combined = Order.objects.exclude(combine_out_trade_no="").last()
    log = NotificationLog.objects.exclude(notification_id="").latest("received_at")
    refund = Refund.objects.latest("pk")
    refunding = NotificationLog.objects.exclude(out_refund_no="").latest("received_at")
    every = {
        order.out_trade_no, order.transaction_id, order.reference, str(order.public_id), order.openid,
        combined.combine_out_trade_no if combined else "", log.notification_id, refund.out_refund_no, refund.refund_id,
        refunding.out_refund_no, SignalDelivery.objects.latest("pk").subject, *NOBODYS,
    }  # fmt: skip
    return sorted(number for number in every if number)
