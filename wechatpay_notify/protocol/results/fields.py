"""Fields: reading one value of a notification's fields, whatever its form; what decides about money is strict.

Never lets a wrong type pass for a right one; text that decides nothing is cleaned, never a reason to lose a payment.
"""

import re
from collections.abc import Mapping
from typing import Any

from wechatpay_notify.protocol.errors import Malformed

ORDER_NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,32}", re.ASCII)
"""out_trade_no: 6 to 32 of these (protocol, 1.3); shorter ones exist and do no harm."""
IDENTITY = re.compile(r"[0-9A-Za-z_\-]{1,32}", re.ASCII)
STATE = re.compile(r"[A-Z_]{1,32}")
AMOUNTS = range(1, 10**18)
_WHOLE_TEXT = re.compile(r"[0-9]{1,18}")
_AMOUNT_TEXT = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3,8}", re.ASCII)

Fields = Mapping[str, Any]


def required(fields: Fields, name: str, form: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Malformed(f"{name} is missing or not of its form", proven=True)
    return value


def v3_amount(fields: Fields, name: str, *, needed: bool = True) -> int:
    value = fields.get(name)
    if value is None and not needed:
        return 0
    if type(value) is not int or value not in AMOUNTS:  # type(): True == 1
        raise Malformed(f"{name} is missing or no whole number of the minor unit", proven=True)
    return value


def v2_amount(fields: Fields, name: str, *, needed: bool = True) -> int:
    value = fields.get(name)
    if value is None and not needed:
        return 0
    if not isinstance(value, str) or not _AMOUNT_TEXT.fullmatch(value):  # int("１００") is 100, int("1_00") too
        raise Malformed(f"{name} is missing or no whole number of the minor unit", proven=True)
    return int(value)


def currency(fields: Fields, name: str, default: str) -> str:
    value = fields.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise Malformed(f"{name} is no currency code", proven=True)
    return value


def whole(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < AMOUNTS.stop else None


def v2_whole(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _WHOLE_TEXT.fullmatch(value) else None


def nested(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def optional(fields: Fields, name: str, limit: int) -> str:
    """Text that decides nothing: cleaned of what a database refuses and cut, never a reason to lose a payment."""
    value = fields.get(name)
    return storable(value)[:limit] if value and isinstance(value, str) else ""


def storable(text: str) -> str:
    """Without NUL and lone surrogates, which databases refuse."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode(errors="ignore").decode()
