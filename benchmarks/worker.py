"""The worker: deliveries a second of 1, 2 and 4 processes, and the callbacks that leave their receivers to it.

Never calls out: everything listens on the loopback address. Makes a database of its own on PostgreSQL and drops it.
"""

import argparse
import copy
import itertools
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import load
from rounds import VERDICT_HEAD, Goal, interleave, table, verdicts
from server import gunicorn

AMOUNT = 100
CONNECTIONS, THREADS = 4, 2
PROCESSES = (1, 2, 4)
LEAST = 300
"""Deliveries a second that two processes must reach. The one figure here that is about the machine, too."""
BARE_CLAIM = (
    "SELECT id FROM wechatpay_notify_signaldelivery WHERE status = 'pending' AND next_attempt_at <= now() "
    "ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED"
)
BARE_DONE = "UPDATE wechatpay_notify_signaldelivery SET status = 'done', done_at = now() WHERE id = %s"
WORKER, BARE = "worker", "bare loop"
DEFERRED, INLINE, DEAF = "deferred", "inline", "inline, no receiver"
ENVIRONMENTS = {
    DEFERRED: {"BENCHMARK_DELIVERY": "deferred"},
    INLINE: {},
    DEAF: {"BENCHMARK_DEAF": "1"},
}
EXPECTED = {DEAF: 503}
"""HTTP status of a contender's answers, where it is not 200."""


def named(what: str, count: int) -> str:
    return f"{what}, {count} process{'es' * (count > 1)}"


WORKER_GOALS = (
    *(Goal(named(WORKER, count), named(BARE, count), speed=True) for count in PROCESSES),
    *(Goal(named(WORKER, count), named(WORKER, 1), speed=True) for count in PROCESSES[1:]),
    *(Goal(named(BARE, count), named(BARE, 1), speed=True) for count in PROCESSES[1:]),
)
WEB_GOALS = (
    Goal(named(DEFERRED, 2), named(DEAF, 2), 1.0, speed=True),
    Goal(named(DEFERRED, 2), named(INLINE, 2), speed=True),
    *(Goal(named(DEFERRED, count), named(DEFERRED, 1), speed=True) for count in PROCESSES[1:]),
)


