"""Fixtures of the races: a shop that listens, WeChat, the shop's staff, and the table of results."""

import os
import time
from pathlib import Path

import pytest

from .configurations import CONFIGURATIONS, chosen
from .server import GTHREAD, WSGI, running
from .table import Table
from .wechat import Staff, Tally, WeChat

TABLE = pytest.StashKey[Table]()


def pytest_configure(config):
    config.stash[TABLE] = Table()


def pytest_generate_tests(metafunc):
    if "shop" in metafunc.fixturenames:
        metafunc.parametrize("shop", [one.key for one in chosen()], indirect=True, scope="session")


@pytest.fixture(scope="session")
def shop(request):
    """The shop under gunicorn, two processes of eight threads, for one configuration after the other."""
    with running(CONFIGURATIONS[request.param], *GTHREAD, WSGI) as shop:
        yield shop
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    done = request.config.stash[TABLE].summary(str(shop.configuration))
    terminal.write_line(
        f"\n{done.configuration}: {done.sent} sent, {done.success} success, {done.again} try again, "
        f"{done.effects} effects, {done.seconds:.1f} s"
    )


@pytest.fixture
def tally(request, shop):
    """Counts what the scenario sends; afterwards no copy may have met a bug of the app's."""
    tally = Tally(shop)
    yield tally
    tally.seconds = time.monotonic() - tally.started
    plan = request.node.callspec.params.get("plan", "")
    scenario = f"{request.node.originalname.removeprefix('test_').replace('_', ' ')} {plan}".strip()
    request.config.stash[TABLE].add(scenario, tally)
    assert not [answer for answer in tally.answers if answer.status == 500]
    never = {"error"} | ({"unavailable"} if shop.configuration.has_row_locks else set())
    assert not never & set(tally.outcomes), tally.outcomes


@pytest.fixture
def wechat(tally):
    return WeChat(tally)


@pytest.fixture
def staff(tally):
    return Staff(tally)


def pytest_terminal_summary(terminalreporter, config):
    table = config.stash[TABLE]
    if not table.rows:
        return
    terminalreporter.section("races")
    for line in table.text():
        terminalreporter.write_line(line)
    if os.environ.get("WECHATPAY_RACE_TABLE"):
        table.write(Path(os.environ["WECHATPAY_RACE_TABLE"]))
