"""Tests of the protocol ring: bytes in, typed values out, and nothing but NotificationError for what is wrong."""

from tests.settings import PLATFORM
from wechatpay_notify.conf import build_merchant

NOW = 1_795_000_000
MERCHANT = build_merchant("default", **PLATFORM.merchant())
"""The merchant whose keys the pretend WeChat of the test settings has."""
