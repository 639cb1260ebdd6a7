"""The request around a notification: URLs, methods, hosts, addresses, content types, sizes."""

import asyncio
import gzip
import json
import re

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from tests.answers import answer, body_v2, body_v3
from tests.attacks import MAKERS, NOTIFY, NUMBER, TRANSACTION, V2, V3, fields_v2, genuine, genuine_v2
from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.testing import Signed, xml

pytestmark = pytest.mark.django_db


def reads_post(get_response):
    """A middleware of the host's that looks at request.POST before the view does."""

    def middleware(request):
        assert request.POST is not None
        return get_response(request)

    return middleware


def retyped(signed, content_type):
    return Signed(signed.headers | {"Content-Type": content_type}, signed.body)


TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain; charset=gbk",
    "text/html; charset=utf-16",
    "application/json; charset=x-bogus",
    "application/octet-stream",
    "é",
    "",
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(("version", "make"), MAKERS)
def test_t63_a_genuine_body_of_any_content_type_is_accepted(accept, version, make, content_type):
    accept(retyped(make(NUMBER, 100), content_type))


@pytest.mark.parametrize("path", [NOTIFY, V2, V3])
@pytest.mark.parametrize("content_type", TYPES[:5])
@pytest.mark.parametrize(("version", "make"), MAKERS)
def test_t63_a_body_that_a_middleware_read_is_refused_or_accepted_but_no_error(
    client, order, shipped, settings, version, make, content_type, path
):
    settings.MIDDLEWARE = [f"{__name__}.reads_post", *settings.MIDDLEWARE]
    response = retyped(make(NUMBER, 100), content_type).post(client, path)
    order.refresh_from_db()
    confirmed = response.content in (body_v2(""), body_v3(""))
    assert response.status_code in (200, 400, 401)
    assert (order.status == "paid") is confirmed
    assert len(shipped.calls) == int(confirmed)


@pytest.mark.parametrize("path", [V3, "/wechatpay/v3", "/wechatpay/v3/default/", "/wechatpay/v3/default"])
def test_t64_v2_xml_at_the_v3_url_is_refused_and_the_right_url_named_to_the_shop_alone(attack, path):
    row = attack(genuine_v2(), "malformed", path=path)
    assert "v2" in row.detail


@pytest.mark.parametrize("path", [V2, "/wechatpay/v2", "/wechatpay/v2/default/", "/wechatpay/v2/default"])
def test_t64_v3_json_at_the_v2_url_is_refused(attack, path):
    attack(genuine(), "malformed", version="v2", path=path)


@pytest.mark.parametrize("path", [NOTIFY, "/wechatpay/notify/default", "/wechatpay/{}/", "/wechatpay/{}/default"])
@pytest.mark.parametrize(("version", "make"), MAKERS)
def test_t64_every_right_url_takes_the_notification(accept, version, make, path):
    accept(make(NUMBER, 100), path=path.format(version))


@pytest.mark.parametrize("path", ["/wechatpay/notify/{}/", "/wechatpay/v2/{}", "/wechatpay/v3/{}/"])
@pytest.mark.parametrize(
    "alias", ["nobody", "DEFAULT", "default%20", "__class__", "%00", "a%0d%0aSet-Cookie:x", "x" * 5000]
)
def test_t64_t78_an_unknown_merchant_is_404_and_leaves_no_trace(client, order, path, alias):
    signed = genuine_v2() if "v2" in path else genuine()
    response = signed.post(client, path.format(alias))
    assert (response.status_code, response.content) == (404, (body_v2 if "v2" in path else body_v3)("rejected"))
    assert not response.cookies
    assert not NotificationLog.objects.exists()


@pytest.mark.parametrize(("missing", "signed", "form"), [
    ("API_V3_KEY", genuine, body_v3),
    ("API_V2_KEY", genuine_v2, body_v2),
])  # fmt: skip
def test_t64_a_version_without_a_key_is_404(client, order, configure, missing, signed, form):
    configure(**{missing: None})
    response = signed().post(client, NOTIFY)
    assert (response.status_code, response.content) == (404, form("rejected"))
    order.refresh_from_db()
    assert order.status == "pending"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", [NOTIFY, "/wechatpay/v2", "/wechatpay/v3/default/"])
