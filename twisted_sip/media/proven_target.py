"""Whether somebody is there to whom we send: an offer that names a stranger's address sends him no sound for long.

Nobody proves that the address in his description is his own. RTP or RTCP from that host is taken for the proof;
listeners who never speak send RTCP (RFC 3550 section 6.4).
"""

from __future__ import annotations


class ProvenTarget:
    """Counts the time for which was sent to hosts that nothing has come from.

    :ivar host: the host that has proved to be there, empty for none.
    """

    __slots__ = ("_here", "_left", "_patience", "_sent_to", "host")

    def __init__(self, patience: float) -> None:
        """Make one; *patience* is in seconds, 0 for sending on whatever comes."""
        self.host = ""
        self._patience = patience
        self._left = patience
        self._sent_to = ""
        self._here = 0.0

    def heard(self, host: str, target: tuple[str, int] | None) -> None:
        """A valid packet has come from *host*; we send to *target*."""
        if target is not None and host == target[0]:
            self.host = host
            if host == self._sent_to:
                self._left += self._here
                self._here = 0.0

    @property
    def patient(self) -> bool:
        """Whether to send to a host that has not proved to be there."""
        return self._left > 0 or not self._patience

    def sent(self, host: str, seconds: float) -> None:
        """So much has been sent to *host*, which has not proved to be there."""
        if host != self._sent_to:
            # What was spent on others stays spent: an offer after the other names one host and the other by turns.
            self._sent_to, self._here = host, 0.0
        self._here += seconds
        self._left -= seconds
