"""The verdict: whether somebody has to look, and why; one table of rules.

Never alarms because nothing came: a shop that sleeps is healthy, and only the shop knows when it sleeps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.outcomes import label

from .days import FAILED
from .figures import Figures

MOST_OVERDUE = 15 * 60
"""Seconds; the worker's first waits are shorter, and so are WeChat's first four."""
SLOW_MS, TOO_SLOW_MS = 2000, 4000
"""WeChat hangs up after 5 seconds (protocol, section 1)."""
LEAST_FAILED, MOST_FAILED_SHARE = 3, 0.05
"""So many failed today, and such a share of all: one that failed and came again is no alarm."""
MOST_DAYS_LEFT = 7
"""Days until a certificate expires; the system checks warn from 30 on."""

Found = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody has to look: a code that stays, and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Literal["ok", "attention"]
    reasons: tuple[Reason, ...]


def judge(figures: Figures) -> Verdict:
    """Whether somebody has to look; the sentences are in the language that is active."""
    found = ((code, text, find(figures)) for code, (find, text) in RULES.items())
    reasons = tuple(Reason(code, str(text) % values) for code, text, values in found if values)
    return Verdict("attention" if reasons else "ok", reasons)


def _misconfigured(figures: Figures) -> Found:
    return _some(figures.today.counts.get("misconfigured", 0))


def _faults(figures: Figures) -> Found:
    return _names(
        f"{merchant.alias}: {', '.join(merchant.faults)}" for merchant in figures.merchants if merchant.faults
    )


def _provider(figures: Figures) -> Found:
    return _names(merchant.alias for merchant in figures.merchants if merchant.provider_failed)


def _failed(figures: Figures) -> Found:
    groups = figures.today.groups
    failed = groups["failed"]
    total = failed + groups["confirmed"] + groups["acknowledged"]  # anybody may send what is refused
    if failed < LEAST_FAILED or failed <= total * MOST_FAILED_SHARE:
        return None
    causes = ", ".join(map(label, figures.today.of(FAILED)))
    return {"count": failed, "total": total, "causes": causes}


def _gave_up(figures: Figures) -> Found:
    return _some(figures.gave_up)


def _overdue(figures: Figures) -> Found:
    seconds = figures.overdue_seconds or 0
    return {"minutes": seconds // 60} if seconds > MOST_OVERDUE else None


def _slow(figures: Figures) -> Found:
    return {"milliseconds": figures.p95_ms} if (figures.p95_ms or 0) > TOO_SLOW_MS else None


def _expired(figures: Figures) -> Found:
    return _names(serial for merchant in figures.merchants for serial in merchant.expired)


def _expiring(figures: Figures) -> Found:
    return _names(serial for merchant in figures.merchants for serial in merchant.expiring(MOST_DAYS_LEFT))


def _discrepancies(figures: Figures) -> Found:
    return _some(figures.open_discrepancies)


def _abnormal(figures: Figures) -> Found:
    return _some(figures.abnormal_refunds)


def _some(count: int) -> Found:
    return {"count": count} if count else None


def _names(names: Any) -> Found:
    found = "; ".join(names)
    return {"names": found} if found else None


RULES: dict[str, tuple[Callable[[Figures], Found], str | Promise]] = {
    "misconfigured": (
        _misconfigured,
        _("Requests that could not be taken today because a setting is wrong: %(count)d."),
    ),
    "faults": (_faults, _("Something is wrong with a merchant's keys (manage.py check says what): %(names)s.")),
    "provider_failed": (_provider, _("Your provider of merchants raised for: %(names)s.")),
    "failed": (_failed, _("%(count)d of %(total)d notifications failed today: %(causes)s.")),
    "gave_up": (_gave_up, _("Deliveries that were given up because a receiver failed: %(count)d.")),
    "overdue": (_overdue, _("The oldest delivery that is due waits for %(minutes)d minutes: does the worker run?")),
    "slow": (_slow, _("95 %% of the answers took up to %(milliseconds)d ms; WeChat hangs up after 5000.")),
    "key_expired": (_expired, _("A certificate has expired, and no other key is there: %(names)s.")),
    "key_expires": (_expiring, _("A certificate expires within a week: %(names)s.")),
    "discrepancies": (_discrepancies, _("Discrepancies that are open: %(count)d.")),
    "abnormal_refunds": (_abnormal, _("Refunds that the bank did not take (abnormal): %(count)d.")),
}
"""Code → what finds it in the figures (None: all is well), and the sentence for it."""
