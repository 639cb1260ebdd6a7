"""What staff may have done from the admin: asked for on one page, confirmed on the next, told in the history."""

import html
import re
from datetime import timedelta

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import path, reverse
from django.utils import timezone

import tests.urls
from tests.settings import PLATFORM
from tests.test_admin import (
    FAILING,
    HOSTILE,
    MASKED,
    MODELS,
    NOTIFY,
    PAID,
    SHORT,
    UNKNOWN,
    fill,
    log,
    page_of,
    text_of,
    url,
)
from wechatpay_notify.admin import NotificationLogAdmin, OrderAdmin, SignalDeliveryAdmin
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

DEEDS = [
    (SignalDelivery, "deliver", "deliver_signaldelivery"),
    (SignalDelivery, "force", "force_signaldelivery"),
    (Order, "deliver", "deliver_signaldelivery"),
    (NotificationLog, "process", "process_notificationlog"),
    (NotificationLog, "reverify", "reverify_notificationlog"),
    (NotificationLog, "fixture", "export_notificationlog"),
    (Discrepancy, "resolve", "resolve_discrepancy"),
    *((model, "export", f"export_{model._meta.model_name}") for model in MODELS),
]
IN_LISTS = [row for row in DEEDS if row[1] not in ("reverify", "fixture")]


@pytest.fixture
def filled(client, shipped, unexpected):
    fill(client, shipped)


@pytest.fixture
def staff(django_user_model):
    """A client, which minds CSRF or not, of a member of staff with these permissions and no others."""

    def make(*codenames, **client):
        user = django_user_model.objects.create_user("li.na", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        made = Client(**client)
        made.force_login(user)
        return made

    return make


UNKNOWN_TO_ALL = "SHOP-1007"
"""An order that was never paid."""


def deed_url(model, name):
    return url(model, "deed", name)


def select(client, model, name, *rows, **more):
    """Choose an action for these rows in their list; the answer."""
    chosen = {"action": f"wechatpay_{name}", "_selected_action": [row.pk for row in rows], "index": "0"}
    return client.post(url(model, "changelist"), chosen | more)


def errand_of(response):
    """What a confirmation or progress page would send on."""
    return html.unescape(re.search(r'name="errand" value="([^"]*)"', response.content.decode())[1])


def send(client, model, name, page, **more):
    """Press the button of a confirmation or progress page."""
    return client.post(deed_url(model, name), {"errand": errand_of(page), **more})


def do(client, model, name, *rows, **more):
    """Select, confirm and come to the result."""
    page = select(client, model, name, *rows)
    assert page.status_code == 200
    return send(client, model, name, page, **more)


def said(response):
    """What a page says, and which messages it shows."""
    return text_of(response.content.decode())


def told(client, response):
    """The page that an answer leads to, with its messages."""
    assert response.status_code == 302
    return said(client.get(response["Location"]))


def history(row):
    return [
        (entry.user.get_username(), entry.get_change_message())
        for entry in LogEntry.objects.filter(
            object_id=str(row.pk), content_type__app_label="wechatpay_notify", content_type__model=row._meta.model_name
        )
    ]


def state_of_everything():
    return [list(model.objects.order_by("pk").values()) for model in MODELS], LogEntry.objects.count()


def failing():
    return SignalDelivery.objects.get(order__out_trade_no=FAILING)


def done():
    return SignalDelivery.objects.get(order__out_trade_no=PAID)


# Who may do what


@pytest.mark.parametrize("model", MODELS)
def test_who_may_only_view_has_no_checkbox_and_no_button(filled, staff, model):
    client = staff(f"view_{model._meta.model_name}")
    pages = [page_of(client, row) for row in model.objects.all()]
    pages.append(client.get(url(model, "changelist")).content.decode())
    for page in pages:
        for control in ('type="checkbox"', 'name="action"', "/deeds/", "wechatpay-deeds"):
            assert control not in page


@pytest.mark.parametrize(("model", "name", "codename"), DEEDS)
@pytest.mark.parametrize("lacks", ["the permission", "the view"])
def test_a_deed_is_refused_without_its_own_permission_or_without_the_view(filled, staff, model, name, codename, lacks):
    ours = Permission.objects.filter(content_type__app_label="wechatpay_notify")
    view = {f"{verb}_{model._meta.model_name}" for verb in ("view", "change")}  # Django takes either for the view
    lacking = {codename} if lacks == "the permission" else view
    client = staff(*set(ours.values_list("codename", flat=True)) - lacking)
    row, before = model.objects.first(), state_of_everything()
    assert client.get(deed_url(model, name), {"pk": row.pk}).status_code == 403
    assert client.post(deed_url(model, name), {"errand": "x", "reason": "y"}).status_code == 403
    assert select(client, model, name, row).status_code == 403
    assert state_of_everything() == before


@pytest.mark.parametrize(("model", "name", "codename"), DEEDS)
def test_a_deeds_own_permission_and_the_view_are_enough(filled, staff, model, name, codename):
    client = staff(codename, f"view_{model._meta.model_name}")
    row = log(out_trade_no=PAID) if model is NotificationLog else model.objects.first()
    assert client.get(deed_url(model, name), {"pk": row.pk}).status_code == 200
    listing = client.get(url(model, "changelist")).content.decode()
    if (model, name, codename) in IN_LISTS:
        assert f'value="wechatpay_{name}"' in listing
        assert select(client, model, name, row).status_code == 200
    assert (deed_url(model, name) in listing) is (name == "reverify")


@pytest.mark.parametrize(("model", "name", "codename"), IN_LISTS)
def test_looking_at_a_confirmation_changes_nothing(admin_client, filled, model, name, codename):
    before = state_of_everything()
    admin_client.get(deed_url(model, name), {"pk": [row.pk for row in model.objects.all()]})
    select(admin_client, model, name, *model.objects.all())
    assert state_of_everything() == before


@pytest.mark.parametrize(("model", "name", "codename"), DEEDS)
def test_a_deed_minds_csrf(filled, staff, model, name, codename):
    client = staff(codename, f"view_{model._meta.model_name}", enforce_csrf_checks=True)
    row, before = log(out_trade_no=PAID) if model is NotificationLog else model.objects.first(), state_of_everything()
    query = {"since": "2020-01-01T00:00"} if name == "reverify" else {"pk": row.pk}
    page = client.get(deed_url(model, name), query)
    assert send(client, model, name, page, reason="because").status_code == 403
    assert state_of_everything() == before
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())[1]
    assert send(client, model, name, page, reason="because", csrfmiddlewaretoken=token).status_code == 200


