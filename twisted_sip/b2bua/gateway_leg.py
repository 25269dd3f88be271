"""Legs to gateways: when the next one is tried, and how many calls each carries (RFC 3261 sections 9.1 and 16.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.interfaces.routing import Failover

if TYPE_CHECKING:
    from twisted_sip.b2bua.legs import CalleeLeg
    from twisted_sip.transaction.timers import TimerQueue

_log = Logger()


class GatewayLeg:
    """One leg to one of several gateways, from the moment at which it is made."""

    def __init__(self, leg: CalleeLeg, terms: Failover, timers: TimerQueue) -> None:
        """Take a place of the gateway, and wait for its first response.

        :param leg: the leg, whose INVITE leaves now.
        """
        self._leg = leg
        self._terms = terms
        call = leg.call
        if terms.began is not None:
            terms.began(call.id)
        self._silence = timers.start(terms.no_response, self._silent) if terms.no_response else None
        call.ended.addCallback(self._over)

    def _over(self, ending: object) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._terms.ended is not None:
            self._terms.ended(self._leg.call.id)

    def _silent(self) -> None:
        """Not even a 100 (Trying): the next one is tried. Should it answer yet, it is told that it is too late."""
        self._silence = None
        leg = self._leg
        call, attempt = leg.call, leg.attempt
        if attempt is None or attempt.heard or attempt.over:
            return
        _log.info("{gateway} gives no response", gateway=self._terms.name)
        bridged, following = leg.bridged, leg.following
        leg.leave()
        if following is not None:
            leg.following = None
            following.lost(call, 408, False)
        elif bridged is not None:
            bridged.attempt_failed(call, 408, None)
        call.hangup()
