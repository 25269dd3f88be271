"""What a program may set about its media."""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.codecs.table import codec_kinds

#: Expedited Forwarding (RFC 3246), what voice is marked with.
EXPEDITED = 46


def _within(low: float, high: float) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if not low <= value <= high:
            raise LocalProtocolError(f"media {attribute.name} is from {low} to {high}, not {value}")

    return check


def _ports(instance: object, attribute: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    low, high = value
    if (low, high) != (0, 0) and not (1024 <= low < high <= 65535 and high - low >= 1):
        raise LocalProtocolError("media ports are a range from 1024 to 65535 with room for two, or (0, 0) for any")


def _codecs(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value:
        raise LocalProtocolError("media need a codec")
    codec_kinds(value)


def _ptime(instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value not in (10, 20, 30, 40, 60):
        raise LocalProtocolError(f"media ptime is 10, 20, 30, 40 or 60, not {value}")


@attrs.frozen(slots=True, kw_only=True)
class MediaSettings:
    """Settings of a media plane; immutable.

    :ivar host: the local address to bind; an IPv6 one makes everything IPv6.
    :ivar advertise: the address in session descriptions; empty for *host*.
    :ivar ports: the range for RTP and RTCP, both ends included; (0, 0) for any free ones.
    :ivar codecs: names in order of preference: ``PCMU``, ``PCMA``, ``opus``, ``L16/16000``. Opus is left out on
        machines without libopus.
    :ivar dtmf: offer telephone events (RFC 4733).
    :ivar comfort_noise: offer CN, and send it in place of silence (RFC 3389).
    :ivar rtcp_mux: offer RTP and RTCP on one port (RFC 5761); an offer that has it is accepted in any case.
    :ivar ptime: milliseconds of sound in a packet.
    :ivar dscp: the mark of packets, 0 for none.
    :ivar jitter_least: the least depth of the jitter buffer in milliseconds.
    :ivar jitter_most: the most.
    :ivar timeout: seconds without RTP or RTCP of the peer after which ``on_timeout`` is called; 0 for never.
    :ivar relatch: seconds of silence after which another source is believed (symmetric RTP).
    :ivar symmetric: send to where packets come from rather than to where the peer says (RFC 4961); False believes
        the session description alone.
    :ivar silence: seconds without speech after which ``on_silence`` is called.
    :ivar most_rate: packets per second of one stream; what comes beyond that is dropped.
    :ivar most_sessions: sessions at a time.
    """

    host: str = "127.0.0.1"
    advertise: str = ""
    ports: tuple[int, int] = attrs.field(default=(16384, 32767), validator=_ports)
    codecs: tuple[str, ...] = attrs.field(default=("PCMU", "PCMA"), validator=_codecs, converter=tuple)
    dtmf: bool = True
    comfort_noise: bool = False
    rtcp_mux: bool = False
    ptime: int = attrs.field(default=20, validator=_ptime)
    dscp: int = attrs.field(default=EXPEDITED, validator=_within(0, 63))
    jitter_least: int = attrs.field(default=40, validator=_within(10, 1000))
    jitter_most: int = attrs.field(default=240, validator=_within(10, 1000))
    timeout: float = attrs.field(default=30.0, validator=_within(0, 86400))
    relatch: float = attrs.field(default=2.0, validator=_within(0.1, 3600))
    symmetric: bool = True
    silence: float = attrs.field(default=2.0, validator=_within(0.1, 3600))
    most_rate: int = attrs.field(default=500, validator=_within(50, 100_000))
    most_sessions: int = attrs.field(default=2000, validator=_within(1, 100_000))

    def __attrs_post_init__(self) -> None:
        if self.jitter_least > self.jitter_most:
            raise LocalProtocolError("media jitter_least is not more than jitter_most")

    @property
    def address(self) -> str:
        """The address in session descriptions."""
        return self.advertise or self.host
