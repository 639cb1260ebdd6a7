"""The storm: a real server under WeChat's notices while its processes are killed and its database crashes.

    uv run python -m tests.chaos.storm --database postgresql --orders 20000 --copies 3 --kills 200 --crashes 20

The first half is delivered inline, the second by the worker; the switch is a deploy under traffic. Every copy is sent
until success. Exits with 1 if anything is lost, done twice, or left when all is quiet.
"""

import argparse
import contextlib
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.db import connection

from tests import tables
from wechatpay_notify.management.progress import Progress

from . import databases
from .sender import WeChat, notices
from .shop import Shop, opened
from .supervisor import Supervisor

HEAD = (
    "Database", "Orders", "Requests", "Success", "Again", "Broken", "Kills", "Crashes", "Lost", "Double", "Pending",
    "Seconds",
)  # fmt: skip
IDLE_SECONDS = 120
DOWN_SECONDS = 0.5
"""How long the database is down at most, besides what its recovery takes."""
LOOK_SECONDS = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=databases.VENDORS, default="sqlite")
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--copies", type=int, default=3, help="of each notice")
    parser.add_argument("--kills", type=int, default=200, help="of gunicorn's workers and master, and of the worker")
    parser.add_argument("--crashes", type=int, default=20, help="of the database; SQLite has no server to crash")
    parser.add_argument("--minutes", type=float, default=90, help="after which the run has failed")
    parser.add_argument("--table", type=Path, help="write the results into the table in this file")
    options = parser.parse_args()
    with opened(options.database, durable=True) as shop:
        return _storm(shop, options)


def _storm(shop: Shop, options: argparse.Namespace) -> int:
    from . import ledger

    told = notices(options.orders)
    ledger.expect(told)
    connection.close()  # which a crash would break
    crashes = options.crashes if shop.database.crashes else 0
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        supervisor = stack.enter_context(Supervisor(shop.directory, listener))
        plans: list[_Plan] = []
        wechat = WeChat(shop.platform, f"http://127.0.0.1:{listener.getsockname()[1]}/wechatpay/notify/")
        stack.callback(_end, wechat, plans)
        wechat.start(told, options.copies)
        plans += [
            _Plan(wechat, options.kills, supervisor.kill),
            _Plan(wechat, crashes, lambda: _crash(shop.database)),
            _Plan(wechat, 1, lambda: _switch(shop, supervisor)),
        ]
        finished = _watch(wechat, started + options.minutes * 60)
        _end(wechat, plans)
        idle = time.monotonic() + IDLE_SECONDS
        while ledger.pending() and time.monotonic() < idle:
            time.sleep(0.5)
    found = ledger.count(told, wechat.acknowledged)
    answers = wechat.answers
    row = (
        shop.vendor, options.orders, answers.total(), answers["success"],
        answers["try again"], answers["broken off"], plans[0].done, plans[1].done, found.unrecorded + found.untold,
        found.double, found.pending + found.gave_up, f"{time.monotonic() - started:.0f}",
    )  # fmt: skip
    print("\n".join(tables.text([HEAD, row])))
    others = {answer: times for answer, times in answers.items() if answer.startswith("HTTP")}
    good = finished and found.holds and not others and found.paid == options.orders
    if not good:
        print(f"finished: {finished}, other answers: {others}, {found}")
        print((shop.directory / "supervised.log").read_text(errors="replace")[-3000:])
    if options.table:
        tables.replace(options.table, HEAD, [row])
    return 0 if good else 1


class _Plan(threading.Thread):
    """Does something `times` times, spread evenly over what WeChat has to send."""

    def __init__(self, wechat: WeChat, times: int, action: Callable[[], object]) -> None:
        super().__init__()
        self.wechat, self.times, self.action, self.done = wechat, times, action, 0
        self.start()

    def run(self) -> None:
        try:
            self._act()
        except BaseException:
            self.wechat.stopped.set()  # there is nothing to wait for any more
            raise

    def _act(self) -> None:
        while self.done < self.times and not self.wechat.stopped.wait(LOOK_SECONDS):
            due = self.wechat.done * (self.times + 1) >= self.wechat.total * (self.done + 1)
            if due and self.action():
                self.done += 1


def _end(wechat: WeChat, plans: list[_Plan]) -> None:
    wechat.stop()
    for plan in plans:
        plan.join()


def _watch(wechat: WeChat, until: float) -> bool:
    """Until every copy was answered with success; False if the time is over before, or something broke."""
    with Progress(sys.stderr, wechat.total) as progress:
        while wechat.done < wechat.total:
            if time.monotonic() > until or wechat.stopped.wait(LOOK_SECONDS):
                return False
            progress.step(wechat.done - progress.done)
    return True


def _crash(database: databases.Database) -> bool:
    database.crash()
    time.sleep(random.uniform(0, DOWN_SECONDS))
    database.start()
    return True


def _switch(shop: Shop, supervisor: Supervisor) -> bool:
    shop.deliver("deferred")
    supervisor.reload()
    return True


if __name__ == "__main__":
    sys.exit(main())
