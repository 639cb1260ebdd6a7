"""Fixtures of the chaos: the commands of this package, run as a person runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .databases import VENDORS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600


def chosen():
    """Those of WECHATPAY_CHAOS_DATABASES, "sqlite" by default; an unknown name raises rather than run nothing."""
    names = [name.strip() for name in os.environ.get("WECHATPAY_CHAOS_DATABASES", "sqlite").split(",") if name.strip()]
    unknown = [name for name in names if name not in VENDORS]
    if unknown or not names:
        raise ValueError(f"WECHATPAY_CHAOS_DATABASES: choose from {', '.join(VENDORS)}, not {unknown}")
    return names


def pytest_generate_tests(metafunc):
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", chosen())


@pytest.fixture
def run(capsys):
    """Run one of the commands in a process of its own; its exit code. What it prints is shown."""

    def run(module, *arguments):
        command = [sys.executable, "-m", f"tests.chaos.{module}", *map(str, arguments)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                said, _ = process.communicate(timeout=SECONDS)
            except BaseException:
                process.terminate()  # so that it takes its servers with it
                raise
        with capsys.disabled():
            print(f"\n{said}")
        return process.returncode

    return run
