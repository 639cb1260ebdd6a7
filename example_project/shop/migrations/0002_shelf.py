"""Something to sell, so that the shop is not empty after the first `migrate`."""

from django.db import migrations

SHELF = [
    ("龙井茶 Longjing tea, 100 g", 6800, 40),
    ("青瓷杯 Celadon cup", 4200, 25),
    ("毛笔 Writing brush", 2650, 60),
    ("折扇 Folding fan", 3900, 12),
    ("桂花糕 Osmanthus cake", 1880, 30),
    ("油纸伞 Oil-paper umbrella", 12900, 3),
]


def fill(apps, schema_editor):
    product = apps.get_model("shop", "Product")
    product.objects.using(schema_editor.connection.alias).bulk_create(
        product(name=name, price_fen=price_fen, stock=stock) for name, price_fen, stock in SHELF
    )


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
