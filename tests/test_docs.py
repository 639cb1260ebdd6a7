"""The documentation, held against the code: its samples run, its tables are the code's own, the READMEs agree."""

import ast
import inspect
import io
import logging
import logging.config
import os
import re
import shlex
import sys
import textwrap
import types
import unittest
from pathlib import Path

import django
import pytest
from django.contrib.admin import site
from django.dispatch import receiver
from django.urls import include, path
from docutils.core import publish_parts
from docutils.writers.html5_polyglot import Writer

from tests.shop.models import Shipment
from wechatpay_notify import checks, signals
from wechatpay_notify.admin.actions.deed import MOST_AT_ONCE
from wechatpay_notify.admin.actions.doing import BATCH_ROWS, BATCH_SECONDS
from wechatpay_notify.admin.actions.exporting import MOST_ROWS
from wechatpay_notify.conf import DEFAULTS, MERCHANT_SETTINGS
from wechatpay_notify.delivery.telling import BACKOFF_SECONDS, MAX_ATTEMPTS
from wechatpay_notify.delivery.worker import PATIENCE
from wechatpay_notify.doctor.words import WORDS as FINDINGS
from wechatpay_notify.events import EVENTS as MEANINGS
from wechatpay_notify.health.days import APART, GROUPS
from wechatpay_notify.health.verdict import RULES
from wechatpay_notify.management.commands.wechatpay_deliver import Command as Deliver
from wechatpay_notify.management.commands.wechatpay_replay import Command as Replay
from wechatpay_notify.management.commands.wechatpay_simulate import Command as Simulate
from wechatpay_notify.models import Discrepancy, Order
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.protocol import v2, v3
from wechatpay_notify.questions import QUESTIONS
from wechatpay_notify.testing import Platform

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.rst", "README.zh-CN.rst")
WRITTEN = sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.rst"))
PAGES = (*READMES, *(page for page in WRITTEN if not page.startswith("docs/_")))
WECHAT = Platform(serial="PUB_KEY_ID_0114232134912410000000000000")
"""The pretend WeChat whose public key lies where the samples expect pub_key.pem, under the id they give it."""
TRANSACTION = "4200000001202611220000000001"


def text_of(page):
    return (ROOT / page).read_text()


def blocks(page, language):
    """The code blocks of this language on a page, in order, without their indentation."""
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:(?: +[^\n]*)?\n)+)", text_of(page) + "\n")
    return [textwrap.dedent(block) for block in found]


def table(page, name):
    """The rows below the head of the list-table with this name: a tuple of cells each, without the literal quotes."""
    options = rf"\.\. list-table::\n   :name: {name}\n"
    body = re.search(rf"{options}(?:   :[^\n]*\n)*\n((?:(?:   [^\n]*)?\n)+)", text_of(page) + "\n")[1]
    rows = re.split(r"^   \* - ", body.strip("\n") + "\n", flags=re.MULTILINE)[2:]
    return [
        tuple(re.sub(r"\s+", " ", cell.replace("``", "")).strip() for cell in re.split(r"\n     -(?=[ \n])", row))
        for row in rows
    ]


def one_row(**columns):
    """Stands in for a model of the shop's with one row."""
    row = types.SimpleNamespace(**columns)
    rows = types.SimpleNamespace(first=lambda: row)
    return types.SimpleNamespace(objects=types.SimpleNamespace(filter=lambda **_: rows))


def refund_answer(out_refund_no):
    """What WeChat answers to the query of a refund, 9000 fen of order R-1: no merchant's number is in it."""
    numbers = {"out_trade_no": "R-1", "transaction_id": TRANSACTION, "refund_id": "50300001"}
    amount = {"total": 9900, "refund": 9000}
    return {"out_refund_no": out_refund_no, "status": "SUCCESS", "amount": amount} | numbers


def paid_order(out_trade_no, amount):
    """An order that TRANSACTION has paid and that was fulfilled."""
    order = Order.objects.expect(out_trade_no=out_trade_no, amount=amount)
    Order.objects.filter(pk=order.pk).update(status="paid", transaction_id=TRANSACTION)


