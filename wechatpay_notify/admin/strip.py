"""The health strip over the list of notifications: the verdict, a card for each figure, and the last 14 days.

Never shown to whoever may not view notifications, and never links what its reader may not view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from wechatpay_notify.health import chart, days, figures, genuine, keys, verdict
from wechatpay_notify.health.figures import Figures
from wechatpay_notify.models import Discrepancy, NotificationLog, Refund, SignalDelivery
from wechatpay_notify.outcomes import label

from .cells import Cell
from .disclosure import plain
from .panels import Links
from .remarks import commas

MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    title: str
    main: Cell
    """What is read first; its tone colours it."""
    lines: Sequence[Cell] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    verdict: Cell
    reasons: Sequence[str]
    cards: Sequence[Card]
    keys: Sequence[Card]
    chart: chart.Chart
    legend: Sequence[tuple[str, str]]
    """Group of the chart and its name."""


def strip(links: Links) -> dict[str, Any]:
    """The context of `admin/wechatpay_notify/strip.html`; without a strip for whoever may not view notifications."""
    if not links.may_view(NotificationLog):
        return {}
    measured = figures.measure()
    judged = verdict.judge(measured)
    well = judged.status == "ok"
    return {
        "strip": Strip(
            verdict=Cell(_("All is well") if well else _("Somebody has to look"), tone="good" if well else "bad"),
            reasons=[reason.text for reason in judged.reasons],
            cards=[
                _last(measured, links),
                _today(measured),
                _answers(measured),
                _deliveries(measured, links),
                _open(measured, links),
            ],
            keys=[_merchant(merchant, measured.at) for merchant in measured.merchants],
            chart=chart.draw(days.history(measured.today, measured.at)),
            legend=[
                ("confirmed", _("confirmed")),
                ("acknowledged", _("otherwise acknowledged")),
                ("refused", _("refused")),
                ("failed", _("failed")),
            ],
        )
    }


def ago(moment: datetime, now: datetime) -> str:
    """`3 minutes ago`, in the largest unit alone."""
    if (now - moment).total_seconds() < MINUTE:
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(moment, now, depth=1)}


def _last(measured: Figures, links: Links) -> Card:
    title, last = _("Last genuine notification"), measured.last
    if last is None:
        return Card(title=title, main=Cell(_("none yet"), tone="quiet"))
    url = links.to(NotificationLog(pk=last.pk))
    event = plain(f"{last.api_version} {last.event_type}".strip())
    return Card(
        title=title,
        main=Cell(ago(last.received_at, measured.at), url),
        lines=[Cell(text) for text in (event, plain(last.out_trade_no)) if text],
    )


def _today(measured: Figures) -> Card:
    today, groups = measured.today, measured.today.groups
    confirmed = _("%(count)s confirmed") % {"count": _number(groups["confirmed"], days.CAP)}
    lines = [Cell(_("%(count)s otherwise acknowledged") % {"count": _number(groups["acknowledged"], days.CAP)})]
    lines += _causes(_("%(count)s refused"), groups["refused"], today.of(days.REFUSED), "warn")
    lines += _causes(_("%(count)s failed"), groups["failed"], today.of(days.FAILED), "bad")
    apart = today.of(days.APART)
    lines += [Cell(_codes(apart), tone="quiet")] if apart else []
    if measured.not_stored:
        flood = _("Flood: %(count)d this minute, %(over)d not stored")
        lines.append(Cell(flood % {"count": measured.unproven, "over": measured.not_stored}, tone="warn"))
    return Card(title=_("Today"), main=Cell(confirmed), lines=lines)


def _causes(text: str, count: int, causes: dict[str, int], tone: str) -> Iterable[Cell]:
    yield Cell(text % {"count": _number(count, days.CAP)}, tone=tone if count else "")
    if causes:
        yield Cell(_codes(causes))


def _codes(causes: dict[str, int]) -> str:
    """Outcomes as they are everywhere, with their counts."""
    return commas(f"{label(code)}: {_number(count, days.CAP)}" for code, count in causes.items())


def _answers(measured: Figures) -> Card:
    title = _("Answer time")
    if measured.p95_ms is None:
        return Card(title=title, main=Cell(_("none in the last day"), tone="quiet"))
    slow, too_slow = measured.p95_ms > verdict.SLOW_MS, measured.p95_ms > verdict.TOO_SLOW_MS
    note = _("95 %% of the newest %(count)d are not slower; WeChat waits 5000 ms") % {"count": measured.timed}
    tone = "bad" if too_slow else "warn" if slow else "good"
    return Card(title=title, main=Cell(f"{measured.p95_ms} ms", tone=tone), lines=[Cell(note)])


def _deliveries(measured: Figures, links: Links) -> Card:
    overdue = measured.overdue_seconds
    lines = []
    if overdue is not None:
        tone = "bad" if overdue > verdict.MOST_OVERDUE else ""
        waits = timesince(measured.at - timedelta(seconds=overdue), measured.at, depth=1)
        lines.append(Cell(_("the oldest for %(time)s") % {"time": waits}, tone=tone))
    gave_up = _("%(count)s given up") % {"count": _number(measured.gave_up, figures.MOST_COUNTED)}
    lines.append(
        Cell(gave_up, _listed(links, SignalDelivery, status__exact="gave_up"), tone="bad" if measured.gave_up else "")
    )
    due = _("%(count)s due") % {"count": _number(measured.due, figures.MOST_COUNTED)}
    pending = _listed(links, SignalDelivery, status__exact="pending") if measured.due else ""
    return Card(title=_("Deliveries to receivers"), main=Cell(due, pending), lines=lines)


def _open(measured: Figures, links: Links) -> Card:
    count, refunds = measured.open_discrepancies, measured.abnormal_refunds
    open_ones = ngettext("%(count)s open discrepancy", "%(count)s open discrepancies", count)
    open_ones %= {"count": _number(count, figures.MOST_COUNTED)}
    abnormal = ngettext("%(count)s abnormal refund", "%(count)s abnormal refunds", refunds)
    abnormal %= {"count": _number(refunds, figures.MOST_COUNTED)}
    return Card(
        title=_("Money to look at"),
        main=Cell(open_ones, _listed(links, Discrepancy, state="open"), tone="bad" if count else ""),
        lines=[Cell(abnormal, _listed(links, Refund, status__exact="ABNORMAL"), tone="bad" if refunds else "")],
    )


def _merchant(merchant: keys.MerchantKeys, now: datetime) -> Card:
    if merchant.provider_failed:
        return Card(title=plain(merchant.alias), main=Cell(_("your provider of merchants raised"), tone="bad"))
    lines = [Cell(_("%(name)s: see manage.py check") % {"name": name}, tone="bad") for name in merchant.faults]
    for key in merchant.platform_keys:
        lines += [Cell(plain(key.serial)), Cell(_used(key.used_at, now), tone="good" if key.used_at else "quiet")]
        if key.days_left is not None:
            lines.append(Cell(*_expiry(key.days_left)))
    if merchant.api_v2_keys:
        text = _("API v2 keys: %(count)d") % {"count": merchant.api_v2_keys}
        tone = "good" if merchant.v2_used_at else "quiet"
        lines += [Cell(text), Cell(_used(merchant.v2_used_at, now), tone=tone)]
    main = _("APIv3 keys: %(count)d") % {"count": merchant.api_v3_keys}
    return Card(title=plain(merchant.alias), main=Cell(main), lines=lines)


def _used(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return _("not among the newest %(count)d") % {"count": genuine.MOST}
    return _("used %(time)s") % {"time": ago(moment, now)}


def _expiry(left: int) -> tuple[str, str, str]:
    """Text, link (none) and tone."""
    if left < 0:
        return _("expired"), "", "bad"
    tone = "bad" if left <= verdict.MOST_DAYS_LEFT else "warn" if left <= keys.SOON else "good"
    return _("expires in %(days)d days") % {"days": left}, "", tone


def _number(count: int, cap: int) -> str:
    return f"{count}+" if count >= cap else str(count)


def _listed(links: Links, model: type[Model], **query: str) -> str:
    """The list of these rows, if this user may view it."""
    return links.listed(model, **query) if links.may_view(model) else ""
