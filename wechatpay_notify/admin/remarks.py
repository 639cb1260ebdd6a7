"""Remarks: the sentences that this app itself stores with a delivery or a discrepancy, in English, for the reader.

Never changes what is stored, nor a text that is not the app's own: a traceback, a person's reason.
"""

import re
from collections.abc import Iterable

from django.utils.translation import gettext, gettext_noop, pgettext

REMARKS = (
    gettext_noop("Not run: the whole payment was refunded before."),
    gettext_noop("Not run: its payment was not reported, or not told, before."),
    gettext_noop("Not run: no receiver %(receiver)s is connected to %(signal)s."),
    gettext_noop("The process ended during the last attempt."),
    gettext_noop("Closed: %(reason)s"),
    gettext_noop("this payment was confirmed later"),
    gettext_noop("this payment was confirmed meanwhile"),
)
_FORMS = {re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(remark))): remark for remark in REMARKS}


def translated(text: str) -> str:
    """The text with each line that is a remark in the active language."""
    return "\n".join(map(_line, text.split("\n")))


def _line(line: str) -> str:
    for form, remark in _FORMS.items():
        found = form.fullmatch(line)
        if found:
            return gettext(remark) % found.groupdict()
    return line


def commas(names: Iterable[str]) -> str:
    """`a, b, c`, with the comma of the reader's language."""
    return pgettext("between the names of a list", ", ").join(names)
