"""Hostile hosts: middlewares and settings of a shop that would break a careless callback."""

import copy

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connections
from django.test import Client, override_settings

from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery

pytestmark = pytest.mark.django_db
URL = "/wechatpay/notify/"


@pytest.fixture(params=["v3", "v2"])
def signed(request, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    return (PLATFORM.payment_v3 if request.param == "v3" else PLATFORM.payment_v2)("A-1", 100)


def reads_post(get_response):
    """A shop's middleware that looks at the form of every request, before and after the view."""

    def middleware(request):
        request.POST.get("csrf")
        response = get_response(request)
        request.POST.get("csrf")
        return response

    return middleware


def reads_body_afterwards(get_response):
    def middleware(request):
        response = get_response(request)
        assert len(request.body) > 0
        return response

    return middleware


def with_middleware(*names):
    return override_settings(MIDDLEWARE=[*django_settings.MIDDLEWARE, *names])


def test_a_csrf_enforcing_client_is_served(signed):
    assert signed.post(Client(enforce_csrf_checks=True), URL).status_code == 200


def test_login_required_middleware_does_not_send_wechat_to_a_login_page(client, signed):
    with with_middleware("django.contrib.auth.middleware.LoginRequiredMiddleware"):
        assert signed.post(client, URL).status_code == 200


def test_the_order_status_is_public_behind_login_required_middleware(client, signed):
    signed.post(client, URL)
    with with_middleware("django.contrib.auth.middleware.LoginRequiredMiddleware"):
        assert client.get(f"/wechatpay/orders/{Order.objects.get().public_id}/").status_code == 200


@pytest.mark.parametrize("name", ["reads_post", "reads_body_afterwards"])
def test_a_middleware_that_reads_the_request_breaks_nothing(client, signed, name):
    with with_middleware(f"{__name__}.{name}"):
        assert signed.post(client, URL).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/xml; charset=gbk",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/octet-stream",
        "junk",
    ],
)
def test_an_odd_content_type_does_not_stop_a_genuine_notification(client, signed, content_type):
    headers = signed.headers | {"Content-Type": content_type}
    assert type(signed)(headers, signed.body).post(client, URL).status_code == 200


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_eaten_by_a_middleware_is_refused_without_an_error(client, signed, content_type):
    headers = signed.headers | {"Content-Type": content_type}
    with with_middleware(f"{__name__}.reads_post"):
        response = type(signed)(headers, signed.body).post(client, URL)
    assert response.status_code in (200, 400, 401)
    row = NotificationLog.objects.first()
    assert Order.objects.get().status == ("paid" if row and row.outcome == "confirmed" else "pending")


def test_a_small_form_limit_of_the_host_does_not_cut_notifications(client, shipped, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert PLATFORM.payment_v3("A-1", 100, attach="x" * 5000).post(client, URL).status_code == 200


@override_settings(USE_TZ=False)
def test_without_time_zone_support(client, signed):
    assert signed.post(client, URL).status_code == 200
    assert signed.post(client, URL).status_code == 200
    assert Order.objects.get().paid_at.tzinfo is None


@override_settings(APPEND_SLASH=True, DEBUG=True)
def test_without_a_slash_in_debug(client, signed):
    assert signed.post(client, URL.rstrip("/")).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_atomic_requests_keeps_the_row_of_a_failure(client, connect):
    from wechatpay_notify.signals import payment_confirmed

    shipped = connect(payment_confirmed)
    shipped.failures = [RuntimeError]
    Order.objects.expect(out_trade_no="A-1", amount=100)
    connection = connections["default"]
    before = copy.copy(connection.settings_dict)
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        signed = PLATFORM.payment_v3("A-1", 100)
        assert signed.post(client, URL).status_code == 503
        assert NotificationLog.objects.get().outcome == "receiver_failed"
        assert signed.post(client, URL).status_code == 200
    finally:
        connection.settings_dict.update(before)
    assert SignalDelivery.objects.get().status == "done"


def test_a_dead_cache_costs_a_refused_row_and_nothing_else(client, signed, monkeypatch):
    def broken(*args, **kwargs):
        raise ConnectionError("redis is down")

    monkeypatch.setattr(cache, "incr", broken)
    forged = signed.with_body(signed.body.replace(b"A-1", b"A-2") + b" ")
    assert forged.post(client, URL).status_code in (200, 401)
    assert not NotificationLog.objects.exists()
    assert signed.post(client, URL).status_code == 200
    assert Order.objects.get().status == "paid"
