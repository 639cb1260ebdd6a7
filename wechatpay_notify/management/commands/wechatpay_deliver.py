"""`manage.py wechatpay_deliver`: the worker that runs what is due, once for cron or in a loop for a supervisor.

Never loses what it began: SIGTERM lets the receiver in hand finish.
"""

import signal
import threading
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from django.utils.dateparse import parse_date

from wechatpay_notify.delivery import deliver_due, due, receivers
from wechatpay_notify.log import warn
from wechatpay_notify.management.progress import Progress
from wechatpay_notify.signals import LEDGER_SIGNALS

INTERVAL = 1.0
"""Seconds between two looks when there was nothing to do; an empty look is one indexed query."""


class Command(BaseCommand):
    help = "Run the receivers that are due: what the notification requests left, failed, or were told to leave."

    def add_arguments(self, parser: ArgumentParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--once", action="store_true", help="until nothing is due, then end; the default, for cron")
        how.add_argument("--loop", action="store_true", help="for ever, for a supervisor; SIGTERM ends it")
        how.add_argument("--missing", action="store_true", help="list the receivers that rows wait for in vain")
        how.add_argument("--close", metavar="RECEIVER", help="give up what waits for a receiver that is gone")
        how.add_argument("--rename", nargs=2, metavar=("OLD", "NEW"), help="the receiver has another name now")
        how.add_argument(
            "--enlist", nargs=2, metavar=("SIGNAL", "RECEIVER"), help="tell a new receiver of old facts, too"
        )
        parser.add_argument("--reason", help="with --close: why, for whoever looks at the rows")
        parser.add_argument("--since", metavar="YYYY-MM-DD", help="with --enlist: the first day")
        parser.add_argument("--interval", type=float, default=INTERVAL, metavar="SECONDS", help="with --loop")

    def handle(self, *, loop: bool, interval: float, **options: Any) -> None:
        if options["missing"] or options["close"] or options["rename"] or options["enlist"]:
            self.stdout.write(self._housekeep(**options))
            return
        with _stopping() as stopped:
            if not loop:
                self._report(self._once(stopped) or {"due": 0})
                return
            while not stopped.is_set():
                try:
                    self._report(self._once(stopped))
                except (DatabaseError, InterfaceError) as error:
                    warn("the worker lost its database and tries again", error)
                close_old_connections()
                stopped.wait(interval)

    def _once(self, stopped: threading.Event) -> Counter[str]:
        backlog = due() if self.stdout.isatty() else 0
        with Progress(self.stdout, backlog) as progress:  # type: ignore[arg-type]
            return deliver_due(stop=stopped.is_set, told=lambda _: progress.step())

    def _report(self, counted: Mapping[str, int]) -> None:
        if counted:
            self.stdout.write(", ".join(f"{count} {word}" for word, count in sorted(counted.items())))

    def _housekeep(self, *, missing: bool, close: str, rename: list[str], enlist: list[str], **options: Any) -> str:
        if missing:
            rows = [f"{count} of {signal} wait for {name}" for signal, name, count in receivers.missing()]
            return "\n".join(rows) or "Every receiver that rows wait for is connected."
        if close:
            if not options["reason"]:
                raise CommandError("--close needs --reason: whoever looks at the rows later wants to know why")
            return f"{receivers.close(close, options['reason'])} given up."
        if rename:
            old, new = rename
            if not receivers.is_connected(new):
                raise CommandError(f"{new!r} is connected to no signal here: rename to what the receiver is called now")
            return f"{receivers.rename(old, new)} renamed."
        signal_name, name = enlist
        return f"{receivers.enlist(*_connected(signal_name, name), _day(options['since']))} to be told."


def _connected(signal_name: str, name: str) -> tuple[str, str]:
    if signal_name not in LEDGER_SIGNALS:
        raise CommandError(f"{signal_name!r} is no signal of the ledger: {', '.join(LEDGER_SIGNALS)}")
    if name not in receivers.names(signal_name):
        raise CommandError(f"{name!r} is not connected to {signal_name}: {', '.join(receivers.names(signal_name))}")
    return signal_name, name


def _day(text: str | None) -> datetime:
    day = parse_date(text or "")
    if day is None:
        raise CommandError("--since needs a day, YYYY-MM-DD: since when the receiver is to be told")
    moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (made aware below, if the project is)
    return timezone.make_aware(moment) if timezone.is_aware(timezone.now()) else moment


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set by SIGTERM and SIGINT, which then end nothing by themselves."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
