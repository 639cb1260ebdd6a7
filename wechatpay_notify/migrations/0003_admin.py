import wechatpay_notify.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("wechatpay_notify", "0002_refund"),
    ]

    operations = [
        migrations.CreateModel(
            name="Desk",
            fields=[],
            options={
                "verbose_name": "payment desk",
                "verbose_name_plural": "payment desk",
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("wechatpay_notify.order",),
        ),
        migrations.AlterModelOptions(
            name="discrepancy",
            options={
                "ordering": ("-id",),
                "permissions": (
                    ("resolve_discrepancy", "Can resolve discrepancies"),
                    ("export_discrepancy", "Can export discrepancies"),
                ),
                "verbose_name": "discrepancy",
                "verbose_name_plural": "discrepancies",
            },
        ),
        migrations.AlterModelOptions(
            name="notificationlog",
            options={
                "ordering": ("-received_at", "-id"),
                "permissions": (
                    ("process_notificationlog", "Can process notifications again"),
                    ("reverify_notificationlog", "Can verify refused notifications again"),
                    ("export_notificationlog", "Can export notifications"),
                ),
                "verbose_name": "notification",
                "verbose_name_plural": "notifications",
            },
        ),
        migrations.AlterModelOptions(
            name="order",
            options={
                "ordering": ("-id",),
                "permissions": (("view_openid", "Can see openids whole"), ("export_order", "Can export orders")),
                "verbose_name": "order",
                "verbose_name_plural": "orders",
            },
        ),
        migrations.AlterModelOptions(
            name="refund",
            options={
                "ordering": ("-id",),
                "permissions": (("export_refund", "Can export refunds"),),
                "verbose_name": "refund",
                "verbose_name_plural": "refunds",
            },
        ),
        migrations.AlterModelOptions(
            name="signaldelivery",
            options={
                "ordering": ("-id",),
                "permissions": (
                    ("deliver_signaldelivery", "Can deliver again what failed"),
                    ("force_signaldelivery", "Can deliver again what was done"),
                    ("export_signaldelivery", "Can export signal deliveries"),
                ),
                "verbose_name": "signal delivery",
                "verbose_name_plural": "signal deliveries",
            },
        ),
        migrations.AddField(
            model_name="notificationlog",
            name="replay_of",
            field=models.BigIntegerField(blank=True, null=True, verbose_name="processed again from"),
        ),
        migrations.AddField(
            model_name="discrepancy",
            name="out_refund_no",
            field=wechatpay_notify.models.fields.ExactCharField(
                blank=True, default="", max_length=64, verbose_name="merchant refund number"
            ),
        ),
        migrations.AddIndex(
            model_name="discrepancy",
            index=models.Index(fields=["resolved_at", "-id"], name="wechatpay_discrepancy_open"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["openid"], name="wechatpay_order_openid"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["sub_openid"], name="wechatpay_order_sub_openid"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["combine_out_trade_no"], name="wechatpay_order_combined"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["status", "-id"], name="wechatpay_order_status"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["confirmed_by", "-id"], name="wechatpay_order_by"),
        ),
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(fields=["status", "-id"], name="wechatpay_refund_status"),
        ),
    ]