@pytest.mark.parametrize("errand", ["", "x", "W10:1x:y"])
def test_only_a_confirmation_page_can_be_sent(admin_client, filled, shipped, errand):
    calls = len(shipped.calls)
    answer = admin_client.post(deed_url(SignalDelivery, "deliver"), {"errand": errand})
    assert "This page is not valid any more" in told(admin_client, answer)
    assert len(shipped.calls) == calls


def test_a_confirmation_is_good_for_its_own_deed_and_user_alone(admin_client, filled, staff, shipped):
    page, calls = select(admin_client, SignalDelivery, "deliver", failing()), len(shipped.calls)
    assert send(admin_client, SignalDelivery, "force", page, reason="x").status_code == 302
    other = staff("deliver_signaldelivery", "view_signaldelivery")
    assert send(other, SignalDelivery, "deliver", page).status_code == 302
    assert len(shipped.calls) == calls


def test_an_unknown_deed_is_not_found(admin_client):
    assert admin_client.get(deed_url(Order, "delete")).status_code == 404


@pytest.mark.parametrize("pk", ["9" * 18, "9" * 30, "x", "", "-1", "\u0661"])
def test_a_link_to_no_row_has_nothing_to_do(admin_client, filled, pk):
    assert "There is nothing to do." in said(admin_client.get(deed_url(NotificationLog, "process"), {"pk": pk}))


# Deliver again


def test_what_failed_is_delivered_again(admin_client, filled, shipped):
    row = failing()
    page = said(select(admin_client, SignalDelivery, "deliver", *SignalDelivery.objects.all()))
    assert "1 delivery, 1 order." in page or "deliveries" in page
    assert "These receivers will run: " in page
    assert "shop.ship payment_confirmed 1" in page
    assert "it is done already" in page
    result = said(do(admin_client, SignalDelivery, "deliver", row, reason="warehouse mended"))
    assert "Done: 1 of 1 succeeded." in result
    assert "done 1" in result
    assert shipped.calls[-1]["order"].out_trade_no == FAILING
    row.refresh_from_db()
    assert row.status == "done"
    entry = ("admin", "Deliver again what failed: done. warehouse mended")
    assert history(row) == history(row.order) == [entry]


