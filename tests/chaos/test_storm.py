"""Whatever is killed while the notices come: nothing acknowledged is lost, nothing is done twice, nothing is left."""

import pytest

from .commands import started

pytestmark = pytest.mark.chaos


def test_kills_and_a_crash_lose_and_double_nothing(ended, database):
    few = ("--orders", 200, "--kills", 5, "--crashes", 1, "--minutes", 4)
    with started("storm", "--database", database, *few) as storm:
        assert ended(storm) == 0
