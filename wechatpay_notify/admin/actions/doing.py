"""Doing: the part of a ModelAdmin that offers deeds, asks for a confirmation and goes through them batch by batch.

Never does anything on GET, without the deed's own permission, or for rows that this admin does not show.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin, messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wechatpay_notify import history
from wechatpay_notify.admin.cells import Cell, Panel
from wechatpay_notify.admin.disclosure import disarmed, plain
from wechatpay_notify.admin.panels import Links
from wechatpay_notify.models import Order

from .deed import MOST_AT_ONCE, MOST_REASON, Deed, Errand, TooMany

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

BATCH_ROWS = 50
BATCH_SECONDS = 2.0
"""A page comes back after so much; a receiver that was begun is waited for, however long it takes."""
MOST_LINKED = 50
MOST_BACK = 4
_WHY = gettext_lazy("Please say why: the reason is kept in the history.")


def as_actions(*deeds: Deed) -> list[Callable[..., Any]]:
    """These deeds as `actions` of a ModelAdmin."""
    return [_as_action(deed) for deed in deeds]


def _as_action(deed: Deed) -> Callable[..., Any]:
    @admin.action(description=deed.label, permissions=[deed.permission])
    def action(model_admin: "Doing", request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return model_admin.confirm(request, deed, queryset)

    action.__name__ = deed.action
    return action


def _permission(codename: str) -> Callable[[Any, HttpRequest], bool]:
    """A `has_<something>_permission` of a ModelAdmin; `%s` stands for its model's name."""

    def has_permission(self: Any, request: HttpRequest) -> bool:
        name = codename.replace("%s", self.opts.model_name)
        return request.user.has_perm(f"wechatpay_notify.{name}")

    return has_permission