def test_an_order_has_what_failed_of_it_delivered_again(admin_client, filled, shipped):
    order = Order.objects.get(out_trade_no=FAILING)
    link = f"{deed_url(Order, 'deliver')}?pk={order.pk}"
    assert link in page_of(admin_client, order)
    page = admin_client.get(link)
    assert "1 delivery, 1 order. These receivers will run: shop.ship." in said(page)
    assert "done 1" in said(send(admin_client, Order, "deliver", page))
    assert failing().status == "done"


def test_what_fails_again_is_linked_with_its_error(admin_client, filled, shipped):
    shipped.failures = [RuntimeError("still broken")]
    row = failing()
    result = do(admin_client, SignalDelivery, "deliver", row)
    assert "Done: 0 of 1 succeeded." in said(result)
    assert "failed again 1" in said(result)
    assert f"{FAILING} · shop.ship RuntimeError: still broken" in said(result)
    assert url(SignalDelivery, "change", row.pk) in result.content.decode()
    assert "still broken" in page_of(admin_client, row)


def test_the_result_leads_back_to_the_one_row_and_its_order(admin_client, filled, shipped, staff):
    row, order = failing(), Order.objects.get(out_trade_no=FAILING)
    back = f'<a class="closelink" href="{url(Order, "change", order.pk)}">Back to {FAILING}</a>'
    page = admin_client.get(deed_url(Order, "deliver"), {"pk": order.pk})
    assert back in send(admin_client, Order, "deliver", page).content.decode()
    assert back in do(admin_client, SignalDelivery, "force", row, reason="again").content.decode()
    both = do(admin_client, SignalDelivery, "force", row, done(), reason="again").content.decode()
    assert "Back to SHOP" not in text_of(both)
    blind = staff("force_signaldelivery", "view_signaldelivery")
    result = do(blind, SignalDelivery, "force", row, reason="again")
    assert FAILING not in said(result)
    assert "Back to payment_confirmed" in said(result)


def test_what_was_passed_over_is_no_success(admin_client, filled, shipped):
    page = select(admin_client, SignalDelivery, "force", done())
    send(admin_client, SignalDelivery, "force", page, reason="lost")
    assert "Done: 0 of 1 succeeded." in said(send(admin_client, SignalDelivery, "force", page, reason="lost"))


def test_an_order_of_which_nothing_is_to_be_delivered_has_no_button_for_it(admin_client, filled, shipped):
    for number, offered in ((PAID, False), (FAILING, True), (UNKNOWN_TO_ALL, False)):
        page = page_of(admin_client, Order.objects.get(out_trade_no=number))
        assert (deed_url(Order, "deliver") in page) is offered
    SignalDelivery.objects.filter(order__out_trade_no=FAILING).update(status="gave_up")
    assert deed_url(Order, "deliver") in page_of(admin_client, Order.objects.get(out_trade_no=FAILING))


def test_what_was_called_off_is_not_run(admin_client, filled, shipped):
    order = Order.objects.get(out_trade_no=FAILING)
    numbers = {"transaction_id": order.transaction_id, "out_refund_no": "R-ALL"}
    PLATFORM.refund_v3(FAILING, 700, total=700, **numbers).post(admin_client, NOTIFY)
    for name in ("deliver", "force"):
        page = said(select(admin_client, SignalDelivery, name, failing()))
        assert "0 deliveries, 0 orders." in page
        assert "called off: all of the payment was refunded 1" in page
        assert "There is nothing to do." in page


def test_forcing_runs_a_receiver_a_second_time_under_the_same_key(admin_client, filled, shipped):
    row = done()
    (first,) = [call for call in shipped.calls if call["order"].out_trade_no == PAID]
    page = select(admin_client, SignalDelivery, "force", row)
    assert "Receivers that are done run a second time" in said(page)
    assert "the same idempotency key" in said(page)
    assert "done 1" in said(send(admin_client, SignalDelivery, "force", page, reason="parcel lost"))
    again = [call for call in shipped.calls if call["order"].out_trade_no == PAID][1:]
    assert [call["idempotency_key"] for call in again] == [first["idempotency_key"]]
    said_of = "Deliver again, done ones too"
    told = [f"{said_of}: begun. parcel lost", f"{said_of}: done. parcel lost"]
    assert sorted(history(row)) == [("admin", text) for text in told]


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_forcing_needs_a_reason(admin_client, filled, shipped, reason):
    calls = len(shipped.calls)
    answer = do(admin_client, SignalDelivery, "force", done(), reason=reason)
    assert "Please say why" in said(answer)
    assert len(shipped.calls) == calls
    assert "done 1" in said(send(admin_client, SignalDelivery, "force", answer, reason="parcel lost"))


