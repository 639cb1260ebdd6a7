"""`manage.py demo`: a shop in a temporary directory, and a pretend WeChat that sends it everything that happens."""

import os
import secrets
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.urls import reverse

from shop.demonstration import survival
from shop.demonstration.scenes import scenes
from shop.demonstration.server import Server, ServerFailed
from shop.demonstration.stage import Line, play
from wechatpay_notify.testing import development_platform

ADMIN = "admin"
COLUMNS = (("what was sent", 36), ("answered", 22), ("decided", 24), ("fulfilled", 9), ("refunded", 8))


class Command(BaseCommand):
    help = "Run the example shop in a temporary directory and play WeChat: payments, refunds, and the frauds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--exit", action="store_true", help="end after the table; status 1 if a line is wrong")
        parser.add_argument("--deferred", action="store_true", help="a worker packs the parcels, and is killed at it")
        parser.add_argument("--port", type=int, help="the shop's port; default: a free one")

    def handle(self, *, exit: bool, port: int | None, deferred: bool, **options: Any) -> None:  # noqa: A002 (the option's name)
        if (Path(settings.DATA_DIR) / "db.sqlite3").exists():
            raise CommandError("the demo wants a data directory of its own: run it with example_project/manage.py")
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        for ending in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, ending):
                signal.signal(getattr(signal, ending), _end)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # the ticks, on a terminal that has none
        if deferred:
            # For the server and the worker, which are processes of their own.
            os.environ |= {"EXAMPLE_DELIVERY": "deferred", "EXAMPLE_PACKING_SECONDS": "0.15"}
        try:
            self._run(port, stay=not exit, deferred=deferred)
        except ServerFailed as error:
            raise CommandError(f"the shop's server failed:\n{error}") from error
        except KeyboardInterrupt:
            self._say("\nStopped; the temporary directory is removed.")

    def _run(self, port: int | None, *, stay: bool, deferred: bool) -> None:
        # SQLite goes into WAL mode here, before two processes open the file.
        connection.ensure_connection()
        with Server(port) as server:
            self._say("Setting up a shop in a temporary directory …")
            password = _set_up()
            self._say("Waiting for its server …")
            server.wait()
            self._say(f"{server.url} answers. Now WeChat sends:\n")
            wrong = self._play(server.url, deferred=deferred)
            self._say(f"\nShop   {server.url}/")
            self._say(f"Admin  {server.url}{reverse('admin:index')}   login {ADMIN}, password {password}")
            self._say(
                f"Health {server.url}{reverse('wechatpay_notify_health:health')}   as JSON, once you are signed in"
            )
            if stay:
                run = f'EXAMPLE_DATA_DIR="{settings.DATA_DIR}" uv run example_project/manage.py'
                self._say(f"\nIn another terminal, the commands of this shop:\n{run} wechatpay_replay --help")
                self._say("\nHave a look around. Ctrl-C ends the demo and removes everything.")
                while server.process.poll() is None:
                    time.sleep(0.5)
        if stay:
            raise CommandError("the shop's server ended")
        if wrong:
            raise CommandError(f"{wrong} of the lines above came out wrong")

    def _play(self, url: str, *, deferred: bool) -> int:
        """Play every scene, print its line as it comes; returns how many came out wrong."""
        self._row([title for title, _ in COLUMNS])
        self._row(["-" * width for _, width in COLUMNS])
        wrong = total = 0
        platform = development_platform(Path(settings.DATA_DIR) / ".wechatpay")
        notify = url + reverse("wechatpay_notify:notify")
        lines = survival.scenes(platform, notify) if deferred else (play(scene, notify) for scene in scenes(platform))
        for line in lines:
            self._line(line)
            total += 1
            wrong += bool(line.wrong)
        verdict = f"{total - wrong} of {total} as it must be."
        self._say("\n" + (self.style.ERROR(verdict) if wrong else self.style.SUCCESS(verdict)))
        return wrong

    def _line(self, line: Line) -> None:
        mark = self.style.ERROR(f"✗ {line.wrong}") if line.wrong else self.style.SUCCESS("✓")
        self._row([line.sent, line.answered, line.decided, line.fulfilled, line.refunded], mark)

    def _row(self, cells: list[str], mark: str = "") -> None:
        padded = [cell.ljust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True)]
        self._say("  ".join([*padded, mark]).rstrip())

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _set_up() -> str:
    """Tables, the shelf, a superuser; returns the superuser's throw-away password."""
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser(ADMIN, password=password)
    return password


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