class Doing(_ModelAdmin):
    """`deeds` are offered on a row's page (those that fit it), `list_deeds` above the list; see `as_actions` too."""

    deeds: Sequence[Deed] = ()
    list_deeds: Sequence[Deed] = ()

    has_deliver_permission = _permission("deliver_signaldelivery")
    has_force_permission = _permission("force_signaldelivery")
    has_process_permission = _permission("process_notificationlog")
    has_reverify_permission = _permission("reverify_notificationlog")
    has_resolve_permission = _permission("resolve_discrepancy")
    has_export_permission = _permission("export_%s")

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view(self.deed_view)
        # Each receiver runs in a transaction of its own, which ATOMIC_REQUESTS would swallow: cover every alias.
        for alias in settings.DATABASES:
            view = transaction.non_atomic_requests(using=alias)(view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_deed"
        return [path("deeds/<slug:name>/", view, name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Django would pass over what this user may not do, and answer as if nothing had been asked.
        asked = request.POST.getlist("action")
        if any(deed.action in asked and not self._may(request, deed) for deed in (*self.deeds, *self.list_deeds)):
            raise PermissionDenied
        offered = [Cell(deed.label, self._url(deed)) for deed in self.list_deeds if self._may(request, deed)]
        return super().changelist_view(request, {"wechatpay_list_deeds": offered} | (extra_context or {}))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = context.get("original")
        if row is not None:
            context["wechatpay_deeds"] = [
                Cell(deed.label, f"{self._url(deed)}?pk={row.pk}")
                for deed in self.deeds
                if self._may(request, deed) and deed.offered(row)
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def deed_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """GET: the confirmation of a deed for the rows `pk` names. POST: the deed, or its next batch."""
        deed = next((deed for deed in (*self.deeds, *self.list_deeds) if deed.name == name), None)
        if deed is None:
            raise Http404
        if not (self.has_view_permission(request) and self._may(request, deed)):
            raise PermissionDenied
        if request.method == "POST":
            return self._go_on(request, deed)
        return self.ask(request, deed)

    def ask(self, request: HttpRequest, deed: Deed) -> HttpResponse:
        """The page that a link to a deed leads to: its question if it has one, else the confirmation."""
        form = deed.question(request)
        if form is not None and not form.is_valid():
            return self._page(request, deed, "question.html", {"form": form})
        try:
            pks = _pks(request) if form is None else deed.found(form)
        except TooMany as too_many:
            form.add_error(None, str(too_many))  # type: ignore[union-attr]
            return self._page(request, deed, "question.html", {"form": form})
        rows = self.get_queryset(request).filter(pk__in=pks)
        which = "" if form is None else deed.which(form)
        return self.confirm(request, deed, rows, which=which) or HttpResponseRedirect(self._list())

    def confirm(
        self, request: HttpRequest, deed: Deed, rows: QuerySet[Any], error: str = "", which: str = ""
    ) -> HttpResponse | None:
        """The confirmation page for these rows; None, with a message to the user, when they are too many."""
        try:
            chosen = deed.chosen(rows)
        except TooMany as too_many:
            self.message_user(request, str(too_many), messages.ERROR)
            return None
        plan = deed.plan(chosen, Links(self.admin_site, request))
        errand = Errand(
            deed=deed.name,
            place=self._place(),
            user=_user(request),
            by=request.user.get_username(),
            chosen=chosen,
            pks=plan.pks,
            total=len(plan.pks),
            which=which,
        )
        context = {"errand": errand, "plan": plan, "panels": plan.panels, "error": error, "most_reason": MOST_REASON}
        return self._page(request, deed, "confirm.html", context)

    def _place(self) -> str:
        return f"{self.admin_site.name}:{self.opts.label_lower}"

    def _go_on(self, request: HttpRequest, deed: Deed) -> HttpResponseBase:
        try:
            sealed = request.POST.get("errand", "")
            errand = Errand.opened(sealed, deed=deed.name, place=self._place(), user=_user(request))
        except signing.BadSignature:
            told = _("This page is not valid any more. Nothing was done: please select and confirm again.")
            self.message_user(request, told, messages.ERROR)
            return HttpResponseRedirect(self._list())
        if not errand.tally:
            errand.reason = " ".join(request.POST.get("reason", "").split())[:MOST_REASON]
            if deed.needs_reason and not errand.reason:
                rows = self.get_queryset(request).filter(pk__in=errand.chosen)
                again = self.confirm(request, deed, rows, str(_WHY), errand.which)
                return again or HttpResponseRedirect(self._list())
            made = deed.download(request, errand)
            if made is not None:
                return made
            errand.chosen = errand.chosen if len(errand.chosen) == 1 else []  # which the result leads back to
        errand.run(deed, rows=BATCH_ROWS, seconds=BATCH_SECONDS)
        return self._page(request, deed, "progress.html", self._progress(request, deed, errand))

    def _progress(self, request: HttpRequest, deed: Deed, errand: Errand) -> dict[str, Any]:
        links = Links(self.admin_site, request)
        model = deed.looks_at or self.model
        failed = model._default_manager.prefetch_related(*deed.read_with).in_bulk(errand.failed[-MOST_LINKED:])
        told = [(links.to(row), *deed.failure(disarmed(row))) for _pk, row in sorted(failed.items())]
        passed_over = sum(count for code, count in errand.tally.items() if code in deed.passed_over)
        return {
            "errand": errand,
            "ended": [(deed.word(code), count) for code, count in errand.tally.items()],
            "so_far": errand.total - len(errand.pks),
            "succeeded": sum(errand.tally.values()) - passed_over - len(errand.failed),
            "failed": Panel(
                title=_("Look at these"),
                note=_("They did not succeed. What went wrong stands beside each, and on its own page in full."),
                columns=[_("which one"), _("what went wrong")],
                rows=[[Cell(name, url), Cell(error)] for url, name, error in told],
            ),
            "more_failed": max(0, len(errand.failed) - MOST_LINKED),
            "back": [] if errand.pks else self._back(errand, links),
        }

    def _back(self, errand: Errand, links: Links) -> list[Cell]:
        """The one row that it was asked for, and its orders."""
        row = self.model._default_manager.filter(pk__in=errand.chosen).first()
        rows = [] if row is None else [row] if isinstance(row, Order) else history.about(row)[:MOST_BACK]
        cells = [Cell(_("Back to %(row)s") % {"row": plain(history.named(row))}, links.to(row)) for row in rows]
        return [cell for cell in cells if cell.url]

    def _page(self, request: HttpRequest, deed: Deed, template: str, context: dict[str, Any]) -> HttpResponse:
        common = {
            **self.admin_site.each_context(request),
            "title": capfirst(deed.label),
            "opts": self.opts,
            "media": self.media,
            "deed": deed,
            "deed_url": self._url(deed),
            "list_url": self._list(),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/wechatpay_notify/{template}", common | context)

    def _may(self, request: HttpRequest, deed: Deed) -> bool:
        return bool(getattr(self, f"has_{deed.permission}_permission")(request))

    def _url(self, deed: Deed) -> str:
        return self._reverse("deed", deed.name)

    def _list(self) -> str:
        return self._reverse("changelist")

    def _reverse(self, page: str, *args: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def _pks(request: HttpRequest) -> list[int]:
    """Of the rows that a link names; not more digits than a primary key has."""
    return [
        int(pk) for pk in request.GET.getlist("pk")[:MOST_AT_ONCE] if pk.isascii() and pk.isdecimal() and len(pk) < 19
    ]


def _user(request: HttpRequest) -> int:
    """Primary key of who asks, who has a permission and so is somebody."""
    return int(request.user.pk or 0)
