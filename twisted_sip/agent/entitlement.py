"""Who may meddle with a call: have it transferred, take its place, join it.

RFC 3515 section 5.2, RFC 3891 sections 3 and 8, RFC 3911 section 9, RFC 4538 section 8, RFC 3325.
Knowing the identifiers of a dialog entitles to nothing by itself: whoever has seen one message knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.agent.dialog_reference import joined_by, replaced_by
from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.dialogs import INVITE_USAGE
from twisted_sip.dialog.session import Session
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.uri import SIPURI, TelURI
from twisted_sip.transport.listener import bare, is_numeric

if TYPE_CHECKING:
    from twisted_sip.agent.agent_hooks import AgentHooks
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.referral import Referral
    from twisted_sip.agent.settings import Entitled

#: The longest row of digits that is taken for an extension, and not for a telephone number.
_EXTENSION = 6
_SEPARATORS = str.maketrans("", "", "-.() ")


def proved_identity(agent: AgentHooks, incoming: IncomingRequest) -> str:
    """Return the address-of-record that the sender of *incoming* has proved to have; empty if none.

    It was authenticated here; or the request came by way of our servers, and they assert who it is (RFC 3325), or it
    names a user of theirs, which they let nobody do who has not proved it.
    """
    if incoming.user:
        return incoming.user
    if not agent.is_from_servers(incoming.flow):
        return ""
    for text in incoming.request.headers.elements("p-asserted-identity"):
        asserted = _aor(text)
        if asserted:
            return asserted
    try:
        uri = incoming.request.from_.uri
    except RemoteProtocolError:
        return ""
    ours = isinstance(uri, SIPURI) and uri.host.lower() in agent.own_domains
    return uri.address_of_record if ours and isinstance(uri, SIPURI) else ""


# -- transfers ----------------------------------------------------------------------------------------


def may_refer(agent: AgentHooks, call: Call | None, referral: Referral) -> bool:
    """Tell whether *referral* is to be followed as the settings have it."""
    whom = agent.settings.accept_transfers
    if call is None or whom == "nobody":
        return False
    party = _party(agent, call)
    if whom != "anybody":
        if referral.outside and not referral.identity and (call.dialog is None or not call.dialog.secure):
            # RFC 4538 section 8: eavesdroppers know a Target-Dialog that was not kept from them by TLS.
            return False
        if not referral.outside and not referral.by_servers and _runs_by_servers(agent, call, call.dialog):
            return False
        party = party or referral.identity
        if not party and not (whom == "known" and call.outgoing):
            return False
    return _may_lead_to(agent, call, referral, trusted=bool(party) or whom == "anybody")


def _may_lead_to(agent: AgentHooks, call: Call, referral: Referral, *, trusted: bool) -> bool:
    """Tell whether we may be sent to the target of *referral*: numbers cost money, and so may strange hosts."""
    listed = agent.settings.transfer_targets
    target = referral.target
    if "*" in listed:
        return True
    if isinstance(target, TelURI):
        # It becomes a SIP URI at our domain.
        return call.account.domain.lower() in listed
    host = target.host.lower()
    if host in listed:
        return True
    if is_number(target):
        return False
    if call.outgoing and isinstance(call.remote.uri, SIPURI) and host == call.remote.uri.host.lower():
        # Whom we call may pass us on within his own domain.
        return True
    # The Contact of the target of an attended transfer (RFC 5589 section 7.1) may be a mere address.
    return trusted and (host in agent.own_domains or (referral.replaces is not None and is_numeric(bare(host))))


def is_number(uri: SIPURI) -> bool:
    """Tell whether *uri* looks like a telephone number rather than a user or an extension."""
    if (uri.params.get("user") or "").lower() == "phone":
        return True
    digits = (uri.user or "").partition(";")[0].replace("%2B", "+").replace("%2b", "+").translate(_SEPARATORS)
    return digits.startswith("+") or (len(digits) > _EXTENSION and digits.lstrip("*#").isdigit())


# -- Replaces and Join -----------------------------------------------------------------------------------


def may_take_part(agent: AgentHooks, whom: Entitled, call: Call, incoming: IncomingRequest) -> bool:
    """Tell whether the sender of *incoming* may replace or join *call*, *whom* being who may."""
    if whom in ("nobody", "anybody"):
        return whom == "anybody"
    if proved_identity(agent, incoming):
        return True
    if whom == "servers":
        return False
    request = incoming.request
    dialog = _dialog_meant(agent, incoming)
    if _runs_by_servers(agent, call, dialog) and not agent.is_from_servers(incoming.flow):
        # What our servers guard is not given away to those who come past them.
        return False
    party = _aor_of(call.remote)
    # RFC 3891 section 3: sent on behalf of the party.
    if party and _aor(request.headers.first("referred-by") or "") == party:
        return True
    # The party itself, from where it talks with us.
    straight = len(request.headers.elements("via")) == 1
    return (
        bool(party)
        and straight
        and _aor_of(request.from_) == party
        and incoming.flow.remote.host == _host_of(call, dialog)
    )


def _dialog_meant(agent: AgentHooks, incoming: IncomingRequest) -> Dialog | None:
    reference = replaced_by(incoming.request) or joined_by(incoming.request)
    session = agent.dialogs.usage(reference.id, INVITE_USAGE) if reference is not None else None
    return session.dialog if isinstance(session, Session) else None


def _host_of(call: Call, dialog: Dialog | None) -> str:
    """Return the address at which the party of *call* is reached without a server, empty if there is none."""
    straight = call.wire.straight
    if straight is not None:
        return straight.remote.host
    if not call.outgoing or dialog is None or dialog.route_set:
        return ""
    try:
        host = bare(SIPURI.parse(dialog.remote_target).host)
    except RemoteProtocolError:
        return ""
    return host if is_numeric(host) else ""


# -- the parties of a call -----------------------------------------------------------------------------------


def _party(agent: AgentHooks, call: Call) -> str:
    """Return who the party of *call* is, as far as that is proved; empty if it is not."""
    if not call.outgoing:
        return call.identity
    uri = call.remote.uri
    ours = isinstance(uri, SIPURI) and uri.host.lower() in agent.own_domains
    return _aor_of(call.remote) if ours else ""


def _runs_by_servers(agent: AgentHooks, call: Call, dialog: Dialog | None) -> bool:
    """Tell whether requests within *call* come by way of our servers: they have put themselves into its route."""
    if dialog is None or not dialog.route_set:
        return False
    came_by = call.wire.came_by
    if came_by is not None:
        return agent.is_from_servers(came_by)
    return call.account.registration is not None


def _aor(text: str) -> str:
    if not text:
        return ""
    try:
        return _aor_of(NameAddr.parse(text))
    except RemoteProtocolError:
        return ""


def _aor_of(address: NameAddr) -> str:
    try:
        uri = address.uri
    except RemoteProtocolError:
        return ""
    if isinstance(uri, SIPURI):
        return uri.address_of_record
    return str(uri) if isinstance(uri, TelURI) else ""