class Host:
    """A host project that takes the samples of a page, block by block, as its modules and settings."""

    def __init__(self, settings, directory):
        self.settings, self.placed = settings, []
        self.names = {
            "__name__": "shop.samples",
            "BASE_DIR": directory,
            "INSTALLED_APPS": [],
            "WECHATPAY_NOTIFY": {"BASE_URL": "https://shop.example", "MERCHANTS": {"default": WECHAT.merchant()}},
            "include": include,
            "os": os,
            "path": path,
            "receiver": receiver,
            "urlpatterns": [],
        }
        account = {"mchid": "1900000110", "api_v3_key": WECHAT.api_v3_key, "public_key_pem": WECHAT.public_pem()}
        self.modules = {
            "mysite": {},
            "mysite.settings": {},
            "shop": {},
            "shop.models": {
                "Shipment": Shipment,
                "ShopOrder": one_row(number="20261122000001", total_fen=9900, cancelled=False, fulfilled=False),
                "Account": one_row(public_key_id=WECHAT.serial, **account),
            },
            "shop.wechat": {
                "place_order": lambda **order: self.placed.append(order) or "wx1",
                "query_order": lambda out_trade_no: WECHAT.payment_resource(out_trade_no, 9900),
                "query_refund": refund_answer,
            },
            "shop.warehouse": {"announce": lambda number, request_id: self.placed.append((number, request_id))},
            "shop.payments": self.names,
            "shop.test_settings": self.names,
        }

    def run(self, page):
        self.settings.WECHATPAY_NOTIFY = self.names["WECHATPAY_NOTIFY"]
        for block in blocks(page, "python"):
            exec(compile(block, page, "exec"), self.names)
            for name in ("shop.payments", "shop.test_settings"):
                vars(sys.modules[name]).update(self.names)
            self.settings.WECHATPAY_NOTIFY = dict(self.names["WECHATPAY_NOTIFY"])
        return self.names


@pytest.fixture
def host(monkeypatch, settings, tmp_path):
    made = Host(settings, tmp_path)
    for name, contents in made.modules.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    for name in re.findall(r'os\.environ(?:\[|\.get\()"(\w+)"', "".join(map(text_of, PAGES))):
        monkeypatch.setenv(name, WECHAT.api_v2_key if "V2" in name else WECHAT.api_v3_key)
    for name in re.findall(r'BASE_DIR / "(\w+\.pem)"', "".join(map(text_of, PAGES))):
        (tmp_path / name).write_text(WECHAT.public_pem())
    for name in re.findall(r'\["PLATFORM_KEYS"\] = BASE_DIR / "(\w+)"', "".join(map(text_of, PAGES))):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{WECHAT.serial}.pem").write_text(WECHAT.public_pem())
    connected, connect = [], signals.LedgerSignal.connect

    def remember(signal, receiver, *args, **kwargs):
        connect(signal, receiver, *args, **kwargs)
        connected.append((signal, receiver, kwargs.get("dispatch_uid")))

    monkeypatch.setattr(signals.LedgerSignal, "connect", remember)
    yield made
    for signal, function, dispatch_uid in connected:
        signal.disconnect(function, dispatch_uid=dispatch_uid)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
@pytest.mark.django_db
def test_every_python_sample_runs(host, page):
    host.run(page)


