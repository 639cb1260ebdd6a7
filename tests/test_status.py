"""The order-status API: five fields, JSON alone, never cached, whatever the host's REST_FRAMEWORK says."""

import uuid

import pytest
from rest_framework.response import Response
from rest_framework.settings import api_settings

from tests.settings import PLATFORM
from wechatpay_notify.models import Order
from wechatpay_notify.status.views import StatusThrottle

pytestmark = pytest.mark.django_db


@pytest.fixture
def order():
    return Order.objects.expect(out_trade_no="A-1", amount=100)


def url(order):
    return f"/wechatpay/orders/{order.public_id}/"


def test_a_page_sees_its_order_turn_to_paid(client, shipped, order):
    pending = client.get(url(order))
    assert pending.json() == {
        "out_trade_no": "A-1",
        "status": "pending",
        "amount": 100,
        "currency": "CNY",
        "paid_at": None,
    }
    PLATFORM.payment_v3("A-1", 100, success_time="2026-11-22T18:00:00+08:00").post(client, "/wechatpay/notify/")
    paid = client.get(url(order)).json()
    assert (paid["status"], paid["paid_at"]) == ("paid", "2026-11-22T10:00:00Z")


def test_it_is_never_cached(client, order):
    assert "no-store" in client.get(url(order))["Cache-Control"]
    assert "no-store" in client.get(f"/wechatpay/orders/{uuid.uuid4()}/")["Cache-Control"]


def test_an_unknown_order_is_404_without_a_word_about_why(client):
    response = client.get(f"/wechatpay/orders/{uuid.uuid4()}/")
    assert response.status_code == 404
    assert response.json() == {"detail": "Not found."}


def render_everything(error, context):
    return Response({"said": str(error), "by": "the shop"}, status=200)


def test_the_hosts_exception_handler_does_not_render_the_404(client, settings):
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{__name__}.render_everything"}
    assert api_settings.EXCEPTION_HANDLER is render_everything
    response = client.get(f"/wechatpay/orders/{uuid.uuid4()}/")
    assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png", "*/*", "", "junk"])
def test_the_answer_is_json_whatever_is_accepted(client, order, accept):
    response = client.get(url(order), headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_it_cannot_be_written(client, order, method):
    assert getattr(client, method)(url(order)).status_code == 405


def test_the_hosts_rest_framework_settings_do_not_reach_it(client, order, settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
        "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
        "ALLOWED_VERSIONS": ["1"],
    }
    api_settings.reload()
    assert client.get(url(order)).status_code == 200


def test_polling_is_throttled_by_address(client, order, monkeypatch):
    monkeypatch.setattr(StatusThrottle, "rate", "3/min")
    answers = [client.get(url(order)).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    assert client.get(url(order), REMOTE_ADDR="203.0.113.9").status_code == 200


def test_a_forged_forwarding_header_makes_no_odd_cache_key(client, order, monkeypatch):
    monkeypatch.setattr(StatusThrottle, "rate", "3/min")
    for header in ("x" * 5000, "a b", "1.2.3.4\t"):
        assert client.get(url(order), headers={"X-Forwarded-For": header}).status_code == 200


def test_a_dead_cache_leaves_the_page_its_answer(client, order, monkeypatch):
    def broken(*args, **kwargs):
        raise ConnectionError("redis is down")

    monkeypatch.setattr(StatusThrottle.cache, "get", broken)
    assert client.get(url(order)).status_code == 200
