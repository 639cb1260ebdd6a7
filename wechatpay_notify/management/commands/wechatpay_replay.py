"""`manage.py wechatpay_replay`: takes stored notifications again from their bytes, after a key or an order was mended.

Never accepts what was not proven, and never runs a receiver twice for what it was told already.
"""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import router
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from wechatpay_notify import history
from wechatpay_notify.management.progress import Progress
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.replay import MENDABLE, Replayed, process_again, refused_since, replayable

ON_DEMAND = ("stale", "malformed")
"""Refusals that --since passes over unless --outcome names them: after another TIMESTAMP_TOLERANCE, or an upgrade."""
OURS = ("unavailable", "misconfigured", "error")
MOST_LINES = 50


class Command(BaseCommand):
    help = "Process stored notifications again: signature checked as ever, freshness as of their arrival."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--id", nargs="+", type=int, metavar="N", help="these notifications, by their number")
        which.add_argument("--since", metavar="MOMENT", help='what was refused since then: "2026-11-26 08:00"')
        parser.add_argument(
            "--outcome",
            action="append",
            choices=MENDABLE + ON_DEMAND,
            help="with --since: only what was refused for this reason; may be given several times",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be processed")
        parser.add_argument("--user", metavar="NAME", help="who does it, for the history in the admin")
        parser.add_argument("--reason", help="why, for the history in the admin")

    def handle(self, *, dry_run: bool, user: str | None, reason: str | None, **options: Any) -> None:
        pks = self._chosen(options["id"], options["since"], options["outcome"])
        if dry_run:
            self._show(pks)
            return
        author = _author(user, reason)
        counted: Counter[str] = Counter()
        refused: list[str] = []
        failed = False
        with Progress(self.stdout, len(pks)) as progress:  # type: ignore[arg-type]
            for pk in pks:
                row = _rows().filter(pk=pk).first()
                if row is not None:  # else it was pruned meanwhile
                    replayed = self._process(row, author, reason)
                    counted[replayed.outcome] += 1
                    if not replayed.accepted:
                        refused.append(f"#{pk} {replayed.outcome}: {_plain(replayed.detail)}")
                        genuine = replayed.log is not None or replayed.outcome in OURS
                        failed = failed or genuine or options["id"] is not None
                progress.step()
        self.stdout.write(", ".join(f"{count} {code or '?'}" for code, count in sorted(counted.items())) or "0 found")
        for line in refused[:MOST_LINES]:
            self.stdout.write(line)
        if len(refused) > MOST_LINES:
            self.stdout.write(f"… and {len(refused) - MOST_LINES} more that were not accepted")
        if failed:
            raise CommandError(
                "Not all were accepted: the lines above say why. Mend it and process them again.", returncode=1
            )

    def _chosen(self, ids: list[int] | None, since: str | None, outcomes: Sequence[str] | None) -> list[int]:
        if ids is None:
            rows = refused_since(_moment(since or ""), outcomes or MENDABLE)
            return list(rows.values_list("pk", flat=True))
        if outcomes:
            raise CommandError("--outcome goes with --since; with --id it is known which ones are meant")
        found = list(_rows().filter(pk__in=ids).order_by("received_at", "pk").values_list("pk", flat=True))
        unknown = sorted(set(ids) - set(found))
        if unknown:
            numbers = ", ".join(map(str, unknown))
            raise CommandError(f"no notification {numbers}: the admin's list shows the numbers after #")
        return found

    def _show(self, pks: list[int]) -> None:
        for pk in pks:
            row = _rows().filter(pk=pk).first()
            if row is not None:
                about = f"order {_plain(row.out_trade_no)}" if row.out_trade_no else "no order named"
                why = replayable(row)
                self.stdout.write(f"#{pk} {row.outcome or 'interrupted'}, {about}" + (f" (not: {why})" if why else ""))
        self.stdout.write(f"{len(pks)} would be processed")

    def _process(self, row: NotificationLog, author: int | None, reason: str | None) -> Replayed:
        replayed = process_again(row)
        if author is not None and not replayable(row):
            message = _("Processed again by command: %(before)s → %(after)s. Reason: %(reason)s") % {
                "before": row.outcome or "?",
                "after": replayed.outcome,
                "reason": reason,
            }
            history.record_replay(author, row, replayed.log, message)
        return replayed


def _rows() -> Any:
    return NotificationLog.objects.using(router.db_for_write(NotificationLog))


def _plain(text: str) -> str:
    """What a stranger may have written must not steer the terminal."""
    return ascii(text)[1:-1]


def _author(name: str | None, reason: str | None) -> int | None:
    if not history.is_kept():
        return None
    if not name or not (reason or "").strip():
        raise CommandError("give --user NAME and --reason TEXT: they are kept in the admin's history (or --dry-run)")
    users: Any = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if user is None:
        raise CommandError(f"no user {name!r}: give the name of an account of the admin")
    return int(user.pk)


def _moment(text: str) -> datetime:
    try:
        day, moment = parse_date(text), parse_datetime(text)
    except ValueError:
        day = moment = None
    if moment is None and day is not None:
        moment = datetime.combine(day, time())
    if moment is None:
        raise CommandError(
            f'--since {text!r} is no moment: give "YYYY-MM-DD HH:MM", in the site\'s time zone, or a day'
        )
    aware = timezone.is_aware(timezone.now())
    if aware and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    return moment if aware or timezone.is_naive(moment) else timezone.make_naive(moment)
