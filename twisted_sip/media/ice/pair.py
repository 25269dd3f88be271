"""Candidate pairs and their states (RFC 8445 sections 6.1.2.3 and 6.1.2.6)."""

from __future__ import annotations

import enum

import attrs

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate


class PairState(enum.Enum):
    """Section 6.1.2.6."""

    FROZEN = "Frozen"
    WAITING = "Waiting"
    IN_PROGRESS = "In-Progress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@attrs.define(eq=False, slots=True)
class LocalCandidate:
    """A candidate of ours, and the socket behind it.

    :ivar candidate: as it is told to the peer.
    :ivar base: where what is sent for it leaves (section 5.1.1); a relayed candidate is its own base.
    :ivar socket: the address of the socket that carries it; for a relayed candidate the one towards the server.
    """

    candidate: Candidate
    base: Address
    socket: Address


@attrs.define(eq=False, slots=True)
class CandidatePair:
    """A local and a remote candidate of one component.

    :ivar nominated: the controlling agent has nominated it.
    """

    local: LocalCandidate
    remote: Candidate
    state: PairState = PairState.FROZEN
    nominated: bool = False

    @property
    def component(self) -> int:
        return self.local.candidate.component


def pair_priority(controlling: int, controlled: int) -> int:
    """Return the priority of a pair from those of its candidates (section 6.1.2.3)."""
    return (min(controlling, controlled) << 32) + 2 * max(controlling, controlled) + (controlling > controlled)