@pytest.mark.parametrize("page", READMES)
@pytest.mark.django_db
def test_a_shop_that_follows_the_readme_ships_a_paid_order_once(host, client, page):
    for name in ("include", "os", "path", "receiver"):  # the README imports what it uses
        del host.names[name]
    names = host.run(page)
    urls = types.ModuleType("shop.urls")
    urls.urlpatterns = names["urlpatterns"]
    host.settings.ROOT_URLCONF = urls
    (order,) = host.placed
    assert order["notify_url"] == "https://shop.example/wechatpay/notify/"
    paid = WECHAT.payment_v3(order["out_trade_no"], order["total"])
    answers = [paid.post(client, order["notify_url"].removeprefix("https://shop.example")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert Shipment.objects.filter(out_trade_no=order["out_trade_no"]).count() == 1


@pytest.mark.parametrize("page", [page for page in PAGES if "WECHATPAY_NOTIFY" in "".join(blocks(page, "python"))])
@pytest.mark.django_db
def test_documented_settings_pass_the_system_checks(host, page):
    host.run(page)
    host.settings.DEBUG = True  # the development keys of the pages about development and tests
    assert [found for found in checks.check(None) if found.id.startswith("wechatpay_notify.E")] == []


@pytest.mark.parametrize("name", re.findall(r"def (test_\w+)\(client", text_of("docs/testing.rst")))
@pytest.mark.django_db
def test_the_sample_pytest_tests_pass(host, request, name):
    host.run("README.rst")
    sample = host.run("docs/testing.rst")[name]
    sample(**{argument: request.getfixturevalue(argument) for argument in inspect.signature(sample).parameters})


@pytest.mark.django_db
def test_the_sample_testcase_passes(host):
    host.run("README.rst")
    case = host.run("docs/testing.rst")["PaymentTests"]
    result = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


@pytest.mark.django_db
def test_the_sample_receivers_ship_and_the_async_one_joins_the_transaction(host, client):
    host.run("docs/receivers.rst")
    Order.objects.expect(out_trade_no="R-1", amount=9900)
    assert WECHAT.payment_v3("R-1", 9900).post(client, "/wechatpay/notify/").status_code == 200
    assert Shipment.objects.filter(out_trade_no="R-1").count() == 2
    ((number, idempotency_key),) = host.placed
    assert number == "R-1"
    assert idempotency_key.startswith("payment_confirmed:")


@pytest.mark.django_db
def test_the_sample_resolver_lets_an_order_kept_elsewhere_be_paid(host, client, shipped):
    host.run("docs/orders.rst")
    Order.objects.all().delete()
    assert WECHAT.payment_v3("20261122000001", 9900).post(client, "/wechatpay/notify/").status_code == 200
    assert shipped.calls[0]["order"].reference == "20261122000001"


@pytest.mark.parametrize("state", ["cancelled", "fulfilled"])
@pytest.mark.django_db
def test_the_sample_resolver_ships_nothing_that_the_shop_is_done_with(host, client, shipped, unexpected, state):
    host.run("docs/orders.rst")
    Order.objects.all().delete()
    unexpected.calls.clear()
    setattr(host.modules["shop.models"]["ShopOrder"].objects.filter().first(), state, True)
    paid = WECHAT.payment_v3("20261122000001", 9900)
    assert [paid.post(client, "/wechatpay/notify/").status_code for _ in range(2)] == [200, 200]
    assert [call["reason"] for call in unexpected.calls] == ["order_closed"]
    assert shipped.calls == []


@pytest.mark.django_db
def test_the_sample_query_confirms_a_closed_order_as_unexpected_money(host, unexpected):
    assert host.run("docs/orders.rst")["outcome"] == "unexpected"
    assert unexpected.calls[0]["reason"] == "order_closed"


@pytest.mark.django_db
def test_the_sample_refund_receivers_write_to_the_admins_and_unpack_when_all_of_it_went_back(host, client, mailoutbox):
    paid_order("R-1", 9900)
    Shipment.objects.create(out_trade_no="R-1")
    assert host.run("docs/refunds.rst")["outcome"] == "refunded"
    with_admins(host)
    numbers = {"total": 9900, "transaction_id": TRANSACTION, "out_refund_no": "R-1-2"}
    for status, parcels in (("ABNORMAL", 1), ("SUCCESS", 0)):
        refund = WECHAT.refund_v3("R-1", 900, **numbers, status=status)
        assert refund.post(client, "/wechatpay/notify/").status_code == 200
        assert Shipment.objects.filter(out_trade_no="R-1").count() == parcels
    assert ["refund R-1-2 is stuck" in mail.subject for mail in mailoutbox] == [True]


def with_admins(host):
    admin = "admin@shop.example"
    host.settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # Django 6.1
    host.settings.ADMINS = [admin] if django.VERSION >= (6,) else [("Admin", admin)]


@pytest.mark.django_db
def test_the_curl_test_of_reachability_is_answered_as_documented(client):
    answer = client.post("/wechatpay/notify/", "{}", content_type="application/x-www-form-urlencoded")
    page = text_of("docs/not-arriving.rst")
    assert f"``{answer.status_code}`` with ``{answer.content.decode()}``" in page
    assert "https://shop.example/wechatpay/notify/ -d '{}'" in page


def test_the_outcome_table_is_the_codes_own():
    documented = [(name, *answer) for name, _when, *answer in table("docs/urls.rst", "outcome-table")]
    assert documented == [
        (row.code, str(row.http_status("v3")), str(row.http_status("v2")), row.word, logging.getLevelName(row.level))
        for row in OUTCOMES.values()
    ]


def test_the_back_off_table_and_its_ends_are_the_codes_own():
    waits = [int(seconds) for _attempt, seconds in table("docs/delivery.rst", "back-off")]
    assert tuple(waits) == BACKOFF_SECONDS
    page = text_of("docs/delivery.rst")
    assert f"After ``{MAX_ATTEMPTS}`` attempts" in page
    assert f"given up after ``{PATIENCE.days}`` days" in page


def test_the_table_of_actions_is_the_codes_own():
    documented = [tuple(row[:3]) for row in table("docs/admin.rst", "actions")]
    offered = [
        (str(deed.label), str(model._meta.verbose_name_plural).capitalize(), permission_of(deed, model))
        for model, model_admin in site._registry.items()
        for deed in (*getattr(model_admin, "deeds", ()), *getattr(model_admin, "list_deeds", ()))
    ]
    assert sorted(documented) == sorted(offered)
    page = text_of("docs/admin.rst")
    assert f"At most ``{MOST_AT_ONCE}`` rows are done at once" in page
    assert f"batches of ``{BATCH_ROWS}`` rows or some ``{BATCH_SECONDS:.0f}`` seconds" in page
    assert f"at most ``{MOST_ROWS}`` rows" in page


def permission_of(deed, model):
    """The one permission that the deed's admin asks for."""
    asked = []
    user = types.SimpleNamespace(has_perm=asked.append)
    request = types.SimpleNamespace(user=user)
    getattr(site.get_model_admin(model), f"has_{deed.permission}_permission")(request)
    return asked[0].removeprefix("wechatpay_notify.")


def test_every_refusal_is_explained_where_one_looks_for_it():
    explained = re.findall(r"^\*\*([a-z_, ]+)\*\*$", text_of("docs/not-verifying.rst"), re.MULTILINE)
    named = {name for line in explained for name in line.split(", ")}
    assert named <= set(OUTCOMES)
    assert {code for code, outcome in OUTCOMES.items() if outcome.word == "unauthorized"} < named


def test_the_table_of_the_doctors_findings_is_the_codes_own():
    assert sorted(row[0] for row in table("docs/not-verifying.rst", "findings")) == sorted(FINDINGS)


def test_the_settings_tables_are_the_codes_own():
    assert {name: eval(default) for name, default, _ in table("docs/settings.rst", "settings")} == DEFAULTS
    assert tuple(row[0] for row in table("docs/settings.rst", "merchant-settings")) == MERCHANT_SETTINGS


def test_the_checks_table_is_the_codes_own():
    sources = Path(checks.__file__).parent.glob("*.py")
    codes = {code for source in sources for code in re.findall(r'"([EW]\d{3})"', source.read_text())}
    assert [row[0] for row in table("docs/checks.rst", "checks")] == sorted(codes)


@pytest.mark.django_db
def test_the_tables_of_health_are_the_codes_own(host, client, shipped):
    host.settings.WECHATPAY_NOTIFY = host.names["WECHATPAY_NOTIFY"] | {"HEALTH_TOKEN": "x" * 16}
    said = client.get("/wechatpay/health/", headers={"Authorization": f"Bearer {'x' * 16}"}).json()
    said["reasons"] = [{"code": "gave_up", "text": "Why."}]
    assert [row[0] for row in table("docs/health.rst", "fields")] == list(names_in(said))
    assert [row[0] for row in table("docs/health.rst", "reasons")] == list(RULES)
    assert {name: set(codes.split(", ")) for name, codes, _ in table("docs/health.rst", "groups")} == {
        name: set(codes) for name, codes in (*GROUPS.items(), ("apart", APART))
    }


def names_in(value, name=""):
    """The dotted names of what a JSON object holds; those of the counts by outcome are the outcomes' own."""
    if isinstance(value, list):
        value, name = (value[0], f"{name}[]") if value and isinstance(value[0], dict) else (None, name)
    if not isinstance(value, dict) or name in {f"today.{group}" for group in (*GROUPS, "apart")}:
        yield name
        return
    for key, part in value.items():
        yield from names_in(part, f"{name}.{key}".lstrip("."))


def test_the_table_of_events_is_the_codes_own():
    kinds = v3.KINDS | {"TRANSACTION.FAIL": "payment failed"} | dict.fromkeys(QUESTIONS, "question")
    listed = re.findall(r'^   "``(.+)``", "(.+)", "(.+)", "(.+)"$', text_of("docs/notifications.rst"), re.MULTILINE)
    assert listed == [(name, *meant, kinds.get(name, "received")) for name, meant in MEANINGS.items()]
    assert {row[0] for row in table("docs/notifications.rst", "kinds")} == {row[-1] for row in listed}


def test_the_table_of_reasons_is_the_codes_own():
    assert {row[0] for row in table("docs/signals.rst", "reasons")} == set(Discrepancy.Reason.values)


def test_the_table_of_questions_is_the_codes_own():
    assert {name: api for name, api, _ in table("docs/questions.rst", "questions")} == QUESTIONS


def test_the_table_of_v2_events_is_the_codes_own():
    assert {row[0] for row in table("docs/signals.rst", "v2-events")} == {name for name, _ in v2._SHAPES}


@pytest.mark.django_db
def test_the_sample_answers_are_sent(host, client, shipped):
    host.run("docs/questions.rst")
    resource = {"mchid": WECHAT.mchid, "contract_id": "1"}
    response = WECHAT.v3("ENTRUST.TERMINATE_RETENTION", resource).post(client, "/wechatpay/notify/")
    assert response.json()["coupon_info"]["coupon_id"] == "for-1"
    assert "卖完了" in WECHAT.scan_v2("P-2").post(client, "/wechatpay/notify/").content.decode()
    scan = WECHAT.scan_v2("P-1")
    answers = [scan.post(client, "/wechatpay/notify/").content for _ in range(2)]
    assert all(b"<prepay_id><![CDATA[wx1]]></prepay_id>" in answer for answer in answers)
    order = Order.objects.get()
    assert WECHAT.payment_v2(order.out_trade_no, 9900).post(client, "/wechatpay/notify/").status_code == 200
    assert shipped.calls[0]["order"] == order


REFUND = {"total": 100, "transaction_id": TRANSACTION, "out_refund_no": "R-1"}
EVENTS = {  # signed when they are sent: a signature is stale after five minutes
    "payment_confirmed": lambda: WECHAT.payment_v3("S-1", 100),
    "payment_failed": lambda: WECHAT.payment_v3("S-1", 100, trade_state="PAYERROR"),
    "payment_unexpected": lambda: WECHAT.payment_v3("S-2", 100),
    "refund_confirmed": lambda: WECHAT.refund_v3("S-3", 30, **REFUND),
    "refund_abnormal": lambda: WECHAT.refund_v3("S-3", 30, **REFUND, status="ABNORMAL"),
    "refund_closed": lambda: WECHAT.refund_v3("S-3", 30, **REFUND, status="CLOSED"),
    "notification_received": lambda: WECHAT.v3("COUPON.USE", {"coupon_id": "C-1"}),
    "notification_rejected": lambda: WECHAT.payment_v3("S-1", 100).with_body(b"{}"),
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.django_db
def test_a_signal_has_the_documented_sender_and_arguments(host, client, connect, name):
    host.settings.WECHATPAY_NOTIFY = host.names["WECHATPAY_NOTIFY"]
    documented = {row[0]: row for row in table("docs/signals.rst", "signals")}
    assert set(documented) == set(EVENTS) == set(signals.LEDGER_SIGNALS) | {"notification_rejected"}
    told = connect(getattr(signals, name), name)
    Order.objects.expect(out_trade_no="S-1", amount=100)
    Order.objects.close(Order.objects.expect(out_trade_no="S-2", amount=100))
    paid_order("S-3", 100)
    EVENTS[name]().post(client, "/wechatpay/notify/")
    (call,) = told.calls
    assert call.pop("sender").__name__ == documented[name][2]
    assert set(call) - {"signal"} == set(documented[name][3].split(", "))


def test_the_readmes_say_the_same_in_two_languages():
    english, chinese = READMES
    assert blocks(english, "sh") == blocks(chinese, "sh")
    assert _code(english) == _code(chinese)
    for sign in (r"^[-=]{3,}$", r"^\* ", r"^\.\. (begin|end) [a-z ]+$", r"`_"):
        counts = [len(re.findall(sign, text_of(page), re.MULTILINE)) for page in READMES]
        assert counts[0] == counts[1] > 0, sign


def _code(page):
    return [ast.dump(ast.parse(block)) for block in blocks(page, "python")]


@pytest.mark.parametrize("page", READMES)
def test_a_readme_begins_with_the_two_commands(page):
    assert [command.strip() for command in blocks(page, "sh")[:2]] == [
        "pip install uv && uv run example_project/manage.py demo",
        "pip install uv && uv run pytest",
    ]


@pytest.mark.parametrize("page", READMES)
def test_a_readme_renders_on_pypi(page):
    strict = {"report_level": 1, "halt_level": 1, "raw_enabled": False, "file_insertion_enabled": False}
    parts = publish_parts(text_of(page), writer=Writer(), settings_overrides=strict)
    prose = re.sub(r"<pre.*?</pre>", "", parts["body"], flags=re.DOTALL)
    assert "``" not in prose
    assert "**" not in prose


@pytest.mark.parametrize("page", READMES)
def test_a_readme_links_to_pages_that_exist(page):
    targets = re.findall(r"<([^>]+\.rst)>`_", text_of(page))
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).is_file()] == []


@pytest.mark.parametrize("page", READMES)
@pytest.mark.django_db
def test_the_sample_receiver_of_unexpected_money_writes_to_the_admins(host, client, mailoutbox, page):
    host.run(page)
    with_admins(host)
    assert WECHAT.payment_v3("20261122000001", 1).post(client, "/wechatpay/notify/").status_code == 409
    (mail,) = mailoutbox
    assert "WeChat Pay: amount_mismatch" in mail.subject
    assert "20261122000001" in mail.body


@pytest.mark.parametrize("page", ["docs/deployment.rst", "docs/development.rst"])
@pytest.mark.django_db
def test_the_sample_logging_shows_what_was_refused(host, client, capsys, page):
    logger = logging.getLogger("wechatpay_notify")
    before = logger.level
    try:
        logging.config.dictConfig(host.run(page)["LOGGING"])
        client.post("/wechatpay/v3/", "{}", content_type="application/json")
        assert "unsigned" in capsys.readouterr().err
    finally:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.setLevel(before)


@pytest.mark.parametrize(("page", "least"), [("docs/development.rst", 11), ("docs/zh/quickstart.rst", 2)])
def test_the_sample_command_lines_are_understood(page, least):
    lines = [line.split() for block in blocks(page, "sh") for line in block.splitlines()]
    simulations = [line[3:] for line in lines if "wechatpay_simulate" in line]
    assert len(simulations) == least
    for options in simulations:
        Simulate().create_parser("manage.py", "wechatpay_simulate").parse_args(options)


def test_the_sample_orders_to_the_worker_are_understood():
    lines = [shlex.split(line) for block in blocks("docs/delivery.rst", "sh") for line in block.strip().splitlines()]
    assert len(lines) == 4
    for _python, _manage, name, *options in lines:
        Deliver().create_parser("manage.py", name).parse_args(options)


def test_the_sample_replays_are_understood():
    lines = [shlex.split(line) for block in blocks("docs/replaying.rst", "sh") for line in block.strip().splitlines()]
    assert len(lines) == 4
    for _python, _manage, name, *options in lines:
        Replay().create_parser("manage.py", name).parse_args(options)


@pytest.mark.parametrize("page", PAGES)
def test_commands_named_in_the_docs_exist(page):
    named = set(re.findall(r"\b(wechatpay_[a-z]+)\b(?=[` ])", text_of(page))) - {"wechatpay_notify"}
    commands = ROOT / "wechatpay_notify" / "management" / "commands"
    assert {name for name in named if not (commands / f"{name}.py").is_file()} == set()
