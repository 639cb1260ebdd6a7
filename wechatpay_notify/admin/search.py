"""The search of the payment desk: from a number of any kind to all that it, or its order, is the number of.

Never compares but for equality, and only columns with an index; never more than some hundred rows of a kind.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Q
from django.utils.translation import gettext as _

from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

from . import panels
from .cells import Panel
from .panels import Links
from .records import MOST_ORDERS, named
from .refunds import unrecorded_refunds

MOST_TYPED = 300
"""Characters that are looked at: two numbers pasted with their labels have not half as many."""
MOST_DIGITS = 64
MOST_NUMBERS = 6
"""Numbers in one pasted text that are looked for."""
MOST_UNPACKED = 10
"""Combined notifications whose orders are read out of what WeChat sent, when no order has their number."""

_NUMBER = re.compile(r"[A-Za-z0-9_\-|*@]{1,64}")
"""WeChat's alphabets for every kind of number."""
_GROUPS = re.compile(r"\d+(?:[ \t]+\d+)+")
"""A number as it is read out or printed: `4200 0000 0020 …`."""
_OWN_NUMBER = re.compile(r"#\s?(\d{1,18})")
_MASKED_OPENID = re.compile(r"[\w-]{1,8}\s*(?:…|\.{2,6}|\*{2,})\s*[\w-]{1,8}")
_TRANSACTION = re.compile(r"4\d{27}")


@dataclass(slots=True)
class Found:
    """What has the number, and the orders that this belongs to."""

    orders: dict[int, Order] = field(default_factory=dict)
    refunds: dict[int, int] = field(default_factory=dict)
    """Primary keys, and those of their orders."""
    discrepancies: list[Discrepancy] = field(default_factory=list)
    notifications: list[NotificationLog] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.orders or self.refunds or self.discrepancies or self.notifications)

    def only_order(self) -> Order | None:
        """The order whose page shows everything that was found, if there is one."""
        if len(self.orders) != 1:
            return None
        order = next(iter(self.orders.values()))
        numbers = order_numbers([order])
        theirs = all(pk == order.pk for pk in self.refunds.values())
        theirs = theirs and all(row.out_trade_no in numbers for row in self.notifications)
        for row in self.discrepancies:
            theirs = theirs and (row.order_id or order.pk) == order.pk and row.out_trade_no == order.out_trade_no
        return order if theirs else None

    def panels(self, links: Links) -> list[Panel]:
        """A table of each kind that its reader may view."""
        of_order = Q(order__in=list(self.orders))
        subjects = [f"discrepancy:{row.pk}" for row in self.discrepancies]
        subjects += [f"{row.merchant}:{row.notification_id}" for row in self.notifications if row.notification_id]
        about = Q(pk__in=[row.pk for row in self.notifications])
        about |= Q(out_trade_no__in=order_numbers(self.orders.values()))
        known = of_order | Q(pk__in=[row.pk for row in self.discrepancies])
        found = [
            panels.orders(Order.objects.filter(pk__in=list(self.orders)), links),
            panels.refunds(Refund.objects.filter(of_order | Q(pk__in=list(self.refunds))), links),
            panels.discrepancies(Discrepancy.objects.filter(known), links),
            panels.deliveries(SignalDelivery.objects.filter(of_order | Q(subject__in=subjects)), links),
            panels.notifications(NotificationLog.objects.filter(about), links, _("Notifications")),
        ]
        return [panel for panel in found if panel is not None and panel.rows]


def find(typed: str) -> Found:
    """What the text is the number of; if nothing, what the numbers in it are."""
    whole = typed[:MOST_TYPED].replace("\x00", "").strip()
    if not whole:
        return Found()
    pasted = [number for number in numbers_in(whole) if number != whole]
    found, joined = _find([whole]), joined_groups(whole)
    if not found and joined:
        found = _find(joined)
    if not found and pasted:
        found = _find(pasted)
    if not found:
        found.notifications = _notifications(unrecorded_refunds([whole, *pasted]))
        _follow(found)
    return found


def notification(typed: str) -> NotificationLog | None:
    """The notification that `#36` is, as the pages call it."""
    own = _OWN_NUMBER.fullmatch(unicodedata.normalize("NFKC", typed[:MOST_TYPED]).strip())
    return NotificationLog.objects.filter(pk=int(own[1])).only("pk").first() if own else None


