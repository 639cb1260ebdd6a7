"""The commands of this package, run by the tests as a person runs them."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from .databases import VENDORS

ROOT = Path(__file__).resolve().parents[2]


def chosen():
    """Those of WECHATPAY_CHAOS_DATABASES, "sqlite" by default; an unknown name raises rather than run nothing."""
    names = [name.strip() for name in os.environ.get("WECHATPAY_CHAOS_DATABASES", "sqlite").split(",") if name.strip()]
    unknown = [name for name in names if name not in VENDORS]
    if unknown or not names:
        raise ValueError(f"WECHATPAY_CHAOS_DATABASES: choose from {', '.join(VENDORS)}, not {unknown}")
    return names


@contextlib.contextmanager
def started(module, *arguments):
    """One of the commands in a process of its own; it takes its servers with it when it is ended early."""
    command = [sys.executable, "-m", f"tests.chaos.{module}", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
