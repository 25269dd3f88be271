"""Local candidates, candidate pairs and their states (RFC 8445 sections 5.1.1, 6.1.2.3 and 6.1.2.6)."""

from __future__ import annotations

import enum

import attrs

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate, CandidateType, candidate_priority
from twisted_sip.media.ice.turn_client import TURNClient


class PairState(enum.Enum):
    """Section 6.1.2.6."""

    FROZEN = "Frozen"
    WAITING = "Waiting"
    IN_PROGRESS = "In-Progress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@attrs.define(eq=False, slots=True)
class LocalCandidate:
    """A candidate of ours, and the way that leads over it.

    :ivar candidate: as it is told to the peer.
    :ivar base: where what is sent for it leaves (section 5.1.1); a relayed candidate is its own base.
    :ivar socket: the address of the socket that carries it; for a relayed candidate the one towards the server.
    :ivar relay: the allocation of a relayed candidate, and of a peer-reflexive one that stands on it.
    """

    candidate: Candidate
    base: Address
    socket: Address
    relay: TURNClient | None = None

    @property
    def reflexive_priority(self) -> int:
        """The priority that it would have if it were peer-reflexive (section 7.1.1)."""
        candidate = self.candidate
        local_preference = candidate.priority >> 8 & 0xFFFF
        return candidate_priority(CandidateType.PEER_REFLEXIVE, local_preference, candidate.component)


@attrs.define(eq=False, slots=True)
class CandidatePair:
    """A local and a remote candidate of one component.

    :ivar priority: see :func:`pair_priority`; changes with the role.
    :ivar nominated: the controlling agent has nominated it.
    :ivar valid: the valid pair that the check of this one produced (section 7.2.5.3.2), often another.
    :ivar origin: the pair whose check produced this valid one, None if it is its own.
    :ivar use_candidate: nominate once the check succeeds: ours (section 8.1.1) or the peer's (section 7.3.1.5).
    """

    local: LocalCandidate
    remote: Candidate
    state: PairState = PairState.FROZEN
    priority: int = 0
    nominated: bool = False
    valid: CandidatePair | None = None
    origin: CandidatePair | None = None
    use_candidate: bool = False

    @property
    def component(self) -> int:
        return self.local.candidate.component

    @property
    def foundation(self) -> tuple[str, str]:
        """Section 6.1.2.6: that of both candidates."""
        return self.local.candidate.foundation, self.remote.foundation

    def rate(self, controlling: bool) -> None:
        """Compute the priority for our role."""
        ours, theirs = self.local.candidate.priority, self.remote.priority
        self.priority = pair_priority(ours, theirs) if controlling else pair_priority(theirs, ours)


def pair_priority(controlling: int, controlled: int) -> int:
    """Return the priority of a pair from those of its candidates (section 6.1.2.3)."""
    return (min(controlling, controlled) << 32) + 2 * max(controlling, controlled) + (controlling > controlled)
