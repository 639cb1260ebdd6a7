"""The shop that is killed: its database, its keys and its settings, in this process and in those it starts.

Never leaves a process or a file behind.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection

from wechatpay_notify.testing import Platform, development_platform

from . import databases


@dataclass(frozen=True, slots=True)
class Shop:
    """What is there before anything is started."""

    vendor: str
    database: databases.Database
    platform: Platform
    directory: Path

    def deliver(self, way: str) -> None:
        """The setting DELIVERY of the processes that start from now on."""
        _delivery(self.directory, way)


@contextlib.contextmanager
def opened(vendor: str, *, durable: bool) -> Iterator[Shop]:
    """A shop on an empty database of its own; Django is set up for it, which a process can do once."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of all that has to be cleaned up
    with (
        tempfile.TemporaryDirectory(prefix="chaos-shop-") as name,
        databases.running(vendor, durable=durable) as database,
    ):
        directory = Path(name)
        _delivery(directory, "inline")
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "WECHATPAY_CHAOS_DIRECTORY": name,
            "WECHATPAY_CHAOS_DATABASE": json.dumps(database.entry),
        }
        django.setup()
        call_command("migrate", run_syncdb=True, skip_checks=True, verbosity=0)
        connection.close()
        try:
            yield Shop(vendor, database, development_platform(directory), directory)
        finally:
            connection.close()


def _delivery(directory: Path, way: str) -> None:
    draft = directory / "delivery.draft"
    draft.write_text(way)
    draft.replace(directory / "delivery")
