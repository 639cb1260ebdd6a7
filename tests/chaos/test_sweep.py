"""Whatever a process is doing when it is killed: nothing acknowledged is lost, nothing is told twice or never."""

import pytest

STRIDES = {"sqlite": 1, "postgresql": 4, "mariadb": 4}
"""SQLite has every point; the servers differ from it at few, and take longer."""


def test_no_point_is_bad_among_a_few(run):
    assert run("sweep", "--every", 7) == 0


@pytest.mark.chaos
def test_no_point_is_bad(run, database):
    assert run("sweep", "--database", database, "--every", STRIDES[database]) == 0
