"""The system checks: what is wrong with the settings and the installation, each with its mend.

Never prints a key, opens no connection, and calls neither the host's merchant provider nor its order resolver.
"""

from typing import Any

from django.core import checks

from . import installation, merchants, values

TAG = "wechatpay_notify"


@checks.register(TAG)
def check(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Everything that is wrong: `manage.py check --tag wechatpay_notify`."""
    finders = (*values.CHECKS, merchants.check, *installation.CHECKS)
    return [_message(*finding) for find in finders for finding in find()]


def _message(code: str, text: str, hint: str) -> checks.CheckMessage:
    kind = checks.Error if code.startswith("E") else checks.Warning
    return kind(text, hint=hint, id=f"wechatpay_notify.{code}")
