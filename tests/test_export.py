"""What leaves the admin as a file: CSV that a spreadsheet runs nothing of, and a notification as a test that passes."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry

from tests.settings import PLATFORM
from tests.test_admin import (
    HOSTILE,
    MASKED,
    MODELS,
    NOTIFY,
    PAID,
    TRANSACTION,
    fill,
    log,
    page_of,
    refund,
)
from tests.test_admin_actions import deed_url, do, errand_of, history, said, select, staff
from wechatpay_notify import signals
from wechatpay_notify.admin.actions.exporting import COLUMNS, cell
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db
__all__ = ["staff"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def filled(client, shipped, unexpected):
    fill(client, shipped)


def exported(client, model, *rows):
    """The file of these rows: a list of what each says, by column."""
    response = do(client, model, "export", *rows)
    assert response.status_code == 200
    text = response.getvalue().decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


# CSV


@pytest.mark.parametrize("model", MODELS)
def test_a_list_is_exported_with_all_its_numbers(admin_client, filled, model):
    rows = list(model.objects.order_by("-pk"))
    found = exported(admin_client, model, *rows)
    named = [name.removesuffix("_minor_unit") for name in found[0]]
    assert [list(row) for row in found] == [list(found[0])] * len(rows)
    assert named == COLUMNS[model].split()
    for name in set(COLUMNS[model].split()) & {"id", "out_trade_no", "transaction_id", "out_refund_no", "status"}:
        assert {row[name] for row in found} == {str(getattr(row, name) or "") for row in rows}


def test_a_column_of_money_names_its_unit(admin_client, filled):
    (row,) = exported(admin_client, Order, Order.objects.get(out_trade_no=PAID))
    assert [row[f"{name}_minor_unit"] for name in ("amount", "refunded_amount", "payer_total")] == ["1234", "0", "1234"]


def test_what_is_not_tried_again_has_no_next_attempt(admin_client, filled):
    found = exported(admin_client, SignalDelivery, *SignalDelivery.objects.all())
    assert {row["status"] for row in found} == {"done", "pending"}
    assert all(bool(row["next_attempt_at"]) is (row["status"] == "pending") for row in found)


def test_the_file_is_one_that_is_downloaded(admin_client, filled):
    response = do(admin_client, Order, "export", Order.objects.first())
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="order-\d{8}-\d{6}\.csv"', response["Content-Disposition"])
    assert response.streaming


def test_openids_are_masked_unless_one_may_see_them(filled, staff):
    rights = ("view_order", "export_order")
    order = Order.objects.get(out_trade_no=PAID)
    client = staff(*rights)
    assert exported(client, Order, order)[0]["openid"] == MASKED
    client.get("/").wsgi_request.user.delete()
    assert exported(staff(*rights, "view_openid"), Order, order)[0]["openid"] == OPENID


@pytest.mark.parametrize("model", MODELS)
def test_no_file_holds_an_openid_or_a_secret_unasked(filled, staff, model):
    name = model._meta.model_name
    client = staff(f"view_{name}", f"export_{name}")
    text = str(exported(client, model, *model.objects.all()))
    for secret in (OPENID, PLATFORM.api_v2_key, PLATFORM.api_v3_key):
        assert secret not in text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("a;=1", "a;'=1"),
        ("a\n=1", "a\n'=1"),
        ("a=1", "a=1"),
        ("4200000000", "4200000000"),
        ("2026-11-26 21:52:20", "2026-11-26 21:52:20"),
        ("", ""),
    ],
)
def test_no_cell_begins_a_formula(text, safe):
    assert cell(text) == safe


def test_a_formula_that_somebody_sent_or_recorded_stays_text(admin_client, filled):
    Order.objects.filter(out_trade_no=PAID).update(description='=cmd|"/C calc"!A0', reference="\t=2")
    (row,) = exported(admin_client, Order, Order.objects.get(out_trade_no=PAID))
    assert row["description"] == '\'=cmd|"/C calc"!A0'
    assert row["reference"].startswith("'")


def test_hostile_text_is_spelt_out_in_a_file(admin_client, filled):
    Order.objects.filter(out_trade_no=PAID).update(description=HOSTILE)
    (row,) = exported(admin_client, Order, Order.objects.get(out_trade_no=PAID))
    assert "\\u202egpj.exe" in row["description"]


def test_an_export_is_in_the_history(admin_client, filled):
    exported(admin_client, Order, *Order.objects.all()[:2])
    entry = LogEntry.objects.get()
    assert (entry.user.get_username(), entry.content_type.model) == ("admin", "order")
    assert entry.get_change_message() == "Exported 2 rows as CSV."
    assert entry.get_admin_url() is None
    assert admin_client.get("/admin/").status_code == 200  # which lists it


def test_a_file_has_no_more_rows_than_it_says(admin_client, filled, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.actions.exporting.MOST_ROWS", 2)
    page = select(admin_client, Order, "export", Order.objects.first(), select_across="1")
    assert "A file has 2 rows at most: of what you selected, the first ones of the list." in said(page)
    text = admin_client.post(deed_url(Order, "export"), {"errand": errand_of(page)}).getvalue().decode()
    newest = Order.objects.order_by("-pk").values_list("out_trade_no", flat=True)[:2]
    assert [row["out_trade_no"] for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))] == list(newest)


def test_a_file_is_read_in_portions(admin_client, filled, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("wechatpay_notify.admin.actions.exporting.PORTION", 4)
    rows = list(SignalDelivery.objects.all())
    assert len(exported(admin_client, SignalDelivery, *rows)) == len(rows) > 4


# A notification as a test


def hostile():
    """A genuine event whose texts would like to be code."""
    said = {HOSTILE: HOSTILE, "{pk}": '"""\nassert False\n"""', "odd": ["\ud800", "\0", {}, [], None, True, 1.5]}
    sealed = PLATFORM.encrypt(json.dumps(said).encode())
    envelope = {"id": '");assert False', "event_type": 'X"""\nassert False', "resource": sealed}
    return PLATFORM.sign_v3(json.dumps(envelope).encode())


