"""Making offers (RFC 3264 sections 5 and 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.attributes import Attribute, without_attributes
from twisted_sip.sdp.codec import FIRST_DYNAMIC, Codec
from twisted_sip.sdp.connection import Connection, Origin
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.exchange_rules import Bindings
from twisted_sip.sdp.fingerprint import Setup
from twisted_sip.sdp.groups import Group
from twisted_sip.sdp.local_stream import LocalStream, assign_payload_types
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.rtp_attributes import RTCPAttribute, codec_attributes


def offer_media(stream: LocalStream, known: Mapping[int, Codec] | None = None) -> MediaDescription:
    """Return the media description that offers *stream* (RFC 3264 section 5.1).

    :param known: what payload types have meant so far in this stream.
    """
    codecs = assign_payload_types(stream.codecs, known)
    attributes = codec_attributes(codecs)
    attributes += stream.times()
    attributes += transport_attributes(stream, mux=stream.rtcp_mux)
    attributes += [crypto.attribute for crypto in stream.crypto]
    if stream.fingerprints:
        # RFC 5763 section 5: the offerer must be ready for both.
        attributes += keys_attributes(stream, stream.setup or Setup.ACTPASS)
    if stream.mid:
        attributes.insert(0, Attribute("mid", stream.mid))
    attributes += stream.attributes
    attributes.append(Attribute(str(stream.direction)))
    return MediaDescription(
        kind=stream.kind,
        port=stream.port,
        protocol=stream.protocols[0],
        formats=tuple([str(codec.payload_type) for codec in codecs]) or stream.formats,
        connections=stream.connections,
        bandwidths=stream.bandwidths,
        attributes=tuple(attributes),
    )


def build_offer(
    origin: Origin,
    address: str,
    streams: Sequence[LocalStream | MediaDescription | None],
    *,
    previous: SessionDescription | None = None,
    bindings: Bindings = (),
    groups: Iterable[Group] = (),
    attributes: Iterable[Attribute] = (),
) -> SessionDescription:
    """Return an offer of *streams*.

    :param origin: ``o=``; its version is set by :meth:`~twisted_sip.sdp.offer_answer.OfferAnswer.numbered`.
    :param address: the address of the session, for streams without one of their own.
    :param streams: one for each slot; a finished media description stands as it is, None for a stream that is removed
        or not wanted. Slots of *previous* beyond them are removed streams.
    :param previous: what was described last; its slots stay (RFC 3264 section 8).
    :param bindings: what our payload types mean, from :class:`~twisted_sip.sdp.offer_answer.OfferAnswer`.
    :param groups: groups of media descriptions.
    :param attributes: of the session: ``ice-lite`` and so on.
    :raises LocalProtocolError: a stream was removed that was never there.
    """
    before = previous.media if previous is not None else ()
    media = []
    for slot in range(max(len(streams), len(before))):
        wanted = streams[slot] if slot < len(streams) else None
        old = before[slot] if slot < len(before) else None
        if isinstance(wanted, MediaDescription):
            media.append(wanted)
        elif wanted is not None:
            kind, known = bindings[slot] if slot < len(bindings) else ("", {})
            media.append(offer_media(wanted, {**_bindings(old, wanted), **(known if kind == wanted.kind else {})}))
        elif old is not None:
            media.append(disabled(old))
        else:
            raise LocalProtocolError(f"Stream {slot} was never there, so it cannot be removed")
    return SessionDescription(
        origin=origin,
        connection=Connection(address),
        attributes=(*(group.attribute for group in groups), *attributes),
        media=tuple(media),
    )


def disabled(media: MediaDescription) -> MediaDescription:
    """Return what says that this stream is not, or no longer, wanted: port 0 (RFC 3264 sections 6 and 8.2).

    Its ``mid`` stays (RFC 5888 section 9.1), all other attributes go.
    """
    return MediaDescription(
        kind=media.kind,
        port=0,
        protocol=media.protocol,
        formats=media.formats,
        attributes=(Attribute("mid", media.mid),) if media.mid else (),
    )


def with_direction(description: SessionDescription, direction: Direction) -> SessionDescription:
    """Return *description* with all its wanted streams within *direction* (hold: sendonly, RFC 3264 section 8.4)."""
    names = [str(one) for one in Direction]
    media = []
    for one in description.media:
        if one.port:
            own = Attribute(str(one.direction.within(direction)))
            one = attrs.evolve(one, attributes=(*without_attributes(one.attributes, *names), own))
        media.append(one)
    attributes = without_attributes(description.attributes, *names)
    return attrs.evolve(description, attributes=attributes, media=tuple(media))


def transport_attributes(stream: LocalStream, *, mux: bool) -> list[Attribute]:
    """Return rtcp, rtcp-mux and ICE attributes of *stream*."""
    made = []
    if stream.rtcp_port is not None and stream.rtcp_port != stream.port + 1:
        made.append(RTCPAttribute(stream.rtcp_port).attribute)
    if mux:
        made.append(Attribute("rtcp-mux"))
    if stream.ice is not None:
        made += stream.ice.attributes()
    return made


def keys_attributes(stream: LocalStream, setup: Setup) -> list[Attribute]:
    """Return the attributes for DTLS."""
    return [*(one.attribute for one in stream.fingerprints), Attribute("setup", str(setup))]


def _bindings(old: MediaDescription | None, wanted: LocalStream) -> dict[int, Codec]:
    if old is None or not old.port or old.kind != wanted.kind:
        return {}
    return {codec.payload_type: codec for codec in old.codecs if codec.payload_type >= FIRST_DYNAMIC}
