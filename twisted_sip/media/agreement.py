"""From two descriptions of a stream to what its packets are (RFC 3264 sections 5.1, 6.1, 7 and 8)."""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from twisted_sip.errors import MediaRefused
from twisted_sip.media.audio_receiver import Format, Role
from twisted_sip.media.audio_stream import StreamTerms
from twisted_sip.media.codecs.table import CodecKind
from twisted_sip.media.settings import MediaSettings
from twisted_sip.message.hosts import is_host
from twisted_sip.sdp.codec import COMFORT_NOISE, Codec
from twisted_sip.sdp.connection import ip_of
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.local_stream import with_telephone_events
from twisted_sip.sdp.media_description import MediaDescription

#: Packet times that our codecs can make, in milliseconds.
_PTIMES = (10, 20, 30, 40, 60)

#: The clock rate of telephone events unless something else is said (RFC 4733 section 2.1).
_USUAL_EVENTS = 8000

#: Those that libopus can.
_OPUS_PTIMES = (10, 20, 40, 60)


def offered_codecs(kinds: tuple[CodecKind, ...], settings: MediaSettings) -> tuple[Codec, ...]:
    """Return what we offer and accept, the best first."""
    codecs = [
        Codec(kind.name, kind.clock_rate, kind.channels, kind.payload_type or 0, kind.parameters) for kind in kinds
    ]
    if settings.comfort_noise and any(kind.clock_rate == 8000 for kind in kinds):
        codecs.append(Codec(COMFORT_NOISE, 8000, 1, 13))
    if not settings.dtmf or not codecs:
        return tuple(codecs)
    offered = with_telephone_events(codecs)
    if not any(codec.is_telephone_event and codec.clock_rate == _USUAL_EVENTS for codec in offered):
        # Most phones know no other ones, whatever codec the sound has.
        offered = (*offered, attrs.evolve(offered[-1], clock_rate=_USUAL_EVENTS))
    return offered


def kind_of(codec: Codec, kinds: tuple[CodecKind, ...]) -> CodecKind | None:
    """Return our codec for one of a description, None if we have none."""
    name, rate, channels = codec.key
    for kind in kinds:
        if (kind.name.lower(), kind.clock_rate) == (name, rate) and (kind.channels == channels or name == "opus"):
            return kind
    return None


def formats_of(media: MediaDescription, kinds: tuple[CodecKind, ...]) -> dict[int, Format]:
    """Return what the payload types of a description mean to us."""
    formats = {}
    for codec in media.codecs:
        if codec.is_telephone_event:
            formats[codec.payload_type] = Format(Role.EVENTS, codec.clock_rate)
        elif codec.is_comfort_noise:
            formats[codec.payload_type] = Format(Role.NOISE, codec.clock_rate)
        else:
            kind = kind_of(codec, kinds)
            if kind is not None:
                formats[codec.payload_type] = Format(Role.SOUND, codec.clock_rate, kind)
    return formats


def free_slot(previous: SessionDescription) -> int:
    """Return where audio can be added to *previous*: in place of a stream that is removed, or behind all (section
    8.1)."""
    free = [place for place, media in enumerate(previous.media) if not media.port]
    free.sort(key=lambda place: previous.media[place].kind.lower() != "audio")
    return free[0] if free else len(previous.media)


