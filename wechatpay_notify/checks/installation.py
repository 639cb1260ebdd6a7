"""Checks of what surrounds the app: receivers, URLs, database, cache and XML parser.

Never opens a connection: what the settings say is enough.
"""

import pyexpat
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections, router
from django.urls import URLResolver, get_resolver

from wechatpay_notify.models import Order, SignalDelivery
from wechatpay_notify.signals import payment_confirmed, payment_unexpected
from wechatpay_notify.views import NotifyView

from .findings import Findings, in_production

MAX_SQLITE_TIMEOUT = 3
"""Seconds; a request that waits longer for SQLite's one writer is answered after WeChat has hung up."""
SQLITE_DEFAULT_TIMEOUT = 5
SQLITE_MEND = (
    'Set "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 2, "init_command": "PRAGMA journal_mode=WAL;"}.'
)
"""Two seconds, not the three allowed: a success may have to wait for the writer in two transactions."""
MIN_EXPAT = (2, 6, 0)
"""The first that parses a large token in small pieces in linear time (CVE-2023-52425)."""
UNSHARED_CACHES = {
    LocMemCache: "counts in each process alone: the budget of unproven requests grows with the workers",
    DummyCache: "counts nothing: no unproven request is stored",
}


def _receivers() -> Findings:
    if not payment_confirmed.names(Order):
        yield (
            "W030",
            "No receiver is connected to payment_confirmed: payments are recorded, but nobody is told.",
            "Connect one with @receiver(payment_confirmed), and import its module in your AppConfig.ready().",
        )
    if not payment_unexpected.names(Order):
        yield (
            "W036",
            "No receiver is connected to payment_unexpected: money that does not fit is seen only in the admin.",
            "Connect one that tells a person, with mail_admins() for example.",
        )


def _urls() -> Findings:
    if getattr(settings, "ROOT_URLCONF", None) and not any(
        _is_callback(v) for v in _views(get_resolver().url_patterns)
    ):
        yield (
            "W031",
            "ROOT_URLCONF has no callback of wechatpay_notify: WeChat cannot reach this project.",
            'Add path("wechatpay/", include("wechatpay_notify.urls")) to its urlpatterns.',
        )


def _views(patterns: Iterable[Any]) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns)
        else:
            yield pattern.callback


def _is_callback(view: Any) -> bool:
    view_class = getattr(view, "view_class", None)
    return isinstance(view_class, type) and issubclass(view_class, NotifyView)


def _router() -> Findings:
    models = apps.get_app_config("wechatpay_notify").get_models()
    written = {model.__name__: router.db_for_write(model) for model in models}
    if len(set(written.values())) > 1:
        routes = ", ".join(f"{name} to {alias}" for name, alias in sorted(written.items()))
        yield (
            "E030",
            f"DATABASE_ROUTERS sends the app's writes to several databases: {routes}.",
            "Route the whole app label wechatpay_notify to one database: fact and ledger commit together.",
        )


def _autocommit() -> Findings:
    alias = router.db_for_write(SignalDelivery)
    if not connections[alias].settings_dict["AUTOCOMMIT"]:
        yield (
            "E031",
            f'DATABASES["{alias}"] has AUTOCOMMIT off: nothing would be committed, so every notification fails.',
            "Remove AUTOCOMMIT, or route the app label wechatpay_notify to a database that has it on.",
        )


def _sqlite() -> Findings:
    alias = router.db_for_write(SignalDelivery)
    connection = connections[alias]
    if connection.vendor != "sqlite":
        return
    options = connection.settings_dict["OPTIONS"]
    if str(options.get("transaction_mode")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        yield (
            "W032",
            f'DATABASES["{alias}"] is SQLite with deferred transactions: simultaneous callbacks fail at once.',
            SQLITE_MEND,
        )
    timeout = options.get("timeout", SQLITE_DEFAULT_TIMEOUT)
    if not isinstance(timeout, int | float) or timeout > MAX_SQLITE_TIMEOUT:
        yield (
            "W033",
            f'DATABASES["{alias}"] is SQLite that waits {timeout} seconds for its one writer: WeChat hangs up first.',
            SQLITE_MEND,
        )


def _cache() -> Findings:
    for kind, effect in UNSHARED_CACHES.items():
        if isinstance(caches["default"], kind) and in_production():
            yield (
                "W034",
                f'CACHES["default"] is {kind.__name__}, which {effect}.',
                "Use a cache that all workers share: Redis, Memcached, the database or files.",
            )


def _expat() -> Findings:
    if pyexpat.version_info < MIN_EXPAT:
        yield (
            "W035",
            f"This Python parses XML with {pyexpat.EXPAT_VERSION}, which has known denials of service.",
            "Update Python or the system's libexpat to 2.6.0 or newer; a distribution may have mended an older one.",
        )


CHECKS = (_receivers, _urls, _router, _autocommit, _sqlite, _cache, _expat)