def test_t66_any_other_method_is_405_without_effect(client, order, shipped, method, path):
    signed = genuine_v2() if "v2" in path else genuine()
    override = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}
    response = client.generic(method, path, signed.body, "application/json", headers=signed.headers | override)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls
    assert not NotificationLog.objects.exists()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "shop.example.evil.example", "[::1]"])
def test_t67_the_host_header_plays_no_part(attack, accept, host):
    attack(genuine().with_body(b"{}"), "signature_invalid", HTTP_HOST=host)
    accept(genuine(), HTTP_HOST=host, HTTP_X_FORWARDED_HOST="evil.example")


ADDRESSES = {
    "203.205.219.130": "203.205.219.130",
    "2001:db8::1": "2001:db8::1",
    "": None,
    "203.205.219.130:4711": None,
    "unix:": None,
    "fe80::1%eth0": None,
    "'; DROP TABLE x; --": None,
    "1" * 5000: None,
}


@pytest.mark.parametrize(("address", "stored"), ADDRESSES.items(), ids=range(len(ADDRESSES)))
def test_t68_the_senders_address_is_stored_or_left_out(accept, address, stored):
    assert accept(genuine(), REMOTE_ADDR=address).remote_addr == stored


@pytest.mark.parametrize("forwarded", ["1.2.3.4", "1.2.3.4:5, junk", "'; --", "\x00", "é", "x" * 9000])
def test_t68_forwarding_headers_are_ignored(accept, forwarded):
    headers = {
        "X-Forwarded-For": forwarded,
        "X-Real-Ip": forwarded,
        "Forwarded": f"for={forwarded}",
        "Client-Ip": "::1",
    }
    signed = genuine()
    row = accept(Signed(signed.headers | headers, signed.body), REMOTE_ADDR="203.205.219.130")
    assert row.remote_addr == "203.205.219.130"
    assert not set(row.headers) & set(headers)


@pytest.mark.parametrize("query", ["?debug=1&verify=false&sandbox=1", "?merchant=other", "?_method=GET", "?%00=%ff"])
def test_t68_no_switch_in_the_query_or_headers_turns_verification_off(attack, query):
    switches = {"X-Debug": "1", "Wechatpay-Sandbox": "true", "X-Skip-Verify": "1", "Authorization": "Basic YTph"}
    attack(Signed(genuine().headers | switches, b"{}"), "signature_invalid", path=NOTIFY + query)


def test_t69_a_body_over_the_cap_is_too_large(attack, settings):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MAX_BODY_BYTES": 5000}
    assert bytes(attack(PLATFORM.sign_v3(b" " * 5001), "too_large", path=V3).body) == b""
    attack(PLATFORM.sign_v3(b" " * 5000), "malformed", path=V3)


def test_t69_a_body_over_2_mib_is_too_large_by_default(attack):
    attack(PLATFORM.sign_v3(b"{" + b" " * 2**21), "too_large")


def test_t69_a_payment_of_1_mib_is_taken(accept):
    accept(genuine(goods="x" * 1_000_000))


@pytest.mark.parametrize("path", [V2, NOTIFY])
def test_t69_xml_over_64_kib_is_too_large(attack, path):
    attack(xml(fields_v2(attach="x" * 65_536)), "too_large", version="v2", path=path)


@pytest.mark.parametrize("length", ["-1", "", "abc", "1e3", "+5", "٥", "0x10", "0"])
def test_t69_a_content_length_that_lies_is_no_error(client, order, length):
    response = genuine().post(client, NOTIFY, CONTENT_LENGTH=length)
    assert response.status_code == 401
    order.refresh_from_db()
    assert order.status == "pending"


