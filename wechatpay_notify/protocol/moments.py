"""WeChat's ways of writing a moment, and what a moment says about its retries.

Never reads a clock; an unreadable moment is None, because no payment may be lost over a date.
"""

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate

BEIJING = timezone(timedelta(hours=8))
_V2_FORMS = re.compile(r"[0-9]{14}|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_YEARS = range(2000, 9000)
"""Outside of it a database or a time zone conversion may refuse the value."""

RETRY_DELAYS = (0, 15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""Seconds before each attempt, the first at once: 15 retries, 24 h 4 m in all (protocol, 1.10)."""
_ATTEMPT_STARTS = tuple(accumulate(RETRY_DELAYS))
_CLOCK_ERROR = 2
"""Seconds by which an attempt may seem early, clocks being what they are."""


def rfc3339(text: str) -> datetime | None:
    """v3: `2015-05-20T13:29:35.120+08:00`; without an offset it is Beijing time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _sane(moment if moment.tzinfo else moment.replace(tzinfo=BEIJING))


def beijing(text: str) -> datetime | None:
    """v2: wall-clock time in Beijing, `20141030133525` or `2014-10-30 13:35:25`."""
    if not _V2_FORMS.fullmatch(text):
        return None
    return rfc3339(text if "-" in text else f"{text[:8]}T{text[8:]}")


def attempt(first_sent: datetime, sent: float) -> int:
    """Which attempt of WeChat's schedule (1 to 16) a request is that was sent at `sent` (Unix seconds)."""
    return max(1, bisect_right(_ATTEMPT_STARTS, sent - first_sent.timestamp() + _CLOCK_ERROR))


def schedule(attempt: int, sent: datetime) -> tuple[datetime, ...]:
    """When each of WeChat's 16 attempts is due, reckoned from one of them (1 to 16) that came at `sent`."""
    first = sent - timedelta(seconds=_ATTEMPT_STARTS[min(max(attempt, 1), len(_ATTEMPT_STARTS)) - 1])
    return tuple(first + timedelta(seconds=start) for start in _ATTEMPT_STARTS)


def _sane(moment: datetime) -> datetime | None:
    return moment.astimezone(UTC) if moment.year in _YEARS else None
