"""Candidates: transport addresses at which a host may be reached, and their text in SDP.

RFC 8445 sections 5.1.1.3 and 5.1.2, RFC 8839 section 5.1.
"""

from __future__ import annotations

import enum
import ipaddress
import re

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address


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

_FOUNDATION = re.compile(r"[A-Za-z0-9+/]{1,32}\Z")
_TOKEN = re.compile(r"[!-~]+\Z")


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
        words = value.strip().removeprefix("candidate:").split()
        if len(words) < 8 or words[6].lower() != "typ":
            raise RemoteProtocolError("malformed ICE candidate")
        foundation, component, transport, priority, host, port = words[:6]
        if not _FOUNDATION.match(foundation):
            raise RemoteProtocolError("malformed foundation of an ICE candidate")
        address = Address(_host(host), _number(port, 0, 65535))
        try:
            kind = CandidateType(words[7].lower())
        except ValueError:
            kind = None
        extensions = []
        related_host = related_port = None
        # An odd word at the end has no value and tells nothing.
        for name, told in zip(words[8::2], words[9::2], strict=False):
            if name.lower() == "raddr":
                related_host = _host(told)
            elif name.lower() == "rport":
                related_port = _number(told, 0, 65535)
            else:
                extensions.append((name, told))
        related = None
        if related_host is not None and related_port is not None:
            related = Address(related_host, related_port)
        return cls(
            foundation,
            _number(component, 1, 256),
            transport.lower(),
            _number(priority, 1, 2**31 - 1),
            address,
            kind,
            related,
            tuple(extensions),
        )

    def to_text(self) -> str:
        """Return what follows ``a=candidate:``."""
        kind = self.kind.value if self.kind is not None else "unknown"
        text = (
            f"{self.foundation} {self.component} {self.transport.upper()} {self.priority}"
            f" {self.address.host} {self.address.port} typ {kind}"
        )
        if self.related is not None:
            text += f" raddr {self.related.host} rport {self.related.port}"
        return text + "".join(f" {name} {told}" for name, told in self.extensions)

    @property
    def numeric(self) -> bool:
        """Tell whether the host is an IPv4 or IPv6 address and not a name."""
        try:
            ipaddress.ip_address(self.address.host)
        except ValueError:
            return False
        return True


def _host(text: str) -> str:
    if len(text) > 255 or not _TOKEN.match(text):
        raise RemoteProtocolError("malformed address of an ICE candidate")
    return text


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        raise RemoteProtocolError("malformed number in an ICE candidate")
    return int(text)
