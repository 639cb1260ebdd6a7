"""History: who did what to a payment by hand, and why, as entries of Django's admin log.

Never an entry without a user; where the admin is not installed there is no history.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from .conf import conf
from .log import warn
from .models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

MOST_ROWS = 200
"""Rows of one order whose entries are looked for, of each kind."""
MOST_ENTRIES = 200
CHANGE = 2
"""As in django.contrib.admin.models, which cannot be imported where the admin is not installed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed."""

    at: datetime
    by: str
    """The user's name."""
    message: str


def is_kept() -> bool:
    """Whether django.contrib.admin is there to keep it."""
    return apps.is_installed("django.contrib.admin")


def record(user_id: int, rows: Iterable[Model], message: str) -> None:
    """Write an entry for each of these rows, all of one moment."""
    if not is_kept():
        return
    now = timezone.now()
    _entries().bulk_create(_entry(user_id, type(row), message, at=now, pk=row.pk, called=named(row)) for row in rows)


def record_of_list(user_id: int, model: type[Model], message: str) -> None:
    """Write one entry about rows of a model, without a row: ten thousand would only say the same."""
    if is_kept():
        called = str(model._meta.verbose_name_plural)
        _entry(user_id, model, message, at=timezone.now(), pk=None, called=called).save()


def record_replay(user_id: int, row: NotificationLog, read: NotificationLog | None, message: str) -> None:
    """Write an entry for a notification that was processed again and for its orders; of a row that could not be read
    before, only what was `read` now knows them."""
    record(user_id, [row, *about(read or row)[1:]], message)


def named(row: Model) -> str:
    """What the row is called in lists of entries: a notification's number alone would not say what it is."""
    if isinstance(row, NotificationLog):
        return capfirst(_("notification #%(number)d") % {"number": row.pk})
    return str(row)


def about(row: NotificationLog | SignalDelivery | Discrepancy | Refund) -> list[Model]:
    """The row and its orders: what an entry is written for."""
    if not isinstance(row, NotificationLog):
        return [row] if row.order is None else [row, row.order]
    numbers, mchid = row.order_numbers(), number_of(row.merchant)
    # A combined order of the merchant's may hold those of others; another merchant's order of that number is not meant.
    ours = Q(mchid=mchid) | (Q(combine_out_trade_no=row.out_trade_no) & ~Q(combine_out_trade_no=""))
    named = Order.objects.filter(ours, out_trade_no__in=numbers) if mchid else Order.objects.none()
    return [row, *(order for order in named[:MOST_ROWS] if order.out_trade_no in numbers)]


def of(order: Order) -> list[Entry]:
    """What was done by hand to this order and its rows, the oldest first; one entry where a deed wrote several."""
    if not is_kept():
        return []
    numbers = {order.out_trade_no, order.combine_out_trade_no} - {""}
    pks: dict[type[Model], Iterable[int]] = {
        Order: [order.pk],
        SignalDelivery: _some(SignalDelivery.objects.filter(order=order.pk)),
        Refund: _some(Refund.objects.filter(order=order.pk)),
        Discrepancy: _some(Discrepancy.objects.filter(order=order.pk)),
        # It may have been taken again before there was an order.
        NotificationLog: _of_its_merchant(order, NotificationLog.objects.filter(out_trade_no__in=numbers)),
    }
    found = Q()
    for model, those in pks.items():
        found |= Q(content_type=_type_of(model), object_id__in=[str(pk) for pk in those])
    entries = _entries().filter(found).select_related("user").order_by("-action_time", "-pk")[:MOST_ENTRIES]
    deeds = (Entry(row.action_time, row.user.get_username(), row.get_change_message().strip()) for row in entries)
    return list(dict.fromkeys(deeds))[::-1]


def number_of(alias: str) -> str:
    """The number of the merchant behind an alias as configured now; "" if there is none or the provider raises."""
    try:
        config = conf.merchant(alias)
    except Exception as error:
        warn("the merchant provider raised", error)
        return ""
    return "" if config is None else config.merchant.mchid


def is_meant(order: Order, mchid: str, out_trade_no: str) -> bool:
    """Whether a merchant's notification of this number is about the order; `mchid` "" if that is not known any more.

    Another merchant of this installation may have an order of the same number; a combined one is its initiator's.
    """
    return mchid in ("", order.mchid) or bool(out_trade_no and out_trade_no == order.combine_out_trade_no)


def _of_its_merchant(order: Order, rows: QuerySet[NotificationLog]) -> list[int]:
    found = list(rows.order_by("-pk").values_list("pk", "merchant", "out_trade_no")[:MOST_ROWS])
    mchids = {alias: number_of(alias) for alias in {merchant for _, merchant, _ in found}}
    return [pk for pk, merchant, number in found if is_meant(order, mchids[merchant], number)]


def _some(rows: QuerySet[Any]) -> QuerySet[Any, int]:
    return rows.order_by("-pk").values_list("pk", flat=True)[:MOST_ROWS]


def _entry(user_id: int, model: type[Model], message: str, *, at: datetime, pk: int | None, called: str) -> Any:
    return _entries().model(
        action_time=at,
        user_id=user_id,
        content_type_id=_type_of(model),
        object_id=None if pk is None else str(pk),
        object_repr=called[:200],
        action_flag=CHANGE,
        # Django would read a text that begins with a bracket as its own structured message.
        change_message=f" {message}" if message.startswith("[") else message,
    )


def _entries() -> Any:
    """Django's admin log, which is found by content type: its object's number has no index."""
    return apps.get_model("admin", "LogEntry")._default_manager


def _type_of(model: type[Model]) -> int:
    types: Any = apps.get_model("contenttypes", "ContentType")
    return int(types.objects.get_for_model(model, for_concrete_model=False).pk)
