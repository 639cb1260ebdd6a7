from django import template

register = template.Library()


@register.filter
def yuan(fen: int) -> str:
    """Fen as a price tag: 6800 → ¥68.00. Whole numbers all the way, never a float."""
    return f"¥{fen // 100:,}.{fen % 100:02d}"
