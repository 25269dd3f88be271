"""DTLS-SRTP on the sockets of one stream: an association for each port, its keys into the protection (RFC 5764).

Without multiplexing RTP and RTCP have an association each (RFC 5764 section 4.2). A new offer and answer keep those
that still fit (RFC 5763 section 6.6) and replace the others; the keys before stay in use until the new ones are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from twisted_sip.media.dtls import DTLSAssociation, DTLSKeys
from twisted_sip.media.dtls_certificate import DTLSCertificate
from twisted_sip.media.port import RTCP, RTP
from twisted_sip.media.protection import Protection
from twisted_sip.media.srtp import SRTP, SplitProtection
from twisted_sip.media.srtp_profile import SRTPProfile
from twisted_sip.sdp.fingerprint import Fingerprint
from twisted_sip.transaction.timers import Timer, TimerQueue

#: Datagrams kept that come before the answer that says whose they are (RFC 5763 section 5).
_MOST_EARLY = 8


@attrs.frozen(slots=True)
class DTLSTerms:
    """What was agreed.

    :ivar certificate: ours.
    :ivar client: we open.
    :ivar fingerprints: the peer's.
    :ivar muxed: RTP and RTCP share a port.
    :ivar ours: our address and port as the peer knows them.
    :ivar theirs: the peer's.
    """

    certificate: DTLSCertificate = attrs.field(eq=lambda one: one.fingerprint)
    client: bool
    fingerprints: tuple[Fingerprint, ...]
    muxed: bool
    ours: tuple[str, int]
    theirs: tuple[str, int]


class DTLSKeyingUser(Protocol):
    """Whose sockets they are."""

    def keying_send(self, component: int, data: bytes) -> object:
        """Send a datagram to where media of *component* go. It may be lost; it must not raise."""
        ...

    def keying_established(self, suite: str) -> object:
        """Every port has its keys."""
        ...

    def keying_failed(self, reason: str) -> object:
        """There will be no keys."""
        ...


class _Attempt:
    """The associations of one agreement: the user of each."""

    def __init__(self, keying: DTLSKeying, terms: DTLSTerms) -> None:
        self.terms = terms
        self.keys: dict[int, DTLSKeys] = {}
        self.failed = False
        self._keying = keying
        components = (RTP,) if terms.muxed else (RTP, RTCP)
        self.associations = {
            component: DTLSAssociation(
                _Component(self, component),
                keying.timers,
                terms.certificate,
                keying.profiles,
                terms.fingerprints,
                client=terms.client,
            )
            for component in components
        }

    @property
    def complete(self) -> bool:
        return self.keys.keys() == self.associations.keys()

    def send(self, component: int, data: bytes) -> None:
        self._keying.user.keying_send(component, data)

    def established(self, component: int, keys: DTLSKeys) -> None:
        self.keys[component] = keys
        self._keying.progress(self)

    def fail(self, reason: str) -> None:
        if not self.failed:
            self.failed = True
            self.close()
            self._keying.failed(self, reason)

    def start(self) -> None:
        for association in self.associations.values():
            association.start()

    def close(self, quiet: bool = True) -> None:
        for association in self.associations.values():
            association.close(quiet)


class _Component:
    """One association of an attempt: the DTLSUser."""

    def __init__(self, attempt: _Attempt, component: int) -> None:
        self._attempt = attempt
        self._component = component

    def dtls_send(self, data: bytes) -> None:
        self._attempt.send(self._component, data)

    def dtls_established(self, keys: DTLSKeys) -> None:
        self._attempt.established(self._component, keys)

    def dtls_failed(self, reason: str) -> None:
        self._attempt.fail(reason)


class DTLSKeying:
    """The DTLS of one stream.

    :ivar user: whose sockets they are.
    :ivar timers: for retransmissions.
    :ivar profiles: in order of preference.
    :ivar rtp: the protection of RTP, and of RTCP where both share a port.
    :ivar established: whether the present agreement has its keys.
    """

    def __init__(
        self,
        user: DTLSKeyingUser,
        timers: TimerQueue,
        profiles: Sequence[SRTPProfile],
        now: Callable[[], float],
    ) -> None:
        self.user = user
        self.timers = timers
        self.profiles = tuple(profiles)
        self.rtp = SRTP(now)
        self._rtcp = SRTP(now)
        self._split = SplitProtection(self.rtp, self._rtcp)
        self._attempt: _Attempt | None = None
        self._former: _Attempt | None = None
        self._early: list[tuple[int, bytes]] = []
        self._start: Timer | None = None
        self._muxed = True
        self.established = False

    @property
    def protection(self) -> Protection:
        """What protects the stream; nothing passes it before there are keys."""
        return self.rtp if self._muxed else self._split

    @property
    def client(self) -> bool | None:
        """Whether we opened what is in use, None if nothing is."""
        return None if self._attempt is None else self._attempt.terms.client

    def agree(self, terms: DTLSTerms) -> None:
        """Go by *terms*: keep the associations if they are the same, else begin anew in a moment."""
        attempt, former = self._attempt, self._former
        if attempt is not None and attempt.terms == terms and not attempt.failed:
            return
        if former is not None and former.terms == terms and former.complete:
            # A rollback: those keys are good still.
            self._attempt, self._former = former, None
            if attempt is not None:
                attempt.close()
            self.progress(former)
            return
        if attempt is not None:
            # Its keys stay good, and are needed again after a rollback.
            attempt.close()
        self._former = attempt
        self.established = False
        self._attempt = _Attempt(self, terms)
        if self._start is None:
            # Once the stream knows where its packets go.
            self._start = self.timers.start(0.0, self._begin)

    def _begin(self) -> None:
        self._start = None
        attempt = self._attempt
        early, self._early = self._early, []
        if attempt is None or attempt.failed:
            return
        attempt.start()
        for component, data in early:
            self._take(attempt, component, data)

    def _take(self, attempt: _Attempt, component: int, data: bytes) -> None:
        association = attempt.associations.get(component)
        if association is not None:
            association.datagram(data)

    def datagram(self, component: int, data: bytes) -> None:
        """Take a datagram that begins like DTLS; before there are terms a few are kept."""
        attempt = self._attempt
        if attempt is None or self._start is not None:
            if len(self._early) < _MOST_EARLY:
                self._early.append((component, data))
        else:
            self._take(attempt, component, data)

    def hasten(self) -> None:
        """There is a way to the peer now."""
        if self._attempt is not None:
            for association in self._attempt.associations.values():
                association.hasten()

    def progress(self, attempt: _Attempt) -> None:
        """An association has its keys."""
        if attempt is not self._attempt or not attempt.complete:
            return
        rtp = attempt.keys[RTP]
        rtcp = attempt.keys.get(RTCP, rtp)
        self.rtp.use(rtp.ours, rtp.theirs)
        self._rtcp.use(rtcp.ours, rtcp.theirs)
        self._muxed = attempt.terms.muxed
        self.established = True
        self.user.keying_established(rtp.ours.profile.suite)

    def failed(self, attempt: _Attempt, reason: str) -> None:
        """An association has failed."""
        if attempt is not self._attempt:
            return
        former = self._former
        if (
            former is not None
            and former.complete
            and former.terms.fingerprints == attempt.terms.fingerprints
            and not any(one.deceived for one in attempt.associations.values())
        ):
            # A peer that makes no new keys: it is the same one still, and so are the keys before.
            self._attempt, self._former = former, None
            self.progress(former)
            return
        self.user.keying_failed(reason)

    def close(self) -> None:
        """End all of it; keys stay good for what is sent last. Harmless when repeated."""
        if self._start is not None:
            self._start.cancel()
            self._start = None
        self._early.clear()
        if self._attempt is not None:
            self._attempt.close(quiet=False)
        self._attempt = self._former = None
