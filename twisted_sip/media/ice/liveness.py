"""Keeping a selected pair alive, and asking whether the peer still consents (RFC 8445 section 11, RFC 7675)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.binding_check import keepalive
from twisted_sip.media.ice.pair import CandidatePair, LocalCandidate
from twisted_sip.transaction.timers import Timer

if TYPE_CHECKING:
    from twisted_sip.media.ice.session import ICESession


class Liveness:
    """Of one selected pair.

    Consent checks are not retransmitted: each has its own transaction ID, and any authentic answer renews consent.
    """

    def __init__(self, session: ICESession, pair: CandidatePair, *, consent: bool) -> None:
        self._session = session
        self._agent = session.stream.agent
        self._consent = consent
        self._asked: deque[bytes] = deque(maxlen=16)
        self._until = 0.0
        self._sent_at = self._agent.timers.now()
        self._timer: Timer | None = None
        self.pair = pair

    def start(self) -> None:
        self._until = self._agent.timers.now() + self._agent.settings.consent_timeout
        self._sent_at = self._agent.timers.now()
        self._arm()

    def stop(self) -> None:
        self._asked.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sent(self) -> None:
        """Something went out over the pair: no keep-alive is due for a while."""
        self._sent_at = self._agent.timers.now()

    def asked(self, transaction_id: bytes) -> bool:
        """Tell whether a consent check has this transaction ID."""
        return transaction_id in self._asked

    def answered(self, local: LocalCandidate, source: Address) -> None:
        """An authentic answer came to one of our checks; it counts if it came the way the check went."""
        if source == self.pair.remote.address and local.base == self.pair.local.base:
            self._until = self._agent.timers.now() + self._agent.settings.consent_timeout

    # -- timer ---------------------------------------------------------------------------

    def _arm(self) -> None:
        settings = self._agent.settings
        if self._consent:
            # From 0.8 to 1.2 of the interval, so that the checks of many streams do not go out together.
            spread = self._agent.random_bytes(1)[0] * 0.4 / 255
            delay = settings.consent_interval * round(0.8 + spread, 2)
            self._timer = self._agent.timers.start(delay, self._check)
        else:
            rest = self._sent_at + settings.keepalive - self._agent.timers.now()
            self._timer = self._agent.timers.start(max(rest, 1.0), self._keep)

    def _check(self) -> None:
        self._timer = None
        if self._agent.timers.now() >= self._until:
            self._session.fail("consent to send has expired")
            return
        transaction_id = self._agent.random_bytes(12)
        self._asked.append(transaction_id)
        self._arm()
        # It keeps the NAT's binding as well: no indication is needed besides.
        self._session.transmit(
            self.pair.local, self.pair.remote.address, self._session.check(transaction_id, self.pair)
        )

    def _keep(self) -> None:
        self._timer = None
        if self._agent.timers.now() - self._sent_at >= self._agent.settings.keepalive:
            self._sent_at = self._agent.timers.now()
            self._session.transmit(self.pair.local, self.pair.remote.address, keepalive(self._agent.random_bytes(12)))
        self._arm()
