from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"
    verbose_name = "Shop 小店"

    def ready(self) -> None:
        """Connect the receivers; without this import the callbacks answer 503 (`no_receiver`)."""
        from wechatpay_notify import signals  # noqa: PLC0415 (models are ready only now)

        from . import receivers  # noqa: PLC0415

        signals.payment_confirmed.connect(receivers.fulfil)
        signals.payment_unexpected.connect(receivers.tell_the_staff)
        signals.refund_confirmed.connect(receivers.give_back)
        signals.refund_abnormal.connect(receivers.refund_by_hand)
