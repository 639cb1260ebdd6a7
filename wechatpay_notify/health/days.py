"""The days: how many notifications came on each, by what became of them.

Never walks the table: each count runs along the index of outcomes up to a cap, all of a day's in one statement; and a
day that is over is counted once and kept in Django's cache.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.cache import cache
from django.db import router
from django.db.models import IntegerField, QuerySet, Subquery
from django.utils import timezone

from wechatpay_notify.log import warn
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.outcomes import OUTCOMES

CAP = 50_000
"""Most that is counted of one outcome and day: an index gives that many in some ten milliseconds."""
DAYS = 14
SETTLED = timedelta(minutes=10)
"""How long after midnight a day may still change: what came at the last second is answered within seconds."""
_KEPT_SECONDS = 30 * 86400

UNANSWERED = "unanswered"
"""Stands for the outcome "": the process was stopped before it could answer, or is at it."""
CONFIRMED = ("confirmed",)
FAILED = ("receiver_failed", "no_receiver", "unavailable", "error", "misconfigured")
"""Ours to mend; WeChat sends again."""
APART = ("probe", "busy", UNANSWERED)
"""In no ratio: WeChat tests us with probes, `busy` is nobody's fault, and what is not answered yet is undecided."""
ACKNOWLEDGED = tuple(code for code, outcome in OUTCOMES.items() if outcome.acknowledged and code not in CONFIRMED)
REFUSED = tuple(code for code in OUTCOMES if code not in (*CONFIRMED, *ACKNOWLEDGED, *FAILED, *APART))
GROUPS = {"confirmed": CONFIRMED, "acknowledged": ACKNOWLEDGED, "refused": REFUSED, "failed": FAILED}
"""What the chart stacks: each name with its outcomes."""


@dataclass(frozen=True)
class Day:
    """One day of the site's time zone. What was processed again by hand is counted as what it came to then, too."""

    date: date
    counts: Mapping[str, int]
    """Outcome (or "unanswered") → how many rows, at most CAP; without those there are none of."""

    @cached_property
    def groups(self) -> dict[str, int]:
        """Name of each of the GROUPS → how many."""
        return {name: sum(self.of(codes).values()) for name, codes in GROUPS.items()}

    @property
    def total(self) -> int:
        """All that count: probes and their like do not."""
        return sum(self.groups.values())

    @property
    def is_capped(self) -> bool:
        """Whether there were more of an outcome than are counted."""
        return CAP in self.counts.values()

    def of(self, codes: Iterable[str]) -> dict[str, int]:
        """How many of each of these outcomes, without those there are none of; the most frequent first."""
        found = {code: self.counts[code] for code in codes if self.counts.get(code)}
        return dict(sorted(found.items(), key=lambda item: -item[1]))


class _Counted(Subquery):
    """How many rows a sliced query gives, as a column."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def today(now: datetime) -> Day:
    """The day so far; one statement."""
    return _count(_date(now))


def history(so_far: Day, now: datetime) -> tuple[Day, ...]:
    """The last DAYS days, the oldest first, with the one that is not over as it was counted before.

    One statement for each day that the cache does not have.
    """
    before = [so_far.date - timedelta(days=back) for back in range(DAYS - 1, 0, -1)]
    kept = _kept(before)
    days = [kept.get(day) or _count(day) for day in before]
    _keep(day for day in days if day.date not in kept and now >= _start(day.date + timedelta(days=1)) + SETTLED)
    return (*days, so_far)


def by_outcome(rows: QuerySet[NotificationLog], codes: Sequence[str], cap: int) -> dict[str, int]:
    """Outcome → how many of these rows, at most `cap`, without those there are none of. One statement."""
    columns = [_Counted(rows.filter(outcome=code).order_by().values("pk")[:cap]) for code in codes]
    # Beside the newest row, so that the statement needs no table without a name; an empty log has none.
    found: Any = NotificationLog.objects.order_by("-received_at", "-pk").values_list(*columns)[:1]
    counts = next(iter(found), (0,) * len(codes))
    return {code: number for code, number in zip(codes, counts, strict=True) if number}


def _count(day: date) -> Day:
    rows = NotificationLog.objects.filter(received_at__gte=_start(day), received_at__lt=_start(day + timedelta(days=1)))
    counts = by_outcome(rows, ("", *OUTCOMES), CAP)
    return Day(day, {code or UNANSWERED: number for code, number in counts.items()})


def _date(now: datetime) -> date:
    zone = timezone.get_default_timezone()
    return timezone.localtime(now, zone).date() if settings.USE_TZ else now.date()


def _start(day: date) -> datetime:
    midnight = datetime.combine(day, time.min)
    return timezone.make_aware(midnight, timezone.get_default_timezone()) if settings.USE_TZ else midnight


def _key(day: date) -> str:
    database = router.db_for_read(NotificationLog)
    return quote(f"wechatpay_notify:day:{database}:{timezone.get_default_timezone()}:{day}", safe=":")


def _kept(days: list[date]) -> dict[date, Day]:
    keys = {_key(day): day for day in days}
    try:
        found = cache.get_many(keys)
    except Exception as error:  # whatever the cache backend raises: then each day is counted anew
        warn("the cache failed; the days before are counted anew", error)
        return {}
    return {keys[key]: Day(keys[key], counts) for key, counts in found.items() if isinstance(counts, dict)}


def _keep(days: Iterable[Day]) -> None:
    try:
        cache.set_many({_key(day.date): dict(day.counts) for day in days}, timeout=_KEPT_SECONDS)
    except Exception as error:
        warn("the cache failed; the days before were not kept", error)
