"""Attributes of RTP streams: ``rtcp`` (RFC 3605), ``rtcp-fb`` (RFC 4585), and codecs from formats and their rtpmap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.attributes import Attribute, attribute_values
from twisted_sip.sdp.codec import STATIC_PAYLOAD_TYPES, Codec, parse_rtpmap
from twisted_sip.sdp.connection import Connection
from twisted_sip.sdp.lines import number


@attrs.frozen(slots=True)
class RTCPAttribute:
    """Where RTCP goes if not to the next port (RFC 3605 section 2.1).

    :ivar port: the port.
    :ivar connection: another address, None for that of the media.
    """

    port: int
    connection: Connection | None = None

    @classmethod
    def parse(cls, value: str) -> RTCPAttribute:
        """Return the value of an rtcp attribute.

        :raises RemoteProtocolError: it is malformed.
        """
        port, _, rest = value.strip().partition(" ")
        return cls(number(port, "RTCP port", 65535), Connection.parse(rest) if rest.strip() else None)

    @property
    def attribute(self) -> Attribute:
        """The attribute that says so."""
        return Attribute("rtcp", str(self))

    def __str__(self) -> str:
        return str(self.port) if self.connection is None else f"{self.port} {self.connection}"


@attrs.frozen(slots=True)
class RTCPFeedback:
    """A kind of feedback for a payload type (RFC 4585 section 4.2).

    :ivar payload_type: the format, None for all (``*``).
    :ivar feedback: the rest as written: ``nack pli``.
    """

    payload_type: int | None
    feedback: str

    @classmethod
    def parse(cls, value: str) -> RTCPFeedback:
        """Return the value of an rtcp-fb attribute.

        :raises RemoteProtocolError: it is malformed.
        """
        first, _, feedback = value.strip().partition(" ")
        if not feedback.strip():
            raise RemoteProtocolError(f"Malformed rtcp-fb {printable(value)}")
        return cls(None if first == "*" else number(first, "payload type", 127), feedback.strip())

    @property
    def attribute(self) -> Attribute:
        """The attribute that says so."""
        return Attribute("rtcp-fb", f"{'*' if self.payload_type is None else self.payload_type} {self.feedback}")


def resolve_codecs(formats: Sequence[str], attributes: Iterable[Attribute]) -> tuple[Codec, ...]:
    """Return what *formats* mean, in order, each once.

    Numbers that have neither an rtpmap nor a static meaning (RFC 3551 section 6) are left out, as are malformed rtpmap
    lines: they take away one format, not the whole description.
    """
    attributes = tuple(attributes)
    mapped: dict[int, Codec] = {}
    for value in attribute_values(attributes, "rtpmap"):
        try:
            codec = parse_rtpmap(value)
        except RemoteProtocolError:
            continue
        mapped.setdefault(codec.payload_type, codec)
    parameters: dict[str, str] = {}
    for value in attribute_values(attributes, "fmtp"):
        name, _, text = value.partition(" ")
        text = text.strip(" \t")
        parameters[name] = f"{parameters[name]};{text}" if name in parameters else text
    found: dict[int, Codec] = {}
    for text in formats:
        if not (text.isascii() and text.isdigit() and len(text) < 4):
            continue
        payload_type = int(text)
        known = mapped.get(payload_type) or STATIC_PAYLOAD_TYPES.get(payload_type)
        if known is not None and payload_type not in found:
            found[payload_type] = attrs.evolve(known, parameters=parameters.get(text, ""))
    return tuple(found.values())


def codec_attributes(codecs: Iterable[Codec]) -> list[Attribute]:
    """Return rtpmap and fmtp of each codec (RFC 3264 section 5.1: static payload types too)."""
    made = []
    for codec in codecs:
        made.append(Attribute("rtpmap", codec.rtpmap))
        if codec.parameters:
            made.append(Attribute("fmtp", f"{codec.payload_type} {codec.parameters}"))
    return made
