"""The checklist of one stream: pairs in order, triggered-check queue and valid list (RFC 8445 section 6.1)."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterable

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.candidate import Candidate, CandidateType
from twisted_sip.media.ice.pair import CandidatePair, LocalCandidate, PairState

_ENDED = (PairState.SUCCEEDED, PairState.FAILED)
_RUNS = (PairState.WAITING, PairState.IN_PROGRESS)
_SPARE = (PairState.FROZEN, PairState.WAITING, PairState.FAILED)


class Checklist:
    """Pairs are unique by component, base and remote address (section 6.1.2.4).

    :ivar limit: how many pairs there may be (section 6.1.2.5).
    :ivar pairs: in decreasing order of priority.
    :ivar valid: pairs that were checked with success.
    """

    def __init__(self, limit: int, controlling: bool) -> None:
        self.limit = limit
        self._controlling = controlling
        self.pairs: list[CandidatePair] = []
        self.triggered: deque[CandidatePair] = deque()
        self.valid: list[CandidatePair] = []

    def form(self, local: Iterable[LocalCandidate], remote: Iterable[Candidate]) -> None:
        """Add the pairs of these candidates that are not there yet (section 6.1.2.2)."""
        remotes = list(remote)
        for ours in local:
            # Section 6.1.2.4: a reflexive candidate is replaced by its base, whose own pair has a higher priority.
            if ours.candidate.kind not in (CandidateType.HOST, CandidateType.RELAYED):
                continue
            for theirs in remotes:
                if _fits(ours.candidate, theirs) and self.find(ours, theirs.address) is None:
                    pair = CandidatePair(ours, theirs)
                    pair.rate(self._controlling)
                    self.pairs.append(pair)
        self._sort()
        # Section 6.1.2.5.
        del self.pairs[self.limit :]

    def insert(self, local: LocalCandidate, remote: Candidate) -> CandidatePair | None:
        """Add a pair for a triggered check (section 7.3.1.4); None if the list is full of better things."""
        if len(self.pairs) >= self.limit:
            spare = next((pair for pair in reversed(self.pairs) if pair.state in _SPARE), None)
            if spare is None:
                return None
            self._remove([spare])
        pair = CandidatePair(local, remote, PairState.WAITING)
        pair.rate(self._controlling)
        self.pairs.append(pair)
        self._sort()
        return pair

    def find(self, local: LocalCandidate, remote: Address) -> CandidatePair | None:
        """Return the pair whose checks go from the base of *local* to *remote*."""
        component = local.candidate.component
        for pair in self.pairs:
            if pair.remote.address == remote and pair.local.base == local.base and pair.component == component:
                return pair
        return None

    def trigger(self, pair: CandidatePair) -> None:
        """Put *pair* into the triggered-check queue unless it is there, and into Waiting (section 6.1.4.1)."""
        pair.state = PairState.WAITING
        if pair not in self.triggered:
            self.triggered.append(pair)

    def next_check(self, running: set[tuple[str, str]]) -> CandidatePair | None:
        """Return the pair to check now (section 6.1.4.2), None if there is none; its state is not changed.

        :param running: foundations of pairs that are Waiting or In-Progress in any checklist.
        """
        triggered = self.next_triggered()
        if triggered is not None:
            return triggered
        waiting = self._waiting()
        if waiting is None:
            seen = set(running)
            for pair in self.pairs:
                if pair.state is PairState.FROZEN and pair.foundation not in seen:
                    pair.state = PairState.WAITING
                    seen.add(pair.foundation)
            waiting = self._waiting()
        return waiting

    def next_triggered(self) -> CandidatePair | None:
        """Take the first pair out of the triggered-check queue."""
        return self.triggered.popleft() if self.triggered else None

    def forget_trigger(self, pair: CandidatePair) -> None:
        """*pair* needs no more check."""
        if pair in self.triggered:
            self.triggered.remove(pair)

    def invalidate(self, pair: CandidatePair) -> None:
        """*pair* is not valid any more (section 7.2.5.3.4)."""
        pair.state = PairState.FAILED
        self.valid = [known for known in self.valid if known is not pair]

    def remove_component(self, component: int) -> None:
        """Drop everything about a component that there is not."""
        self._remove([pair for pair in self.pairs if pair.component == component])
        self.valid = [pair for pair in self.valid if pair.component != component]

    def unfreeze_first(self, seen: set[tuple[str, str]]) -> None:
        """Put the first pair of each foundation that is not yet *seen* into Waiting (section 6.1.2.6 step 4)."""
        for pair in sorted(self.pairs, key=lambda each: (each.component, -each.priority)):
            if pair.foundation not in seen:
                seen.add(pair.foundation)
                if pair.state is PairState.FROZEN:
                    pair.state = PairState.WAITING

    def unfreeze(self, foundation: tuple[str, str]) -> None:
        """Put all Frozen pairs of *foundation* into Waiting (section 7.2.5.3.3)."""
        for pair in self.pairs:
            if pair.state is PairState.FROZEN and pair.foundation == foundation:
                pair.state = PairState.WAITING

    def conclude(self, component: int, keep: CandidatePair) -> list[CandidatePair]:
        """Remove the pairs of *component* but for *keep* (section 8.1.2) and return them."""
        gone = [pair for pair in self.pairs if pair.component == component and pair is not keep]
        self._remove(gone)
        return gone

    def rate(self, controlling: bool) -> None:
        """The role has changed (section 7.3.1.1)."""
        self._controlling = controlling
        for pair in (*self.pairs, *self.valid):
            pair.rate(controlling)
        self._sort()

    def best_valid(self, component: int) -> CandidatePair | None:
        """Return the valid pair of *component* with the highest priority."""
        return max(
            (pair for pair in self.valid if pair.component == component), key=lambda pair: pair.priority, default=None
        )

    def better_to_come(self, pair: CandidatePair) -> bool:
        """Tell whether a check that has not ended might give something better than the valid *pair*."""
        return any(
            other.component == pair.component and other.priority > pair.priority and other.state not in _ENDED
            for other in self.pairs
        )

    def hopeless(self, component: int) -> bool:
        """Tell whether no check of *component* can succeed any more: then the checklist fails (section 6.1.2.1)."""
        return all(pair.state in _ENDED for pair in self.pairs if pair.component == component)

    @property
    def running(self) -> list[CandidatePair]:
        """The pairs that are Waiting or In-Progress."""
        return [pair for pair in self.pairs if pair.state in _RUNS]

    def _waiting(self) -> CandidatePair | None:
        return next((pair for pair in self.pairs if pair.state is PairState.WAITING), None)

    def _sort(self) -> None:
        self.pairs.sort(key=lambda pair: (-pair.priority, pair.component))

    def _remove(self, gone: list[CandidatePair]) -> None:
        self.pairs = [pair for pair in self.pairs if pair not in gone]
        self.triggered = deque(pair for pair in self.triggered if pair not in gone)


def _fits(ours: Candidate, theirs: Candidate) -> bool:
    """Tell whether two candidates may be paired (section 6.1.2.2)."""
    if ours.component != theirs.component:
        return False
    one, other = (ipaddress.ip_address(each.address.host.partition("%")[0]) for each in (ours, theirs))
    if one.version != other.version:
        return False
    return one.version == 4 or one.is_link_local == other.is_link_local
