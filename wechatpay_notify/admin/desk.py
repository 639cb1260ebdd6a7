"""The payment desk: one box that finds a payment by any number, and below it what needs a person.

Never lists orders as such, and never shows of a kind what its reader may not view.
"""

from contextvars import ContextVar
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from wechatpay_notify.models import Desk, Discrepancy, NotificationLog, Order, Refund, SignalDelivery

from . import search, todo
from .disclosure import openids_whole, shown_text
from .panels import Links
from .readonly import ReadOnlyAdmin, may_see_openids
from .remarks import commas
from .strip import strip

KINDS = (Order, Refund, Discrepancy, SignalDelivery, NotificationLog)
INDEXES = ("index", "app_list")
"""The pages of the admin that list the models, and say how much there is to do."""

_to_do: ContextVar[str] = ContextVar("what there is to do", default="")


class DeskAdmin(ReadOnlyAdmin):
    """Its list is the desk; it has no other page."""

    def get_urls(self) -> list[URLPattern | URLResolver]:  # type: ignore[override]
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.changelist_view), name=name)]

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """As ever; the admin asks just before it reads the name of the model, which says how much there is to do."""
        permissions = super().get_model_perms(request)
        here = request.resolver_match
        if permissions["view"] and here is not None and here.url_name in INDEXES:
            _to_do.set(self._amount(request))
        return permissions

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        with openids_whole(may_see_openids(request)):
            typed = request.GET.get("q", "").strip()
            return self._result(request, typed, extra_context) if typed else self._desk(request, extra_context)

    def _desk(self, request: HttpRequest, extra_context: Any) -> HttpResponse:
        links = Links(self.admin_site, request)
        context = strip(links) | {
            "title": _name(),
            "panels": todo.panels(links),
            "at_desk": True,
            "hidden": _hidden(links),
        }
        return self._rendered(request, context | (extra_context or {}))

    def _result(self, request: HttpRequest, typed: str, extra_context: Any) -> HttpResponse:
        links, found = Links(self.admin_site, request), search.find(typed)
        url = links.to(search.notification(typed)) or links.to(found.only_order())
        if url:
            return HttpResponseRedirect(url)
        panels = found.panels(links)
        shown = shown_text(typed[: search.MOST_TYPED])
        context = {
            "title": _("Found by %(number)s") % {"number": shown} if panels else _name(),
            "panels": panels,
            "typed": typed if shown == typed else "",
            "advice": [] if panels else search.advice(typed),
            "nothing": "" if panels else _("Nothing was found that has the number %(number)s.") % {"number": shown},
            "hidden": _hidden(links),
            "at_desk": True,
            "result": True,
        }
        return self._rendered(request, context | (extra_context or {}))

    def _rendered(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = self.admin_site.each_context(request) | {"opts": self.opts, "media": self.media} | context
        return TemplateResponse(request, "admin/wechatpay_notify/desk.html", context)

    def _amount(self, request: HttpRequest) -> str:
        """Counted once for a page, which lists the models twice."""
        known = getattr(request, "_wechatpay_to_do", None)
        if known is None:
            known = todo.amount(Links(self.admin_site, request))
            request._wechatpay_to_do = known  # type: ignore[attr-defined]
        return str(known)


class DeskLabel:
    """The name of the desk in the admin's lists: "Payment desk (3 to do)".

    Not one of Django's lazy texts: those would be evaluated for each comparison while a list is sorted. Reading it
    takes the count away, so that no other page, and no other reader, is shown it.
    """

    def __str__(self) -> str:
        amount = _to_do.get()
        if not amount:
            return _name()
        _to_do.set("")
        return _("%(desk)s (%(amount)s to do)") % {"desk": _name(), "amount": amount}


def _hidden(links: Links) -> str:
    """The kinds that this reader may not view, by name."""
    return commas(capfirst(str(model._meta.verbose_name_plural)) for model in KINDS if not links.may_view(model))


def _name() -> str:
    return capfirst(str(Desk._meta.verbose_name))


# Migrations read what the class was written with (`Meta.original_attrs`), not this.
Desk._meta.verbose_name_plural = DeskLabel()  # type: ignore[assignment]
