"""Fixtures of the chaos: on which databases, and how a command ended."""

import pytest

from .commands import chosen

SECONDS = 600


def pytest_generate_tests(metafunc):
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", chosen())


@pytest.fixture
def ended(capsys):
    """Wait for a command and show what it prints; its exit code."""

    def ended(process):
        said, _ = process.communicate(timeout=SECONDS)
        with capsys.disabled():
            print(f"\n{said}")
        return process.returncode

    return ended
