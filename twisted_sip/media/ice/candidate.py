"""Candidates: transport addresses at which a host may be reached, and their text in SDP.

RFC 8445 sections 5.1.1.3 and 5.1.2, RFC 8839 section 5.1.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping

import attrs

from twisted_sip.interfaces.flow import Address
from twisted_sip.sdp.connection import ip_of
from twisted_sip.sdp.ice import Candidate as SDPCandidate


class CandidateType(enum.Enum):
    """The four types of RFC 8445 section 5.1.1; the value is the token of RFC 8839 section 5.1."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"


#: Section 5.1.2.2: the recommended type preferences.
TYPE_PREFERENCE = {
    CandidateType.HOST: 126,
    CandidateType.PEER_REFLEXIVE: 110,
    CandidateType.SERVER_REFLEXIVE: 100,
    CandidateType.RELAYED: 0,
}


def canonical_address(address: Address) -> Address:
    """Return *address* as sockets tell it, since it is compared with where packets come from; names as they are."""
    found = ip_of(address.host)
    return address if found is None else Address(str(found), address.port)


def candidate_priority(kind: CandidateType, local_preference: int, component: int) -> int:
    """Return the priority of a candidate (RFC 8445 section 5.1.2.1).

    :param local_preference: 0 to 65535; 65535 for a host with one address.
    :param component: 1 for RTP, 2 for RTCP.
    """
    return TYPE_PREFERENCE[kind] << 24 | local_preference << 8 | 256 - component


@attrs.frozen(slots=True)
class Candidate:
    """One candidate as it stands in SDP.

    :ivar foundation: 1 to 32 characters; equal for candidates that share type, base address, server and transport.
    :ivar component: 1 for RTP, 2 for RTCP, up to 256.
    :ivar transport: ``udp`` for all that is checked here, in lower case.
    :ivar priority: 1 to 2**31-1.
    :ivar address: where it is reached; the host is numeric, or a name that is never checked here.
    :ivar kind: see :class:`CandidateType`; None for a type that RFC 8445 does not know.
    :ivar related: the base of a reflexive, the mapped address of a relayed candidate, None if not told.
    :ivar extensions: (name, value) pairs that follow, in order.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: Address
    kind: CandidateType | None
    related: Address | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, value: str) -> Candidate:
        """Read what follows ``a=candidate:`` (RFC 8839 section 5.1).

        :raises RemoteProtocolError: it is malformed.
        """
        return cls.from_sdp(SDPCandidate.parse(value))

    @classmethod
    def from_sdp(cls, told: SDPCandidate) -> Candidate:
        """Return the candidate that a description tells."""
        try:
            kind = CandidateType(told.type.lower())
        except ValueError:
            kind = None
        related = None
        if told.related_address and told.related_port is not None:
            related = Address(told.related_address, told.related_port)
        return cls(
            told.foundation,
            told.component,
            told.transport.lower(),
            told.priority,
            canonical_address(Address(told.address, told.port)),
            kind,
            related,
            told.extensions,
        )

    def to_sdp(self) -> SDPCandidate:
        """Return it as a value of a description."""
        return SDPCandidate(
            self.foundation,
            self.component,
            self.transport.upper(),
            self.priority,
            self.address.host,
            self.address.port,
            self.kind.value if self.kind is not None else "unknown",
            self.related.host if self.related is not None else "",
            self.related.port if self.related is not None else None,
            self.extensions,
        )

    def to_text(self) -> str:
        """Return what follows ``a=candidate:``."""
        return str(self.to_sdp())

    @property
    def numeric(self) -> bool:
        """Tell whether the host is an IPv4 or IPv6 address and not a name."""
        return _is_numeric(self.address.host)


def default_rank(candidate: Candidate) -> tuple[int, bool, int]:
    """Return the place of *candidate* among those for the default destination: the least works most likely.

    Relayed before reflexive before host. IPv4 is understood by most (RFC 8445 section 5.2 leaves it to the
    configuration).
    """
    preference = TYPE_PREFERENCE[candidate.kind] if candidate.kind is not None else 127
    return preference, ":" in candidate.address.host, -candidate.priority


def mismatch(candidates: Iterable[Candidate], defaults: Mapping[int, Address]) -> bool:
    """Tell whether somebody between has changed the default destinations: ICE cannot be used (RFC 8839 section 4.2.5).

    :param defaults: by component, what c=, m= and a=rtcp: tell. Names, and 0.0.0.0 or :: with port 9, are no mismatch.
    """
    told = {(candidate.component, candidate.address) for candidate in candidates}
    return any(
        (component, canonical_address(address)) not in told
        for component, address in defaults.items()
        if _is_numeric(address.host) and not (address.host in ("0.0.0.0", "::") and address.port == 9)
    )


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
