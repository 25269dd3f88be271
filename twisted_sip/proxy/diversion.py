"""Who has had a request forwarded: Diversion (RFC 5806 sections 5.2 and 5.4), and who is believed about it.

Carriers take who is named there for the one who pays, and show it to the callee. So of what senders say of the way that
a request has had before (History-Info too, RFC 7044) users of ours are not believed, who could name anybody, unless
they are in a trusted network, as the exchange of an office is; and what strangers say reaches our users alone.
"""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.diversion import Diversion
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.trust import trust_in


def believed(incoming: IncomingRequest, settings: ProxySettings) -> bool:
    """Tell whether the sender of *incoming* may say to our users who has had it forwarded."""
    return not incoming.user or trust_in(settings.trusted)(incoming.flow.remote.host)


def leave_out_hearsay(
    request: Request, target: Target, incoming: IncomingRequest, settings: ProxySettings, written: bool
) -> None:
    """Take out of *request*, on its way to *target*, what its sender says of who has had it forwarded, unless that is
    believed.

    :param written: its History-Info is ours.
    """
    if trust_in(settings.trusted)(incoming.flow.remote.host):
        return
    headers = request.headers
    if (incoming.user or not target.aor) and "diversion" in headers.names:
        headers.remove("diversion")
        incoming.note("privacy", "Diversion of the untrusted is taken out", "proxy.trusted")
    if incoming.user and not written and "history-info" in headers.names:
        headers.remove("history-info")
        incoming.note("privacy", "History-Info of the untrusted is taken out", "proxy.trusted")


def diversions_of(response: Response, aor: str, settings: ProxySettings) -> tuple[str, ...]:
    """Return the Diversion values of *response*, a redirection, that are believed: those about the user *aor*, whose
    device has redirected, and all of a trusted server."""
    if "diversion" not in response.headers.names:
        return ()
    flow = response.flow
    if flow is not None and trust_in(settings.trusted)(flow.remote.host):
        return tuple(response.headers.all("diversion"))
    found = []
    for text in response.headers.elements("diversion"):
        try:
            uri = Diversion.parse(text).address.uri
        except RemoteProtocolError:
            continue
        if aor and isinstance(uri, SIPURI) and uri.address_of_record == aor:
            found.append(text)
    return tuple(found)


def divert(request: Request, target: Target, written: bool) -> None:
    """Put who has had *request* forwarded to *target* before what it says already, the latest first.

    Values that came with redirections go on in any case (section 5.2).

    :param written: write those of the users who have a call policy too.
    """
    for step in target.steps:
        for value in reversed(step.diversions):
            request.headers.prepend("diversion", value)
        if written and step.reason:
            uri = step.uri
            who = uri.address_of_record if isinstance(uri, SIPURI) else str(uri)
            request.headers.prepend("diversion", str(Diversion.build(who, step.reason)))