def test_a_confirmation_that_is_sent_twice_forces_once(admin_client, filled, shipped):
    page = select(admin_client, SignalDelivery, "force", done())
    answers = [said(send(admin_client, SignalDelivery, "force", page, reason="lost")) for _ in range(2)]
    assert "done 1" in answers[0]
    assert "skipped: changed since you confirmed 1" in answers[1]
    assert len([call for call in shipped.calls if call["order"].out_trade_no == PAID]) == 2


# Process again


def test_a_notification_is_processed_again_after_the_order_was_mended(admin_client, filled, shipped):
    row, order = log(out_trade_no=SHORT), Order.objects.get(out_trade_no=SHORT)
    Order.objects.filter(pk=order.pk).update(amount=1)
    page = said(select(admin_client, NotificationLog, "process", row))
    assert "1 notification, 1 order. As far as one of them finds something new, these receivers will run: " in page
    assert "shop.ship and shop.unexpected" in page
    assert "amount_mismatch 1" in page
    result = said(do(admin_client, NotificationLog, "process", row, reason="price mended"))
    assert "confirmed 1" in result
    order.refresh_from_db()
    assert order.status == "paid"
    assert NotificationLog.objects.get(replay_of=row.pk).outcome == "confirmed"
    assert history(row) == history(order) == [("admin", "Process again: confirmed. price mended")]
    assert f"Notification #{row.pk}" in LogEntry.objects.values_list("object_repr", flat=True)


def test_what_is_refused_again_is_linked(admin_client, filled):
    row = log(out_trade_no=SHORT)
    result = do(admin_client, NotificationLog, "process", row)
    assert "amount_mismatch 1" in said(result)
    assert "amount_mismatch: paid 1 CNY, ordered 1000 CNY" in said(result)
    again = NotificationLog.objects.get(replay_of=row.pk)
    assert url(NotificationLog, "change", again.pk) in result.content.decode()


def test_what_cannot_be_processed_again_says_why(admin_client, filled):
    NotificationLog.objects.filter(out_trade_no=PAID).update(body=b"")
    page = said(select(admin_client, NotificationLog, "process", *NotificationLog.objects.all()))
    assert "No body of it is kept. 2" in page


def test_a_forgery_stays_refused(admin_client, filled, shipped):
    row, calls = log(outcome="signature_invalid"), len(shipped.calls)
    assert "signature_invalid 1" in said(do(admin_client, NotificationLog, "process", row))
    assert len(shipped.calls) == calls


def test_what_was_refused_since_a_moment_is_verified_again(admin_client, filled, shipped):
    refused = NotificationLog.objects.filter(outcome="amount_mismatch").get()
    NotificationLog.objects.exclude(pk=refused.pk).update(received_at=timezone.now() - timedelta(days=3))
    Order.objects.filter(out_trade_no=SHORT).update(amount=1)
    assert (
        deed_url(NotificationLog, "reverify") in admin_client.get(url(NotificationLog, "changelist")).content.decode()
    )
    question = admin_client.get(deed_url(NotificationLog, "reverify")).content.decode()
    asked = re.search(r'name="since" value="([^"]+)"', question)[1]
    yesterday = timezone.localtime() - timedelta(hours=24)
    assert asked in {f"{yesterday - timedelta(minutes=late):%Y-%m-%dT%H:%M}" for late in range(2)}
    assert "Time zone: Asia/Shanghai." in text_of(question)
    page = admin_client.get(deed_url(NotificationLog, "reverify"), {"since": asked})
    assert "1 notification, 1 order." in said(page)
    since = f"Refused since {asked.replace('T', ' ')}:00."
    assert since in said(page)
    result = said(send(admin_client, NotificationLog, "reverify", page, reason="price mended"))
    assert "confirmed 1" in result
    assert since in result
    assert history(refused) == [
        ("admin", f"Verify again what was refused since …: confirmed. {since} price mended"),
    ]
    assert Order.objects.get(out_trade_no=SHORT).status == "paid"


