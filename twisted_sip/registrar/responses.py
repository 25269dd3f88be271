"""The 200 to a REGISTER (RFC 3261 section 10.3 step 8), and what of it is for the user alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from twisted_sip.interfaces.location import Binding
from twisted_sip.message.builders import response_to
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.grammar import quote
from twisted_sip.message.gruu import public_gruu
from twisted_sip.message.parameterized import format_quality
from twisted_sip.message.push_uri import text_without_push
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.registrar.request import Registration
from twisted_sip.registrar.settings import RegistrarSettings

#: The longest time between keep-alives that keeps a UDP binding of a NAT open (RFC 5626 section 4.4.2), in seconds.
_DATAGRAM_FLOW_TIMER = 29


def contact_value(binding: Binding, now: float, *, gruu: bool, temporary: str = "") -> str:
    """Return *binding* as a Contact value: as it was registered, with the seconds that are left.

    :param gruu: add the public GRUU if there is an instance (RFC 5627 section 5.2).
    :param temporary: a temporary GRUU to add, or empty.
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
        if temporary:
            text += f";temp-gruu={quote(temporary)}"
    return text


def as_others_see(bindings: Iterable[Binding], own: Collection[Binding]) -> list[Binding]:
    """Return *bindings* without what wakes their devices (RFC 8599 section 13), for who registers for somebody else.

    :param own: those that the request has made: who has sent it knows what it says.
    """
    made = {binding.key for binding in own}
    return [
        binding if binding.key in made else attrs.evolve(binding, contact=text_without_push(binding.contact))
        for binding in bindings
    ]


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


def success_response(
    request: Request,
    registration: Registration,
    bindings: Sequence[Binding],
    settings: RegistrarSettings,
    *,
    now: float,
    date: str,
    stream: bool,
    to_tag: str,
    further: Iterable[tuple[str, str]] = (),
    temporary_gruu: Callable[[Binding], str] | None = None,
) -> Response:
    """Return the 200 to *request*.

    :param bindings: all current bindings.
    :param date: the value of the Date header field.
    :param stream: the REGISTER came over a stream.
    :param further: more header fields, as (name, value).
    :param temporary_gruu: makes the temporary GRUU of a binding, None where there are none.
    :raises LocalProtocolError: CR, LF or NUL in *further*.
    """
    gruu = settings.gruu and "gruu" in registration.supported
    response = response_to(request, 200, to_tag=to_tag)
    # What has been parsed or checked before needs no check for each response: lines as they are to be.
    names = response.headers.names
    lines = response.headers.lines
    made: dict[tuple[str, bool], str] = {}
    for binding in bindings:
        temporary = ""
        if binding.series and gruu and temporary_gruu is not None:
            # RFC 5627 section 5.2: the most recent one, the same for each contact of the instance.
            place = binding.series, binding.contact[:5].lower() == "sips:"
            temporary = made.get(place) or made.setdefault(place, temporary_gruu(binding))
        names.append("contact")
        lines.append(f"Contact: {contact_value(binding, now, gruu=gruu, temporary=temporary)}")
    # RFC 3327 section 5.3.
    for value in registration.path:
        names.append("path")
        lines.append(f"Path: {value}")
    for value in settings.service_route:
        names.append("service-route")
        lines.append(f"Service-Route: {value}")
    if registration.outbound and "outbound" in registration.supported:
        # RFC 5626 section 6.
        names.append("require")
        lines.append("Require: outbound")
        if registration.direct and settings.flow_timer:
            seconds = settings.flow_timer if stream else min(settings.flow_timer, _DATAGRAM_FLOW_TIMER)
            names.append("flow-timer")
            lines.append(f"Flow-Timer: {seconds}")
    names.append("date")
    lines.append(f"Date: {date}")
    for name, value in further:
        response.headers.append(name, value)
    return response
