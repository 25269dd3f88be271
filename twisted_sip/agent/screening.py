"""What is asked of a request before there is a call: who sends it, what it requires, whether it wants to be answered at
once.

RFC 3261 sections 8.2.1 to 8.2.3 and 11.2, RFC 5373, RFC 3323 (who does not say who he is).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from twisted_sip.dialog.session_offers import SDP, is_plain
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

if TYPE_CHECKING:
    from twisted_sip.agent.registration import Registration

#: The longest wait before an automatic answer that is agreed to, in seconds.
_LONGEST_WAIT = 60.0

#: What asks for one.
_ASKS = frozenset(("call-info", "alert-info", "answer-mode", "priv-answer-mode"))


def unsupported(request: Request, supported: Collection[str]) -> list[str]:
    """Return the option tags that *request* requires and *supported* lacks (RFC 3261 section 8.2.2.3)."""
    if "require" not in request.headers.names:
        return []
    known = {tag.lower() for tag in supported}
    return [tag for tag in request.headers.elements("require") if tag.strip().lower() not in known]


def is_unreadable(request: Request, accept: Collection[str]) -> bool:
    """Tell whether *request* has a body that must be understood, of a type that is not in *accept* (section 8.2.3)."""
    if not request.body or (SDP in accept and is_plain(request, SDP)):
        return False
    content_type = request.typed("content-type")
    if content_type is None or content_type.type == "multipart" or content_type.key in accept:
        return False
    disposition = request.typed("content-disposition")
    return disposition is None or (disposition.params.get("handling") or "required").lower() != "optional"


def is_from_servers(flow: Flow, registrations: Iterable[Registration], servers: Collection[str] = ()) -> bool:
    """Tell whether *flow* comes from where one of *registrations* is kept, or from one of *servers*, addresses.

    On the host of a server others may run, so the port counts as well. A connection that the server has made itself
    comes from any port: it is known by a certificate of the same domain (RFC 5922).
    """
    if flow.remote.host in servers:
        return True
    for registration in registrations:
        for known in registration.flows:
            if known.flow is not None and is_same_way(known.flow, flow):
                return True
    return False


def is_same_way(known: Flow, flow: Flow) -> bool:
    """Tell whether *flow* leads to the server that *known* leads to."""
    if known == flow or (known.remote == flow.remote and known.kind is flow.kind):
        return True
    return known.remote.host == flow.remote.host and not set(known.identities).isdisjoint(flow.identities)


def is_anonymous(request: Request) -> bool:
    """Tell whether the caller does not say who he is (RFC 3323 section 4.1.1.3), and nobody vouches for him."""
    if "p-asserted-identity" in request.headers:
        return False
    try:
        uri = request.from_.uri
    except RemoteProtocolError:
        return True
    return not isinstance(uri, SIPURI) or uri.host.lower() == "anonymous.invalid" or uri.user == "anonymous"


def answer_after(request: Request) -> float | None:
    """Return after how many seconds the caller wants the call to be answered by itself; None if it does not.

    Asked for by ``answer-after`` in Call-Info or Alert-Info, by an Alert-Info of ``info=alert-autoanswer``, or by
    Answer-Mode: Auto (RFC 5373 section 4.1).
    """
    if _ASKS.isdisjoint(request.headers.names):
        return None
    for name in ("call-info", "alert-info"):
        for text in request.headers.elements(name):
            lowered = text.lower()
            _, found, rest = lowered.partition("answer-after")
            if found:
                number = rest.lstrip(' \t="')
                digits = number[: len(number) - len(number.lstrip("0123456789"))][:4]
                return min(_LONGEST_WAIT, float(digits or 0))
            if "alert-autoanswer" in lowered or "auto answer" in lowered:
                return 0.0
    for name in ("answer-mode", "priv-answer-mode"):
        mode = (request.headers.first(name) or "").partition(";")[0].strip().lower()
        if mode == "auto":
            return 0.0
    return None
