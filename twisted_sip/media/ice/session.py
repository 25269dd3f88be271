"""One ICE session of one stream: from its ufrag to its selected pairs (RFC 8445 sections 6 to 8).

A restart makes another session. Incoming checks are in incoming.py, the sending of ours and their answers in
outgoing.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.binding_check import CheckTerms, check_request
from twisted_sip.media.ice.candidate import Candidate, CandidateType
from twisted_sip.media.ice.checklist import Checklist
from twisted_sip.media.ice.incoming import IncomingChecks
from twisted_sip.media.ice.liveness import Liveness
from twisted_sip.media.ice.outgoing import OutgoingChecks
from twisted_sip.media.ice.pair import CandidatePair, LocalCandidate, PairState
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.media.ice.stream import ICEStream
    from twisted_sip.media.ice.turn_client import TURNClient

#: Section 8.3.1: how long other candidates answer once the checklist is Completed.
_LINGER = 3.0

_log = Logger()


class ICESession:
    """Between one pair of ufrags.

    :ivar state: ``new``, ``running``, ``completed`` or ``failed``.
    :ivar local: our candidates, peer-reflexive ones included.
    :ivar remote: the peer's by component and address.
    :ivar components: those that both agents have, once that is known.
    :ivar selected: by component.
    """

    def __init__(self, stream: ICEStream, ufrag: str, pwd: str) -> None:
        self.stream = stream
        self.agent = stream.agent
        self.ufrag = ufrag
        self.pwd = pwd
        self.state = "new"
        self.gathered = False
        self.local: list[LocalCandidate] = []
        self.remote: dict[tuple[int, Address], Candidate] = {}
        self.remote_ufrag = ""
        self.remote_pwd = ""
        self.remote_lite = False
        self.components: set[int] = set(stream.bases)
        self.checklist = Checklist(self.agent.pair_limit, self.agent.controlling)
        self.selected: dict[int, CandidatePair] = {}
        self.nominated: dict[int, CandidatePair] = {}
        self.incoming = IncomingChecks(self)
        self.outgoing = OutgoingChecks(self)
        self._liveness: dict[int, Liveness] = {}
        self._patience: Timer | None = None
        self._limit: Timer | None = None
        self._nomination: Timer | None = None
        self._linger: Timer | None = None
        self._nominating = False
        self.freed = False

    @property
    def idle(self) -> bool:
        """True when no timer runs."""
        timers = (self._patience, self._limit, self._nomination, self._linger)
        return not (any(timers) or self._liveness or self.outgoing.waiting)

    @property
    def running(self) -> bool:
        return self.state == "running"

    # -- candidates ------------------------------------------------------------------------

    def add_remote(self, candidate: Candidate) -> bool:
        """Know a candidate of the peer's; False if there are too many, or it was known."""
        key = candidate.component, candidate.address
        known = self.remote.get(key)
        if known is not None:
            if known.kind is CandidateType.PEER_REFLEXIVE and candidate.kind is not CandidateType.PEER_REFLEXIVE:
                # Section 7.3.1.3: the exchange tells what it really is.
                self.remote[key] = candidate
            return False
        if len(self.remote) >= self.agent.settings.max_remote_candidates:
            return False
        self.remote[key] = candidate
        return True

    def local_at(self, component: int, address: Address, base: Address) -> LocalCandidate | None:
        """Return our candidate with that address and base."""
        for each in self.local:
            if each.candidate.address == address and each.base == base and each.candidate.component == component:
                return each
        return None

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Form the checklist, or complete it with what was learnt since (sections 6.1.2 and 8.2)."""
        if not (self.gathered and self.remote_ufrag) or self.state in ("completed", "failed"):
            return
        told = {candidate.component for candidate in self.remote.values()}
        if self.state == "new" and told & self.components:
            # Section 6.1.2.2: the number of components is that of the agent with fewer.
            self.components &= told
        settings = self.agent.settings
        if self.state == "new":
            self.state = "running"
            self._patience = self.agent.timers.start(settings.patience, self._impatient)
            self._limit = self.agent.timers.start(settings.check_limit, self._too_late)
        if self.agent.lite:
            if self.remote_lite:
                self._pair_lite()
        else:
            ours = [each for each in self.local if each.candidate.component in self.components]
            self.checklist.form(ours, self.remote.values())
        self.incoming.replay()

    def _pair_lite(self) -> None:
        # Section 8.2: both are lite, nobody checks anything; the best pair of each component is taken.
        for component in sorted(self.components):
            self.checklist.form(
                [each for each in self.local if each.candidate.component == component], self.remote.values()
            )
        for pair in list(self.checklist.pairs):
            if pair.component not in self.nominated:
                self.nominate(pair)

    def rate(self) -> None:
        """The role of the agent has changed: priorities do, and who nominates."""
        self.checklist.rate(self.agent.controlling)
        self._nominating = False
        self.consider()

    def stop(self) -> None:
        """End without a word."""
        for timer in (self._patience, self._limit, self._nomination, self._linger):
            if timer is not None:
                timer.cancel()
        self._patience = self._limit = self._nomination = self._linger = None
        self.outgoing.stop()
        self._stop_liveness()

    def fail(self, reason: str) -> None:
        """There is no way, or none any more (section 6.1.2.1)."""
        if self.state == "failed":
            return
        _log.info("ICE failed for {stream}: {reason}", stream=self.stream.name, reason=reason)
        self.state = "failed"
        self.stop()
        self.selected.clear()
        self.stream.session_failed(self, reason)

    # -- progress ------------------------------------------------------------------------------

    def consider(self) -> None:
        """After any change: nominate, or give up (sections 7.2.5.4 and 8.1.1)."""
        if not self.running or self.agent.lite:
            return
        valid = {component: self.checklist.best_valid(component) for component in self.components}
        if all(pair is not None for pair in valid.values()):
            if self.agent.controlling and not self._nominating:
                best = [pair for pair in valid.values() if pair is not None]
                if not any(self.checklist.better_to_come(pair) for pair in best):
                    self._nominate_best()
                elif self._nomination is None:
                    self._nomination = self.agent.timers.start(self.agent.settings.nomination_wait, self._nominate_best)
            return
        self.agent.wake()
        missing = [component for component, pair in valid.items() if pair is None]
        if self._patience is None and any(self.checklist.hopeless(component) for component in missing):
            self.fail("no connectivity check has succeeded")

    def _nominate_best(self) -> None:
        """Repeat the check of the best valid pair of each component, with USE-CANDIDATE (section 8.1.1)."""
        if self._nomination is not None:
            self._nomination.cancel()
            self._nomination = None
        if not (self.running and self.agent.controlling) or self._nominating:
            return
        best = [self.checklist.best_valid(component) for component in sorted(self.components)]
        if not all(best):
            return
        self._nominating = True
        for pair in best:
            if pair is not None and pair.component not in self.nominated:
                origin = pair.origin or pair
                origin.use_candidate = True
                self.checklist.trigger(origin)
        self.agent.wake()

    def nominate(self, pair: CandidatePair) -> None:
        """*pair* is valid and nominated: its component is concluded (section 8.1.2)."""
        pair.nominated = True
        component = pair.component
        known = self.nominated.get(component)
        if known is not None and (known is pair or known.priority >= pair.priority):
            # Section 8.1.1: of several nominated pairs the one with the highest priority is used.
            return
        self.nominated[component] = pair
        origin = pair.origin or pair
        for gone in self.checklist.conclude(component, origin):
            self.outgoing.drop(gone)
        # Another check of the same pair may be under way: it has nothing to tell any more.
        self.outgoing.drop(origin)
        self.checklist.forget_trigger(origin)
        origin.state = PairState.SUCCEEDED
        if self.state == "completed":
            self._select(component, pair)
        elif self.running and self.components <= self.nominated.keys():
            self._complete()

    def _complete(self) -> None:
        self.state = "completed"
        for timer in (self._patience, self._limit, self._nomination):
            if timer is not None:
                timer.cancel()
        self._patience = self._limit = self._nomination = None
        self._linger = self.agent.timers.start(_LINGER, self._free)
        for component in sorted(self.components):
            self._select(component, self.nominated[component])
        self.stream.session_completed(self)

    def _select(self, component: int, pair: CandidatePair) -> None:
        self.selected[component] = pair
        old = self._liveness.pop(component, None)
        if old is not None:
            old.stop()
        if pair.local.relay is not None:
            # Section 12.1: a channel for what will be much data.
            pair.local.relay.bind(pair.remote.address)
        alive = self._liveness[component] = Liveness(
            self, pair, consent=self.agent.settings.consent and not self.agent.lite
        )
        alive.start()
        self.stream.session_selected(self, component, pair)

    def _free(self) -> None:
        """Section 8.3.1: what was not selected is not needed any more."""
        self._linger = None
        self.freed = True
        self.stream.free(self)

    def _impatient(self) -> None:
        # RFC 8839 section 4.3.4: until now, a check of the peer's could still have shown a way.
        self._patience = None
        self.consider()

    def _too_late(self) -> None:
        self._limit = None
        self.fail("no pair was selected in time")

    # -- sending -----------------------------------------------------------------------------

    def way(self, component: int) -> CandidatePair | None:
        """Return the pair for data: the selected one, before that the best valid one (section 12.1)."""
        pair = self.selected.get(component)
        if pair is None and self.running and not self.agent.lite:
            pair = self.checklist.best_valid(component)
        return pair

    def sent(self, component: int) -> None:
        alive = self._liveness.get(component)
        if alive is not None:
            alive.sent()

    def transmit(self, local: LocalCandidate, remote: Address, data: bytes) -> None:
        self.stream.transmit(local, remote, data)

    def check(self, transaction_id: bytes, pair: CandidatePair, *, use_candidate: bool = False) -> bytes:
        """Return a check for *pair* as octets (sections 7.1 and 7.2.2)."""
        agent = self.agent
        terms = CheckTerms(
            f"{self.remote_ufrag}:{self.ufrag}",
            self.remote_pwd.encode("utf-8"),
            pair.local.reflexive_priority,
            agent.controlling,
            agent.tiebreaker,
            use_candidate,
        )
        return check_request(transaction_id, terms)

    def liveness_for(self, transaction_id: bytes) -> Liveness | None:
        """Return whose consent check has this transaction ID."""
        for alive in self._liveness.values():
            if alive.asked(transaction_id):
                return alive
        return None

    def drop_component(self, component: int) -> None:
        """Section 6.1.2.2, RFC 5761: there is no such component after all."""
        self.components.discard(component)
        self.local = [each for each in self.local if each.candidate.component != component]
        for pair in [each for each in self.checklist.pairs if each.component == component]:
            self.outgoing.drop(pair)
            pair.state = PairState.FAILED
        self.checklist.remove_component(component)
        self.selected.pop(component, None)
        alive = self._liveness.pop(component, None)
        if alive is not None:
            alive.stop()
        if self.running and self.components and self.components <= self.nominated.keys():
            self._complete()
        else:
            self.consider()

    def relay_lost(self, client: TURNClient) -> None:
        """The server has taken an allocation from us."""
        if any(pair.local.relay is client for pair in self.selected.values()):
            self.fail("the relay of a selected pair is lost")
            return
        self.local = [each for each in self.local if each.relay is not client]
        for pair in [each for each in self.checklist.valid if each.local.relay is client]:
            self.checklist.invalidate(pair)
        for pair in [each for each in self.checklist.pairs if each.local.relay is client]:
            self.outgoing.drop(pair)
            self.checklist.forget_trigger(pair)
            pair.state = PairState.FAILED
        self.consider()

    def _stop_liveness(self) -> None:
        for alive in self._liveness.values():
            alive.stop()
        self._liveness.clear()
