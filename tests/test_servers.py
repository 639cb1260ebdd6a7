"""The callbacks under real servers: gunicorn's sync and gthread workers, and uvicorn over ASGI.

Raw sockets, because well-behaved clients do not send what is tried here.
"""

import contextlib
import socket
import time

import pytest

from tests.races.configurations import CONFIGURATIONS
from tests.races.server import ASGI, GTHREAD, SYNC, UVICORN, WSGI, running
from tests.races.wechat import AMOUNT, Staff, Tally

SERVERS = {"sync": (*SYNC, WSGI), "gthread": (*GTHREAD, WSGI), "uvicorn": (*UVICORN, ASGI)}
TIMEOUT = 20
FULFILLED = {"ship": 1, "invoice": 1}
VERSIONS = pytest.mark.parametrize("version", ["v3", "v2"])


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    with running(CONFIGURATIONS["sqlite_immediate"], *SERVERS[request.param]) as shop:
        yield shop


@pytest.fixture
def staff(server):
    return Staff(Tally(server))


@pytest.fixture
def over_asgi(server, request):
    return request.node.callspec.params["server"] == "uvicorn"


@pytest.fixture
def sign(server):
    """One helper for both versions: a payment of this order, signed now."""

    def sign(version, number, **fields):
        make = server.platform.payment_v3 if version == "v3" else server.platform.payment_v2
        return make(number, AMOUNT, **fields)

    return sign


@pytest.fixture
def send(server):
    """Send a body with these header lines, byte for byte; returns the status, 0 for none, and the rest."""

    def send(body, headers, path="/wechatpay/notify/", *, length=True):
        lines = [f"POST {path} HTTP/1.1", "Host: shop.example", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if length else []
        with socket.create_connection(server.address, timeout=TIMEOUT) as connection:
            # Answered and closed before all was sent: then the answer may be there still.
            with contextlib.suppress(OSError):
                connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            return _answer(connection)

    return send


def _answer(connection):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def _chunked(body, size=500):
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in [*parts, b""])


def _with_chunks(signed):
    return [*signed.headers.items(), ("Transfer-Encoding", "chunked")]


@VERSIONS
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("url", ["notify", "own"])
def test_a_payment_is_confirmed_with_and_without_the_slash(send, staff, sign, version, slash, url):
    number = staff.order("ships")
    signed = sign(version, number)
    path = f"/wechatpay/{version if url == 'own' else url}{slash}"
    status, body = send(signed.body, signed.headers.items(), path)
    assert status == 200
    assert b"SUCCESS" in body
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == ("paid", FULFILLED)


TOO_LONG = pytest.mark.parametrize(("version", "size"), [("v2", 300_000), ("v3", 3_000_000)])


@TOO_LONG
def test_a_body_that_is_too_long_is_413(send, staff, sign, version, size):
    number = staff.order("ships")
    signed = sign(version, number, attach="x" * size)
    assert send(signed.body, signed.headers.items(), f"/wechatpay/{version}/")[0] == 413
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == ("pending", {})


@TOO_LONG
def test_a_chunked_body_that_is_too_long_is_refused(send, staff, sign, version, size):
    number = staff.order("ships")
    signed = sign(version, number, attach="x" * size)
    status, body = send(_chunked(signed.body, 65536), _with_chunks(signed), f"/wechatpay/{version}/", length=False)
    assert status != 500
    assert b"SUCCESS" not in body
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == ("pending", {})


@VERSIONS
def test_a_chunked_body_is_confirmed_over_asgi_and_refused_over_wsgi(over_asgi, send, staff, sign, version):
    """Django hands a WSGI view no byte of a body without a length, so that nothing can be proven of it."""
    number = staff.order("ships")
    signed = sign(version, number)
    status, body = send(_chunked(signed.body), _with_chunks(signed), f"/wechatpay/{version}/", length=False)
    whole = over_asgi
    assert status == (200 if whole or version == "v2" else 401)
    assert (b"SUCCESS" in body) == whole
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == (("paid", FULFILLED) if whole else ("pending", {}))


@VERSIONS
def test_a_body_that_ends_half_way_leaves_no_trace(server, send, staff, sign, version):
    number = staff.order("ships")
    signed = sign(version, number)
    with socket.create_connection(server.address, timeout=TIMEOUT) as connection:
        head = [f"{name}: {value}" for name, value in signed.headers.items()]
        lines = ["POST /wechatpay/notify/ HTTP/1.1", "Host: shop.example", *head, f"Content-Length: {len(signed.body)}"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + signed.body[: len(signed.body) // 2])
        time.sleep(0.2)
    time.sleep(0.3)
    (about,) = staff.report(number)
    assert (about["status"], about["effects"], about["outcomes"]) == ("pending", {}, {})

    assert send(signed.body, signed.headers.items())[0] == 200
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == ("paid", FULFILLED)


def _twice(name):
    return lambda headers: [*headers.items(), (name, headers[name])]


def _underscored(name):
    return lambda headers: [(other.replace("-", "_") if other == name else other, headers[other]) for other in headers]


SIGNED = ("Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Serial", "Wechatpay-Signature")


@pytest.mark.parametrize(
    "spoil",
    [*map(_twice, SIGNED), *map(_underscored, SIGNED)],
    ids=[f"{how} {name}" for how in ("twice", "underscored") for name in SIGNED],
)
def test_headers_sent_twice_or_underscored_never_verify(send, staff, sign, spoil):
    number = staff.order("ships")
    signed = sign("v3", number)
    status, _ = send(signed.body, spoil(signed.headers))
    assert status in (400, 401), "the server's refusal or the app's"
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == ("pending", {})
