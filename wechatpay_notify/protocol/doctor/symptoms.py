"""Case and Symptom: a refused request as the doctor gets it, and one thing found out about it, a code and its facts.

Never shows a key, nor more of the body than the name of an element.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wechatpay_notify.protocol.types import Merchant

MAX_SHOWN = 100
MAX_LISTED = 6
MAX_KEYS = 200
"""Keys that are tried of a kind; one costs about 30 microseconds."""


@dataclass(frozen=True, slots=True)
class Case:
    """`merchants` are all whose keys may be tried, by alias; `alias` is the URL's, `received_at` in Unix seconds."""

    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name with hyphens."""
    body: bytes = field(repr=False)
    merchants: Mapping[str, Merchant] = field(repr=False)
    alias: str
    received_at: float

    @property
    def merchant(self) -> Merchant:
        return self.merchants[self.alias]

    def own_first(self) -> list[tuple[str, Merchant]]:
        """The merchants by alias, this one before the others, as many as are tried."""
        return sorted(self.merchants.items(), key=lambda item: item[0] != self.alias)[:MAX_KEYS]


@dataclass(frozen=True, slots=True)
class Symptom:
    """`code` names an explanation, `facts` fill its sentences."""

    code: str
    facts: Mapping[str, str] = field(default_factory=dict)


def symptom(code: str, **facts: object) -> Symptom:
    """Facts made safe to show: printable ASCII, and short."""
    return Symptom(code, {name: shown(str(value)) for name, value in facts.items()})


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    cut = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return ascii(cut)[1:-1]


def several(code: str, name: str, values: Iterable[str], **facts: object) -> Symptom:
    """A symptom one fact of which is a list; of a long one its beginning."""
    ordered = sorted(set(values))
    listed = ", ".join(shown(value) for value in ordered[:MAX_LISTED])
    more = f", +{len(ordered) - MAX_LISTED}" if len(ordered) > MAX_LISTED else ""
    return Symptom(code, {**symptom(code, **facts).facts, name: f"{listed}{more}"})