V2_EVENT = {"out_order_no": "1234323JKHDFE1243252", "openid": OPENID, "state": "USER_ACCEPTED"}
SENT = {
    "v3 payment": lambda: PLATFORM.payment_v3("SHOP-1", 1234, attach="table 7", payer={"openid": OPENID}),
    "v3 payment in dollars": lambda: PLATFORM.payment_v3("SHOP-1", 1234, amount={"total": 1234, "currency": "USD"}),
    "v3 payment of a sub-merchant": lambda: PLATFORM.payment_v3("SHOP-1", 1234, sub_mchid="1900000110"),
    "v3 combined payment": lambda: PLATFORM.combined_v3("COMBI-1", {"SHOP-1": 1200, "SHOP-2": 34}),
    "v3 failed payment": lambda: PLATFORM.payment_v3("SHOP-1", 1234, trade_state="PAYERROR"),
    "v3 refund": lambda: refund("R-1", 200, order="SHOP-1"),
    "v3 abnormal refund": lambda: refund("R-1", 200, "ABNORMAL", order="SHOP-1"),
    "v2 payment": lambda: PLATFORM.payment_v2("SHOP-1", 1234, openid=OPENID),
    "v2 payment under HMAC": lambda: PLATFORM.payment_v2("SHOP-1", 1234, sign_type="HMAC-SHA256"),
    "v2 refund": lambda: PLATFORM.refund_v2(
        "SHOP-1", 200, total=900, transaction_id=TRANSACTION, out_refund_no="R-1", user_received_account="招商0403"
    ),
    "v2 sealed event": lambda: PLATFORM.event_v2("PAYSCORE.USER_OPEN_SERVICE", V2_EVENT),
    "v2 question": lambda: PLATFORM.scan_v2("P-1"),
    "v3 event": lambda: PLATFORM.v3("COUPON.USE", {"stock_id": "9", "consume_information": {"sub_openid": OPENID}}),
    "v3 event with a number": lambda: PLATFORM.v3(
        "PAYSCORE.USER_PAID", {"out_trade_no": "S-1", "phone": "13912345678"}
    ),
    "v3 event by a hostile sender": hostile,
}


@pytest.fixture
def sent(client, connect):
    """Every kind of notification, really sent; its row by its kind."""
    connect(signals.payment_confirmed)

    def make(kind):
        SENT[kind]().post(client, NOTIFY)
        return log()

    return make


