"""Health: whether notifications come, are taken and are told, in a few figures that cost little.

Never holds an openid, an order's money or a key; numbers, moments and serials only.
"""

from .figures import Figures, measure
from .verdict import Verdict, judge

__all__ = ["Figures", "Verdict", "judge", "measure"]
