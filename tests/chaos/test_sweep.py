"""Whatever a process is doing when it is killed: nothing acknowledged is lost, nothing is told twice or never."""

import contextlib

import pytest

from .commands import chosen, started

STRIDES = {"sqlite": 1, "postgresql": 4, "mariadb": 4}
"""SQLite has every point; the servers differ from it at few, and take longer."""


@pytest.fixture(scope="module")
def sweeps():
    """All at once: each of them keeps one processor busy, and no more."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(started("sweep", "--database", name, "--every", STRIDES[name]))
            for name in chosen()
        }


def test_no_point_is_bad_among_a_few(ended):
    with started("sweep", "--every", 7) as sweep:
        assert ended(sweep) == 0


@pytest.mark.chaos
def test_no_point_is_bad(sweeps, ended, database):
    assert ended(sweeps[database]) == 0