def serve(calls: Any) -> None:
    """One process: told WORKER or BARE, runs what is due and says how many it ran."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import django

    django.setup()
    from wechatpay_notify.delivery import deliver_due

    run = {WORKER: lambda: deliver_due()["done"], BARE: _claim_and_update}
    run[WORKER]()  # opens the connection
    calls.send(0)
    while True:
        try:
            call = calls.recv()
        except EOFError:
            return
        calls.send(run[call]())


def _claim_and_update() -> int:
    """The least that takes a row once: no receiver, no attempt counted, nothing built."""
    from django.db import connection, transaction

    for number in range(sys.maxsize):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(BARE_CLAIM)
            found = cursor.fetchone()
            if found is None:
                return number
            cursor.execute(BARE_DONE, found)
    raise AssertionError("unreachable: nothing is due at some time")


@contextmanager
def workers() -> Iterator[list[Any]]:
    """As many processes as any contender needs; the pipes to them."""
    context = multiprocessing.get_context("spawn")
    started = []
    for _ in range(max(PROCESSES)):
        mine, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        started.append((mine, process))
    try:
        yield [mine for mine, _ in started if mine.recv() == 0]
    finally:
        for mine, process in started:
            mine.close()
            process.join()


@dataclass(slots=True)
class Ledger:
    """Makes what is due, copies of one delivery that a real callback left, and has it run."""

    pipes: list[Any]
    calls: int
    pattern: tuple[Any, Any, Any]
    """An order, its notification and its delivery, which is due."""
    number: int = 0
    surprises: Counter[str] = field(default_factory=Counter)

    def measures(self) -> dict[str, Callable[[], float]]:
        return {
            named(what, count): lambda what=what, count=count: self.turn(what, count)
            for what in (WORKER, BARE)
            for count in PROCESSES
        }

    def turn(self, what: str, count: int) -> float:
        self._make_due()
        started = time.perf_counter()
        for pipe in self.pipes[:count]:
            pipe.send(what)
        done = sum(pipe.recv() for pipe in self.pipes[:count])
        seconds = time.perf_counter() - started
        if done != self.calls:
            self.surprises[f"{what}: {done} done instead of {self.calls}"] += 1
        return seconds / self.calls

    def _make_due(self) -> None:
        from wechatpay_notify.models import NotificationLog, Order, SignalDelivery

        order, notification, delivery = self.pattern
        orders, notifications, deliveries = [], [], []
        for position in range(self.calls):
            number = f"D{self.number + position:010d}"
            numbers = {"out_trade_no": number, "transaction_id": number}
            orders.append(_copy(order, public_id=uuid.uuid4(), **numbers))
            notifications.append(_copy(notification, **numbers))
        self.number += self.calls
        Order.objects.bulk_create(orders)
        NotificationLog.objects.bulk_create(notifications)
        for paid, told in zip(orders, notifications, strict=True):
            payload = delivery.payload | {"notification": told.pk}
            deliveries.append(_copy(delivery, subject=f"order:{paid.pk}", order_id=paid.pk, payload=payload))
        SignalDelivery.objects.bulk_create(deliveries)


@dataclass(slots=True)
class Callbacks:
    """Pays orders at the running sites, each over its own connections."""

    lines: dict[str, list[load.Line]]
    calls: int
    platform: Any
    number: int = 0
    surprises: Counter[str] = field(default_factory=Counter)

    def measures(self) -> dict[str, Callable[[], float]]:
        return {name: lambda name=name: self.turn(name) for name in self.lines}

    def turn(self, name: str) -> float:
        from wechatpay_notify.models import Order

        numbers = [f"W{self.number + position:010d}" for position in range(self.calls)]
        self.number += self.calls
        Order.objects.bulk_create(Order(out_trade_no=number, amount=AMOUNT) for number in numbers)
        signed = [self.platform.payment_v3(number, AMOUNT) for number in numbers]
        turn = load.run(self.lines[name], [load.request("/wechatpay/v3/", each.headers, each.body) for each in signed])
        wrong = turn.statuses - Counter({EXPECTED.get(name.rpartition(", ")[0], 200): self.calls})
        self.surprises.update({f"{name}: {status}": count for status, count in wrong.items()})
        return turn.seconds / self.calls


def _copy(row: Any, **changed: Any) -> Any:
    made = copy.copy(row)
    made._state = copy.copy(row._state)
    made.pk = None
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def left_by_a_callback() -> tuple[Any, Any, Any]:
    """A paid order, its notification and its delivery: what all others are copied from."""
    from django.test import Client, override_settings
    from shop.platform import PLATFORM
    from shop.settings import WECHATPAY_NOTIFY

    from wechatpay_notify.models import NotificationLog, Order, SignalDelivery

    Order.objects.expect(out_trade_no="PATTERN", amount=AMOUNT)
    with override_settings(WECHATPAY_NOTIFY=WECHATPAY_NOTIFY | {"DELIVERY": "deferred"}):
        PLATFORM.payment_v3("PATTERN", AMOUNT).post(Client(), "/wechatpay/v3/")
    return Order.objects.get(), NotificationLog.objects.get(), SignalDelivery.objects.get()


def _measure_workers(rounds: int, calls: int) -> Ledger:
    from shop.models import Shipment

    pattern = left_by_a_callback()
    with workers() as pipes:
        ledger = Ledger(pipes, calls, pattern)
        for measure_once in ledger.measures().values():
            measure_once()
        Shipment.objects.all().delete()
        costs = interleave(ledger.measures(), rounds, "workers")
    expected = len(PROCESSES) * rounds * calls
    if Shipment.objects.count() != expected:
        ledger.surprises[f"{Shipment.objects.count()} shipments instead of {expected}"] += 1
    print(f"\nDeliveries by the worker, {rounds} interleaved rounds of {calls} each\n")
    print(table(VERDICT_HEAD, verdicts(costs, WORKER_GOALS)))
    rate = 1 / statistics.median(costs[named(WORKER, 2)])
    print(f"\nTwo processes: {rate:.0f} deliveries a second, {'met' if rate >= LEAST else 'MISSED'} (at least {LEAST})")
    print("A delivery of " + ", ".join(f"{count:.1f} {name}" for name, count in _statements(ledger).items()))
    return ledger


def _statements(ledger: Ledger) -> dict[str, float]:
    """Per delivery, counted in this process."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from wechatpay_notify.delivery import deliver_due

    ledger._make_due()
    with CaptureQueriesContext(connection) as captured:
        done = deliver_due()["done"]
    words = Counter(query["sql"].split()[0] for query in captured)
    frame = sum(words[word] for word in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))
    counted = {"statements": len(captured) - frame, "round trips": len(captured), "commits": words["COMMIT"]}
    return {name: count / done for name, count in counted.items()}


def _measure_callbacks(rounds: int, calls: int) -> Callbacks:
    from shop.platform import PLATFORM

    sites = [(DEFERRED, count) for count in PROCESSES] + [(INLINE, 2), (DEAF, 2)]
    with ExitStack() as stack:
        lines = {}
        for mode, count in sites:
            port = stack.enter_context(gunicorn(count, THREADS, **ENVIRONMENTS[mode]))
            lines[named(mode, count)] = load.balanced(port, CONNECTIONS, count)
        callbacks = Callbacks(lines, calls, PLATFORM)
        for measure_once in callbacks.measures().values():
            measure_once()
        costs = interleave(callbacks.measures(), rounds, "callbacks")
        for line in itertools.chain(*lines.values()):
            line.close()
    print(f"\nCallbacks, {rounds} interleaved rounds of {calls} requests each, {CONNECTIONS} connections kept alive\n")
    print(table(VERDICT_HEAD, verdicts(costs, WEB_GOALS)))
    return callbacks


def measure(rounds: int, calls: int) -> Counter[str]:
    """Both tables; what was not as expected."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "BENCHMARK_DATABASE": "postgresql",
            "BENCHMARK_NAME": f"wechatpay_benchmark_{os.getpid()}",
            "BENCHMARK_KEYS": directory,
        }
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            return _measure_workers(rounds, calls).surprises + _measure_callbacks(rounds, calls).surprises
        finally:
            connection.creation.destroy_test_db(os.environ["BENCHMARK_NAME"], verbosity=0)


def _leave(*_: Any) -> None:
    sys.exit("stopped")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run: the figures mean little")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    surprises = measure(*((2, 60) if given.quick else (15, 200)))
    for surprise, count in surprises.items():
        print(f"NOT AS EXPECTED {surprise} ({count} times)")
    sys.exit(bool(surprises))


if __name__ == "__main__":
    main()
