"""Where a user agent that is nobody's follows transfers to (RFC 3515 section 5.2).

Without a line nobody proves who calls, and there are no credentials that somebody could be called with. Still it must
not be made to call third parties: it is sent to where the caller is himself, and to hosts that the operator has listed.
"""

from __future__ import annotations

import ipaddress

from twisted_sip.agent.call import Call
from twisted_sip.agent.referral import Referral
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.listener import bare


def may_lead_to(settings: AgentSettings, call: Call | None, referral: Referral) -> bool:
    """Tell whether an agent without a line calls the target of *referral*, a REFER in *call*."""
    if call is None or referral.outside or settings.accept_transfers not in ("known", "anybody"):
        return False
    if "*" in settings.transfer_targets:
        return True
    target = referral.target
    if not isinstance(target, SIPURI) or "maddr" in target.params:
        # RFC 3261 section 19.1.1: maddr is another place than the host that it is judged by.
        return False
    if target.host.lower() in settings.transfer_targets:
        return True
    straight = call.wire.straight
    # The tags of the call have reached that address: the caller is there.
    return straight is not None and _same(target.host, straight.remote.host)


def _same(host: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(bare(host)) == ipaddress.ip_address(address)
    except ValueError:
        # A name: it may lead anywhere by the time that it is called.
        return False
