"""ReadOnlyAdmin: a ModelAdmin for evidence: it is listed, searched by exact number and read.

Never adds, changes or deletes, whoever asks; never counts, sorts or scans more than an index gives.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise, cached_property

from .actions.doing import Doing
from .cells import Panel
from .disclosure import disarmed, moment, openids_whole
from .panels import Links

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST_COUNTED = 10_001
"""Rows that a list counts: counting five million takes seconds, and nobody turns that many pages."""


class CappedPaginator(_Paginator):
    """Finds the keys of a page along an index, then fetches these rows alone, not all those before them too."""

    branches: Sequence[Q] = ()
    """Parts of the rows that each follow the order of an index, as all of them together do not."""

    @cached_property
    def count(self) -> int:
        return self._keys(MOST_COUNTED)[:MOST_COUNTED].count()

    def page(self, number: Any) -> Any:
        page = super().page(number)
        rows = cast("QuerySet[Any]", self.object_list)
        if self.count:
            first, last = page.start_index() - 1, page.end_index()
            page.object_list = rows.filter(
                pk__in=[key[-1] for key in self._keys(last, *rows.query.order_by)[first:last]]
            )
        return page

    def _keys(self, most: int, *ordering: Any) -> QuerySet[Any]:
        rows = cast("QuerySet[Any]", self.object_list).order_by(*ordering)
        columns = [name.removeprefix("-") for name in ordering]
        parts = [rows.filter(branch).values_list(*columns, "pk") for branch in self.branches or [Q()]]
        if len(parts) == 1:
            return parts[0]
        if connections[rows.db].features.supports_slicing_ordering_in_compound:
            parts = [part[:most] for part in parts]  # PostgreSQL merges only parts that are in order by themselves
        else:
            parts = [part.order_by() for part in parts]
        return parts[0].union(*parts[1:], all=True).order_by(*ordering)


class EvidenceList(ChangeList):
    """A list whose heavy columns stay in the database and whose texts are disarmed before they are shown."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        heavy = cast("ReadOnlyAdmin", self.model_admin).heavy_fields
        return super().get_queryset(*args, **kwargs).defer(*heavy)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = [disarmed(row) for row in self.result_list]

    def get_ordering_field(self, field_name: Any) -> None:
        """No column sorts the list: few have an index to sort by."""


class ReadOnlyAdmin(Doing):
    """Base of this app's admin classes; put a theme's ModelAdmin after it: `class Mine(OrderAdmin, ThemeAdmin)`.

    `heavy_fields` are not loaded for the list.
    """

    heavy_fields: Sequence[str] = ()
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator

    class Media:
        css = {"all": ["wechatpay_notify/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EvidenceList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # Any other query parameter would ask columns without an index, or guess a masked openid letter by letter.
        names = {getattr(item, "parameter_name", item) for item in self.get_list_filter(request)}
        return lookup in names or lookup.removesuffix("__exact") in names

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows of one number, taken as a whole and exactly."""
        number = search_term.strip()
        return (queryset.filter(self.search_condition(number)) if number else queryset), False

    def search_condition(self, number: str) -> Q:
        """What a row fulfils that this number finds; only with indexes."""
        return any_of(self.search_fields, number)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        with openids_whole(may_see_openids(request)):
            return super().changelist_view(request, extra_context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with openids_whole(may_see_openids(request)):
            return super().changeform_view(request, *args, **kwargs)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        return row and disarmed(row)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = context.get("original")
        if row is not None:
            links = Links(self.admin_site, request)
            context["panels"] = [panel for panel in self.panels(row, links) if panel is not None]
            context["subtitle"] = self.heading(row)
            context["story"] = self.story(row, links)
        return super().render_change_form(request, context, *args, **kwargs)

    def heading(self, row: Any) -> str:
        """The row's name in the title of its page."""
        return str(row)

    def story(self, row: Any, links: Links) -> Any:
        """What the page says first, and tells of in its order; a `timeline.Story`, or None."""
        return None

    def panels(self, row: Any, links: Links) -> list[Panel | None]:
        """What the page shows below the fields; None for what this user may not see."""
        return []


def may_see_openids(request: HttpRequest) -> bool:
    """Whether this page shows them whole. Not one that a POST answers; a CSV file asks for the permission itself."""
    return request.method == "GET" and request.user.has_perm("wechatpay_notify.view_openid")


def any_of(lookups: Sequence[Any], value: str) -> Q:
    """Whether one of these lookups fits."""
    condition = Q()
    for lookup in lookups:
        condition |= Q(**{lookup: value})
    return condition


def shown(
    model: type[Model], name: str, show: Callable[[Any], Any], label: str | Promise = ""
) -> Callable[[Any, Any], Any]:
    """A method of a ModelAdmin that shows this column through `show(row)`, under the column's own label or another.

    It needs another name than the column, which Django would show instead.
    """

    @admin.display(description=label or model._meta.get_field(name).verbose_name)  # type: ignore[arg-type, union-attr]
    def method(self: Any, row: Any) -> Any:
        return show(row) or self.get_empty_value_display()

    return method


def shown_moment(model: type[Model], name: str) -> Callable[[Any, Any], Any]:
    return shown(model, name, lambda row: moment(getattr(row, name)))
