"""One stream of a session: the ``m=`` line and what belongs to it (RFC 8866 section 5.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.attributes import Attribute, Bandwidth, attribute_value, attribute_values
from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.connection import Connection
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Fingerprint, Setup
from twisted_sip.sdp.ice import Candidate, RemoteCandidate, parse_remote_candidates
from twisted_sip.sdp.limits import DEFAULT_LIMITS, SDPLimits
from twisted_sip.sdp.lines import Line, UnknownLine, check_range, check_text, check_word, merge_unknown, number
from twisted_sip.sdp.rtp_attributes import RTCPAttribute, RTCPFeedback, resolve_codecs
from twisted_sip.sdp.sections import Section

#: The order of lines in a media description (RFC 8866 section 5).
MEDIA_ORDER = "micbka"

_T = TypeVar("_T")


@attrs.frozen(slots=True)
class SessionLevel:
    """What a session says for those of its media descriptions that do not say it themselves."""

    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()


_NO_SESSION = SessionLevel()


@attrs.frozen(slots=True)
class MediaDescription:
    """One media description; change it with ``attrs.evolve``.

    Lists of typed values leave out the malformed ones; the attributes themselves are kept in :attr:`attributes`.

    :ivar kind: ``audio``, ``video``, ``text``, ``application``, ``message``, ``image`` or another one.
    :ivar port: where media are received; 0 for a stream that is not wanted.
    :ivar protocol: ``RTP/AVP`` and the like.
    :ivar formats: payload types of RTP as text, or other formats, in order of preference.
    :ivar port_count: how many ports in a row, None where that is not told.
    :ivar information: ``i=``.
    :ivar connections: ``c=``, most often one or none.
    :ivar bandwidths: ``b=``.
    :ivar key: ``k=``, which is obsolete.
    :ivar attributes: ``a=`` in order.
    :ivar unknown: lines whose type is not known.
    :ivar session: what holds for the whole session; filled in by the description that this is part of.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    port_count: int | None = None
    information: str | None = None
    connections: tuple[Connection, ...] = ()
    bandwidths: tuple[Bandwidth, ...] = ()
    key: str | None = None
    attributes: tuple[Attribute, ...] = ()
    unknown: tuple[UnknownLine, ...] = ()
    session: SessionLevel = attrs.field(default=_NO_SESSION, eq=False, repr=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_word(self.kind, "media type")
        check_range(self.port, "a port", 65535)
        check_word(self.protocol, "protocol")
        for text in self.formats:
            check_word(text, "format")
        if self.port_count is not None:
            check_range(self.port_count, "number of ports", 65535, 1)
        check_text(self.information or "", "i=")
        check_text(self.key or "", "k=")

    @classmethod
    def of_section(cls, section: Section, limits: SDPLimits = DEFAULT_LIMITS) -> MediaDescription:
        """Return what was read of a media description. One that is not wanted (port 0) may lack formats.

        :raises RemoteProtocolError: the ``m=`` line is malformed, or has too many formats.
        """
        line = section.text("m") or ""
        words = line.split()
        if len(words) < 3 or any(letter < " " or letter == "\x7f" for word in words for letter in word):
            raise RemoteProtocolError(f"Malformed m= {printable(line)}")
        kind, ports, protocol, *formats = words
        first, slash, count = ports.partition("/")
        port = number(first, "port", 65535)
        port_count = number(count, "number of ports", 65535, 1) if slash else None
        if not formats and port:
            raise RemoteProtocolError(f"No formats in m= {printable(line)}")
        if len(formats) > limits.formats:
            raise RemoteProtocolError(f"More than {limits.formats} formats in a media description")
        return cls(
            kind,
            port,
            protocol,
            tuple(formats) or ("0",),
            port_count,
            section.text("i"),
            tuple(section.connections),
            tuple(section.bandwidths),
            section.text("k"),
            tuple(section.attributes),
            tuple(section.unknown),
        )

    def lines(self) -> Iterator[Line]:
        """Yield its lines in the order of RFC 8866."""
        ports = str(self.port) if self.port_count is None else f"{self.port}/{self.port_count}"
        found: list[Line] = [("m", " ".join([self.kind, ports, self.protocol, *self.formats]))]
        if self.information:
            found.append(("i", self.information))
        found += [("c", str(connection)) for connection in self.connections]
        found += [("b", str(bandwidth)) for bandwidth in self.bandwidths]
        if self.key:
            found.append(("k", self.key))
        found += [("a", str(attribute)) for attribute in self.attributes]
        yield from merge_unknown(found, self.unknown, MEDIA_ORDER) if self.unknown else found

    # Where media go.

    @property
    def connection(self) -> Connection | None:
        """Where media go: its own ``c=``, or that of the session."""
        return self.connections[0] if self.connections else self.session.connection

    @property
    def address(self) -> str:
        """The address or name that media go to, empty where none is told."""
        found = self.connection
        return "" if found is None else found.address

    @property
    def rtcp(self) -> RTCPAttribute | None:
        """The rtcp attribute (RFC 3605)."""
        return self._first("rtcp", RTCPAttribute.parse)

    @property
    def rtcp_address(self) -> tuple[str, int]:
        """Where RTCP goes: told by ``rtcp``, with ``rtcp-mux`` where RTP goes, else the next port (RFC 3264 5.1).

        With ``rtcp-mux`` this holds only if both sides say it (RFC 5761 section 5.1.1).
        """
        if self.rtcp_mux:
            return self.address, self.port
        return self.rtcp_address_unmuxed

    @property
    def rtcp_address_unmuxed(self) -> tuple[str, int]:
        """Where RTCP goes if RTP and RTCP do not share a port; port 0 where there is none."""
        told = self.rtcp
        if told is not None:
            return self.address if told.connection is None else told.connection.address, told.port
        return self.address, self.port + 1 if 0 < self.port < 65535 else 0

    @property
    def rtcp_mux(self) -> bool:
        """Whether RTP and RTCP may share a port (RFC 5761)."""
        return self.has("rtcp-mux")

    @property
    def is_rtp(self) -> bool:
        """Whether it is an RTP stream."""
        return "RTP/" in self.protocol.upper()

    @property
    def is_multicast(self) -> bool:
        """Whether it goes to a multicast address."""
        found = self.connection
        return found is not None and found.is_multicast

    # What flows.

    @property
    def direction(self) -> Direction:
        """Its own direction, or that of the session, sendrecv where none is told (RFC 8866 section 6.7)."""
        for attributes in (self.attributes, self.session.attributes):
            for attribute in attributes:
                if attribute.value is None or not attribute.value.strip():
                    found = _DIRECTIONS.get(attribute.name.lower())
                    if found is not None:
                        return found
        return Direction.SENDRECV

    @property
    def is_held(self) -> bool:
        """Whether who sent this receives nothing (RFC 3264 section 8.4): by direction, or by an address of zeros.

        With ICE candidates the address says nothing (RFC 8839 section 4.2.5).
        """
        return not self.direction.receives or self.has_no_address

    @property
    def has_no_address(self) -> bool:
        """Whether neither RTP nor RTCP may be sent there: ``0.0.0.0``, ``::`` or ``.invalid``, and no candidates."""
        found = self.connection
        return found is not None and found.is_unspecified and not self.has("candidate") and not self.has("ice-ufrag")

    @cached_property
    def codecs(self) -> tuple[Codec, ...]:
        """What the formats of an RTP stream mean, in order of preference; empty for other streams."""
        return resolve_codecs(self.formats, self.attributes) if self.is_rtp else ()

    def codec(self, payload_type: int) -> Codec | None:
        """Return what *payload_type* means, None where it is not listed."""
        return next((codec for codec in self.codecs if codec.payload_type == payload_type), None)

    @property
    def ptime(self) -> float | None:
        """Milliseconds of media in a packet, as its receiver wishes (RFC 8866 section 6.4)."""
        return _milliseconds(attribute_value(self.attributes, "ptime"))

    @property
    def maxptime(self) -> float | None:
        """The most milliseconds of media in a packet (RFC 8866 section 6.5)."""
        return _milliseconds(attribute_value(self.attributes, "maxptime"))

    @property
    def rtcp_feedback(self) -> tuple[RTCPFeedback, ...]:
        """Kinds of feedback (RFC 4585)."""
        return self._all("rtcp-fb", RTCPFeedback.parse)

    def bandwidth(self, kind: str) -> int | None:
        """Return the bandwidth of this *kind* (``AS``, ``TIAS``, ``RS``, ``RR``), None where it is not told."""
        return next((found.value for found in self.bandwidths if found.kind.upper() == kind.upper()), None)

    # Protection.

    @property
    def crypto(self) -> tuple[Crypto, ...]:
        """Keys for SRTP, in order of preference (RFC 4568)."""
        return self._all("crypto", Crypto.parse)

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """Hashes of certificates, its own, or those of the session (RFC 8122 section 5)."""
        return self._all("fingerprint", Fingerprint.parse, inherited=True)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The first of them."""
        return next(iter(self.fingerprints), None)

    @property
    def setup(self) -> Setup | None:
        """Who opens the association, None where that is not told (or in a word that is not known)."""
        found = self.value("setup", inherited=True)
        return None if found is None else _SETUPS.get(found.lower())

    # ICE.

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Addresses to try, those with names too (RFC 8839 section 5.1)."""
        return self._all("candidate", Candidate.parse)

    @property
    def ice_ufrag(self) -> str:
        """The user fragment, its own or that of the session, empty where there is none (RFC 8839 section 5.4)."""
        return self.value("ice-ufrag", inherited=True) or ""

    @property
    def ice_pwd(self) -> str:
        """The password, its own or that of the session, empty where there is none (RFC 8839 section 5.4)."""
        return self.value("ice-pwd", inherited=True) or ""

    @property
    def ice_options(self) -> tuple[str, ...]:
        """What else the agent can do: ``ice2``, ``trickle`` (RFC 8839 section 5.6)."""
        return tuple((self.value("ice-options", inherited=True) or "").split())

    @property
    def ice_lite(self) -> bool:
        """Whether the agent is a lite one; said for the session alone (RFC 8839 section 5.3)."""
        return any(attribute.name == "ice-lite" for attribute in self.session.attributes)

    @property
    def ice_mismatch(self) -> bool:
        """Whether ICE was given up for this stream (RFC 8839 section 5.3)."""
        return self.has("ice-mismatch")

    @property
    def remote_candidates(self) -> tuple[RemoteCandidate, ...]:
        """What a controlling agent has chosen (RFC 8839 section 5.2), empty where that is not told or malformed."""
        found = self._first("remote-candidates", parse_remote_candidates)
        return () if found is None else found

    @property
    def end_of_candidates(self) -> bool:
        """Whether no candidate will follow (RFC 8840 section 4.1)."""
        return self.has("end-of-candidates") or any(
            attribute.name == "end-of-candidates" for attribute in self.session.attributes
        )

    # Attributes.

    @property
    def mid(self) -> str:
        """Its name in groups, empty where it has none (RFC 5888 section 4)."""
        return self.value("mid") or ""

    @property
    def label(self) -> str:
        """Its label, empty where it has none (RFC 4574)."""
        return self.value("label") or ""

    @property
    def content(self) -> str:
        """The title of the stream, ``i=``, empty where it has none."""
        return self.information or ""

    def has(self, name: str) -> bool:
        """Tell whether there is an attribute called *name*."""
        return any(attribute.name == name for attribute in self.attributes)

    def value(self, name: str, *, inherited: bool = False) -> str | None:
        """Return the value of the first attribute called *name*, None where there is none; of the session, if asked."""
        found = attribute_value(self.attributes, name)
        return attribute_value(self.session.attributes, name) if found is None and inherited else found

    def _first(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        return next(iter(self._all(name, parse)), None)

    def _all(self, name: str, parse: Callable[[str], _T], *, inherited: bool = False) -> tuple[_T, ...]:
        source = self.attributes
        if inherited and not self.has(name):
            source = self.session.attributes
        found = []
        for text in attribute_values(source, name):
            try:
                found.append(parse(text))
            except RemoteProtocolError:
                continue
        return tuple(found)


_DIRECTIONS = {direction.value: direction for direction in Direction}
_SETUPS = {setup.value: setup for setup in Setup}


def _milliseconds(text: str | None) -> float | None:
    # Real numbers are read as RFC 4566 had them; zero is none (RFC 3264 section 5.1).
    if text is None or len(text) > 12 or not text.isascii() or not text.replace(".", "", 1).isdigit():
        return None
    found = float(text)
    return found if 0 < found <= 60_000 else None
