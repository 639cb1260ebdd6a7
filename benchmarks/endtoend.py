"""End to end: requests a second through gunicorn and a database, beside a bare view and callbacks written by hand.

Never calls out: everything listens on the loopback address. Makes databases of its own and drops them.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import load
from rounds import VERDICT_HEAD, Goal, interleave, table, verdicts
from server import gunicorn

WORKERS, THREADS = 2, 2
AMOUNT = 100
BARE, HAND, LEAN = "bare view", "by hand", "by hand, lean"
OURS, AGAIN, FORGED = "ours", "ours, duplicate", "ours, forged"
REFUND, COMBINED = "ours, refund", "ours, combined of 10"
PARTS = 10
"""Sub orders of a combined order; a turn has as many fewer of them, so that it settles as many orders as the others."""
EXPECTED = {FORGED: 401}
"""HTTP status of a contender's answers, where it is not 200."""
CONTENDERS = (BARE, HAND, LEAN, OURS, AGAIN, FORGED, REFUND, COMBINED)
SHIPS = (BARE, HAND, LEAN, OURS, COMBINED)
GOALS = (
    Goal(OURS, HAND, 0.9, speed=True),
    Goal(OURS, LEAN, speed=True),
    Goal(OURS, BARE, speed=True),
    Goal(HAND, BARE, speed=True),
    Goal(AGAIN, OURS, speed=True),
    Goal(FORGED, OURS, speed=True),
    Goal(REFUND, OURS, speed=True),
    Goal(COMBINED, OURS, PARTS),
)


@dataclass(slots=True)
class Report:
    """What one database's run found."""

    database: str
    server: str
    costs: dict[str, list[float]]
    statements: dict[str, Counter[str]]
    surprises: Counter[str]
    """Answers with another status than expected, by contender and status."""