def joined_groups(text: str) -> list[str]:
    """The numbers that stand in groups of digits, without the gaps."""
    found = (re.sub(r"\s", "", groups) for groups in _GROUPS.findall(unicodedata.normalize("NFKC", text)))
    return [number for number in found if len(number) <= MOST_DIGITS][:MOST_NUMBERS]


def numbers_in(text: str) -> list[str]:
    """What may be a number in a pasted text: full-width characters are made plain, and words have no digit."""
    parts = _NUMBER.findall(unicodedata.normalize("NFKC", text))
    return list(dict.fromkeys(part for part in parts if re.search(r"\d", part)))[:MOST_NUMBERS]


def order_numbers(orders: Iterable[Order]) -> set[str]:
    """The numbers that notifications of these orders go by."""
    return {number for order in orders for number in (order.out_trade_no, order.combine_out_trade_no) if number}


def advice(typed: str) -> list[str]:
    """What to check next, when nothing was found."""
    numbers = numbers_in(typed)
    if _MASKED_OPENID.search(typed):
        return [_("An openid is found by the whole of it only: 28 characters, without dots in the middle.")]
    said = [
        _(
            "Is it all of the number, and the right one? The customer's receipt in WeChat has two: 交易单号, WeChat's "
            "transaction, 28 digits that begin with 42; and 商户单号, your own order number. Try the other one too."
        )
    ]
    if any(_TRANSACTION.fullmatch(number) for number in numbers):
        said.append(
            _(
                "This one is a 交易单号. It is known here only once a notification came: look it up on the merchant "
                "platform for its 商户单号, and search for that."
            )
        )
    said += [
        _("Capital and small letters count: SHOP-1 and shop-1 are two numbers."),
        _(
            "Was it paid at another merchant? The receipt says to whom (收款方, 商户全称): compare the name, and the "
            "merchant number on the merchant platform with the one of your orders."
        ),
        _(
            "Did the notification never come? Find the order by its 商户单号. While it is pending, query the payment "
            "at WeChat by that number and hand the verified answer to confirm_payment()."
        ),
        _(
            "Was the order never recorded? A payment is confirmed only if the shop recorded its order before, with "
            "Order.objects.expect() or an ORDER_RESOLVER; else its notification stands among the refused."
        ),
    ]
    return said


def _find(numbers: Sequence[str]) -> Found:
    theirs = Q(out_trade_no__in=numbers) | Q(transaction_id__in=numbers)
    refunds = Refund.objects.filter(Q(out_refund_no__in=numbers) | Q(refund_id__in=numbers))
    discrepancies = Discrepancy.objects.filter(theirs).only("order_id", "out_trade_no")
    found = Found(
        orders=_orders(named(*numbers)),
        refunds=dict(refunds.order_by().values_list("pk", "order_id")[:MOST_ORDERS]),
        discrepancies=list(discrepancies.order_by()[:MOST_ORDERS]),
        notifications=_notifications(theirs | Q(notification_id__in=numbers)),
    )
    _follow(found)
    return found


def _follow(found: Found) -> None:
    """Add the orders of what was found that are not among them yet."""
    known = order_numbers(found.orders.values())
    numbers = {row.out_trade_no for row in found.notifications if row.out_trade_no} - known
    pks = {*found.refunds.values(), *(row.order_id for row in found.discrepancies)} - {None, *found.orders}
    if not numbers and not pks:
        return
    belonging = Q(pk__in=pks) | Q(out_trade_no__in=numbers) | Q(combine_out_trade_no__in=numbers)
    found.orders |= _orders(belonging)
    unknown = numbers - order_numbers(found.orders.values())
    of_combined = [row.pk for row in found.notifications if row.verified and row.out_trade_no in unknown]
    if of_combined:  # the shop need not have recorded the combined number
        rows = NotificationLog.objects.filter(pk__in=of_combined[:MOST_UNPACKED]).defer("body", "headers")
        inner = {number for row in rows for number in row.order_numbers()} - numbers
        found.orders |= _orders(Q(out_trade_no__in=inner)) if inner else {}


def _orders(condition: Q) -> dict[int, Order]:
    rows = Order.objects.filter(condition).only("out_trade_no", "combine_out_trade_no")
    return {row.pk: row for row in rows.order_by()[:MOST_ORDERS]}


def _notifications(condition: Q) -> list[NotificationLog]:
    """The proven ones first, for anybody may send requests that name a number."""
    rows = NotificationLog.objects.filter(condition).order_by("-verified", "-received_at", "-id")
    return list(rows.only("out_trade_no", "merchant", "notification_id", "verified", "received_at")[:MOST_ORDERS])
