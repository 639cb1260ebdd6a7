"""Whatever is killed while the notices come: nothing acknowledged is lost, nothing is done twice, nothing is left."""

import pytest

pytestmark = pytest.mark.chaos


def test_kills_and_a_crash_lose_and_double_nothing(run, database):
    assert run("storm", "--database", database, "--orders", 200, "--kills", 5, "--crashes", 1, "--minutes", 4) == 0
