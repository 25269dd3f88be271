"""Descriptions that several tests share, and short ways to make them."""

from __future__ import annotations

from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.connection import Origin
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.local_stream import LocalStream
from twisted_sip.sdp.media_description import MediaDescription

PCMU = Codec("PCMU", 8000, payload_type=0)
PCMA = Codec("PCMA", 8000, payload_type=8)
G722 = Codec("G722", 8000, payload_type=9)
OPUS = Codec("opus", 48000, 2, 96, "useinbandfec=1")
EVENTS = Codec("telephone-event", 8000, payload_type=101, parameters="0-16")
NOISE = Codec("CN", 8000, payload_type=13)

OURS = Origin("us", "4711", 1, "192.0.2.1")


def described(*lines: str, who: str = "- 1 1 IN IP4 192.0.2.9", head: str = "c=IN IP4 192.0.2.9") -> SessionDescription:
    """A description of *who* with *head* and *lines*, several in one parted by ``|``."""
    text = "\r\n".join(["v=0", f"o={who}", "s=-", head, "t=0 0", *"|".join(lines).split("|")])
    return SessionDescription.parse(text)


def media(*lines: str, head: str = "c=IN IP4 192.0.2.9") -> MediaDescription:
    """The first media description of such a description."""
    return described(*lines, head=head).media[0]


def audio(*codecs: Codec, port: int = 4000, **more: object) -> LocalStream:
    """An audio stream of ours."""
    return LocalStream(codecs=codecs or (PCMU, PCMA, EVENTS), port=port, **more)  # type: ignore[arg-type]
