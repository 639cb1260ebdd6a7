"""The sweep: kills the process before and after every SQL statement, COMMIT and receiver call, one point after another.

    uv run python -m tests.chaos.sweep --database postgresql

Each point is tried for every kind of notification, inline and with the worker, with WeChat's retry afterwards and
without one. Exits with 1 if a point is bad: something acknowledged that is not recorded, something recorded that a
receiver was not told exactly once, something that stays pending.
"""

import argparse
import sys
import time
from pathlib import Path

from tests import tables
from wechatpay_notify.management.progress import Progress

from . import databases
from .shop import opened

HEAD = ("Database", "Notification", "Points", "Bad", "Seconds")
EXPECTED = 1000
"""Points, about, for the bar; it grows if there are more."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.sweep", description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=databases.VENDORS, default="sqlite")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth point")
    parser.add_argument("--table", type=Path, help="write the results into the table in this file")
    options = parser.parse_args()
    rows, bad = [], []
    with opened(options.database, durable=False) as shop, Progress(sys.stderr, EXPECTED // options.every) as progress:
        from . import points

        for kind, name in points.KINDS.items():
            started, tried, wrong = time.monotonic(), 0, []
            for where, what in points.sweep(shop.platform, kind, options.every):
                progress.step()
                tried += 1
                wrong += [f"{where}: {what}"] if what else []
            rows.append((options.database, name, tried, len(wrong), f"{time.monotonic() - started:.0f}"))
            bad += wrong
    print("\n".join([*tables.text([HEAD, *rows]), *bad]))
    if options.table:
        tables.replace(options.table, HEAD, rows)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