def test_a_moment_that_is_none_is_asked_for_again(admin_client, filled):
    page = admin_client.get(deed_url(NotificationLog, "reverify"), {"since": "yesterday"})
    assert "Enter a valid date/time." in said(page)


def test_too_much_refused_since_is_said(admin_client, filled, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.actions.processing.MOST_AT_ONCE", 1)
    page = admin_client.get(deed_url(NotificationLog, "reverify"), {"since": "2020-01-01T00:00"})
    assert "More than 1 were refused since then, which is too many at once." in said(page)


# Resolve


def test_a_discrepancy_is_resolved_with_a_reason(admin_client, filled):
    row = Discrepancy.objects.get(out_trade_no=SHORT)
    assert "another amount" in said(select(admin_client, Discrepancy, "resolve", row))
    assert "resolved 1" in said(do(admin_client, Discrepancy, "resolve", row, reason="refunded by hand"))
    row.refresh_from_db()
    assert (row.resolved_by, row.resolution) == ("admin", "refunded by hand")
    assert history(row) == history(row.order) == [("admin", "Resolved. refunded by hand")]
    assert deed_url(Discrepancy, "resolve") not in page_of(admin_client, row)
    assert "it is resolved already 1" in said(select(admin_client, Discrepancy, "resolve", row))


def test_who_resolved_first_stays_named(admin_client, filled):
    row = Discrepancy.objects.get(out_trade_no=UNKNOWN)
    page = select(admin_client, Discrepancy, "resolve", row)
    Discrepancy.objects.resolve(row, by="wang.wei", reason="a test payment")
    assert "skipped: resolved meanwhile 1" in said(send(admin_client, Discrepancy, "resolve", page, reason="mine"))
    row.refresh_from_db()
    assert row.resolved_by == "wang.wei"


def test_a_resolution_needs_a_reason(admin_client, filled):
    row = Discrepancy.objects.get(out_trade_no=SHORT)
    assert "Please say why" in said(do(admin_client, Discrepancy, "resolve", row, reason=" "))
    row.refresh_from_db()
    assert row.resolved_at is None


# Many


@pytest.fixture
def many(client, deferred, shipped):
    """Seven orders that are paid and not yet told of."""
    for number in range(7):
        Order.objects.expect(out_trade_no=f"MANY-{number}", amount=5)
        PLATFORM.payment_v3(f"MANY-{number}", 5).post(client, NOTIFY)
    return SignalDelivery.objects.all()


def test_many_are_done_in_batches_with_a_page_in_between(admin_client, many, shipped, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.actions.doing.BATCH_ROWS", 3)
    shipped.failures = [RuntimeError("once")]
    page = select(admin_client, SignalDelivery, "deliver", *many)
    pages = []
    while 'name="errand"' in page.content.decode():
        page = send(admin_client, SignalDelivery, "deliver", page, reason="all")
        pages.append(page.content.decode())
    assert [re.findall(r'max="(\d+)" value="(\d+)"', page) for page in pages] == [[("7", "3")], [("7", "6")], []]
    assert all('type="submit" class="default" value="Continue"' in page for page in pages[:2])
    assert "failed again 1 done 6" in text_of(pages[2])
    assert len(shipped.calls) == 7
    assert all(len(history(row)) == 1 for row in many)
    assert all(message.endswith(" all") for row in many for _user, message in history(row))


def test_a_batch_ends_when_its_time_is_over(admin_client, many, shipped, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.actions.doing.BATCH_SECONDS", -1)
    page = do(admin_client, SignalDelivery, "deliver", *many)
    assert "0 of 7 are through." in said(page)
    assert shipped.calls == []


def test_an_error_at_one_row_does_not_stop_the_others(admin_client, many, shipped, monkeypatch):
    first, *others = many.order_by("pk")
    page = select(admin_client, SignalDelivery, "deliver", *many)

    def record(user, rows, message):
        if first in rows:
            raise RuntimeError("the history is gone")

    monkeypatch.setattr("wechatpay_notify.history.record", record)
    result = said(send(admin_client, SignalDelivery, "deliver", page))
    assert "an error, see the server's log 1" in result
    assert f"done {len(others)}" in result


def test_all_pages_can_be_selected_at_once(admin_client, many, shipped, monkeypatch):
    monkeypatch.setattr(SignalDeliveryAdmin, "list_per_page", 2)
    page = select(admin_client, SignalDelivery, "deliver", many.first(), select_across="1")
    assert "7 deliveries, 7 orders." in said(page)


def test_more_than_the_most_is_refused_clearly(admin_client, many, shipped, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.actions.deed.MOST_AT_ONCE", 6)
    answer = select(admin_client, SignalDelivery, "deliver", many.first(), select_across="1")
    assert "More than 6 are selected, which is too many at once. Nothing was done." in told(admin_client, answer)
    assert shipped.calls == []


# What the pages survive


def test_hostile_text_stays_text_on_the_way(admin_client, client, shipped):
    shipped.failures = [RuntimeError(HOSTILE)]
    Order.objects.expect(out_trade_no="H-1", amount=1, reference=HOSTILE[:60])
    PLATFORM.payment_v3("H-1", 1, attach=HOSTILE).post(client, NOTIFY)
    PLATFORM.v3(HOSTILE[:60], {"out_trade_no": HOSTILE[:32], "transaction_id": HOSTILE[:32]}).post(client, NOTIFY)
    pages = []
    for model, name in ((SignalDelivery, "deliver"), (NotificationLog, "process"), (Order, "export")):
        page = select(admin_client, model, name, *model.objects.all())
        pages.append(page.content.decode())
        if name != "export":
            pages.append(send(admin_client, model, name, page, reason=HOSTILE).content.decode())
    pages.append(page_of(admin_client, Order.objects.get()))
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert not re.search(r"[\u202e\u200b\x1b\x00]", page)


def test_no_page_on_the_way_needs_an_inline_script_or_style(admin_client, many, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.actions.doing.BATCH_ROWS", 3)
    pages = [select(admin_client, SignalDelivery, "deliver", *many)]
    pages += [send(admin_client, SignalDelivery, "deliver", pages[0]) for _ in range(2)]
    pages.append(admin_client.get(deed_url(NotificationLog, "reverify")))
    for page in pages:
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", page.content.decode())


def test_a_personal_value_is_masked_on_the_way(admin_client, filled):
    page = said(select(admin_client, SignalDelivery, "deliver", failing()))
    assert f"the warehouse knows no {MASKED}" in page
    assert OPENID not in page


def test_under_atomic_requests_each_receiver_still_has_a_transaction_of_its_own(admin_client, many, settings):
    match = admin_client.get(deed_url(SignalDelivery, "deliver")).resolver_match
    assert match.func._non_atomic_requests >= set(settings.DATABASES)


# On a site of the host's own, under another theme, with actions of its own


class ThemeAdmin(ModelAdmin):
    pass


class Mine(OrderAdmin, ThemeAdmin):
    actions = (*OrderAdmin.actions, "count")

    def count(self, request, queryset):
        self.message_user(request, f"counted {queryset.count()}")


own_site = AdminSite(name="own")
own_site.register(Order, Mine)
own_site.register(NotificationLog, NotificationLogAdmin)
urlpatterns = [*tests.urls.urlpatterns, path("own/", own_site.urls)]


@pytest.mark.urls(__name__)
def test_deeds_stay_on_the_site_they_are_asked_on(admin_client, filled, shipped):
    order = Order.objects.get(out_trade_no=FAILING)
    own = "/own/wechatpay_notify/order/"
    listing = admin_client.get(own).content.decode()
    assert 'value="count"' in listing
    link = f"{own}deeds/deliver/?pk={order.pk}"
    assert link in admin_client.get(f"{own}{order.pk}/change/").content.decode()
    page = admin_client.get(link)
    result = admin_client.post(f"{own}deeds/deliver/", {"errand": errand_of(page)})
    assert "done 1" in said(result)
    for answer in (page, result):
        assert 'href="/admin/' not in answer.content.decode()
        assert own in answer.content.decode()

    counted = admin_client.post(own, {"action": "count", "_selected_action": [order.pk], "index": "0"}, follow=True)
    assert "Counted 1" in said(counted)


def test_the_index_still_stands(admin_client):
    assert admin_client.get(reverse("admin:index")).status_code == 200
