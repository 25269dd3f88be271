"""What an ICE agent is told: servers, timers and limits (RFC 8445 sections 6.1.2.5, 11 and 14)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import canonical_address
from twisted_sip.stun.integrity import opaque_string


def _canonical(addresses: Iterable[Address]) -> tuple[Address, ...]:
    return tuple(canonical_address(one) for one in addresses)


@attrs.frozen(slots=True)
class TURNServer:
    """A TURN server and the long-term credentials for it (RFC 8656).

    :ivar address: its numeric address, for UDP.
    :ivar username: as it was given out; an empty one asks for no authentication.
    :ivar password: never logged.
    """

    address: Address = attrs.field(converter=canonical_address)
    username: str = ""
    password: str = attrs.field(default="", repr=False)

    def __attrs_post_init__(self) -> None:
        """Look whether they can be sent.

        :raises LocalProtocolError: the password is missing, or there are control characters (RFC 8489 section 9.2.2).
        """
        if self.username:
            opaque_string(self.username)
            opaque_string(self.password)


@attrs.frozen(slots=True)
class ICESettings:
    """Times are in seconds.

    :ivar stun_servers: numeric addresses that tell server-reflexive candidates.
    :ivar turn_servers: servers that give relayed (and server-reflexive) candidates.
    :ivar Ta: between two transactions, of all streams together (section 14.2: 0.05).
    :ivar RTO: the least first retransmission time of a transaction (section 14.3: 0.5).
    :ivar keepalive: Tr, silence after which a keep-alive goes out (section 11: 15).
    :ivar consent: True asks the peer for fresh consent to send (RFC 7675), False sends indications only.
    :ivar consent_interval: between two consent checks, plus or minus a fifth.
    :ivar consent_timeout: without an answer for so long the pair is lost.
    :ivar nomination_wait: how long the controlling agent waits for a better pair once each component has a valid one.
    :ivar gather_limit: after so long candidates that did not come are given up.
    :ivar Rc: requests of one check at most (RFC 8489 section 6.2.1: 7).
    :ivar Rm: times RTO to wait after the last of them (16).
    :ivar patience: a stream whose checks have all failed fails no sooner: the peer's may still come (39.5, what one
        check takes).
    :ivar check_limit: after so long without selected pairs the stream has failed; it counts from the first check on.
    :ivar max_pairs: of all checklists together (section 6.1.2.5: 100).
    :ivar max_remote_candidates: of one stream, peer-reflexive ones included; more are ignored.
    :ivar max_early_checks: checks kept that came before the peer's description.
    :ivar relay_only: True tells and uses relayed candidates alone, for privacy.
    """

    stun_servers: tuple[Address, ...] = attrs.field(default=(), converter=_canonical)
    turn_servers: tuple[TURNServer, ...] = ()
    Ta: float = 0.05
    RTO: float = 0.5
    keepalive: float = 15.0
    consent: bool = True
    consent_interval: float = 5.0
    consent_timeout: float = 30.0
    nomination_wait: float = 0.5
    gather_limit: float = 5.0
    Rc: int = 7
    Rm: float = 16
    patience: float = 39.5
    check_limit: float = 90.0
    max_pairs: int = 100
    max_remote_candidates: int = 64
    max_early_checks: int = 16
    relay_only: bool = False
