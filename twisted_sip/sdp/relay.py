"""Descriptions that pass through: other addresses and ports, all else kept (for relays of media)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.attributes import Attribute, replace_attribute, without_attributes
from twisted_sip.sdp.connection import Connection, Origin
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.rtp_attributes import RTCPAttribute

#: Attributes that name addresses, or prove who holds them; a relay that ends ICE takes them out (RFC 8839 section 5).
ICE_ATTRIBUTES = (
    "candidate",
    "remote-candidates",
    "end-of-candidates",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "ice-lite",
    "ice-mismatch",
    "ice-pacing",
)


@attrs.frozen(slots=True)
class RelayPort:
    """Where a relay receives what is meant for the sender of a description.

    :ivar address: its address.
    :ivar port: its port for RTP, or for whatever it is.
    :ivar rtcp_port: its port for RTCP, None for the next one.
    """

    address: str
    port: int
    rtcp_port: int | None = None


def relayed_media(media: MediaDescription, port: RelayPort | None) -> MediaDescription:
    """Return *media* such that the peer sends to *port*; None leaves it as it is.

    A stream that is not wanted stays so. An address of zeros (hold, RFC 3264 section 8.4) stays one. Candidates go.
    """
    if port is None:
        return media
    attributes = without_attributes(media.attributes, *ICE_ATTRIBUTES)
    if not media.port:
        return attrs.evolve(media, attributes=attributes)
    rtcp = port.port + 1 if port.rtcp_port is None else port.rtcp_port
    if media.has("rtcp") or rtcp != port.port + 1:
        muxed = media.rtcp_mux and port.rtcp_port is None
        attributes = replace_attribute(attributes, RTCPAttribute(port.port if muxed else rtcp).attribute)
    connection = media.connection
    if connection is None or not media.has_no_address:
        connection = Connection(port.address)
    return attrs.evolve(media, port=port.port, connections=(connection,), attributes=attributes)


def relayed(
    description: SessionDescription, ports: Sequence[RelayPort | None], *, origin: Origin | None = None
) -> SessionDescription:
    """Return *description* with its streams led over a relay. Codecs, directions and unknown lines are kept.

    Groups that only matter to ICE and to shared ports (``BUNDLE``) go, since each stream has its own port.

    :param ports: one for each stream; None leaves it as it is.
    :param origin: the ``o=`` line of the relay (a b2bua has its own session); None keeps that of the sender.
    :raises LocalProtocolError: there is not one for each.
    """
    if len(ports) != len(description.media):
        raise LocalProtocolError(f"{len(ports)} ports for {len(description.media)} streams")
    media = tuple([relayed_media(one, port) for one, port in zip(description.media, ports, strict=True)])
    attributes = description.attributes
    connection = description.connection
    if any(port is not None for port in ports):
        attributes = without_attributes(attributes, *ICE_ATTRIBUTES)
        attributes = tuple([one for one in attributes if not _is_bundle(one)])
        media = tuple(
            [attrs.evolve(one, attributes=without_attributes(one.attributes, "bundle-only")) for one in media]
        )
    if all(port is not None for port in ports):
        first = next((port for port in ports if port is not None), None)
        if first is not None and connection is not None and not connection.is_unspecified:
            # Nobody is to learn the address behind the relay.
            connection = Connection(first.address)
    return attrs.evolve(
        description,
        origin=description.origin if origin is None else origin,
        connection=connection,
        attributes=attributes,
        media=media,
    )


def _is_bundle(attribute: Attribute) -> bool:
    return attribute.name == "group" and (attribute.value or "").split()[:1] == ["BUNDLE"]
