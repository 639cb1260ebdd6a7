"""The system checks: what is wrong with the settings and the installation, each with its mend.

Never prints a key, and calls neither the host's merchant provider nor its order resolver. The database is asked only
when Django says that it may be.
"""

from typing import Any

from django.core import checks

from . import installation, ledger, merchants, values

TAG = "wechatpay_notify"


@checks.register(TAG)
def check(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Everything that is wrong: `manage.py check --tag wechatpay_notify`."""
    finders = (*values.CHECKS, merchants.check, *installation.CHECKS)
    return [_message(*finding) for find in finders for finding in find()]


@checks.register(checks.Tags.database)  # not under our tag: with it alone Django would ask every database
def check_ledger(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """What is wrong in the ledger: `manage.py check --database default`."""
    return [_message(*finding) for finding in ledger.check(databases or ())]


def _message(code: str, text: str, hint: str) -> checks.CheckMessage:
    kind = checks.Error if code.startswith("E") else checks.Warning
    return kind(text, hint=hint, id=f"wechatpay_notify.{code}")
