"""The example shop's demo, started as a newcomer would: from any directory, with nothing set up."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

MANAGE = Path(__file__).parent.parent / "example_project" / "manage.py"
LINES = [
    ("a v3 payment", "200 SUCCESS", "confirmed", 1),
    ("a v2 payment, MD5", "200 SUCCESS", "confirmed", 1),
    ("a v2 payment, HMAC-SHA256", "200 SUCCESS", "confirmed", 1),
    ("8 copies of one payment at once", "8 × 200 SUCCESS", "confirmed", 1),
    ("a forgery: another key signed it", "401 FAIL unauthorized", "signature_invalid", 0),
    ("a tampered body, v3", "401 FAIL unauthorized", "signature_invalid", 0),
    ("a tampered body, v2", "200 FAIL unauthorized", "signature_invalid", 0),
    ("a genuine payment of 1 fen for it", "409 FAIL rejected", "amount_mismatch", 0),
    ("WeChat's signature probe", "401 FAIL unauthorized", "probe", 0),
    ("… and the genuine one after it", "200 SUCCESS", "confirmed", 1),
    ("a payment whose receiver fails", "503 FAIL retry", "receiver_failed", 0),
    ("… WeChat's retry, the cause mended", "200 SUCCESS", "confirmed", 1),
    ("an order only ORDER_RESOLVER knows", "200 SUCCESS", "confirmed", 1),
    ("a payment that will be refunded", "200 SUCCESS", "confirmed", 1),
    ("… half of it", "200 SUCCESS", "refunded", 1, "¥42.00"),
    ("… the rest is stuck (ABNORMAL)", "200 SUCCESS", "refunded", 1, "¥42.00"),
    ("… and goes back: parcel unpacked", "200 SUCCESS", "refunded", 0, "¥84.00"),
    ("a v2 payment that will be refunded", "200 SUCCESS", "confirmed", 1),
    ("… by a v2 notice", "200 SUCCESS", "refunded", 0, "¥42.00"),
    ("a refund before its payment", "503 FAIL retry", "busy", 0),
    ("… the payment", "200 SUCCESS", "confirmed", 1),
    ("… WeChat's retry of the refund", "200 SUCCESS", "refunded", 1, "¥42.00"),
    ("a combined payment of three orders", "200 SUCCESS", "confirmed", 3),
    ("a payment to a sub-merchant", "200 SUCCESS", "confirmed", 1),
    ("a profit share (TRANSACTION.SUCCESS)", "200 SUCCESS", "received", 0),
    ("a coupon (COUPON.USE)", "200 SUCCESS", "received", 0),
    ("a payment of a cancelled order", "200 SUCCESS", "unexpected", 0),
    ("a proxy wrote the JSON anew", "401 FAIL unauthorized", "signature_invalid", 0),
    ("the APIv3 key was changed at WeChat", "503 FAIL retry", "undecryptable", 0),
    ("a payment, and the shelf stays empty", "503 FAIL retry", "receiver_failed", 0),
]


def start(directory, *arguments):
    """The demo as a process; its temporary directory is made in this one."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.Popen(
        [sys.executable, str(MANAGE), "demo", *arguments],
        cwd=directory,
        env=environment | {"TMPDIR": str(directory), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def answers(url):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The demo run to its end: status, what it printed, where."""
    directory = tmp_path_factory.mktemp("demo")
    with start(directory, "--exit") as process:
        printed, _ = process.communicate(timeout=120)
    return process.returncode, printed, directory


def test_the_demo_ends_with_success_and_leaves_nothing_behind(finished):
    status, printed, directory = finished
    assert (status, f"{len(LINES)} of {len(LINES)} as it must be." in printed) == (0, True), printed
    assert list(directory.iterdir()) == []
    assert not answers(re.search(r"^Shop +(http\S+)", printed, re.MULTILINE)[1])


@pytest.mark.parametrize("expected", LINES, ids=[sent for sent, *_ in LINES])
def test_each_line_says_what_was_sent_answered_decided_fulfilled_and_refunded(finished, expected):
    sent, answered, decided, fulfilled, *refunded = expected
    line = next(line for line in finished[1].splitlines() if line.startswith(f"{sent}  "))
    cells = re.split(r" {2,}", line)
    assert (cells[1], cells[3:]) == (answered, [str(fulfilled), *refunded, "✓"])
    assert decided in cells[2]


def test_the_table_fits_on_a_wide_terminal(finished):
    lines = [line for line in finished[1].splitlines() if not line.startswith("8 copies")]  # as many as it takes
    assert max(map(len, lines)) <= 110


def test_the_demo_stays_up_until_ctrl_c_and_then_leaves_nothing_behind(tmp_path):
    with start(tmp_path) as process:
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        shop = urlsplit(re.search(r"^Shop +(http\S+)", printed, re.MULTILINE)[1])
        found = {path: _get(shop.netloc, path) for path in ("/", "/admin/login/", "/static/admin/css/base.css")}
        process.send_signal(signal.SIGINT)
        printed += process.communicate(timeout=30)[0]
    assert found == {"/": 200, "/admin/login/": 200, "/static/admin/css/base.css": 200}
    assert re.search(r"login admin, password \S+", printed)
    assert (process.returncode, "Stopped" in printed) == (0, True), printed
    assert not answers(shop.geturl())
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_said_so(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with start(tmp_path, "--exit", "--port", str(taken.getsockname()[1])) as process:
            printed, _ = process.communicate(timeout=60)
    assert (process.returncode, "cannot be used" in printed) == (1, True), printed
    assert list(tmp_path.iterdir()) == []


def _get(netloc, path):
    connection = http.client.HTTPConnection(netloc, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_deferred_demo_loses_nothing_when_its_worker_is_killed(tmp_path):
    with start(tmp_path, "--deferred", "--exit") as process:
        printed, _ = process.communicate(timeout=180)
    assert (process.returncode, "4 of 4 as it must be." in printed) == (0, True), printed
    assert list(tmp_path.iterdir()) == []