@pytest.mark.parametrize("length", ["2097153", "9" * 30])
def test_t69_a_content_length_over_the_cap_is_not_read(attack, length):
    attack(genuine(), "too_large", CONTENT_LENGTH=length)


def test_t69_nothing_is_decompressed(attack):
    signed = genuine()
    bomb = Signed(signed.headers | {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 10_000_000))
    attack(bomb, "signature_invalid")


def test_t69_many_headers_are_no_error_and_few_are_kept(accept):
    signed = genuine()
    row = accept(Signed(signed.headers | {f"X-{n}": "x" * 100 for n in range(500)}, signed.body))
    assert len(json.dumps(row.headers)) < 10_000


@pytest.mark.parametrize("signed", [genuine, genuine_v2])
def test_an_answer_is_in_wechats_form_and_names_nothing_of_the_request(client, order, shipped, signed):
    good = signed()
    for body in (good.body, good.body.replace(NUMBER.encode(), b"<x>"), good.body[:-9]):
        response = good.with_body(body).post(client, NOTIFY)
        for told in (NUMBER, TRANSACTION, PLATFORM.mchid, PLATFORM.serial, "<x>"):
            assert told.encode() not in response.content
        assert re.fullmatch(r"application/json|text/xml", response.headers["Content-Type"])
        assert not response.cookies


def test_a_v2_answer_has_status_200_and_a_v3_answer_never_for_a_failure(client, order):
    assert genuine_v2().with_body(b"<xml/>").post(client, NOTIFY).status_code == 200
    assert answer("v2", "malformed")[0] == 200
    assert genuine().with_body(b"{}").post(client, NOTIFY).status_code == 401


@pytest.fixture
def _kept_connection():
    """Like Django's test client: no request closes the connection that the test's transaction is open on."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def post_asgi(signed, more=()):
    """Post as an ASGI server would hand it over: headers as a list, in which names may come twice."""
    sent, headers = [], [(k.lower().encode(), v.encode("latin-1")) for k, v in signed.headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": NOTIFY,
        "headers": [*headers, (b"host", b"shop.example"), *more],
        "query_string": b"",
        "http_version": "1.1",
    }
    messages = [
        {"type": "http.request", "body": signed.body[:100], "more_body": True},
        {"type": "http.request", "body": signed.body[100:]},
    ]

    async def receive():
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async_to_sync(ASGIHandler())(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.usefixtures("_kept_connection")
@pytest.mark.parametrize(("version", "make"), MAKERS)
def test_t69_under_asgi_it_is_the_same(order, shipped, version, make):
    signed = make(NUMBER, 100)
    refused = "signature_invalid" if version == "v3" else "malformed"
    assert post_asgi(signed.with_body(signed.body + b"\0")) == answer(version, refused)
    assert post_asgi(signed)[0] == 200
    order.refresh_from_db()
    assert order.status == "paid"
    assert post_asgi(signed.with_body(signed.body + b" " * 2**21)) == answer(version, "too_large")


@pytest.mark.usefixtures("_kept_connection")
@pytest.mark.parametrize(
    "name", [b"wechatpay-serial", b"wechatpay-timestamp", b"wechatpay-nonce", b"wechatpay-signature"]
)
def test_t2_under_asgi_a_header_sent_twice_is_not_read_as_either(order, shipped, name):
    signed = genuine()
    given = signed.headers[name.decode().title()].encode()
    assert post_asgi(signed, [(name, given)]) == answer("v3", "unsigned")
    order.refresh_from_db()
    assert order.status == "pending"


@pytest.mark.usefixtures("_kept_connection")
@pytest.mark.parametrize("name", [b"wechatpay_serial", b"Wechatpay_Signature"])
def test_t2_under_asgi_an_underscore_is_no_hyphen(order, shipped, name):
    assert post_asgi(genuine(), [(name, b"x")])[0] == 200
    unsigned = Signed({k.replace("-", "_"): v for k, v in genuine().headers.items()}, genuine().body)
    assert post_asgi(unsigned) == answer("v3", "unsigned")
    assert len(shipped.calls) == 1