def terms_of(
    local: MediaDescription,
    remote: MediaDescription,
    kinds: tuple[CodecKind, ...],
    settings: MediaSettings,
    *,
    offered: bool,
    six: bool,
) -> StreamTerms:
    """Return the terms that offer and answer make.

    :param local: our description.
    :param remote: that of the peer.
    :param kinds: our codecs.
    :param offered: the offer was ours.
    :param six: our sockets are of IPv6.
    :raises MediaRefused: the peer's description cannot be used.
    """
    if not local.port or not remote.port:
        return StreamTerms(ptime=settings.ptime)
    # Section 7: what is sent is named as the answer has it; the answer to an offer of the peer has its numbers.
    named = remote if offered else local
    chosen = next(((kind, codec) for codec in named.codecs if (kind := kind_of(codec, kinds)) is not None), None)
    if chosen is None:
        raise MediaRefused("No codec in common", warning_code=305)
    kind, codec = chosen
    # The peer's numbers count as well: some send what they asked to be sent.
    formats = {**formats_of(remote, kinds), **formats_of(local, kinds)}
    muxed = local.rtcp_mux and remote.rtcp_mux
    target, rtcp_target = _targets(remote, muxed, six)
    direction = local.direction.within(remote.direction.mirrored)
    events = _events_of(remote, named, codec.clock_rate)
    told = None if events is None else remote.codec(events.payload_type)
    return StreamTerms(
        kind=kind,
        payload_type=codec.payload_type,
        events=None if events is None else events.payload_type,
        events_rate=codec.clock_rate if events is None else events.clock_rate,
        event_codes=frozenset(range(16)) if told is None else told.events,
        noise=next(
            (one.payload_type for one in named.codecs if one.is_comfort_noise and one.clock_rate == codec.clock_rate),
            None,
        ),
        formats=formats,
        ptime=_ptime(remote, kind, settings),
        sends=direction.sends and target is not None,
        receives=direction.receives,
        target=target,
        rtcp_target=rtcp_target,
        muxed=muxed,
    )


def _events_of(remote: MediaDescription, named: MediaDescription, clock_rate: int) -> Codec | None:
    # Those with the clock rate of the sound first; others count their durations by another clock.
    events = [codec for codec in named.codecs if codec.is_telephone_event]
    for codec in sorted(events, key=lambda one: one.clock_rate != clock_rate):
        told = remote.codec(codec.payload_type)
        # RFC 4733 section 2.5.1.1: only what the peer said it understands.
        understood = told is None or {0, 9} <= told.events
        return codec if understood else None
    return None


def _ptime(remote: MediaDescription, kind: CodecKind, settings: MediaSettings) -> int:
    possible = _OPUS_PTIMES if kind.name == "opus" else _PTIMES
    wished = settings.ptime if remote.ptime is None else int(remote.ptime)
    if remote.maxptime is not None:
        wished = min(wished, int(remote.maxptime))
    fitting = [one for one in possible if one <= wished]
    return fitting[-1] if fitting else possible[0]


def _targets(remote: MediaDescription, muxed: bool, six: bool) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    if remote.has_no_address:
        # RFC 3264 section 8.4: neither RTP nor RTCP.
        return None, None
    if remote.is_multicast:
        raise MediaRefused("Multicast not available", warning_code=330)
    host = remote.address
    if not host:
        raise MediaRefused("No address for media", warning_code=399)
    target = checked_address(host, remote.port, six)
    if muxed:
        return target, target
    other, port = remote.rtcp_address_unmuxed
    return target, checked_address(other, port, six) if port else None


def checked_address(host: str, port: int, six: bool) -> tuple[str, int]:
    """Return where to send to; *host* may be a name.

    :param six: our sockets are of IPv6.
    :raises MediaRefused: nothing can be sent there.
    """
    # With leading zeros as well (RFC 5954); else with the scope of a link.
    address = ip_of(host)
    try:
        address = address or ip_address(host)
    except ValueError:
        if not _is_name(host):
            # Neither: the system must not be asked what that could be, packet by packet.
            raise MediaRefused("Malformed address for media", warning_code=399) from None
        # It is resolved before anything is sent there.
        return host, port
    if (address.version == 6) != six:
        raise MediaRefused("Incompatible network address formats", warning_code=301)
    if address.is_multicast or str(address) == "255.255.255.255":
        raise MediaRefused("Multicast not available", warning_code=330)
    return str(address), port


def _is_name(host: str) -> bool:
    # RFC 1035 section 2.3.4.
    return is_host(host) and len(host) <= 253 and all(len(label) <= 63 for label in host.split("."))
