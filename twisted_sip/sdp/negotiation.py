"""Making answers: what two sides have in common, stream by stream (RFC 3264 section 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import attrs

from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.codec_choice import choose_codecs
from twisted_sip.sdp.connection import Connection, Origin
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.fingerprint import Setup
from twisted_sip.sdp.groups import BUNDLE, Group
from twisted_sip.sdp.local_stream import LocalStream
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.offer import disabled, keys_attributes, transport_attributes
from twisted_sip.sdp.rtp_attributes import codec_attributes

#: What a caller may give for a stream that is offered: what we have for it, a finished answer (for kinds of media that
#: need rules of their own), or None to reject it.
Choice = LocalStream | MediaDescription | None
Order = Literal["offer", "ours"]


def answer_media(
    offered: MediaDescription, stream: LocalStream | None, *, order: Order = "offer", single: bool = False
) -> MediaDescription:
    """Return the answer to one offered stream (RFC 3264 section 6.1).

    :param offered: the stream; with port 0 it is rejected (section 8.2).
    :param stream: what we have, None to reject it.
    :param order: whose order of codecs the answer has (section 6.1 recommends that of the offer).
    :param single: answer with one codec, besides telephone-event and comfort noise.
    :raises MediaRefused: both sides have nothing in common; :func:`reject_media` makes an answer of that.
    """
    if stream is None or not offered.port:
        return disabled(offered)
    _check_kind(offered, stream)
    _check_address(offered, stream)
    attributes: list[Attribute] = []
    if offered.mid:
        # RFC 5888 section 9.1.
        attributes.append(Attribute("mid", offered.mid))
    if offered.is_rtp:
        codecs = choose_codecs(offered.codecs, stream.codecs, ours_first=order == "ours", single=single)
        if not any(not codec.is_telephone_event and not codec.is_comfort_noise for codec in codecs):
            # A stream of events alone is a stream too, if nothing else was offered (RFC 3264 section 10.1).
            if not codecs or any(not codec.is_telephone_event for codec in offered.codecs):
                raise MediaRefused("No codec in common", warning_code=305)
        formats = tuple([str(codec.payload_type) for codec in codecs])
        attributes += codec_attributes(codecs)
        attributes += stream.times()
    else:
        formats = tuple([text for text in offered.formats if text in stream.formats])
        if not formats:
            raise MediaRefused("No format in common", warning_code=305)
    if offered.is_multicast:
        return _multicast(offered, formats, attributes)
    mux = stream.rtcp_mux and offered.rtcp_mux and not any(64 <= _payload_type(text) < 96 for text in formats)
    attributes += transport_attributes(_without_ice(stream, offered), mux=mux)
    attributes += _keys(offered, stream)
    attributes += stream.attributes
    attributes.append(Attribute(str(stream.direction.within(offered.direction.mirrored))))
    return MediaDescription(
        kind=offered.kind,
        port=stream.port,
        protocol=offered.protocol,
        formats=formats,
        connections=stream.connections,
        bandwidths=stream.bandwidths,
        attributes=tuple(attributes),
    )


def reject_media(offered: MediaDescription) -> MediaDescription:
    """Return the answer that rejects a stream: port 0 (RFC 3264 section 6)."""
    return disabled(offered)


def build_answer(
    offer: SessionDescription,
    origin: Origin,
    address: str,
    streams: Sequence[Choice] | Callable[[int, MediaDescription], Choice],
    *,
    order: Order = "offer",
    single: bool = False,
    groups: Iterable[str] = (BUNDLE,),
    attributes: Iterable[Attribute] = (),
    refuse: bool = True,
) -> SessionDescription:
    """Return the answer to *offer* (RFC 3264 section 6). Streams that cannot be had are rejected one by one.

    :param origin: ``o=`` of ours; :meth:`~twisted_sip.sdp.offer_answer.OfferAnswer.numbered` sets its version.
    :param address: the address of the session, for streams without one of their own.
    :param streams: what we have for each offered stream, in the same order; missing ones are rejected. Or what is
        called with place and description of each that is wanted, and returns that.
    :param order: whose order of codecs the answer has.
    :param single: answer with one codec, besides telephone-event and comfort noise.
    :param groups: semantics of the groups that we understand (RFC 5888 section 9.2).
    :param attributes: of the session.
    :param refuse: False where an answer must be sent in any case: in ACK or PRACK (RFC 6337 section 5.2.4).
    :raises MediaRefused: streams were offered, and none can be had; it has the reason of the first one.
    """
    media: list[MediaDescription] = []
    refusal: MediaRefused | None = None
    for place, offered in enumerate(offer.media):
        try:
            choice = _choice(streams, place, offered)
            if isinstance(choice, MediaDescription):
                media.append(choice)
                continue
            if choice is None and offered.port:
                refusal = refusal or MediaRefused(f"No {_shown(offered.kind)}", warning_code=304)
            media.append(answer_media(offered, choice, order=order, single=single))
        except MediaRefused as error:
            refusal = refusal or MediaRefused(error.reason, warning_code=error.warning_code, status=error.status)
            media.append(disabled(offered))
    if refuse and refusal is not None and not any(one.port for one in media):
        raise refusal
    answer = SessionDescription(
        origin=origin,
        connection=Connection(address),
        # RFC 3264 section 6.
        timings=offer.timings,
        media=tuple(media),
    )
    kept = [group.attribute for group in answered_groups(offer, answer, groups)]
    return attrs.evolve(answer, attributes=(*kept, *attributes))


def _choice(
    streams: Sequence[Choice] | Callable[[int, MediaDescription], Choice], place: int, offered: MediaDescription
) -> Choice:
    if callable(streams):
        return streams(place, offered) if offered.port else None
    choice = streams[place] if place < len(streams) else None
    if isinstance(choice, MediaDescription) and choice.port and not offered.port:
        raise LocalProtocolError(f"Stream {place} is not wanted, so it cannot be accepted")
    return choice


def _check_kind(offered: MediaDescription, stream: LocalStream) -> None:
    if offered.kind.lower() != stream.kind.lower():
        raise MediaRefused(f"No {_shown(offered.kind)}", warning_code=304)
    if offered.protocol.upper() not in {protocol.upper() for protocol in stream.protocols}:
        raise MediaRefused(f"No {_shown(offered.protocol)}", warning_code=302)


def _check_address(offered: MediaDescription, stream: LocalStream) -> None:
    there = offered.connection
    if there is None or there.network_type.upper() != "IN" or there.address_type.upper() not in {"IP4", "IP6"}:
        raise MediaRefused("No such address type", warning_code=301)
    if there.is_multicast:
        if not stream.multicast:
            raise MediaRefused("Multicast not available", warning_code=330)
        return
    here = Connection(stream.address).ip if stream.address else None
    ip = there.ip
    # With ICE the candidates count, and nothing is sent to an address of zeros.
    if here is None or ip is None or there.is_unspecified or (stream.ice is not None and offered.ice_ufrag):
        return
    if here.version != ip.version:
        raise MediaRefused("Incompatible network address formats", warning_code=301)


def _multicast(offered: MediaDescription, formats: tuple[str, ...], attributes: list[Attribute]) -> MediaDescription:
    # RFC 3264 section 6.2: address, port, direction, ptime and bandwidth are those of the offer.
    attributes = [attribute for attribute in attributes if attribute.name not in {"ptime", "maxptime"}]
    attributes += [attribute for attribute in offered.attributes if attribute.name in {"ptime", "maxptime"}]
    connection = offered.connection
    return MediaDescription(
        kind=offered.kind,
        port=offered.port,
        protocol=offered.protocol,
        formats=formats,
        port_count=offered.port_count,
        connections=offered.connections or ((connection,) if connection is not None else ()),
        bandwidths=offered.bandwidths,
        attributes=(*attributes, Attribute(str(offered.direction))),
    )


def _without_ice(stream: LocalStream, offered: MediaDescription) -> LocalStream:
    # An answer has ICE only if the offer had (RFC 8839 section 4.2.5).
    return stream if stream.ice is None or offered.ice_ufrag else attrs.evolve(stream, ice=None)


def _keys(offered: MediaDescription, stream: LocalStream) -> list[Attribute]:
    protocol = offered.protocol.upper()
    over_dtls = protocol.startswith("UDP/TLS/")
    if not over_dtls:
        chosen = answer_crypto(offered.crypto, stream.crypto)
        if chosen is not None:
            return [chosen.attribute]
    if offered.fingerprints and stream.fingerprints:
        return keys_attributes(stream, _answer_setup(offered.setup, stream.setup))
    if over_dtls or "SAVP" in protocol:
        raise MediaRefused("No keys in common", warning_code=306)
    return []


def answer_crypto(offered: Iterable[Crypto], ours: Sequence[Crypto]) -> Crypto | None:
    """Return the answer to crypto attributes: the first one whose suite and parameters we have (RFC 4568 5.1.2).

    It has the tag that was offered, and the key of ours.

    :returns: None where nothing is in common.
    """
    by_suite = {crypto.suite.upper(): crypto for crypto in reversed(ours)}
    for crypto in offered:
        own = by_suite.get(crypto.suite.upper())
        # A window size is a hint; all else that must be understood must be had (RFC 4568 section 6.3.7).
        if own is None or crypto.mandatory_params - own.mandatory_params - {"WSH"}:
            continue
        # Negotiated parameters are in the answer if they were in the offer, declared ones as we wish (section 5.1.2).
        names = {text.lstrip("-").partition("=")[0] for text in crypto.session_params}
        params = [
            text
            for text in own.session_params
            if text.lstrip("-").partition("=")[0] in names or not text.lstrip("-").startswith("UN")
        ]
        return Crypto(crypto.tag, own.suite, own.key_params, tuple(params))
    return None


def _answer_setup(offered: Setup | None, wished: Setup | None) -> Setup:
    # RFC 5763 section 5: actpass is what an offer says; who says nothing is active (RFC 4145 section 4).
    possible = (offered or Setup.ACTIVE).answers
    return wished if wished in possible else possible[0]


def answered_groups(offer: SessionDescription, answer: SessionDescription, known: Iterable[str]) -> list[Group]:
    """Return the groups of *offer* whose semantics are *known*, less the streams that *answer* rejects.

    RFC 5888 section 9.2. A BUNDLE has those that share address and port with its first (RFC 8843 section 7.3).
    """
    known = frozenset(known)
    found = []
    for group in offer.groups:
        if group.semantics not in known:
            continue
        accepted = [media for media in map(answer.media_of, group.mids) if media is not None and media.port]
        if group.semantics == BUNDLE and accepted:
            place = (accepted[0].address, accepted[0].port)
            accepted = [media for media in accepted if (media.address, media.port) == place]
        found.append(Group(group.semantics, tuple([media.mid for media in accepted])))
    return found


def _payload_type(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _shown(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text[:40])
