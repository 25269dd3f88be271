"""What an offer and its answer come to, stream by stream (RFC 3264 sections 6.1 and 7, RFC 6337 section 5)."""

from __future__ import annotations

import attrs

from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.fingerprint import Setup
from twisted_sip.sdp.media_description import MediaDescription


@attrs.frozen(slots=True)
class AgreedStream:
    """One stream as it is to be used.

    :ivar local: what we said of it.
    :ivar remote: what the peer said of it.
    :ivar offered_by_us: the offer was ours.
    """

    local: MediaDescription
    remote: MediaDescription
    offered_by_us: bool

    @property
    def kind(self) -> str:
        """The media type."""
        return self.remote.kind

    @property
    def is_active(self) -> bool:
        """Whether it is there at all: neither side has refused or removed it."""
        return bool(self.local.port and self.remote.port)

    @property
    def direction(self) -> Direction:
        """What both sides allow, as we see it: whoever says more than it may is not heard."""
        if not self.is_active:
            return Direction.INACTIVE
        agreed = self.local.direction.within(self.remote.direction.mirrored)
        return agreed.held_by_peer if self.remote.has_no_address else agreed

    @property
    def sends(self) -> bool:
        """Whether we may send media."""
        return self.direction.sends and bool(self.send_codecs or not self.remote.is_rtp)

    @property
    def receives(self) -> bool:
        """Whether media may come."""
        return self.direction.receives

    @property
    def is_held_by_peer(self) -> bool:
        """Whether the peer receives nothing, by direction or by an address of zeros (RFC 3264 section 8.4)."""
        return self.is_active and self.remote.is_held

    @property
    def is_held_by_us(self) -> bool:
        """Whether we said that we receive nothing."""
        return self.is_active and self.local.is_held

    @property
    def send_codecs(self) -> tuple[Codec, ...]:
        """What we may send, with the payload types of the peer, the best first.

        What is in the offer and in the answer, in the order of the peer (RFC 3264 sections 6.1 and 7).
        """
        ours = {codec.key for codec in self.local.codecs}
        return tuple([codec for codec in self.remote.codecs if codec.key in ours])

    @property
    def receive_codecs(self) -> tuple[Codec, ...]:
        """What may come, with our payload types."""
        return self.local.codecs

    @property
    def codec(self) -> Codec | None:
        """What we send, None where there is nothing but events and silence."""
        speech = (one for one in self.send_codecs if not one.is_telephone_event and not one.is_comfort_noise)
        return next(speech, None)

    @property
    def telephone_event(self) -> Codec | None:
        """How we send DTMF: the format with the clock rate of :attr:`codec`, or else any (RFC 4733 section 2.1)."""
        found = [one for one in self.send_codecs if one.is_telephone_event]
        rate = self.codec.clock_rate if self.codec is not None else 0
        return next((one for one in found if one.clock_rate == rate), next(iter(found), None))

    @property
    def comfort_noise(self) -> Codec | None:
        """How we send silence: with the clock rate of :attr:`codec`; None where the peer knows none (RFC 3389)."""
        rate = self.codec.clock_rate if self.codec is not None else 0
        return next((one for one in self.send_codecs if one.is_comfort_noise and one.clock_rate == rate), None)

    @property
    def ptime(self) -> float | None:
        """Milliseconds in a packet that the peer wishes to get, within its ``maxptime``, None where it says nothing."""
        wished, most = self.remote.ptime, self.remote.maxptime
        if wished is not None and most is not None:
            return min(wished, most)
        return wished

    @property
    def rtcp_mux(self) -> bool:
        """Whether RTP and RTCP share a port: both sides said so (RFC 5761 section 5.1.1)."""
        return self.local.rtcp_mux and self.remote.rtcp_mux

    @property
    def remote_address(self) -> tuple[str, int]:
        """Where RTP goes."""
        return self.remote.address, self.remote.port

    @property
    def remote_rtcp_address(self) -> tuple[str, int]:
        """Where RTCP goes; port 0 for nowhere."""
        return self.remote_address if self.rtcp_mux else self.remote.rtcp_address_unmuxed

    @property
    def crypto(self) -> tuple[Crypto, Crypto] | None:
        """Our key and that of the peer for SRTP, None where there is none (RFC 4568 section 5.1.3).

        The answer has one; the one in the offer is that with the same tag and suite.
        """
        offer, answer = (self.local, self.remote) if self.offered_by_us else (self.remote, self.local)
        chosen = next(iter(answer.crypto), None)
        if chosen is None:
            return None
        for crypto in offer.crypto:
            if crypto.tag == chosen.tag and crypto.suite.upper() == chosen.suite.upper():
                return (crypto, chosen) if self.offered_by_us else (chosen, crypto)
        return None

    @property
    def is_dtls(self) -> bool:
        """Whether keys are made by DTLS: both sides have told fingerprints, and there is no other key (RFC 5763)."""
        return bool(self.local.fingerprints and self.remote.fingerprints) and self.crypto is None

    @property
    def dtls_client(self) -> bool:
        """Whether we open the DTLS association: we are active (RFC 5763 section 5)."""
        answer = self.remote if self.offered_by_us else self.local
        answers_actively = (answer.setup or Setup.ACTIVE) is Setup.ACTIVE
        return answers_actively is not self.offered_by_us

    @property
    def is_ice(self) -> bool:
        """Whether both sides do ICE, and neither has given it up (RFC 8839 section 4.2.5)."""
        both = (self.local, self.remote)
        return all(one.ice_ufrag and one.ice_pwd and not one.ice_mismatch for one in both)


def agreed_streams(
    local: SessionDescription, remote: SessionDescription, *, offered_by_us: bool
) -> tuple[AgreedStream, ...]:
    """Return what two descriptions come to, one for each slot."""
    pairs = zip(local.media, remote.media, strict=False)
    return tuple([AgreedStream(own, theirs, offered_by_us) for own, theirs in pairs])
