"""Offers and answers of a media session with one audio stream (RFC 3264, RFC 6337)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.media.agreement import checked_address, formats_of, free_slot, kind_of, offered_codecs, terms_of
from twisted_sip.media.audio_stream import AudioStream, StreamTerms
from twisted_sip.media.codecs.table import codec_kinds
from twisted_sip.media.port import MediaPort
from twisted_sip.media.stream_extension import StreamExtension
from twisted_sip.media.stream_place import MovingStream, StreamPlace
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.connection import Origin
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.exchange_rules import Bindings, bound, check_media_answer
from twisted_sip.sdp.local_stream import PLAIN, LocalStream
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.sdp.negotiation import Choice, build_answer
from twisted_sip.sdp.offer import build_offer

if TYPE_CHECKING:
    from twisted_sip.media.plane import MediaPlane

_log = Logger()


@attrs.frozen(slots=True)
class _Agreed:
    """One exchange: both descriptions, and in which slot our audio is (-1 for none)."""

    local: SessionDescription
    remote: SessionDescription
    slot: int
    offered: bool


class SessionExchange(MovingStream):
    """Who offers and answers; what becomes of the stream then is told to the session that this is a part of.

    :ivar direction: what we wish without hold; for the next offer or answer.
    :ivar other_streams: called with place and description of each further offered stream, returns what
        :func:`twisted_sip.sdp.negotiation.build_answer` takes for it; None rejects them all.
    :ivar other_plane: called with an address of the other version of IP that the peer wants its media at; returns the
        plane whose sockets reach it, or None. Without it such offers are refused.
    :ivar further_offers: streams that are offered beside the audio, in the first offer.
    """

    def __init__(self, plane: MediaPlane) -> None:
        self._plane = plane
        self.settings = plane.settings
        self._kinds = codec_kinds(plane.settings.codecs)
        self.direction = Direction.SENDRECV
        self.other_streams: Callable[[int, MediaDescription], Choice] | None = None
        self.other_plane: Callable[[str], MediaPlane | None] | None = None
        self.further_offers: tuple[LocalStream | MediaDescription, ...] = ()
        self._held = False
        self._stream: AudioStream | None = None
        self._extensions: list[StreamExtension] = []
        self._left: StreamPlace | None = None
        drawn = int.from_bytes(plane.random_bytes(8), "big") >> 2
        self._origin = Origin("-", str(drawn), drawn & 0x7FFFFFFF, plane.settings.address)
        self._last: SessionDescription | None = None
        self._offer: tuple[SessionDescription, int] | None = None
        self._outstanding = False
        self._agreed: _Agreed | None = None
        self._before: _Agreed | None = None
        # What our payload types have meant so far (RFC 3264 section 8.3.2).
        self._bindings: Bindings = ()
        self._exchange = 0
        self._closed = False

    @property
    def local(self) -> SessionDescription | None:
        """Our description in what was agreed last."""
        return None if self._agreed is None else self._agreed.local

    @property
    def remote(self) -> SessionDescription | None:
        """The peer's description in what was agreed last."""
        return None if self._agreed is None else self._agreed.remote

    @property
    def port(self) -> MediaPort:
        """The sockets; bound if they were not.

        :raises MediaRefused: there is no port.
        """
        return self._need_stream().port

    @property
    def stream(self) -> AudioStream:
        """The stream under it, for extensions; as :attr:`port`."""
        return self._need_stream()

    def _need_stream(self) -> AudioStream:
        self._check_open()
        if self._stream is None:
            self._stream = self._new_stream()
        return self._stream

    def _new_stream(self) -> AudioStream:
        raise NotImplementedError

    def _stream_changed(self, stream: AudioStream) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("the media session is closed")

    def _wish(self, mux: bool) -> LocalStream:
        port = self._need_stream().port
        return LocalStream(
            codecs=offered_codecs(self._kinds, self.settings),
            address=self.settings.address,
            port=port.port,
            rtcp_port=port.rtcp_port,
            rtcp_mux=mux,
            direction=self.direction.held if self._held else self.direction,
            ptime=self.settings.ptime,
        )

    def offer(self) -> SessionDescription | Deferred[SessionDescription]:
        """See IMediaSession."""
        self._check_open()
        if self._outstanding:
            raise LocalProtocolError("an offer is outstanding")
        self._stay()
        muxed = self._stream is not None and self._stream.port.muxed
        wish = self._wish(self.settings.rtcp_mux or muxed)
        self._outstanding = True
        return self._prepared(wish, None, self._made_offer)

    def _session_attributes(self) -> list[Attribute]:
        return [attribute for one in self._extensions for attribute in one.session_attributes]

    def _made_offer(self, wish: LocalStream) -> SessionDescription:
        agreed = self._agreed
        # An offer of the peer may have been answered while this one was prepared.
        self._outstanding = True
        slot = 0
        previous = None if agreed is None else agreed.local
        if agreed is None:
            streams: list[LocalStream | MediaDescription | None] = [wish, *self.further_offers]
        else:
            # Other streams stay as they are (RFC 3264 section 8).
            streams = [one if one.port else None for one in agreed.local.media]
            slot = agreed.slot if agreed.slot >= 0 else free_slot(agreed.local)
            streams[slot : slot + 1] = [wish]
        offer = build_offer(
            self._origin,
            self.settings.address,
            streams,
            previous=previous,
            bindings=self._bindings,
            attributes=self._session_attributes(),
        )
        offer = self._numbered(offer)
        self._offer = (offer, slot)
        stream = self._need_stream()
        stream.expect(formats_of(offer.media[slot], self._kinds))
        self._stream_changed(stream)
        return offer

    def answer(self, offer: SessionDescription) -> SessionDescription | Deferred[SessionDescription]:
        """See IMediaSession."""
        self._check_open()
        if self._outstanding:
            # The call sees to glare (RFC 3261 section 14.2); who answers has given up the offer.
            self.rolled_back()
        self._stay()
        slot = self._slot_of(offer)
        if slot < 0:
            return self._made_answer(offer, slot, None)
        offered = offer.media[slot]
        self._follow(offered)
        try:
            made = self._prepared(self._wish(True), offered, lambda stream: self._made_answer(offer, slot, stream))
        except Exception:
            self._refused()
            raise
        return made.addErrback(self._not_answered) if isinstance(made, Deferred) else made

    def _not_answered(self, failure: Any) -> Any:
        self._refused()
        return failure

    def _refused(self) -> None:
        # What took part in the answer has to know that it does not go out.
        (self._agree_again if self._left is None else self._go_back)()

    # -- what is agreed ----------------------------------------------------------------------------

    def _slot_of(self, offer: SessionDescription) -> int:
        possible = [*PLAIN, *(one for extension in self._extensions for one in extension.protocols)]
        found = [
            place
            for place, media in enumerate(offer.media)
            if media.kind.lower() == "audio"
            and media.port
            and media.protocol.upper() in possible
            and any(kind_of(codec, self._kinds) is not None for codec in media.codecs)
        ]
        if self.settings.srtp != "off":
            # Some offer the same twice, with keys and without.
            found.sort(key=lambda place: not (offer.media[place].has("crypto") or offer.media[place].fingerprints))
        agreed = self._agreed
        if agreed is not None and agreed.slot in found:
            return agreed.slot
        if found:
            return found[0]
        # One that is refused, so that the reason is told.
        return next((n for n, one in enumerate(offer.media) if one.kind.lower() == "audio" and one.port), -1)

    def _made_answer(self, offer: SessionDescription, slot: int, stream: LocalStream | None) -> SessionDescription:
        def choose(place: int, offered: MediaDescription) -> Choice:
            if place == slot:
                return stream
            return None if self.other_streams is None else self.other_streams(place, offered)

        answer = build_answer(offer, self._origin, self.settings.address, choose, attributes=self._session_attributes())
        last, before = self._last, self._agreed
        agreed = _Agreed(self._numbered(answer), offer, slot, False)
        try:
            self._apply(agreed, self._terms(agreed))
        except MediaRefused:
            # It does not go out: its version is still to be used (RFC 3264 section 8).
            self._last = last
            raise
        self._before = before
        return agreed.local

    def answered(self, answer: SessionDescription) -> None:
        """See IMediaSession."""
        self._check_open()
        if self._offer is None:
            raise LocalProtocolError("there is no offer that this could answer")
        offer, slot = self._offer
        if len(answer.media) != len(offer.media):
            # RFC 3264 section 6.
            raise MediaRefused("The answer has another number of streams than the offer", warning_code=399)
        try:
            check_media_answer(offer.media[slot], answer.media[slot], strict=False)
        except MediaRefused:
            raise
        except RemoteProtocolError as error:
            raise MediaRefused(error.reason, warning_code=399) from None
        agreed = _Agreed(offer, answer, slot, True)
        terms = self._terms(agreed)
        if self._outstanding:
            self._before = self._agreed
            self._outstanding = False
        self._apply(agreed, terms)

    def rolled_back(self) -> None:
        """See IMediaSession."""
        if self._closed:
            return
        if self._outstanding:
            self._outstanding = False
            self._offer = None
        else:
            self._agreed, self._before = self._before, None
            self._go_back()
        self._exchange += 1
        self._agree_again()

    def _agree_again(self) -> None:
        agreed = self._agreed
        if agreed is not None:
            self._apply(agreed, self._terms(agreed))
        elif self._stream is not None:
            self._stream.agree(StreamTerms(ptime=self.settings.ptime))

    def _terms(self, agreed: _Agreed) -> StreamTerms:
        if agreed.slot < 0:
            return StreamTerms(ptime=self.settings.ptime)
        local, remote = agreed.local.media[agreed.slot], agreed.remote.media[agreed.slot]
        six = ":" in self.settings.host
        return terms_of(local, remote, self._kinds, self.settings, offered=agreed.offered, six=six)

    def _apply(self, agreed: _Agreed, terms: StreamTerms) -> None:
        try:
            self._tell_extensions(agreed, terms)
        except Exception:
            # What one of them refuses another may have taken: what was agreed before stays.
            if self._agreed is not None:
                self._tell_extensions(self._agreed, self._terms(self._agreed))
            raise
        self._agreed = agreed
        self._bindings = bound(self._bindings, agreed.local, agreed.remote)
        self._exchange += 1
        if terms.kind is None and self._stream is None:
            return
        stream = self._need_stream()
        stream.agree(self._resolved(terms))
        self._stream_changed(stream)

    def _tell_extensions(self, agreed: _Agreed, terms: StreamTerms) -> None:
        if agreed.slot >= 0 and terms.kind is not None:
            local, remote = agreed.local.media[agreed.slot], agreed.remote.media[agreed.slot]
            for extension in self._extensions:
                extension.agreed(local, remote, offered=agreed.offered)

    def _resolved(self, terms: StreamTerms) -> StreamTerms:
        # A name in the description: nothing is sent before it is known.
        target = terms.target
        if self._need_stream().port.path is not None:
            # RFC 8839 section 4.2.5: with ICE nobody goes there.
            return terms
        if target is None or not _is_name(target[0]):
            if terms.rtcp_target is not None and _is_name(terms.rtcp_target[0]):
                return attrs.evolve(terms, rtcp_target=None)
            return terms
        exchange = self._exchange

        def found(host: str) -> None:
            if exchange == self._exchange and self._stream is not None and not self._closed:
                # A name may lead to a group as well, or to another version of IP.
                checked_address(host, target[1], ":" in self.settings.host)
                rtcp = terms.rtcp_target
                new = attrs.evolve(
                    terms, target=(host, target[1]), rtcp_target=None if rtcp is None else (host, rtcp[1])
                )
                self._stream.agree(new)
                self._stream_changed(self._stream)

        def failed(failure: Any) -> None:
            _log.warn("No address for media: {error}", error=failure.getErrorMessage())

        self._plane.resolve(target[0]).addCallback(found).addErrback(failed)
        return attrs.evolve(terms, target=None, rtcp_target=None)

    def _prepared(
        self,
        wish: LocalStream,
        offered: MediaDescription | None,
        then: Callable[[LocalStream], SessionDescription],
    ) -> SessionDescription | Deferred[SessionDescription]:
        stream: LocalStream | Deferred[LocalStream] = wish
        try:
            for extension in self._extensions:
                if isinstance(stream, Deferred):
                    stream.addCallback(extension.prepare, offered)
                else:
                    stream = extension.prepare(stream, offered)
            if not isinstance(stream, Deferred):
                return then(stream)
        except Exception:
            if offered is None:
                self._outstanding = False
            raise
        made: Deferred[SessionDescription] = stream.addCallback(self._still_open).addCallback(then)
        return made.addErrback(self._unprepared, offered)

    def _still_open(self, stream: LocalStream) -> LocalStream:
        self._check_open()
        return stream

    def _unprepared(self, failure: Any, offered: MediaDescription | None) -> Any:
        if offered is None:
            self._outstanding = False
        return failure

    def _numbered(self, description: SessionDescription) -> SessionDescription:
        # RFC 3264 section 8: one more with each change, the same without.
        last = self._last
        if last is None:
            self._last = description
        elif attrs.evolve(description, origin=last.origin) != last:
            self._last = attrs.evolve(description, origin=attrs.evolve(last.origin, version=last.origin.version + 1))
        else:
            return last
        return self._last

    def hold(self, on: bool) -> None:
        """See IMediaSession."""
        self._held = on

    @property
    def held(self) -> bool:
        """Whether we wish to hold the peer."""
        return self._held


def _is_name(host: str) -> bool:
    return not (":" in host or host.replace(".", "").isdigit())
