"""What a check finds: a code, what is wrong, how to mend it; and what the modules of checks share.

Never holds a value of the settings but names.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from django.conf import settings
from django.core import mail

Findings = Iterator[tuple[str, str, str]]
"""Code ("E…" an error, "W…" a warning), what is wrong, how to mend it."""


def in_production() -> bool:
    """Neither development nor a test run; test runners set DEBUG to False, run the checks, and give mail an outbox."""
    return not settings.DEBUG and not hasattr(mail, "outbox")


def unknown_names(
    code: str, where: str, given: Iterable[object], known: tuple[str, ...], what: str = "setting"
) -> Findings:
    for name in map(str, given):
        if name not in known:
            near = get_close_matches(name.upper(), known, n=1)
            mend = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
            yield code, f"{where} has an unknown {what} {name[:64]!r}; it does nothing.", mend
