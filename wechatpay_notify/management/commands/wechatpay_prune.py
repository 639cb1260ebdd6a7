"""`manage.py wechatpay_prune`: deletes old notifications that nothing needs any more, beside the running shop.

Never deletes what deduplication, an unfinished delivery, an unpaid order or a person still needs.
"""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from wechatpay_notify import retention
from wechatpay_notify.management.progress import Progress

REFUSED_DAYS, PROVEN_DAYS = 30, 180


class Command(BaseCommand):
    help = "Delete old notifications that nothing needs any more. Orders, refunds and what was told of them stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--refused",
            type=int,
            default=REFUSED_DAYS,
            metavar="DAYS",
            help=f"keep what was not proven to be WeChat's for so long; default {REFUSED_DAYS}",
        )
        parser.add_argument(
            "--proven",
            type=int,
            default=PROVEN_DAYS,
            metavar="DAYS",
            help=f"keep what was proven for so long; default {PROVEN_DAYS}",
        )
        parser.add_argument("--pause", type=float, default=0, metavar="SECONDS", help="between two batches")
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *, refused: int, proven: int, pause: float, dry_run: bool, **_: Any) -> None:
        least = retention.least_age().days + 1
        if proven < least or refused < 1:
            raise CommandError(
                f"--proven must be at least {least} (until then WeChat may send a notification again), --refused 1"
            )
        days = {"refused": refused, "proven": proven}
        before = {kind: timezone.now() - timedelta(days=age) for kind, age in days.items()}
        backlog = retention.old(before) if self.stdout.isatty() else 0
        with Progress(self.stdout, backlog) as progress:  # type: ignore[arg-type]
            pruned = retention.prune(before, pretend=dry_run, pause=pause, looked_at=progress.step)
        would = "would be " if dry_run else ""
        for kind, age in days.items():
            kept = ", ".join(f"{count} kept: {reason}" for reason, count in sorted(pruned.kept[kind].items()))
            self.stdout.write(
                f"{kind}, older than {age} days: {pruned.deleted[kind]} {would}deleted{kept and f'; {kept}'}"
            )
        if not dry_run:
            self.stdout.write(f"told events (v3) that went with them: {pruned.events}")
