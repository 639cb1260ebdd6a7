"""runserver for the demo: ends when its standard input does, so that it cannot outlive whoever started it."""

import os
import sys
import threading
from typing import Any

from django.contrib.staticfiles.management.commands import runserver


class Command(runserver.Command):
    help = "Used by `demo`: runserver that ends with the process that started it."

    def handle(self, *args: Any, **options: Any) -> None:
        threading.Thread(target=_end_with_input, daemon=True).start()
        super().handle(*args, **options)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
