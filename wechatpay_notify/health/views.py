"""The figures for monitoring, as JSON: 200 when all is well, 503 when somebody has to look.

Never says anything to whoever may not view notifications, and never names an order or a payer; of keys serials only.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.utils import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views import View

from wechatpay_notify.conf import conf
from wechatpay_notify.log import warn

from .days import ACKNOWLEDGED, APART, FAILED, REFUSED
from .figures import Figures, measure
from .keys import MerchantKeys
from .verdict import Verdict, judge

PERMISSION = "wechatpay_notify.view_notificationlog"
SCHEME = "bearer"


class HealthView(View):
    """GET → the figures and the verdict, for staff who may view notifications and for the bearer of HEALTH_TOKEN."""

    http_method_names = ["get", "head"]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponse]:
        view: Any = super().as_view(**initkwargs)
        view.login_required = False  # for LoginRequiredMiddleware, which would send a monitor to a form
        # Under ATOMIC_REQUESTS a database that is down would be a 500 before the view could say so.
        for alias in settings.DATABASES:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view  # type: ignore[no-any-return]

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            answer = _refused(request)
            if answer is None:
                figures = measure()
                verdict = judge(figures)
                answer = JsonResponse(_said(figures, verdict), status=200 if verdict.status == "ok" else 503)
        except DatabaseFailure as error:
            warn("the database failed; the health view has no figures", error)
            answer = JsonResponse({"status": "unavailable"}, status=503)
        answer["Cache-Control"] = "no-store"
        return answer


def _refused(request: HttpRequest) -> HttpResponse | None:
    if _bears_token(request):
        return None
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return JsonResponse({"status": "unauthorized"}, status=401, headers={"WWW-Authenticate": "Bearer"})
    if user.is_active and user.is_staff and user.has_perm(PERMISSION):
        return None
    return JsonResponse({"status": "forbidden"}, status=403)


def _bears_token(request: HttpRequest) -> bool:
    token = conf.health_token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == SCHEME and constant_time_compare(given.strip(), token)


def _said(figures: Figures, verdict: Verdict) -> dict[str, Any]:
    today = figures.today
    return {
        "status": verdict.status,
        "reasons": [{"code": reason.code, "text": reason.text} for reason in verdict.reasons],
        "at": figures.at.isoformat(),
        "last_genuine_at": figures.last and figures.last.received_at.isoformat(),
        "last_genuine_seconds": figures.since_last,
        "today": {
            "date": today.date.isoformat(),
            "confirmed": today.groups["confirmed"],
            "acknowledged": today.of(ACKNOWLEDGED),
            "refused": today.of(REFUSED),
            "failed": today.of(FAILED),
            "apart": today.of(APART),
            "capped": today.is_capped,
        },
        "answers": {"p95_ms": figures.p95_ms, "timed": figures.timed},
        "deliveries": {
            "due": figures.due,
            "overdue_seconds": figures.overdue_seconds,
            "gave_up": figures.gave_up,
        },
        "open_discrepancies": figures.open_discrepancies,
        "abnormal_refunds": figures.abnormal_refunds,
        "unproven_this_minute": figures.unproven,
        "not_stored_this_minute": figures.not_stored,
        "merchants": [_merchant(merchant) for merchant in figures.merchants],
    }


def _merchant(merchant: MerchantKeys) -> dict[str, Any]:
    return {
        "alias": merchant.alias,
        "api_v3_keys": merchant.api_v3_keys,
        "api_v2_keys": merchant.api_v2_keys,
        "v2_used_at": merchant.v2_used_at and merchant.v2_used_at.isoformat(),
        "platform_keys": [
            {
                "serial": key.serial,
                "used_at": key.used_at and key.used_at.isoformat(),
                "days_left": key.days_left,
            }
            for key in merchant.platform_keys
        ],
        "faults": list(merchant.faults),
        "provider_failed": merchant.provider_failed,
    }
