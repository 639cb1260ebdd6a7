"""WeChat Pay (微信支付) notifications for Django: proven genuine, recorded, confirmed exactly once."""

__version__ = "0.1.0"
