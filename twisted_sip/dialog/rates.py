"""How often a subscriber wants to be notified: the parameters of Event and Subscription-State of RFC 6446."""

from __future__ import annotations

import re

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import Params

_LEAST, _MOST = 1e-10, 99.9999999999
# Section 9.2.
_RATE = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,10})?").fullmatch


def _check(instance: object, attribute: attrs.Attribute[float | None], value: float | None) -> None:
    if value is not None and not _LEAST <= value <= _MOST:
        raise LocalProtocolError(f"{attribute.name} is from {_LEAST} to {_MOST} NOTIFYs per second, not {value}")


@attrs.frozen(slots=True, kw_only=True)
class Rates:
    """Rates of NOTIFYs in numbers per second, None where one is not given (RFC 6446 section 4).

    :ivar max_rate: no more than that (section 5).
    :ivar min_rate: no less than that (section 6).
    :ivar adaptive_min_rate: no less than that over time (section 7).
    :raises LocalProtocolError: a rate out of range (section 9.2).
    """

    max_rate: float | None = attrs.field(default=None, validator=_check)
    min_rate: float | None = attrs.field(default=None, validator=_check)
    adaptive_min_rate: float | None = attrs.field(default=None, validator=_check)

    @classmethod
    def of(cls, params: Params) -> Rates:
        """Return the rates among *params*, of Event or Subscription-State; one that makes no sense is left out."""
        return cls(
            max_rate=_read(params.get("max-rate")),
            min_rate=_read(params.get("min-rate")),
            adaptive_min_rate=_read(params.get("adaptive-min-rate")),
        )

    def params(self) -> list[tuple[str, str | None]]:
        """Return them as parameters."""
        named = (
            ("max-rate", self.max_rate),
            ("min-rate", self.min_rate),
            ("adaptive-min-rate", self.adaptive_min_rate),
        )
        return [(name, f"{rate:.10f}".rstrip("0").rstrip(".")) for name, rate in named if rate is not None]

    def __bool__(self) -> bool:
        return self != _NONE


def _read(text: str | None) -> float | None:
    if text is None or _RATE(text) is None:
        return None
    rate = float(text)
    return rate if rate >= _LEAST else None


_NONE = Rates()
