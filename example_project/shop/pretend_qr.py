"""A picture that looks like a QR code, drawn from a text as one SVG path. It cannot be scanned.

Never a real code: that would need a library, and the pretend WeChat has no camera.
"""

import hashlib
from dataclasses import dataclass

MODULES = 25
FINDER = 7
"""Modules of the three squares in the corners."""


@dataclass(frozen=True, slots=True)
class PretendQR:
    text: str

    @property
    def size(self) -> int:
        return MODULES

    @property
    def path(self) -> str:
        """The dark modules as `d` of an SVG path."""
        bits = hashlib.shake_256(self.text.encode()).digest(MODULES * MODULES)
        squares = []
        for y in range(MODULES):
            for x in range(MODULES):
                dark = _finder(x, y)
                if dark is None:
                    dark = bool(bits[y * MODULES + x] & 1)
                if dark:
                    squares.append(f"M{x} {y}h1v1h-1z")
        return "".join(squares)


def _finder(x: int, y: int) -> bool | None:
    """Whether this module of a corner square is dark; None outside of the corners."""
    far = MODULES - FINDER
    for left, top in ((0, 0), (far, 0), (0, far)):
        across, down = x - left, y - top
        if -1 <= across <= FINDER and -1 <= down <= FINDER:
            ring = max(abs(across - FINDER // 2), abs(down - FINDER // 2))
            return ring in (0, 1, 3)
    return None
