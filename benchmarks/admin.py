"""The admin at scale: milliseconds a page and a query with millions of rows, and which query uses no index of the log.

Never measures the app through a browser or a server: Django's test client asks, as a superuser. Makes a database of its
own and drops it, unless told to keep it.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rounds import Progress, table

from tests import tables

SIZES = {"postgresql": (5_000_000, 1_500_000), "sqlite": (1_000_000, 300_000)}
NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
PAGE_LIMIT, SEARCH_LIMIT, QUERY_LIMIT = 100, 30, 20
"""Milliseconds."""
HEAD = ("Database", "Page", "Pages", "Median (ms)", "Slowest (ms)", "Limit (ms)", "Queries", "Slowest query (ms)")
Query = tuple[str, Any]


@dataclass(slots=True)
class Page:
    """One address, the kind it counts as, and what was measured of it."""

    kind: str
    url: str
    seconds: list[float] = field(default_factory=list)
    queries: dict[int, list[float]] = field(default_factory=dict)
    texts: dict[int, Query] = field(default_factory=dict)

    @property
    def limit(self) -> int:
        return SEARCH_LIMIT if self.kind.endswith("search") else PAGE_LIMIT

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def slowest(self) -> float:
        return max(self.seconds) * 1000

    def slowest_query(self) -> tuple[float, int]:
        """Milliseconds (the median of the rounds) and which one."""
        every = [(statistics.median(times) * 1000, number) for number, times in self.queries.items()]
        return max(every, default=(0.0, 0))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=SIZES, default="postgresql")
    options.add_argument("--logs", type=int, help="notifications; 5,000,000 (SQLite: 1,000,000) if not given")
    options.add_argument("--orders", type=int, help="1,500,000 (SQLite: 300,000) if not given")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument(
        "--keep", metavar="NAME", help="keep the database (SQLite: file) of this name, or use it again"
    )
    options.add_argument("--every", action="store_true", help="print every page, not only those over a limit")
    options.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    options.add_argument("--table", type=Path, help="write the results into the table in this file")
    given = options.parse_args()
    logs, orders = SIZES[given.database]
    with opened(given.database, given.keep) as empty:
        if empty:
            from crowd import fill

            fill(given.logs or logs, given.orders or orders)
        return _report(given, *_measure(given.rounds))


@contextmanager
def opened(vendor: str, keep: str | None) -> Iterator[bool]:
    """A migrated database; whether it is empty."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        name = keep or (f"wechatpay_admin_{os.getpid()}" if vendor == "postgresql" else f"{directory}/admin.sqlite3")
        keys = Path(f"{Path(tempfile.gettempdir()) / Path(keep).name}.keys" if keep else directory)
        keys.mkdir(exist_ok=True)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "shop.backoffice",
            "BENCHMARK_DATABASE": vendor,
            "BENCHMARK_NAME": name,
            "BENCHMARK_KEYS": str(keys),
        }
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection
        from django.test.utils import setup_test_environment

        from wechatpay_notify.models import NotificationLog

        _create(connection, name)
        setup_test_environment()  # for the context of the pages
        try:
            call_command("migrate", verbosity=0)
            yield not NotificationLog.objects.exists()
        finally:
            connection.close()
            if not keep and vendor == "postgresql":
                with connection._nodb_cursor() as cursor:
                    cursor.execute(f'DROP DATABASE "{name}"')


def _create(connection: Any, name: str) -> None:
    if connection.vendor != "postgresql":
        return
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if not cursor.fetchone():
            cursor.execute(f'CREATE DATABASE "{name}"')


def _measure(rounds: int) -> tuple[list[Page], list[str]]:
    from django.contrib.auth import get_user_model
    from django.test import Client

    from tests.pages import found

    users = get_user_model().objects
    user = users.filter(username="benchmark").first() or users.create_superuser("benchmark", password="x")
    client = Client()
    client.force_login(user)
    pages = [Page(kind, url) for kind, url in found(client)]
    progress = Progress("pages", rounds + 1)
    for number in range(rounds + 1):
        for page in pages:
            _open(client, page, counted=number > 0)
        progress.step()
    return pages, [line for page in pages for line in scans(page)]


def _open(client: Any, page: Page, *, counted: bool) -> Any:
    from django.db import connection

    from tests.pages import SHOWN

    times: list[float] = []

    def timed(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        page.texts.setdefault(len(times), (sql, params))
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            times.append(time.perf_counter() - started)

    with connection.execute_wrapper(timed):
        started = time.perf_counter()
        response = client.get(page.url)
        seconds = time.perf_counter() - started
    if connection.vendor == "sqlite":  # it finds the rows only when they are fetched
        times = [_fetched(*page.texts[number]) for number in range(len(times))]
    if response.status_code not in SHOWN:
        raise SystemExit(f"{page.url}: HTTP {response.status_code}")
    if counted:
        page.seconds.append(seconds)
        for number, query in enumerate(times):
            page.queries.setdefault(number, []).append(query)
    return response


# What was found


def _fetched(sql: str, params: Any) -> float:
    """Seconds until the last row."""
    from django.db import connection

    if not sql.startswith("SELECT"):
        return 0.0
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(sql, params)
        cursor.fetchall()
        return time.perf_counter() - started


def scans(page: Page) -> Iterator[str]:
    """The queries of this page that read the log from end to end without an index."""
    from tests.plans import whole_reads

    for sql, params in page.texts.values():
        for step in whole_reads((sql, params)):
            yield f"{page.url}: {step}\n    {sql[:1000]} {params}"


def _report(options: Any, pages: list[Page], scanned: list[str]) -> int:
    from wechatpay_notify.models import NotificationLog, Order

    counted = [f"{rows.objects.latest('pk').pk:,}" for rows in (NotificationLog, Order)]
    title = f"{NAMES[options.database]}, {counted[0]} notifications, {counted[1]} orders"
    kinds = dict.fromkeys(page.kind for page in pages)
    rows = [_row(title, kind, [page for page in pages if page.kind == kind]) for kind in kinds]
    missed = [page for page in pages if page.median > page.limit or page.slowest_query()[0] > QUERY_LIMIT]
    print(f"\n{title}; medians of {options.rounds} rounds\n")
    print(table(HEAD[1:], [[str(cell) for cell in row[1:]] for row in rows]))
    for page in sorted(pages if options.every else missed, key=lambda page: -page.slowest_query()[0]):
        slowest, number = page.slowest_query()
        fastest = min(page.seconds) * 1000, min(page.queries.get(number, [0.0])) * 1000
        print(f"\n{page.median:.0f} ms (limit {page.limit}), query {slowest:.1f} ms: {page.url}")
        print(f"    at the fastest {fastest[0]:.0f} ms, query {fastest[1]:.1f} ms")
        if slowest > QUERY_LIMIT / 2:
            print(f"    {page.texts[number][0][:1500]} {page.texts[number][1]}")
    print(*(f"\nNo index: {line}" for line in scanned))
    print(
        f"\n{len(missed)} of {len(pages)} pages over a limit, {len(scanned)} queries that read the log without an index"
    )
    if options.table:
        tables.replace(options.table, HEAD, rows)
    return int(options.check and bool(missed or scanned))


def _row(title: str, kind: str, pages: Iterable[Page]) -> list[object]:
    pages = list(pages)
    worst = max(pages, key=lambda page: page.median)
    return [
        title,
        kind,
        len(pages),
        f"{worst.median:.0f}",
        f"{max(page.slowest for page in pages):.0f}",
        worst.limit,
        max(len(page.queries) for page in pages),
        f"{max(page.slowest_query()[0] for page in pages):.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