@dataclass(slots=True)
class Site:
    """The contenders of one running site: makes what a turn needs, then times it."""

    lines: list[load.Line]
    calls: int
    platform: Any
    number: int = 0
    delivered: list[bytes] = field(default_factory=list)
    """The requests of the last turn of `ours`: sent again, they are duplicates."""
    surprises: Counter[str] = field(default_factory=Counter)

    def measures(self) -> dict[str, Callable[[], float]]:
        return {name: lambda name=name: self.turn(name) for name in CONTENDERS}

    def turn(self, name: str) -> float:
        requests = self.requests(name, self.calls // PARTS if name == COMBINED else self.calls)
        turn = load.run(self.lines, requests)
        wrong = turn.statuses - Counter({EXPECTED.get(name, 200): len(requests)})
        self.surprises.update({f"{name}: {status}": count for status, count in wrong.items()})
        return turn.seconds / len(requests)

    def requests(self, name: str, count: int) -> list[bytes]:
        """Ready-made requests, each for an order of its own, and those orders."""
        if name == AGAIN:
            return self.delivered[:count]
        numbers = [f"{self.number + position:010d}" for position in range(count * (PARTS if name == COMBINED else 1))]
        self.number += len(numbers)
        self._make_orders(name, numbers)
        made = []
        for number in numbers[:: PARTS if name == COMBINED else 1]:
            signed = self._sign(name, number)
            path = {BARE: f"/bare/{number}/", HAND: "/written/", LEAN: "/lean/"}.get(name, "/wechatpay/v3/")
            made.append(load.request(path, signed.headers, signed.body))
        if name == OURS:
            self.delivered = made
        return made

    def _sign(self, name: str, number: str) -> Any:
        if name == REFUND:
            numbers = {"transaction_id": number, "out_refund_no": f"R{number}"}
            return self.platform.refund_v3(number, AMOUNT, total=AMOUNT, **numbers)
        if name == COMBINED:
            parts = {f"{int(number) + part:010d}": AMOUNT for part in range(PARTS)}
            return self.platform.combined_v3(f"C{number}", parts)
        signed = self.platform.payment_v3(number, AMOUNT)
        return signed.with_body(signed.body.replace(b"SUCCESS", b"SUCCEED", 1)) if name == FORGED else signed

    def _make_orders(self, name: str, numbers: list[str]) -> None:
        from shop.models import ShopOrder

        from wechatpay_notify.models import Order

        if name in (BARE, HAND, LEAN):
            ShopOrder.objects.bulk_create(ShopOrder(number=number, amount=AMOUNT) for number in numbers)
        else:
            paid = {"status": Order.Status.PAID} if name == REFUND else {}
            Order.objects.bulk_create(
                Order(out_trade_no=number, amount=AMOUNT, transaction_id=number if paid else None, **paid)
                for number in numbers
            )


def measure(database: str, rounds: int, calls: int) -> Report:
    """The whole run on one database; once a process, because Django is configured once a process."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        name = f"wechatpay_benchmark_{os.getpid()}"
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "BENCHMARK_DATABASE": database,
            "BENCHMARK_NAME": str(Path(directory, "benchmark.sqlite3")) if database == "sqlite" else name,
            "BENCHMARK_KEYS": directory,
        }
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            with gunicorn(WORKERS, THREADS) as port:
                return _run(database, port, rounds, calls)
        finally:
            connection.creation.destroy_test_db(os.environ["BENCHMARK_NAME"], verbosity=0)


def apart(database: str, rounds: int, calls: int) -> Report:
    """`measure` in a process of its own, which drops its database when this one is stopped, too."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sending, database, rounds, calls))
    process.start()
    sending.close()
    try:
        report: Report = receiving.recv()
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    return report


def _send(sending: Any, database: str, rounds: int, calls: int) -> None:
    signal.signal(signal.SIGTERM, _leave)
    sending.send(measure(database, rounds, calls))


def _leave(*_: Any) -> None:
    sys.exit("stopped")


def _run(database: str, port: int, rounds: int, calls: int) -> Report:
    from shop.models import Shipment
    from shop.platform import PLATFORM

    site = Site(load.balanced(port, WORKERS * THREADS, WORKERS), calls, PLATFORM)
    statements = {name: _statements(site, name) for name in site.measures()}
    for measure_once in site.measures().values():  # every thread opens its connection to the database
        measure_once()
    site.surprises.clear()
    Shipment.objects.all().delete()
    costs = interleave(site.measures(), rounds, database)
    for line in site.lines:
        line.close()
    shipped, expected = Shipment.objects.count(), len(SHIPS) * rounds * calls
    if shipped != expected:
        site.surprises[f"{shipped} shipments instead of {expected}"] += 1
    return Report(database, _server(), costs, statements, site.surprises)


def _statements(site: Site, name: str) -> Counter[str]:
    """Statements and commits of one request, counted in this process: the same views on the same database."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client, counted = Client(), Counter[str]()
    for _ in range(2):  # the first one warms caches and budgets
        (request,) = site.requests(name, 1)
        head, _, body = request.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in rest if not line.startswith(("Host", "Content-Length")))
        with CaptureQueriesContext(connection) as captured:
            client.generic("POST", first.split()[1], body, content_type=headers["Content-Type"], headers=headers)
    inside = False
    for query in captured:
        word = query["sql"].split()[0]
        counted["round trips"] += 1
        inside = word == "BEGIN" or (inside and word != "COMMIT")
        counted["commits"] += word == "COMMIT" or (not inside and word in ("INSERT", "UPDATE", "DELETE"))
        counted["statements"] += word not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return counted


def _server() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT current_setting('server_version'), current_setting('synchronous_commit')")
            return "PostgreSQL {}, synchronous_commit {}".format(*cursor.fetchone())
        cursor.execute("SELECT sqlite_version()")
        return f"SQLite {cursor.fetchone()[0]}, WAL, synchronous NORMAL, IMMEDIATE"


def show(report: Report, rounds: int, calls: int) -> None:
    """The tables of one database."""
    print(f"\n{report.server}: requests a second, {rounds} interleaved rounds of {calls} requests each")
    print(f"gunicorn, {WORKERS} workers of {THREADS} threads, {WORKERS * THREADS} connections kept alive\n")
    print(table(VERDICT_HEAD, verdicts(report.costs, GOALS)))
    print("\nA request of\n")
    columns = ("statements", "round trips", "commits")
    rows = [[name, *(str(counted[column]) for column in columns)] for name, counted in report.statements.items()]
    print(table(("", *columns), rows))
    for surprise, count in report.surprises.items():
        print(f"NOT AS EXPECTED {surprise} ({count} times)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run: the figures mean little")
    options.add_argument("--database", choices=("postgresql", "sqlite"), action="append", help="default: both")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    rounds, calls = (3, 40) if given.quick else (15, 100)
    reports = [apart(database, rounds, calls) for database in given.database or ("postgresql", "sqlite")]
    for report in reports:
        show(report, rounds, calls)
    sys.exit(any(report.surprises for report in reports))


if __name__ == "__main__":
    main()
