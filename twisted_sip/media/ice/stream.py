"""One data stream of an ICE agent: its candidates, its peer's, and what was selected (RFC 8445, RFC 8839)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate, CandidateType, default_rank
from twisted_sip.media.ice.gathering import Gathering
from twisted_sip.media.ice.pair import CandidatePair, LocalCandidate
from twisted_sip.media.ice.relays import Relays
from twisted_sip.media.ice.session import ICESession
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.ice.turn_client import TURNClient
from twisted_sip.media.ice.user import ICEStreamUser
from twisted_sip.sdp.ice import Candidate as SDPCandidate
from twisted_sip.stun.message import BINDING, ERROR, REQUEST, SUCCESS, USERNAME, STUNMessage, parse_stun
from twisted_sip.stun.server import check_short_term, error_response
from twisted_sip.stun.transaction import Retransmission

if TYPE_CHECKING:
    from twisted_sip.media.ice.agent import ICEAgent

# RFC 8839 section 5.4.
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")


class ICEStream:
    """Made by :meth:`ICEAgent.add_stream`.

    :ivar bases: the sockets of each component.
    :ivar session: the present ICE session; each restart makes another.
    """

    def __init__(self, agent: ICEAgent, user: ICEStreamUser, bases: Mapping[int, Sequence[Address]], name: str) -> None:
        self.agent = agent
        self.user = user
        self.bases: dict[int, tuple[Address, ...]] = {
            component: tuple(Address(*base) for base in bases[component]) for component in sorted(bases)
        }
        self.all_bases = dict(self.bases)
        self.name = name
        self.relays = Relays(self)
        self.session = self._new_session()
        self.previous: ICESession | None = None
        self.gathering: Gathering | None = None

    # -- what to tell the peer ---------------------------------------------------------------

    @property
    def ufrag(self) -> str:
        """What to tell as ``a=ice-ufrag``."""
        return self.session.ufrag

    @property
    def pwd(self) -> str:
        """What to tell as ``a=ice-pwd``."""
        return self.session.pwd

    @property
    def state(self) -> str:
        """``new``, ``running``, ``completed`` or ``failed`` (RFC 8445 section 6.1.3)."""
        return self.session.state

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What to tell as ``a=candidate`` lines, best first; the selected pairs' alone once completed.

        RFC 8839 sections 4.2.1.2 and 4.4.1.2.2.
        """
        session = self.session
        if session.state == "completed":
            found = [session.selected[component].local.candidate for component in sorted(session.selected)]
        else:
            found = [
                each.candidate for each in session.local if each.candidate.kind is not CandidateType.PEER_REFLEXIVE
            ]
        return tuple(sorted(found, key=lambda each: (-each.priority, each.component)))

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the controlling agent tells as ``a=remote-candidates`` once completed (RFC 8839 section 4.4.1.2.2)."""
        if self.session.state != "completed" or not self.agent.controlling:
            return ()
        return tuple(self.session.selected[component].remote for component in sorted(self.session.selected))

    def default_candidate(self, component: int) -> Candidate | None:
        """Return what stands in c=, m= and a=rtcp: relayed before reflexive before host, as most likely to work.

        None before anything was gathered. Once selected it is the selected one (RFC 8839 section 4.2.1.2).
        """
        pair = self.session.selected.get(component)
        if pair is not None:
            return pair.local.candidate
        found = [each.candidate for each in self.session.local if each.candidate.component == component]
        return min(found, key=default_rank, default=None)

    def selected(self, component: int) -> CandidatePair | None:
        """Return the pair that data goes over, None if there is none yet (RFC 8445 section 12.1).

        After a restart it is the previous one until the new checks are done.
        """
        pair = self.session.way(component)
        if pair is None and self.previous is not None and self.session.state != "failed":
            pair = self.previous.way(component)
        return pair

    # -- what the peer has told --------------------------------------------------------------

    def is_restart(self, ufrag: str, pwd: str) -> bool:
        """Tell whether the peer restarts with these (RFC 8839 section 4.4.1.1.1: both change)."""
        session = self.session
        return bool(session.remote_ufrag) and ufrag != session.remote_ufrag and pwd != session.remote_pwd

    def set_remote(
        self,
        ufrag: str,
        pwd: str,
        candidates: Sequence[Candidate | SDPCandidate],
        *,
        lite: bool = False,
        answer: bool = False,
    ) -> None:
        """Take the peer's description, from an offer or an answer. Checks begin with :meth:`ICEAgent.start`.

        Unusable candidates (TCP, names, unknown types, other components, too many) are left out. A new ufrag and pwd
        restart this stream, if it was not restarted here already: gather anew before the answer.

        :param candidates: as ``MediaDescription.candidates`` has them, or as this room does.
        :param lite: the peer said ``a=ice-lite``.
        :param answer: it answers an offer of ours. A new ufrag and pwd then are another branch of a forked call: the
            checks begin anew with it, and with what we have told (RFC 8839 section 7.3).
        :raises RemoteProtocolError: ufrag or pwd are malformed (RFC 8839 section 5.4), status 488.
        """
        if not (_UFRAG.match(ufrag) and _PWD.match(pwd)):
            raise RemoteProtocolError("malformed ICE ufrag or pwd", status=488)
        if self.is_restart(ufrag, pwd):
            if answer:
                self._fork()
            else:
                self.restart()
        session = self.session
        session.remote_ufrag, session.remote_pwd, session.remote_lite = ufrag, pwd, lite
        # RFC 8445 section 6.1.1: with one lite agent the full one controls.
        if lite is not self.agent.lite:
            self.agent.take_role(controlling=lite)
        for each in candidates:
            candidate = Candidate.from_sdp(each) if isinstance(each, SDPCandidate) else each
            if (
                candidate.component in session.components
                and candidate.transport == "udp"
                and candidate.kind is not None
                and candidate.numeric
                and candidate.address.port
            ):
                session.add_remote(candidate)

    def knows(self, component: int, remote: tuple[str, int]) -> bool:
        """Tell whether *remote* is a candidate of the peer: data may come from any of them (RFC 8445 section 12.2)."""
        key = component, Address(*remote[:2])
        return any(key in session.remote for session in self.sessions)

    def drop_component(self, component: int) -> None:
        """Forget a component: the peer takes RTP and RTCP on one port (RFC 5761 section 5.1.3)."""
        if component in self.bases and len(self.bases) > 1:
            for base in self.bases.pop(component):
                self.relays.close_base(base)
            self.session.drop_component(component)
            if self.previous is not None:
                self.previous.drop_component(component)

    # -- life ----------------------------------------------------------------------------------

    def restart(self) -> None:
        """Restart this stream (RFC 8445 section 9): new ufrag and pwd; then gather and exchange candidates anew."""
        if self.previous is None or self.session.state == "completed":
            if self.previous is not None:
                self.previous.stop()
            self.previous = self.session
        else:
            self.session.stop()
        if self.gathering is not None:
            self.gathering.stop()
            self.gathering = None
        self.session = self._new_session()

    def undo_restart(self) -> None:
        """The offer with our restart was refused: what was before is in force again (RFC 3264 section 4)."""
        if self.previous is None:
            raise LocalProtocolError("there was no ICE restart to undo")
        self.session.stop()
        self.session, self.previous = self.previous, None

    def stop(self) -> None:
        """End without a word; relays are given back."""
        if self.gathering is not None:
            self.gathering.stop()
            self.gathering = None
        for session in self.sessions:
            session.stop()
        self.relays.close()

    @property
    def idle(self) -> bool:
        """True when no timer, transaction or allocation is left."""
        return self.gathering is None and self.relays.idle and all(each.idle for each in self.sessions)

    @property
    def sessions(self) -> tuple[ICESession, ...]:
        """The present one, and during a restart the one before."""
        return (self.session,) if self.previous is None else (self.session, self.previous)

    # -- datagrams -------------------------------------------------------------------------------

    def datagram(self, component: int, base: tuple[str, int], remote: tuple[str, int], data: bytes) -> bool:
        """Take a datagram from the socket bound to *base*; tell whether it was ours (STUN, TURN).

        False is the application's: RTP, RTCP, DTLS. Never raises for what the datagram holds.
        """
        # RFC 7983 section 7: STUN from 0 to 3, TURN channels from 64 to 79.
        if not data or not (data[0] < 4 or 64 <= data[0] < 80):
            return False
        here, source = Address(*base[:2]), Address(*remote[:2])
        if self.relays.datagram(here, source, data):
            return True
        if self.gathering is not None and self.gathering.datagram(here, source, data):
            return True
        if not self.agent.closed and data[0] < 4:
            self._stun(component, here, here, None, source, data)
        return True

    def refused(self, component: int, base: tuple[str, int], remote: tuple[str, int]) -> None:
        """ICMP told that nobody listens at *remote* (RFC 8445 section 7.2.5.2.2)."""
        self.session.outgoing.refused(Address(*base[:2]), Address(*remote[:2]))

    def send(self, component: int, data: bytes) -> bool:
        """Send application data over the selected pair; False if there is none (nothing was sent)."""
        pair = self.selected(component)
        if pair is None:
            return False
        self.transmit(pair.local, pair.remote.address, data)
        for session in self.sessions:
            session.sent(component)
        return True

    def transmit(self, local: LocalCandidate, remote: Address, data: bytes) -> None:
        """Send octets from the base of *local*."""
        if local.relay is not None:
            local.relay.send(remote, data)
        else:
            self.user.ice_send(local.candidate.component, local.socket, remote, data)

    def relayed(self, component: int, client: TURNClient, socket: Address, peer: Address, data: bytes) -> None:
        """*peer* has sent *data* to our relayed address."""
        if client.relayed is None:
            return
        if data and data[0] < 4:
            self._stun(component, client.relayed, socket, client, peer, data)
        elif self.knows(component, peer):
            self.user.ice_received(component, peer, data)

    def _stun(
        self, component: int, base: Address, socket: Address, relay: TURNClient | None, source: Address, data: bytes
    ) -> None:
        try:
            message = parse_stun(data)
        except RemoteProtocolError:
            return
        if message.method != BINDING:
            return
        if message.message_class == REQUEST:
            self._request(component, base, socket, relay, source, data, message)
        elif message.message_class in (SUCCESS, ERROR):
            for session in self.sessions:
                local = session.local_at(component, base, base)
                if local is not None:
                    session.outgoing.response(local, source, data, message)

    def _request(
        self,
        component: int,
        base: Address,
        socket: Address,
        relay: TURNClient | None,
        source: Address,
        data: bytes,
        message: STUNMessage,
    ) -> None:
        session = self._session_of(message)
        key = session.pwd.encode() if session is not None else None
        signature = check_short_term(data, message, lambda username: key)
        if isinstance(signature, int) or session is None:
            code = signature if isinstance(signature, int) else 401
            self._reply(component, socket, relay, source, error_response(message, code))
            return
        local = session.local_at(component, base, base)
        if local is None:
            # Section 7.3 speaks of the bases of the candidates that were told: with a relay alone, nobody is here.
            return
        response, success = session.incoming.answer(message, source, signature)
        self._reply(component, socket, relay, source, response)
        if success:
            session.incoming.accepted(local, source, message, signature.username)

    def _reply(self, component: int, socket: Address, relay: TURNClient | None, remote: Address, data: bytes) -> None:
        if relay is not None:
            relay.send(remote, data)
        else:
            self.user.ice_send(component, socket, remote, data)

    def _session_of(self, message: STUNMessage) -> ICESession | None:
        """Return the session whose ufrag a check names (section 7.3)."""
        ours = (message.first(USERNAME) or b"").partition(b":")[0]
        return next((each for each in self.sessions if each.ufrag.encode() == ours), None)

    # -- from the sessions -----------------------------------------------------------------------

    def session_selected(self, session: ICESession, component: int, pair: CandidatePair) -> None:
        if session is self.session:
            self.user.ice_selected(component, pair)

    def session_completed(self, session: ICESession) -> None:
        if session is self.session:
            previous, self.previous = self.previous, None
            if previous is not None:
                previous.stop()
            self.user.ice_completed()

    def session_failed(self, session: ICESession, reason: str) -> None:
        if session is not self.session:
            # The pair from before a restart is gone; the new one may do.
            self.previous = None
            return
        if self.previous is not None:
            self.previous.stop()
            self.previous = None
        self.relays.close()
        self.user.ice_failed(reason)

    def relay_lost(self, client: TURNClient) -> None:
        """An allocation is gone: so are the candidates and pairs over it."""
        for session in self.sessions:
            session.relay_lost(client)

    def free(self, session: ICESession) -> None:
        """Section 8.3.1: give back the relays that were not selected."""
        if session is self.session and self.previous is None:
            kept: dict[TURNClient, set[Address]] = {}
            for pair in session.selected.values():
                if pair.local.relay is not None:
                    kept.setdefault(pair.local.relay, set()).add(pair.remote.address)
            self.relays.keep_only(kept)

    # -- gathering -------------------------------------------------------------------------------

    def gather(self) -> bool:
        """Begin to gather unless that was done; tell whether something is under way."""
        if self.session.gathered:
            return False
        if self.gathering is None:
            self.gathering = Gathering(self, self._gathered)
            self.gathering.start()
            self.gathering.check_end()
        return self.gathering is not None

    def relay(self, base: Address, server: TURNServer, terms: Retransmission) -> TURNClient:
        """Return the allocation from *base* at *server*, perhaps one that is still to be made."""
        return self.relays.get(base, server, terms)

    def _gathered(self) -> None:
        gathering, self.gathering = self.gathering, None
        if gathering is not None:
            self.session.local = gathering.found
            self.session.gathered = True
            self.agent.stream_gathered()

    def _fork(self) -> None:
        old = self.session
        old.stop()
        session = self.session = ICESession(self, old.ufrag, old.pwd)
        session.gathered = old.gathered
        session.local = [
            each
            for each in old.local
            if each.candidate.kind is not CandidateType.PEER_REFLEXIVE
            and (each.relay is None or each.relay.state == "allocated")
        ]

    def _new_session(self) -> ICESession:
        return ICESession(self, self.agent.random_text(8), self.agent.random_text(24))
