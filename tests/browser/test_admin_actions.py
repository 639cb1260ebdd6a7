"""Actions in Chromium under a Content-Security-Policy of 'self': select, confirm, watch, look at the result."""

import re

import pytest

from tests.settings import PLATFORM
from tests.test_admin import FAILING, NOTIFY, url
from tests.test_admin_actions import deed_url
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def choose(visitor, model, name):
    """Select every row of a list for an action."""
    page = visitor.page
    visitor.open(url(model, "changelist"))
    visitor.look(f"{model._meta.model_name}-actions")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(f"wechatpay_{name}")
    page.get_by_role("button", name=re.compile("Run|Go")).click()
    page.locator("input[name=errand]").wait_for(state="attached")


def test_walk_from_a_selection_to_the_result(visitor, shipped):
    page = visitor.page
    shipped.failures = [RuntimeError("still broken")]
    choose(visitor, SignalDelivery, "force")
    visitor.look("deed-confirm")
    page.get_by_label("Reason").fill("parcel lost")
    page.locator(".submit-row input[type=submit]").click()
    page.get_by_text("How they ended").wait_for()
    visitor.look("deed-result")
    page.get_by_role("region", name="Look at these").get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"/change/"))
    visitor.look("deed-buttons")
    page.get_by_role("navigation", name="What you may have done").get_by_role("link").first.click()
    page.get_by_text("There is nothing to do.").or_(page.locator("#wechatpay-reason")).first.wait_for()


def test_a_page_in_between_goes_on_by_itself(visitor, settings, client, monkeypatch):
    page = visitor.page
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"DELIVERY": "deferred"}
    for number in range(5):
        Order.objects.expect(out_trade_no=f"MANY-{number}", amount=5)
        PLATFORM.payment_v3(f"MANY-{number}", 5).post(client, NOTIFY)
    monkeypatch.setattr("wechatpay_notify.admin.actions.doing.BATCH_ROWS", 2)
    choose(visitor, SignalDelivery, "deliver")
    page.locator(".submit-row input[type=submit]").click()
    page.get_by_text(re.compile("^Done: ")).wait_for()
    assert not SignalDelivery.objects.filter(status="pending", order__out_trade_no__startswith="MANY").exists()


def test_a_page_in_between_waits_for_a_person_without_scripts(visitor, monkeypatch):
    page = visitor.page
    monkeypatch.setattr("wechatpay_notify.admin.actions.doing.BATCH_ROWS", 1)
    page.route("**/continue.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    choose(visitor, NotificationLog, "process")
    visitor.look("deed-process")
    page.locator(".submit-row input[type=submit]").click()
    page.get_by_role("progressbar").wait_for()
    visitor.look("deed-progress")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text(re.compile("2 of 15 are through")).wait_for()
    page.get_by_role("link", name="Stop here").click()
    page.wait_for_url(re.compile(r"/notificationlog/$"))


def test_the_moment_is_asked_for_above_the_list(visitor):
    page = visitor.page
    visitor.open(url(NotificationLog, "changelist"))
    page.get_by_role("link", name="Verify again what was refused since …").click()
    page.get_by_label("Refused since").wait_for()
    visitor.look("deed-question")
    page.get_by_role("button", name="Show what would be done").click()
    page.locator("input[name=errand]").wait_for(state="attached")
    visitor.look("deed-reverify")


@pytest.mark.parametrize(("model", "name"), [(Discrepancy, "resolve"), (Order, "deliver")])
def test_a_row_has_its_buttons(visitor, model, name):
    page = visitor.page
    row = model.objects.get(out_trade_no=FAILING) if model is Order else model.objects.filter(resolved_at=None).first()
    visitor.open(url(model, "change", row.pk))
    visitor.look(f"{model._meta.model_name}-buttons")
    page.locator(f'a[href^="{deed_url(model, name)}"]').click()
    page.locator("#wechatpay-reason").wait_for()
    visitor.look(f"deed-{name}")
