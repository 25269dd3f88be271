"""What makes an answer one to its offer, and an offer one that follows what was agreed (RFC 3264 sections 6 and 8)."""

from __future__ import annotations

from collections.abc import Mapping

from twisted_sip.errors import MediaRefused, RemoteProtocolError
from twisted_sip.sdp.codec import FIRST_DYNAMIC, Codec
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.media_description import MediaDescription

#: For each slot: its media type, and what the dynamic payload types of its description mean.
Bindings = tuple[tuple[str, Mapping[int, Codec]], ...]


def bound(before: Bindings, description: SessionDescription, other: SessionDescription) -> Bindings:
    """Return *before* with what *description* adds. A slot that is used anew starts afresh (RFC 3264 section 8.1).

    :param other: what the other side said in the same exchange.
    """
    found: list[tuple[str, Mapping[int, Codec]]] = []
    for slot, (media, theirs) in enumerate(zip(description.media, other.media, strict=True)):
        kind, known = before[slot] if slot < len(before) else ("", {})
        if not media.port or not theirs.port:
            found.append(("", {}))
            continue
        if kind != media.kind:
            known = {}
        now = {codec.payload_type: codec for codec in media.codecs if codec.payload_type >= FIRST_DYNAMIC}
        # What a number meant first it means on.
        found.append((media.kind, {**now, **known}))
    return tuple(found)


def check_bindings(before: Bindings, description: SessionDescription) -> str:
    """Return what is wrong with the payload types of *description*, or nothing (RFC 3264 section 8.3.2)."""
    for (kind, known), media in zip(before, description.media, strict=False):
        if kind != media.kind:
            continue
        for codec in media.codecs:
            meant = known.get(codec.payload_type)
            if meant is not None and meant.key != codec.key:
                return f"Payload type {codec.payload_type} changes its meaning"
    return ""


def check_slots(previous: SessionDescription | None, offer: SessionDescription) -> None:
    """Refuse an *offer* with fewer streams than *previous*, what its sender said before (RFC 3264 section 8).

    :raises RemoteProtocolError: so it is (488).
    """
    if previous is not None and len(offer.media) < len(previous.media):
        raise RemoteProtocolError("Fewer media descriptions than before", status=488)


def check_answer(offer: SessionDescription, answer: SessionDescription, *, strict: bool) -> None:
    """Refuse what is no answer to *offer* (RFC 3264 section 6).

    :param strict: look at directions and times too.
    :raises RemoteProtocolError: so it is (488).
    """
    if len(answer.media) != len(offer.media):
        raise RemoteProtocolError("Another number of media descriptions than in the offer", status=488)
    if strict and [(one.start, one.stop) for one in answer.timings] != [(one.start, one.stop) for one in offer.timings]:
        raise RemoteProtocolError("Another time than in the offer", status=488)
    for offered, answered in zip(offer.media, answer.media, strict=True):
        check_media_answer(offered, answered, strict=strict)


def check_media_answer(offered: MediaDescription, answered: MediaDescription, *, strict: bool) -> None:
    """Refuse what is no answer to one stream (RFC 3264 section 6).

    :param strict: look at the direction too.
    :raises RemoteProtocolError: so it is (488).
    """
    if answered.kind.lower() != offered.kind.lower():
        raise RemoteProtocolError("Another media type than in the offer", status=488)
    if not answered.port:
        return
    if not offered.port:
        if offered.has("bundle-only"):
            # RFC 8843 section 7.2.2: this port 0 is no refusal.
            return
        raise RemoteProtocolError("A stream is accepted that is not wanted", status=488)
    if _kin(answered.protocol) != _kin(offered.protocol):
        raise MediaRefused("Another protocol than in the offer", warning_code=302)
    _check_formats(offered, answered)
    if answered.is_multicast != offered.is_multicast:
        raise RemoteProtocolError("Multicast is answered by multicast, unicast by unicast", status=488)
    if strict and not answered.is_multicast:
        allowed = offered.direction.mirrored
        if answered.direction.within(allowed) is not answered.direction:
            raise RemoteProtocolError("A direction that the offer does not allow", status=488)
    if "SAVP" in offered.protocol.upper() and (offered.crypto or offered.fingerprints):
        # RFC 4568 section 5.1.3, RFC 5763 section 5: nobody sends in the clear after all.
        if not answered.crypto and not answered.fingerprints:
            raise MediaRefused("No keys in the answer", warning_code=306)
    offered_tags = {(crypto.tag, crypto.suite.upper()) for crypto in offered.crypto}
    for crypto in answered.crypto[:1]:
        # RFC 4568 section 5.1.3.
        if (crypto.tag, crypto.suite.upper()) not in offered_tags:
            raise RemoteProtocolError("Crypto with a tag or suite that was not offered", status=488)


def _check_formats(offered: MediaDescription, answered: MediaDescription) -> None:
    if offered.is_rtp:
        common = {codec.key for codec in offered.codecs} & {codec.key for codec in answered.codecs}
        if common or not offered.codecs or not answered.codecs:
            return
    elif set(offered.formats) & set(answered.formats):
        return
    raise MediaRefused("No format of the offer in the answer", warning_code=305)


def _kin(protocol: str) -> str:
    # Some answer AVP where AVPF was offered; the feedback is left out then (RFC 4585 section 5.1).
    return protocol.upper().replace("AVPF", "AVP")
