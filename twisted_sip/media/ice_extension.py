"""ICE for the stream of a media session: what stands in offers and answers, and the way of packets (RFC 8839)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twisted_sip.errors import MediaRefused, RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.agent import ICEAgent
from twisted_sip.media.ice.candidate import Candidate, CandidateType, mismatch
from twisted_sip.media.ice.pair import CandidatePair
from twisted_sip.media.ice.settings import ICESettings
from twisted_sip.media.ice.stream import ICEStream
from twisted_sip.media.port import MediaPort
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.ice import RemoteCandidate
from twisted_sip.sdp.local_stream import ICEDescription, LocalStream
from twisted_sip.sdp.media_description import MediaDescription
from twisted_sip.transaction.timers import TimerQueue

if TYPE_CHECKING:
    from twisted_sip.media.session import MediaSession


class ICEMedia:
    """Give it to a MediaPlane as one of its extensions; the plane's ``host`` must be an address, not a wildcard.

    :param random_bytes: a cryptographically strong source.
    :param lite: on a public address: only answer checks.
    """

    def __init__(
        self,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
        settings: ICESettings | None = None,
        *,
        lite: bool = False,
    ) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._settings = settings or ICESettings()
        self._lite = lite

    def __call__(self, session: MediaSession) -> ICEExtension:
        return ICEExtension(session, TimerQueue(self._clock), self._random_bytes, self._settings, lite=self._lite)


class ICEExtension:
    """A StreamExtension. Peers without ICE are talked to as if it were not there (RFC 8839 section 4.2.5).

    :ivar on_failed: called with the reason when there is no way to the peer.
    """

    protocols: tuple[str, ...] = ()

    def __init__(
        self,
        session: MediaSession,
        timers: TimerQueue,
        random_bytes: Callable[[int], bytes],
        settings: ICESettings,
        *,
        lite: bool = False,
    ) -> None:
        self._session = session
        self._timers = timers
        self._random_bytes = random_bytes
        self._settings = settings
        self._lite = lite
        self.session_attributes: tuple[Attribute, ...] = ()
        self._port: MediaPort | None = None
        self._agent: ICEAgent | None = None
        self._gathered: list[Deferred[None]] = []
        self._refused = False
        self.stream: ICEStream | None = None
        self.on_failed: Callable[[str], object] | None = None

    def restart(self) -> None:
        """Let the next offer restart ICE (RFC 8839 section 4.4.1.1.1), after a change of network for instance."""
        if self.stream is not None:
            self.stream.restart()

    # -- StreamExtension -------------------------------------------------------------------------

    def prepare(self, stream: LocalStream, offered: MediaDescription | None) -> LocalStream | Deferred[LocalStream]:
        """Return *stream* with our candidates, once they are gathered."""
        # RFC 8839 section 4.3.2: nothing of ICE is in the answer to an offer without.
        self.session_attributes = ()
        if self._refused or (offered is not None and not _offers_ice(offered)):
            return stream
        ice = self._need_stream(controlling=offered is None)
        if offered is not None and ice.is_restart(offered.ice_ufrag, offered.ice_pwd):
            ice.restart()
        assert self._agent is not None
        # RFC 5761 section 5.1.3: who answers that both share a port has no candidates for RTCP.
        muxed = offered is not None and offered.rtcp_mux and stream.rtcp_mux
        if ice.session.gathered:
            return self._described(stream, muxed)
        waiting: Deferred[None] = Deferred()
        made = waiting.addCallback(lambda _: self._described(stream, muxed))
        self._gathered.append(waiting)
        self._agent.gather()
        return made

    def agreed(self, local: MediaDescription, remote: MediaDescription, *, offered: bool) -> None:
        """Begin, or go on, with what both sides have told."""
        ice, agent = self.stream, self._agent
        if ice is None or agent is None:
            return
        if not local.ice_ufrag or not _offers_ice(remote):
            self._give_up()
            return
        if local.ice_ufrag != ice.ufrag and ice.previous is not None and local.ice_ufrag == ice.previous.ufrag:
            # An offer that would have restarted ICE came to nothing.
            ice.undo_restart()
        try:
            ice.set_remote(remote.ice_ufrag, remote.ice_pwd, remote.candidates, lite=remote.ice_lite, answer=offered)
        except RemoteProtocolError as error:
            raise MediaRefused(error.reason, warning_code=399) from None
        if local.rtcp_mux and remote.rtcp_mux:
            ice.drop_component(2)
        self._session.port.path = self._send
        self._prove()
        agent.start()

    def close(self) -> None:
        """The session is over: relays are given back. What is sent last still has its way."""
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.close()
        self._release()

    # -- inside ------------------------------------------------------------------------------------

    def _need_stream(self, *, controlling: bool) -> ICEStream:
        if self.stream is None:
            port = self._port = self._session.port
            agent = ICEAgent(
                self, self._timers, self._random_bytes, self._settings, controlling=controlling, lite=self._lite
            )
            bases = {1: [Address(port.host, port.port)]}
            if not port.muxed:
                bases[2] = [Address(port.host, port.rtcp_port)]
            self._agent, self.stream = agent, agent.add_stream(self, bases)
            # RFC 8839 section 4.2.4: from the moment that the candidates are told.
            port.stun = self._datagram
        return self.stream

    def _described(self, stream: LocalStream, muxed: bool) -> LocalStream:
        ice = self.stream
        first = self._default(1)
        if ice is None or first is None:
            return stream
        second = self._default(2)
        if self._lite:
            # RFC 8839 section 4.2.1.4.
            self.session_attributes = (Attribute("ice-lite"),)
        description = ICEDescription(
            ufrag=ice.ufrag,
            password=ice.pwd,
            candidates=tuple(each.to_sdp() for each in ice.local_candidates if each.component == 1 or not muxed),
            # RFC 8839 section 4.2.1.5.
            options=("ice2",),
            remote_candidates=tuple(
                RemoteCandidate(each.component, each.address.host, each.address.port) for each in ice.remote_candidates
            ),
        )
        return attrs.evolve(
            stream,
            ice=description,
            address=first.address.host,
            port=first.address.port,
            rtcp_port=second.address.port if second is not None else stream.rtcp_port,
        )

    def _default(self, component: int) -> Candidate | None:
        """Return what stands in c= and m=: a host address, so that a peer without ICE finds what it would without ours.

        A relay is given back as soon as the peer turns out to have no ICE.
        """
        ice = self.stream
        if ice is None:
            return None
        if ice.selected(component) is None:
            for one in ice.local_candidates:
                if one.component == component and one.kind is CandidateType.HOST:
                    return one
        return ice.default_candidate(component)

    def _give_up(self) -> None:
        if self._port is not None:
            self._port.path = None
        agent, self._agent, self.stream = self._agent, None, None
        self._refused = True
        if agent is not None:
            agent.close()
        self._prove()
        self._release()

    def _prove(self) -> None:
        """RFC 8445 section 12.2: what comes from any candidate of the peer is taken."""
        ice, audio = self.stream, self._session.stream
        for component, latch in ((1, audio.latch), (2, audio.rtcp_latch)):
            there = component if ice is not None and component in ice.bases else 1
            latch.proved = None if ice is None else partial(ice.knows, there)

    def _release(self) -> None:
        waiting, self._gathered = self._gathered, []
        for each in waiting:
            each.callback(None)

    def _datagram(self, component: int, data: bytes, address: tuple[str, int]) -> None:
        if self.stream is not None:
            self.stream.datagram(component, self.stream.all_bases[component][0], address, data)

    def _send(self, component: int, data: bytes) -> None:
        if self.stream is not None:
            self.stream.send(component, data)

    # -- ICEUser, ICEStreamUser ----------------------------------------------------------------------

    def ice_gathered(self) -> None:
        self._release()

    def ice_closed(self) -> None:
        """Nothing is left; the session sees to its sockets."""
        self._timers.stop()

    def ice_send(self, component: int, base: Address, remote: Address, data: bytes) -> None:
        if self._port is not None:
            self._port.send_raw(component, data, remote)

    def ice_received(self, component: int, remote: Address, data: bytes) -> None:
        if self._port is not None:
            self._port.received(component, data, remote)

    def ice_selected(self, component: int, pair: CandidatePair) -> None:
        """The path asks for it with each packet; what was sent before may not have arrived."""
        if self._port is not None and self._port.path_found is not None:
            self._port.path_found(component)

    def ice_completed(self) -> None:
        """Data has had its way since the first valid pair."""

    def ice_failed(self, reason: str) -> None:
        if self.on_failed is not None:
            self.on_failed(reason)
        self._session.failed(f"no way to the peer: {reason}")


def _offers_ice(told: MediaDescription) -> bool:
    """Tell whether ICE can be used with what the peer has told (RFC 8839 section 4.2.5)."""
    if not (told.ice_ufrag and told.ice_pwd) or told.ice_mismatch:
        return False
    return not mismatch(map(Candidate.from_sdp, told.candidates), {1: Address(told.address, told.port)})
