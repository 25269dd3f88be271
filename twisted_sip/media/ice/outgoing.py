"""Our connectivity checks and what is answered to them (RFC 8445 section 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.binding_check import ROLE_CONFLICT
from twisted_sip.media.ice.candidate import Candidate, CandidateType
from twisted_sip.media.ice.pair import CandidatePair, LocalCandidate, PairState
from twisted_sip.stun.binding import mapped_address
from twisted_sip.stun.integrity import verified
from twisted_sip.stun.message import MESSAGE_INTEGRITY, SUCCESS, STUNMessage
from twisted_sip.stun.transaction import ClientTransaction, Retransmission

if TYPE_CHECKING:
    from twisted_sip.media.ice.session import ICESession

#: Peer-reflexive local candidates of one session; a NAT that makes more is of no use.
_MOST_LOCAL = 64


@attrs.define(eq=False, slots=True)
class _Check:
    """A check under way.

    :ivar cancelled: another check of the pair has taken its place: no answer means nothing (section 7.3.1.4).
    """

    pair: CandidatePair
    controlling: bool
    use_candidate: bool
    transaction: ClientTransaction
    cancelled: bool = False


class OutgoingChecks:
    """Of one session. There are at most two for each pair: the present one, and one that was cancelled."""

    def __init__(self, session: ICESession) -> None:
        self._session = session
        self._agent = session.agent
        self._checks: dict[bytes, _Check] = {}

    @property
    def waiting(self) -> int:
        """How many checks may still be answered."""
        return len(self._checks)

    def has(self, transaction_id: bytes) -> bool:
        return transaction_id in self._checks

    def perform(self, pair: CandidatePair) -> None:
        """Check *pair* (section 7.2.4)."""
        agent = self._agent
        pair.state = PairState.IN_PROGRESS
        transaction_id = agent.random_bytes(12)
        use_candidate = pair.use_candidate and agent.controlling
        data = self._session.check(transaction_id, pair, use_candidate=use_candidate)
        settings = agent.settings
        terms = Retransmission(rto=agent.rto(), rc=settings.Rc, rm=settings.Rm)
        transaction = ClientTransaction(
            agent.timers,
            terms,
            data,
            lambda octets: self._session.transmit(pair.local, pair.remote.address, octets),
            lambda: self._timed_out(transaction_id),
        )
        self._checks[transaction_id] = _Check(pair, agent.controlling, use_candidate, transaction)
        transaction.start()

    def cancel(self, pair: CandidatePair) -> None:
        """Retransmit no more for *pair*, but take an answer that comes (section 7.3.1.4)."""
        for transaction_id, check in list(self._checks.items()):
            if check.pair is pair:
                if check.cancelled:
                    self._end(transaction_id)
                else:
                    check.cancelled = True
                    check.transaction.cancel()

    def drop(self, pair: CandidatePair) -> None:
        """Forget the checks of *pair*: its component is concluded."""
        for transaction_id, check in list(self._checks.items()):
            if check.pair is pair:
                self._end(transaction_id)

    def refused(self, local: Address, remote: Address) -> None:
        """ICMP told that nobody listens there (section 7.2.5.2.2)."""
        for transaction_id, check in list(self._checks.items()):
            pair = check.pair
            if pair.local.base == local and pair.remote.address == remote and not check.cancelled:
                self._end(transaction_id)
                self._failed(check)

    def stop(self) -> None:
        for transaction_id in list(self._checks):
            self._end(transaction_id)

    def response(self, local: LocalCandidate, source: Address, data: bytes, response: STUNMessage) -> None:
        """Take a response with the transaction ID of one of our checks; forged ones are as if they had not come."""
        session = self._session
        transaction_id = response.transaction_id
        if not verified(data, session.remote_pwd.encode("utf-8"), MESSAGE_INTEGRITY):
            return
        check = self._checks.get(transaction_id)
        if check is None:
            alive = session.liveness_for(transaction_id)
            if alive is not None and response.message_class == SUCCESS:
                alive.answered(local, source)
            return
        self._end(transaction_id)
        pair = check.pair
        if source != pair.remote.address or local.base != pair.local.base:
            # Section 7.2.5.2.1: not symmetric.
            self._failed(check)
        elif response.message_class == SUCCESS:
            self._succeeded(check, response)
        elif response.error is not None and response.error[0] == ROLE_CONFLICT:
            self._conflict(check)
        else:
            self._failed(check)

    # -- outcomes ----------------------------------------------------------------------------

    def _succeeded(self, check: _Check, response: STUNMessage) -> None:
        session, pair = self._session, check.pair
        if response.unknown_required:
            self._failed(check)
            return
        try:
            mapped = mapped_address(response)
        except RemoteProtocolError:
            mapped = None
        if mapped is None:
            self._failed(check)
            return
        valid = self._valid_pair(pair, Address(*mapped))
        valid.state = PairState.SUCCEEDED
        pair.valid = valid
        if not self._agent.controlling or check.use_candidate or not pair.use_candidate:
            # Otherwise this answers an older check, and the one that nominates is still to come.
            pair.state = PairState.SUCCEEDED
            session.checklist.forget_trigger(pair)
        self._agent.unfreeze(pair.foundation)
        # Section 7.2.5.3.4: ours was sent with the flag, or the peer's had it.
        if check.use_candidate or (pair.use_candidate and not self._agent.controlling):
            session.nominate(valid)
        session.consider()

    def _valid_pair(self, pair: CandidatePair, mapped: Address) -> CandidatePair:
        """Construct the valid pair (section 7.2.5.3.2)."""
        session, local = self._session, pair.local
        checklist = session.checklist
        ours = session.local_at(pair.component, mapped, local.base)
        if ours is None:
            ours = self._discover(pair, mapped)
        for known in checklist.valid:
            if known.local is ours and known.remote.address == pair.remote.address:
                return known
        if ours is local:
            valid = pair
        else:
            valid = CandidatePair(ours, pair.remote, PairState.SUCCEEDED, origin=pair)
            valid.rate(self._agent.controlling)
        checklist.valid.append(valid)
        return valid

    def _discover(self, pair: CandidatePair, mapped: Address) -> LocalCandidate:
        """A peer-reflexive candidate of ours (section 7.2.5.3.1)."""
        session, local = self._session, pair.local
        if len(session.local) >= _MOST_LOCAL:
            return local
        kind = CandidateType.PEER_REFLEXIVE
        candidate = Candidate(
            self._agent.foundation(kind, local.base.host, ""),
            pair.component,
            "udp",
            local.reflexive_priority,
            mapped,
            kind,
            local.base,
        )
        found = LocalCandidate(candidate, local.base, local.socket, local.relay)
        session.local.append(found)
        return found

    def _conflict(self, check: _Check) -> None:
        """487: switch the role that the check claimed, and check again (section 7.2.5.1)."""
        self._agent.conflict(check.controlling)
        if not check.cancelled and self._session.running:
            check.pair.use_candidate = False
            self._session.checklist.trigger(check.pair)
            self._agent.wake()

    def _timed_out(self, transaction_id: bytes) -> None:
        check = self._checks.pop(transaction_id)
        if not check.cancelled:
            self._failed(check)

    def _failed(self, check: _Check) -> None:
        """Section 7.2.5.2; of a nomination the checklist fails with it (section 7.2.5.3.4)."""
        session, pair = self._session, check.pair
        if check.cancelled:
            return
        pair.state = PairState.FAILED
        if pair.valid is not None:
            session.checklist.invalidate(pair.valid)
        if check.use_candidate or (pair.use_candidate and not self._agent.controlling):
            session.fail("the check of the nominated pair has failed")
        else:
            session.consider()

    def _end(self, transaction_id: bytes) -> None:
        self._checks.pop(transaction_id).transaction.stop()
