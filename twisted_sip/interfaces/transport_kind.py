"""The registry of transports: one row per Via transport token (RFC 3261 section 18, RFC 3263 section 4.1).

A new transport is a new row here and a protocol class in the transport floor; nothing else asks for names.
"""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, eq=False)
class TransportKind:
    """What the other floors need to know of a transport.

    :ivar token: the Via transport token, upper case (``UDP``, ``TCP``, ``TLS``).
    :ivar parameter: the value of the ``transport`` URI parameter that asks for it (``tls`` asks for TCP in a sips URI).
    :ivar reliable: no retransmission is needed (RFC 3261 section 17).
    :ivar secure: it protects against eavesdroppers, so a ``sips`` URI may use it.
    :ivar stream: messages are framed by Content-Length (RFC 3261 section 18.3).
    :ivar default_port: the port meant when none is written.
    :ivar naptr: the NAPTR service field (RFC 3263 section 4.1).
    :ivar srv: the SRV prefix (``_sip._udp``).
    """

    token: str
    parameter: str
    reliable: bool
    secure: bool
    stream: bool
    default_port: int
    naptr: str
    srv: str

    def __repr__(self) -> str:
        return self.token


UDP = TransportKind("UDP", "udp", False, False, False, 5060, "SIP+D2U", "_sip._udp")
TCP = TransportKind("TCP", "tcp", True, False, True, 5060, "SIP+D2T", "_sip._tcp")
TLS = TransportKind("TLS", "tls", True, True, True, 5061, "SIPS+D2T", "_sips._tcp")

#: Via transport token -> row.
TRANSPORT_KINDS: dict[str, TransportKind] = {kind.token: kind for kind in (UDP, TCP, TLS)}
