"""What a program may set about its media."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.codecs.table import KINDS, CodecKind, codec_kinds
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.media.srtp_profile import PROFILES, profiles_of

#: Expedited Forwarding (RFC 3246), what voice is marked with.
EXPEDITED = 46

#: An attrs validator.
_Check: TypeAlias = Callable[..., None]


def _demands(words: str) -> Callable[[_Check], _Check]:
    """Return a decorator of validators that lets them say in *words* what they demand."""

    def mark(check: _Check) -> _Check:
        check.words = words  # type: ignore[attr-defined]
        return check

    return mark


def _choices(*values: object) -> str:
    return "one of " + ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)


def _within(low: float, high: float) -> Any:
    @_demands(f"from {low:g} to {high:g}")
    def check(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if not low <= value <= high:
            raise LocalProtocolError(f"media {attribute.name} is from {low} to {high}, not {value}")

    return check


@_demands("two of them, from 1024 to 65535, the lower one first")
def _ports(instance: object, attribute: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    low, high = value
    if (low, high) != (0, 0) and not (1024 <= low < high <= 65535 and low + low % 2 < high):
        raise LocalProtocolError("media ports are a range from 1024 to 65535 with room for two, or (0, 0) for any")


def _codec_name(kind: CodecKind) -> str:
    return kind.name if sum(one.name == kind.name for one in KINDS) == 1 else f"{kind.name}/{kind.clock_rate}"


@_demands(_choices(*dict.fromkeys(_codec_name(kind) for kind in KINDS)))
def _codecs(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value:
        raise LocalProtocolError("media need a codec")
    codec_kinds(value)


@_demands(_choices(10, 20, 30, 40, 60))
def _ptime(instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value not in (10, 20, 30, 40, 60):
        raise LocalProtocolError(f"media ptime is 10, 20, 30, 40 or 60, not {value}")


def _one_of(*values: str) -> Any:
    @_demands(_choices(*values))
    def check(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in values:
            raise LocalProtocolError(f"media {attribute.name} is one of {', '.join(values)}, not {value!r}")

    return check


@_demands(_choices("sdes", "dtls"))
def _keyings(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or not set(value) <= {"sdes", "dtls"}:
        raise LocalProtocolError("media keying is one or both of sdes and dtls")


@_demands(_choices(*PROFILES))
def _suites(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    profiles_of(value)


@attrs.frozen(slots=True, kw_only=True)
class MediaSettings:
    """Settings of a media plane; immutable.

    :ivar host: the local address to bind; an IPv6 one makes everything IPv6.
    :ivar advertise: the address in session descriptions; empty for *host*.
    :ivar ports: the range for RTP and RTCP, both ends included; (0, 0) for any free ones.
    :ivar codecs: names in order of preference: ``PCMU``, ``PCMA``, ``opus``, ``L16/16000``. Opus is left out on
        machines without libopus.
    :ivar dtmf: offer telephone events (RFC 4733).
    :ivar inband_keys: listen for keys in the sound: ``auto``: where no telephone events were negotiated; ``always``:
        until the peer has sent an event; ``never``. It costs time for each call.
    :ivar comfort_noise: offer CN, and send it in place of silence (RFC 3389).
    :ivar rtcp_mux: offer RTP and RTCP on one port (RFC 5761); an offer that has it is accepted in any case.
    :ivar ptime: milliseconds of sound in a packet.
    :ivar dscp: the mark of packets, 0 for none.
    :ivar jitter_least: the least depth of the jitter buffer in milliseconds.
    :ivar jitter_most: the most depth of it in milliseconds.
    :ivar timeout: seconds without RTP or RTCP of the peer after which ``on_timeout`` is called: a user agent
        hangs up then, unless somebody is on hold; 0 for never.
    :ivar unproved: seconds of sound for a host that has never sent RTP or RTCP; then there is silence until it does, so
        that nobody has us send to a stranger. 0 for no such end.
    :ivar relatch: seconds of silence after which another port of the peer's host is believed (symmetric RTP); another
        host is after five times as many, once several valid packets in a row have come from it.
    :ivar symmetric: send to where packets come from rather than to where the peer says (RFC 4961); False believes
        the session description alone.
    :ivar silence: seconds without speech after which ``on_silence`` is called.
    :ivar most_rate: packets per second of one stream; what comes beyond that is dropped.
    :ivar most_sessions: sessions at a time.
    :ivar srtp: ``off``; ``offered``: keys beside RTP/AVP, and whatever the peer has; ``required``: RTP/SAVP and no
        plain media. Needs the extra ``srtp``.
    :ivar keying: ways to agree on keys, in order of preference for offers: ``sdes`` (RFC 4568), ``dtls`` (RFC 5763).
        Answers take what is offered.
    :ivar suites: of SRTP, in order of preference.
    :ivar sdes_in_clear: offer keys of RFC 4568 although the signalling is not known to be encrypted, which section 8.3
        there forbids. Offered keys are accepted in any case: the peer has given its own away already.
    :ivar certificates: for DTLS, one for each ``call`` (RFC 5763 section 6.1) or one for the ``process``.
    :ivar ice: ``off``, ``lite`` (the host has a public address) or ``full`` (RFC 8445).
    :ivar ice_settings: servers, timers and limits of ICE.
    """

    host: str = "127.0.0.1"
    advertise: str = ""
    ports: tuple[int, int] = attrs.field(default=(16384, 32767), validator=_ports)
    codecs: tuple[str, ...] = attrs.field(default=("PCMU", "PCMA"), validator=_codecs, converter=tuple)
    dtmf: bool = True
    inband_keys: str = attrs.field(default="auto", validator=_one_of("auto", "always", "never"))
    comfort_noise: bool = False
    rtcp_mux: bool = False
    ptime: int = attrs.field(default=20, validator=_ptime)
    dscp: int = attrs.field(default=EXPEDITED, validator=_within(0, 63))
    jitter_least: int = attrs.field(default=40, validator=_within(10, 1000))
    jitter_most: int = attrs.field(default=240, validator=_within(10, 1000))
    timeout: float = attrs.field(default=30.0, validator=_within(0, 86400))
    unproved: float = attrs.field(default=10.0, validator=_within(0, 86400))
    relatch: float = attrs.field(default=2.0, validator=_within(0.1, 3600))
    symmetric: bool = True
    silence: float = attrs.field(default=2.0, validator=_within(0.1, 3600))
    most_rate: int = attrs.field(default=500, validator=_within(50, 100_000))
    most_sessions: int = attrs.field(default=2000, validator=_within(1, 100_000))
    srtp: str = attrs.field(default="off", validator=_one_of("off", "offered", "required"))
    keying: tuple[str, ...] = attrs.field(default=("sdes", "dtls"), validator=_keyings, converter=tuple)
    suites: tuple[str, ...] = attrs.field(default=tuple(PROFILES), validator=_suites, converter=tuple)
    sdes_in_clear: bool = False
    certificates: str = attrs.field(default="call", validator=_one_of("call", "process"))
    ice: str = attrs.field(default="off", validator=_one_of("off", "lite", "full"))
    ice_settings: ICESettings = attrs.Factory(ICESettings)

    def __attrs_post_init__(self) -> None:
        if self.jitter_least > self.jitter_most:
            raise LocalProtocolError("media jitter_least is not more than jitter_most")

    @property
    def address(self) -> str:
        """The address in session descriptions."""
        return self.advertise or self.host
