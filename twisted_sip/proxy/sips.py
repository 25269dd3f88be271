"""The scheme of targets: sips is never left, and never entered (RFC 5630 section 5.3)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI


def fit_scheme(request: Request, targets: Sequence[Target]) -> Sequence[Target]:
    """Return the *targets* that *request* may be sent to, in the form in which it may.

    A ``sips`` Request-URI goes to ``sips`` alone. A ``sip`` one goes to a ``sips`` target with the scheme ``sip``, over
    secure transports.
    """
    uri = request.known_uri or request.uri
    if not isinstance(uri, SIPURI):
        return targets
    if uri.scheme == "sips":
        return [target for target in targets if isinstance(target.uri, SIPURI) and target.uri.scheme == "sips"]
    for target in targets:
        found = target.uri
        if isinstance(found, SIPURI) and found.scheme == "sips":
            return [_plain(target) for target in targets]
    return targets


def _plain(target: Target) -> Target:
    uri = target.uri
    if not isinstance(uri, SIPURI) or uri.scheme != "sips":
        return target
    # With a Path it is the last proxy of that who reaches the user agent.
    return attrs.evolve(target, uri=uri.replace(scheme="sip"), secure=not target.path)


def sips_warning(incoming: IncomingRequest, required: bool = False) -> tuple[str, str]:
    """Return the Warning that goes with a 480 because of the scheme (RFC 5630 section 5.3).

    :param required: the contact is ``sips`` and the request is not; else it is the other way round.
    """
    words = '381 {} "SIPS Required"' if required else '380 {} "SIPS Not Allowed"'
    return "warning", words.format(incoming.flow.sent_by)
