"""What an agent has and wishes for one stream; offers and answers are made of it (RFC 3264 sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.sdp.attributes import Attribute, Bandwidth
from twisted_sip.sdp.codec import FIRST_DYNAMIC, STATIC_PAYLOAD_TYPES, TELEPHONE_EVENT, Codec
from twisted_sip.sdp.connection import Connection
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Fingerprint, Setup
from twisted_sip.sdp.ice import Candidate, RemoteCandidate, check_credentials

AVP = "RTP/AVP"
AVPF = "RTP/AVPF"
SAVP = "RTP/SAVP"
SAVPF = "RTP/SAVPF"
DTLS_SAVP = "UDP/TLS/RTP/SAVP"
DTLS_SAVPF = "UDP/TLS/RTP/SAVPF"
#: Protocols whose media are not encrypted.
PLAIN = (AVP, AVPF)

_STATIC_NUMBERS = {codec.key: number for number, codec in STATIC_PAYLOAD_TYPES.items()}
# Dynamic numbers, then those that nobody has been given and that RTCP does not look like (RFC 3551 section 3).
_FREE_NUMBERS = (*range(FIRST_DYNAMIC, 128), *range(35, 64))


@attrs.frozen(slots=True, kw_only=True)
class ICEDescription:
    """What a stream tells for ICE (RFC 8839 section 5).

    :ivar ufrag: user fragment.
    :ivar password: password.
    :ivar candidates: addresses to try.
    :ivar options: ``ice2``, ``trickle``.
    :ivar remote_candidates: what a controlling agent has chosen, in later offers.
    :ivar end_of_candidates: no more will follow (RFC 8840).
    """

    ufrag: str
    password: str = attrs.field(repr=False)
    candidates: tuple[Candidate, ...] = ()
    options: tuple[str, ...] = ()
    remote_candidates: tuple[RemoteCandidate, ...] = ()
    end_of_candidates: bool = False

    def __attrs_post_init__(self) -> None:
        check_credentials(self.ufrag, self.password)

    def attributes(self) -> list[Attribute]:
        """Return the attributes that say so."""
        made = [Attribute("ice-ufrag", self.ufrag), Attribute("ice-pwd", self.password)]
        if self.options:
            made.append(Attribute("ice-options", " ".join(self.options)))
        made += [candidate.attribute for candidate in self.candidates]
        if self.remote_candidates:
            made.append(Attribute("remote-candidates", " ".join(map(str, self.remote_candidates))))
        if self.end_of_candidates:
            made.append(Attribute("end-of-candidates"))
        return made


@attrs.frozen(slots=True, kw_only=True)
class LocalStream:
    """What we have and wish for one stream.

    :ivar kind: the media type.
    :ivar codecs: for RTP, the best first; see :func:`assign_payload_types` for their numbers.
    :ivar formats: for what is not RTP: ``t38``, ``*``.
    :ivar protocols: those that an offer may have; ours names the first one.
    :ivar address: where we receive; empty for the address of the session.
    :ivar port: where we receive.
    :ivar rtcp_port: where we receive RTCP, None for the next port.
    :ivar rtcp_mux: RTP and RTCP may share the port (RFC 5761).
    :ivar direction: what we wish.
    :ivar ptime: milliseconds of media in a packet that we wish to get, None to say nothing.
    :ivar maxptime: the most, None to say nothing.
    :ivar crypto: keys for SRTP of ours, one for each suite (RFC 4568).
    :ivar fingerprints: of our certificate, for DTLS.
    :ivar setup: who opens; None for ``actpass`` in offers, and for the best word in answers.
    :ivar ice: for ICE, None for none.
    :ivar bandwidths: what we wish to get at most.
    :ivar mid: its name in groups, for offers; answers have that of the offer.
    :ivar multicast: streams to multicast addresses may be accepted.
    :ivar attributes: further attributes as they are.
    """

    kind: str = "audio"
    codecs: tuple[Codec, ...] = ()
    formats: tuple[str, ...] = ()
    protocols: tuple[str, ...] = PLAIN
    address: str = ""
    port: int = attrs.field(validator=[attrs.validators.ge(1), attrs.validators.le(65535)])
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    direction: Direction = Direction.SENDRECV
    ptime: int | None = None
    maxptime: int | None = None
    crypto: tuple[Crypto, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    ice: ICEDescription | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    mid: str = ""
    multicast: bool = False
    attributes: tuple[Attribute, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.protocols:
            raise LocalProtocolError("A stream has a protocol")
        if not self.codecs and not self.formats:
            raise LocalProtocolError("A stream has codecs or formats")

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The ``c=`` line of its own, if it has one."""
        return (Connection(self.address),) if self.address else ()

    def times(self) -> list[Attribute]:
        """Return ``ptime`` and ``maxptime``."""
        found = (("ptime", self.ptime), ("maxptime", self.maxptime))
        return [Attribute(name, str(value)) for name, value in found if value]


def assign_payload_types(codecs: Iterable[Codec], known: Mapping[int, Codec] | None = None) -> tuple[Codec, ...]:
    """Return *codecs* with a number for each that can stand in an offer (RFC 3551 section 3, RFC 3264 section 8.3.2).

    A number that a codec has is kept if it may mean that; then comes the static one, then that of *known*, then the
    next free dynamic one.

    :param known: what numbers have meant so far in this stream; they keep that meaning.
    :raises LocalProtocolError: there are more codecs than numbers.
    """
    known = {} if known is None else known
    used = set(known)
    earlier: dict[tuple[tuple[str, int, int], str], int] = {}
    for payload_type, codec in known.items():
        earlier.setdefault((codec.key, codec.parameters), payload_type)
    made = []
    codecs = tuple(codecs)
    claimed = {codec.payload_type for codec in codecs if codec.payload_type >= FIRST_DYNAMIC}
    taken: set[int] = set()
    for codec in codecs:
        number = _own_number(codec, known)
        if number is None or number in taken:
            number = earlier.get((codec.key, codec.parameters), _STATIC_NUMBERS.get(codec.key))
        if number is None or number in taken:
            number = next((one for one in _FREE_NUMBERS if one not in used | taken | claimed), None)
        if number is None:
            raise LocalProtocolError("More codecs than payload types")
        taken.add(number)
        made.append(codec.with_payload_type(number))
    return tuple(made)


def _own_number(codec: Codec, known: Mapping[int, Codec]) -> int | None:
    number = codec.payload_type
    if number in known:
        return number if known[number].key == codec.key else None
    if number >= FIRST_DYNAMIC:
        return number
    static = STATIC_PAYLOAD_TYPES.get(number)
    return number if static is not None and static.key == codec.key else None


def with_telephone_events(codecs: Iterable[Codec], events: str = "0-16") -> tuple[Codec, ...]:
    """Return *codecs* and a telephone-event format for each clock rate among them (RFC 4733 section 2.1).

    :param events: what events we understand.
    """
    codecs = tuple(codecs)
    rates = dict.fromkeys(codec.clock_rate for codec in codecs if not codec.is_telephone_event)
    have = {codec.clock_rate for codec in codecs if codec.is_telephone_event}
    return codecs + tuple([Codec(TELEPHONE_EVENT, rate, parameters=events) for rate in rates if rate not in have])
