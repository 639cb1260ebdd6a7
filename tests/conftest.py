"""Fixtures: a shop that listens, and orders that wait for their payment."""

import contextlib

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.utils import translation

from tests.settings import DATABASE
from wechatpay_notify import signals

if DATABASE == "sqlite":  # which has one writer, and no locks of rows to be held
    collect_ignore = ["test_worker_locks.py"]
if DATABASE == "mariadb":  # whose plan for a thousand rows, without statistics, says nothing of a large table
    collect_ignore = ["test_admin_scale.py"]


class Receiver:
    """A receiver that remembers what it was told and raises what it is told to raise."""

    def __init__(self, name):
        self.name, self.calls, self.failures, self.before = name, [], [], None

    def __call__(self, **kwargs):
        self.calls.append(kwargs)
        if self.before:
            self.before(**kwargs)
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture
def connect():
    """Connect a fresh Receiver to a signal under a name; disconnected after the test."""
    with contextlib.ExitStack() as stack:

        def make(signal, name="shop.ship"):
            receiver = Receiver(name)
            signal.connect(receiver, weak=False, dispatch_uid=name)
            stack.callback(signal.disconnect, dispatch_uid=name)
            return receiver

        yield make


@pytest.fixture
def shipped(connect):
    """The shop's receiver of payment_confirmed."""
    return connect(signals.payment_confirmed)


@pytest.fixture
def unexpected(connect):
    return connect(signals.payment_unexpected, "shop.unexpected")


@pytest.fixture(autouse=True)
def _no_language():
    """A request in another language leaves it active in this thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _fresh_budget():
    """The budget for refused requests is counted in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def deferred(settings):
    """A worker runs the receivers."""
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"DELIVERY": "deferred"}


@pytest.fixture
def permitted(django_user_model, client):
    """A client of a member of staff with exactly these permissions."""

    def make(*codenames):
        user = django_user_model.objects.create_user("member", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return make
