"""SRTP and SRTCP (RFC 3711, RFC 7714), done by pylibsrtp: contexts, their replacement, replay, what is refused.

The library is an extra: ``pip install twisted-sip[srtp]``. Sending and receiving have contexts of their own: one key
may change without the other, and the index of a key must never go back (RFC 3711 section 9.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from twisted_sip.errors import MissingExtra
from twisted_sip.media.srtp_profile import MasterKey

#: Sources under one key. Only the peer, who has the key, can bring them up.
_MOST_SOURCES = 32

#: Keys of ours that are remembered: one for each suite, and those before they were renewed.
_MOST_KEYS = 16

#: Seconds for which packets under the last key are still taken (RFC 4568 section 7.1.4, RFC 5764 section 4.3).
OVERLAP = 10.0

#: Octets of the least SRTP packet: a header; of SRTCP: a header and the index.
_LEAST_RTP, _LEAST_RTCP = 12, 12


def srtp_library() -> Any:
    """Return the module pylibsrtp.

    :raises MissingExtra: it is not installed; names the extra.
    """
    try:
        import pylibsrtp
    except ImportError:
        raise MissingExtra("SRTP", "srtp") from None
    return pylibsrtp


class SendingContext:
    """Protects under one key.

    :ivar rtp: packets protected.
    :ivar rtcp: compounds protected.
    :ivar failed: packets that could not be: too long, no packets at all, or the key is used up.
    """

    def __init__(self, key: MasterKey) -> None:
        """Make one.

        :raises MissingExtra: there is no library.
        """
        library = srtp_library()
        policy = library.Policy
        self._error = library.Error
        profile = getattr(policy, key.profile.library)
        self._session = library.Session(policy(key.key_salt, policy.SSRC_ANY_OUTBOUND, 0, profile))
        self.key = key
        self.rtp = 0
        self.rtcp = 0
        self.failed = 0

    def protect_rtp(self, data: bytes) -> bytes | None:
        """Return an SRTP packet, None where there can be none."""
        key = self.key
        try:
            if self.rtp >= key.lifetime:
                raise ValueError("the key is used up")
            made: bytes = self._session.protect(data)
        except (self._error, ValueError):
            self.failed += 1
            return None
        self.rtp += 1
        return _with_mki(made, key.mki, key.profile.rtp_tag) if key.mki else made

    def protect_rtcp(self, data: bytes) -> bytes | None:
        """Return an SRTCP compound, None where there can be none."""
        key = self.key
        try:
            if self.rtcp >= key.lifetime:
                raise ValueError("the key is used up")
            made: bytes = self._session.protect_rtcp(data)
        except (self._error, ValueError):
            self.failed += 1
            return None
        self.rtcp += 1
        return _with_mki(made, key.mki, key.profile.rtcp_tag) if key.mki else made


class ReceivingContext:
    """Opens what is protected under one key.

    :ivar replayed: packets that came before, or are too old to tell (RFC 3711 section 3.3.2).
    :ivar forged: packets that are not of who has the key.
    """

    def __init__(self, key: MasterKey) -> None:
        """Make one.

        :raises MissingExtra: there is no library.
        """
        library = srtp_library()
        policy = library.Policy
        self._error = library.Error
        profile = getattr(policy, key.profile.library)
        self._session = library.Session(policy(key.key_salt, policy.SSRC_ANY_INBOUND, 0, profile))
        self.key = key
        self._sources: set[bytes] = set()
        self._taken = {False: 0, True: 0}
        self.replayed = 0
        self.forged = 0

    def open(self, data: bytes, rtcp: bool) -> bytes | None:
        """Return the packet inside, None if there is none to be trusted."""
        key = self.key
        source = data[4:8] if rtcp else data[8:12]
        known = source in self._sources
        tag = key.profile.rtcp_tag if rtcp else key.profile.rtp_tag
        bare = _without_mki(data, key.mki, tag) if key.mki else data
        # RFC 4568 section 6.4.1: a source counts once one of its packets was authentic.
        if (
            bare is None
            or len(bare) < (_LEAST_RTCP if rtcp else _LEAST_RTP)
            or self._taken[rtcp] >= key.lifetime
            or (not known and len(self._sources) >= _MOST_SOURCES)
        ):
            self.forged += 1
            return None
        try:
            made: bytes = self._session.unprotect_rtcp(bare) if rtcp else self._session.unprotect(bare)
        except self._error as error:
            if "replay" in str(error):
                self.replayed += 1
            else:
                self.forged += 1
            return None
        except ValueError:
            self.forged += 1
            return None
        self._taken[rtcp] += 1
        if not known:
            self._sources.add(source)
        return made


def _with_mki(data: bytes, mki: bytes, tag: int) -> bytes:
    place = len(data) - tag
    return data[:place] + mki + data[place:]


def _without_mki(data: bytes, mki: bytes, tag: int) -> bytes | None:
    end = len(data) - tag
    begin = end - len(mki)
    if begin < 0 or data[begin:end] != mki:
        return None
    return data[:begin] + data[end:]


@attrs.define(slots=True)
class _Former:
    """A context that was replaced, and until when its packets are taken."""

    context: ReceivingContext
    until: float


class SRTP:
    """The protection of one stream (see Protection): contexts of both directions. Without keys nothing passes.

    :ivar sending: what protects, None before there is a key.
    :ivar receiving: what opens, None before there is a key.
    :ivar keyless: packets dropped for want of a key.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Make one without keys.

        :param now: the time in seconds.
        """
        self._now = now
        self.sending: SendingContext | None = None
        self.receiving: ReceivingContext | None = None
        self._used: dict[MasterKey, SendingContext] = {}
        self._former: _Former | None = None
        self.keyless = 0
        self._replayed = 0
        self._forged = 0

    def use(self, ours: MasterKey, theirs: MasterKey) -> None:
        """Protect with *ours* and open with *theirs* from now on; what is under the key before is taken for a while.

        A key that was in use goes on where it was: after a rollback, or when other forks, or other suites, had their
        turn in between (RFC 3711 section 9.1).

        :raises MissingExtra: there is no library.
        """
        if self.sending is None or self.sending.key != ours:
            again = self._used.pop(ours, None) or SendingContext(ours)
            self.sending = self._used[ours] = again
            if len(self._used) > _MOST_KEYS:
                del self._used[next(iter(self._used))]
        receiving, before = self.receiving, self._former
        if receiving is None or receiving.key != theirs:
            if before is not None and before.context.key == theirs:
                opens = before.context
            else:
                if before is not None:
                    self._count(before.context)
                opens = ReceivingContext(theirs)
            self.receiving = opens
            self._former = None if receiving is None else _Former(receiving, self._now() + OVERLAP)

    def _count(self, gone: ReceivingContext) -> None:
        self._replayed += gone.replayed
        self._forged += gone.forged

    @property
    def profile(self) -> str:
        """The suite in use, empty before there is one."""
        return "" if self.sending is None else self.sending.key.profile.suite

    @property
    def replayed(self) -> int:
        """Packets that came before."""
        return self._replayed + sum(one.replayed for one in self._contexts())

    @property
    def forged(self) -> int:
        """Packets that are not of the peer, under none of the keys."""
        return self._forged + (0 if self.receiving is None else self.receiving.forged)

    def _contexts(self) -> list[ReceivingContext]:
        former = [] if self._former is None else [self._former.context]
        return former if self.receiving is None else [self.receiving, *former]

    def protect_rtp(self, data: bytes) -> bytes | None:
        """See Protection."""
        if self.sending is None:
            self.keyless += 1
            return None
        return self.sending.protect_rtp(data)

    def protect_rtcp(self, data: bytes) -> bytes | None:
        """See Protection."""
        if self.sending is None:
            self.keyless += 1
            return None
        return self.sending.protect_rtcp(data)

    def unprotect_rtp(self, data: bytes) -> bytes | None:
        """See Protection."""
        return self._open(data, False)

    def unprotect_rtcp(self, data: bytes) -> bytes | None:
        """See Protection."""
        return self._open(data, True)

    def _open(self, data: bytes, rtcp: bool) -> bytes | None:
        receiving = self.receiving
        if receiving is None:
            self.keyless += 1
            return None
        forged = receiving.forged
        opened = receiving.open(data, rtcp)
        former = self._former
        if opened is not None or former is None or receiving.forged == forged:
            return opened
        if self._now() >= former.until:
            return None
        before = former.context.forged
        opened = former.context.open(data, rtcp)
        if former.context.forged == before:
            # Of the peer after all, new or a replay: no forgery.
            receiving.forged = forged
        return opened


class SplitProtection:
    """RTP and RTCP under different keys: each port has an association of its own (RFC 5764 section 4.2)."""

    def __init__(self, rtp: SRTP, rtcp: SRTP) -> None:
        self.protect_rtp = rtp.protect_rtp
        self.unprotect_rtp = rtp.unprotect_rtp
        self.protect_rtcp = rtcp.protect_rtcp
        self.unprotect_rtcp = rtcp.unprotect_rtcp