def fixture_of(client, row):
    """The file that the row's page offers."""
    assert deed_url(NotificationLog, "fixture") in page_of(client, row)
    page = client.get(deed_url(NotificationLog, "fixture"), {"pk": row.pk})
    response = client.post(deed_url(NotificationLog, "fixture"), {"errand": errand_of(page), "reason": "a bug"})
    assert response["Content-Disposition"] == f'attachment; filename="test_wechatpay_{row.pk}.py"'
    return response.content.decode("ascii")


def run_pytest(directory):
    """A real run of pytest over the files there, with the settings of these tests on a database of its own."""
    (directory / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider --ds=tests.settings\n")
    environment = os.environ | {"TEST_DATABASE": "sqlite", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(directory), str(directory)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=directory, env=environment, timeout=300
    )


def test_each_kind_of_notification_becomes_a_test_that_passes(admin_client, sent, tmp_path):
    for number, kind in enumerate(SENT):
        (tmp_path / f"test_{number}.py").write_text(fixture_of(admin_client, sent(kind)))
    run = run_pytest(tmp_path)
    assert f"{len(SENT)} passed" in run.stdout, run.stdout + run.stderr


def test_a_test_from_a_wrong_amount_meets_the_wrong_amount_again(admin_client, client, connect, tmp_path):
    connect(signals.payment_confirmed)
    for number, mended in (("SHOP-1", False), ("SHOP-2", True)):
        Order.objects.expect(out_trade_no=number, amount=1000)
        PLATFORM.payment_v3(number, 1).post(client, NOTIFY)
        if mended:
            Order.objects.filter(out_trade_no=number).update(amount=1)
        text = fixture_of(admin_client, log())
        assert "'amount': 1000" in text
        assert "assert stored.outcome == 'amount_mismatch'" in text
        (tmp_path / f"test_{number[-1]}.py").write_text(text)
    run = run_pytest(tmp_path)
    assert "2 passed" in run.stdout, run.stdout + run.stderr


def test_a_test_from_a_notification_fails_where_the_shop_is_broken(admin_client, sent, tmp_path):
    text = fixture_of(admin_client, sent("v3 payment"))
    (tmp_path / "test_broken.py").write_text(text.replace("'amount': 1234", "'amount': 1", 1))
    assert "1 failed" in run_pytest(tmp_path).stdout


@pytest.mark.parametrize("kind", SENT)
def test_no_test_from_a_notification_holds_a_personal_value_or_a_key(admin_client, sent, kind):
    row = sent(kind)
    text = fixture_of(admin_client, row)
    for secret in (OPENID, "13912345678", "0403", PLATFORM.api_v3_key, PLATFORM.api_v2_key):
        assert secret not in text
    if "payment" in kind or "refund" in kind:
        assert "'SHOP-1'" in text
    compile(text, "test", "exec")
    assert history(row) == [("admin", "Exported as pytest test. a bug")]


def test_the_same_person_is_the_same_pretend_person(admin_client, client):
    other = "oXyZ0123456789abcdefghijAbCd"
    said = {"openid": OPENID, "again": {"sub_openid": OPENID}, "text": f"of {OPENID}", "unionid": other}
    PLATFORM.v3("COUPON.USE", said).post(client, NOTIFY)
    text = fixture_of(admin_client, log())
    assert text.count("oPretendPayer000000000000001") == 3
    assert text.count("oPretendPayer000000000000002") == 1


def test_what_was_not_proven_becomes_no_test(admin_client, filled):
    row = log(outcome="signature_invalid")
    assert deed_url(NotificationLog, "fixture") not in page_of(admin_client, row)
    page = admin_client.get(deed_url(NotificationLog, "fixture"), {"pk": row.pk})
    assert "It was not proven genuine" in said(page)


@pytest.mark.parametrize("cut", range(277, 300, 4))
def test_no_openid_is_cut_into_what_no_mask_would_know(staff, client, shipped, cut):
    Order.objects.expect(out_trade_no="CUT-1", amount=1)
    shipped.failures = [RuntimeError("x" * (cut - len("RuntimeError: ") - 1) + f" {OPENID}")]
    PLATFORM.payment_v3("CUT-1", 1).post(client, NOTIFY)
    row = SignalDelivery.objects.get()
    (line,) = exported(staff("view_signaldelivery", "export_signaldelivery"), SignalDelivery, row)
    assert OPENID[:5] not in line["last_error"]
