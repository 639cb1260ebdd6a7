"""A pretend WeChat Pay: signs real v3 and v2 notifications with throw-away keys, for tests, demos and development.

Never used by the app itself, and its keys are refused by a system check outside of DEBUG.
"""

from .contents import OPENID
from .development import development_merchant, development_platform
from .platform import APPID, MCHID, Platform, transaction_number
from .signed import Signed, xml

__all__ = [
    "APPID",
    "MCHID",
    "OPENID",
    "Platform",
    "Signed",
    "development_merchant",
    "development_platform",
    "transaction_number",
    "xml",
]
