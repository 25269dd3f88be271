"""The peer's connectivity checks (RFC 8445 section 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.binding_check import (
    ICE_ATTRIBUTES,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    PRIORITY,
    ROLE_CONFLICT,
    USE_CANDIDATE,
    check_response,
    number,
)
from twisted_sip.media.ice.candidate import Candidate, CandidateType
from twisted_sip.media.ice.pair import CandidatePair, LocalCandidate, PairState
from twisted_sip.stun.message import STUNMessage
from twisted_sip.stun.server import Signature, error_response, unknown_response

if TYPE_CHECKING:
    from twisted_sip.media.ice.session import ICESession


@attrs.frozen(slots=True)
class _Seen:
    """What is kept of a check."""

    local: LocalCandidate
    source: Address
    priority: int
    use_candidate: bool
    ufrag: str


class IncomingChecks:
    """Of one session. Whoever knows our ufrag and pwd is answered; the rest of the section may have to wait for the
    peer's description.
    """

    def __init__(self, session: ICESession) -> None:
        self._session = session
        self._agent = session.agent
        self._early: list[_Seen] = []

    def answer(self, request: STUNMessage, source: Address, signature: Signature) -> tuple[bytes, bool]:
        """Return the response to an authentic check, and whether it is a success."""
        unknown = request.unknown_beyond(ICE_ATTRIBUTES)
        if unknown:
            return unknown_response(request, unknown, signature), False
        if number(request, PRIORITY, 4) is None:
            # Section 7.1.1: it must be there.
            return error_response(request, 400, signature=signature), False
        if not self._agent.lite and not self._role_settled(request):
            return error_response(request, ROLE_CONFLICT, signature=signature), False
        return check_response(request, source.host, source.port, signature), True

    def accepted(self, local: LocalCandidate, source: Address, request: STUNMessage, username: str) -> None:
        """Go on with a check that was answered with success."""
        priority = number(request, PRIORITY, 4) or 0
        # Section 5.1.2: from 1 to 2**31 - 1.
        seen = _Seen(
            local,
            source,
            min(max(priority, 1), 2**31 - 1),
            request.first(USE_CANDIDATE) is not None,
            username.partition(":")[2],
        )
        session = self._session
        if session.state == "new":
            # Section 7.3: the peer's candidates have not come yet.
            if len(self._early) < self._agent.settings.max_early_checks:
                self._early.append(seen)
        elif session.state != "failed":
            self._proceed(seen)

    def replay(self) -> None:
        """The peer's description is known: go on with the checks that came before it."""
        early, self._early = self._early, []
        for seen in early:
            self._proceed(seen)

    # -- inside ------------------------------------------------------------------------------

    def _role_settled(self, request: STUNMessage) -> bool:
        """Detect and repair a role conflict (section 7.3.1.1); False if the peer has to switch."""
        agent = self._agent
        theirs = number(request, ICE_CONTROLLING if agent.controlling else ICE_CONTROLLED, 8)
        if theirs is None:
            return True
        if (agent.tiebreaker >= theirs) is agent.controlling:
            return False
        agent.switch_role()
        return True

    def _proceed(self, seen: _Seen) -> None:
        session = self._session
        component = seen.local.candidate.component
        if component not in session.components or seen.ufrag != session.remote_ufrag:
            # The ufrag of another branch of a forked call, or of no call at all: its owner was answered, no more.
            return
        remote = session.remote.get((component, seen.source))
        if remote is None:
            remote = self._learn(seen)
            if remote is None:
                return
        if self._agent.lite:
            if seen.use_candidate:
                self._nominated_lite(seen.local, remote)
            return
        self._trigger(seen, remote)

    def _learn(self, seen: _Seen) -> Candidate | None:
        """A peer-reflexive candidate of the peer's (section 7.3.1.3), unless there are too many."""
        session = self._session
        # "/" and digits: no foundation of an exchange begins like that by accident.
        made = Candidate(
            f"+/{len(session.remote)}",
            seen.local.candidate.component,
            "udp",
            seen.priority,
            seen.source,
            CandidateType.PEER_REFLEXIVE,
        )
        return made if session.add_remote(made) else None

    def _nominated_lite(self, local: LocalCandidate, remote: Candidate) -> None:
        """Section 7.3.2."""
        session = self._session
        checklist = session.checklist
        pair = checklist.find(local, remote.address) or checklist.insert(local, remote)
        if pair is not None:
            pair.state = PairState.SUCCEEDED
            if pair not in checklist.valid:
                checklist.valid.append(pair)
            session.nominate(pair)

    def _trigger(self, seen: _Seen, remote: Candidate) -> None:
        """Sections 7.3.1.4 and 7.3.1.5."""
        session, checklist = self._session, self._session.checklist
        pair = checklist.find(seen.local, remote.address)
        if pair is None:
            if self._concluded(seen):
                return
            pair = checklist.insert(seen.local, remote)
            if pair is None:
                return
        flag = seen.use_candidate and not self._agent.controlling
        if pair.state is PairState.SUCCEEDED:
            if flag:
                session.nominate(pair.valid or pair)
            return
        if flag:
            pair.use_candidate = True
        if pair.state is PairState.IN_PROGRESS:
            session.outgoing.cancel(pair)
        checklist.trigger(pair)
        self._agent.wake()

    def _concluded(self, seen: _Seen) -> bool:
        """Tell whether no more pairs are wanted for the component (sections 8.1.2 and 8.3.1)."""
        chosen: CandidatePair | None = self._session.nominated.get(seen.local.candidate.component)
        if chosen is None:
            return False
        # Another nomination is looked at for three seconds: the peer may be one of RFC 5245.
        return self._session.freed or not seen.use_candidate
