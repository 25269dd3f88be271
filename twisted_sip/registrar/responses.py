"""The 200 to a REGISTER (RFC 3261 section 10.3 step 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted_sip.interfaces.location import Binding
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.grammar import quote
from twisted_sip.message.parameterized import format_quality
from twisted_sip.registrar.gruu import public_gruu
from twisted_sip.registrar.request import Registration
from twisted_sip.registrar.settings import RegistrarSettings

#: The longest time between keep-alives that keeps a UDP binding of a NAT open (RFC 5626 section 4.4.2), in seconds.
_DATAGRAM_FLOW_TIMER = 29


def contact_value(binding: Binding, now: float, *, gruu: bool) -> str:
    """Return *binding* as a Contact value: as it was registered, with the seconds that are left.

    :param gruu: add the public GRUU if there is an instance (RFC 5627 section 5.2).
    """
    # Halves are rounded up: a binding that was granted 3600 seconds says so, whatever became of its fractions.
    left = int(binding.expires_at - now + 0.5)
    text = f"<{binding.contact}>{binding.params};expires={left}"
    if binding.q != 1000:
        text += f";q={format_quality(binding.q)}"
    if gruu and binding.instance:
        # RFC 5630 section 5.2.1: sips for sips.
        secure = binding.contact[:5].lower() == "sips:"
        text += f";pub-gruu={quote(public_gruu(binding.aor, binding.instance, secure=secure))}"
    return text


class DateClock:
    """The Date header field's value, made once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def at(self, now: float) -> str:
        """Return the date of *now*, in seconds since the epoch."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = str(SIPDate(second))
        return self._text


def success_headers(
    registration: Registration,
    bindings: Sequence[Binding],
    settings: RegistrarSettings,
    *,
    now: float,
    date: str,
    stream: bool,
    further: Iterable[tuple[str, str]] = (),
) -> list[tuple[str, str]]:
    """Return the header fields of a 200 beyond those that every response has.

    :param bindings: all current bindings.
    :param stream: the REGISTER came over a stream.
    """
    gruu = settings.gruu and "gruu" in registration.supported
    headers = [("contact", contact_value(binding, now, gruu=gruu)) for binding in bindings]
    # RFC 3327 section 5.3.
    headers += [("path", value) for value in registration.path]
    headers += [("service-route", value) for value in settings.service_route]
    if registration.outbound and "outbound" in registration.supported:
        # RFC 5626 section 6.
        headers.append(("require", "outbound"))
        if registration.direct and settings.flow_timer:
            seconds = settings.flow_timer if stream else min(settings.flow_timer, _DATAGRAM_FLOW_TIMER)
            headers.append(("flow-timer", str(seconds)))
    headers.append(("date", date))
    headers += further
    return headers
