"""RTCP of one RTP session: what we report, and what the reports of the peer say (RFC 3550 sections 6.3 and 6.4).

Sans-I/O: :meth:`RTCPSession.poll` gives what is to be sent. The wall clock of NTP timestamps is passed in as a time.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.media.rtcp import (
    CNAME,
    Bye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    compound,
    parse_compound,
)
from twisted_sip.media.rtcp_timing import RTCPTiming
from twisted_sip.media.rtp_receiver import RTPReceiver

#: Seconds from 1900 to 1970 (section 4).
_NTP_EPOCH = 2_208_988_800

#: UDP and IPv4 headers, which count for the bandwidth (section 6.2).
OVERHEAD = 28

#: A round trip beyond this, in seconds, is a clock gone wrong or a lie.
_MOST_ROUND_TRIP = 30.0


def ntp_time(seconds: float) -> int:
    """Return the 64-bit NTP timestamp of *seconds* since 1970 (section 4)."""
    return int((seconds + _NTP_EPOCH) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


class RTCPSession:
    """The RTCP of one stream.

    :ivar ssrc: ours.
    :ivar round_trip: seconds, None before it is known (section 6.4.1).
    :ivar remote_fraction_lost: what the peer last reported lost of ours, 0.0 to 1.0; None before.
    :ivar remote_lost: the same as a cumulative number.
    :ivar remote_jitter: in units of our RTP clock; None before.
    :ivar remote_cname: the canonical name of the peer, empty before it is known.
    :ivar malformed: datagrams that were no RTCP (appendix A.2).
    :ivar reports_received: compounds that were read.
    :ivar heard_at: when the last one was, in seconds; None before.
    """

    def __init__(
        self,
        ssrc: int,
        cname: str,
        receiver: RTPReceiver,
        *,
        now: float,
        bandwidth: float,
        random: Callable[[], float],
    ) -> None:
        """Join.

        :param cname: our canonical name (section 6.5.1).
        :param receiver: what is reported on.
        :param now: the time in seconds since 1970.
        :param bandwidth: of the session in octets per second.
        :param random: gives numbers from 0.0 to 1.0, uniformly.
        """
        self.ssrc = ssrc
        self._cname = cname
        self._receiver = receiver
        self._timing = RTCPTiming(bandwidth, now, random)
        self._sr_at: dict[int, float] = {}
        self._last_sr: dict[int, int] = {}
        self._spoken = False
        self.due_at = self._timing.tn
        self.packets = 0
        self.octets = 0
        self.round_trip: float | None = None
        self.remote_fraction_lost: float | None = None
        self.remote_lost = 0
        self.remote_jitter: int | None = None
        self.remote_cname = ""
        self.malformed = 0
        self.reports_received = 0
        self.heard_at: float | None = None
        self.collided = False

    @property
    def timing(self) -> RTCPTiming:
        """When reports are due."""
        return self._timing

    # -- outwards --------------------------------------------------------------------------------

    def data_sent(self, octets: int, now: float) -> None:
        """We have sent an RTP packet with *octets* of payload."""
        self.packets += 1
        self.octets += octets
        self._timing.data_sent(now)

    def poll(self, now: float, rtp_timestamp: int) -> bytes | None:
        """Return the compound that is to be sent now, None if none is due yet.

        :param rtp_timestamp: of this moment on the clock of our stream, for the SR.
        """
        if now < self.due_at:
            return None
        source = self._receiver.current
        if source is not None and source.heard_at > now - 10.0:
            self._timing.data_received(source.ssrc, source.heard_at)
        if not self._timing.due(now):
            self.due_at = self._timing.tn
            return None
        data = self.report(now, rtp_timestamp)
        self._timing.sent(len(data) + OVERHEAD, now)
        self.due_at = self._timing.tn
        return data

    def report(self, now: float, rtp_timestamp: int, bye: str | None = None) -> bytes:
        """Return a compound: SR or RR, SDES with the CNAME, and BYE with that reason if one is given (section 6.1)."""
        blocks = self._blocks(now)
        self._spoken = True
        first: SenderReport | ReceiverReport
        if self._timing.we_sent:
            first = SenderReport(
                self.ssrc, ntp_time(now), rtp_timestamp & 0xFFFFFFFF, self.packets, self.octets, blocks
            )
        else:
            first = ReceiverReport(self.ssrc, blocks)
        packets = [first, SourceDescription(self.ssrc, ((CNAME, self._cname),))]
        return compound(packets if bye is None else (*packets, Bye((self.ssrc,), bye)))

    def bye(self, now: float, rtp_timestamp: int, reason: str = "") -> bytes | None:
        """Return the compound to leave with, None if nothing was ever sent (section 6.3.7).

        With fifty members and more it would have to wait; who leaves so large a session here leaves without BYE.
        """
        if not (self._spoken or self.packets) or not self._timing.leave(80, now):
            return None
        return self.report(now, rtp_timestamp, reason)

    def _blocks(self, now: float) -> tuple[ReportBlock, ...]:
        source = self._receiver.current
        # A report is on sources heard since the last one (section 6.4).
        if source is None or source.received == source.received_prior:
            return ()
        ssrc = source.ssrc
        heard = self._sr_at.get(ssrc)
        delay = 0 if heard is None else int((now - heard) * 65536)
        return (
            ReportBlock(
                ssrc,
                source.fraction_lost(),
                source.lost,
                source.extended_max,
                int(source.jitter),
                self._last_sr.get(ssrc, 0),
                delay,
            ),
        )

    # -- inwards ---------------------------------------------------------------------------------

    def received(self, data: bytes, now: float) -> None:
        """Take one datagram of the peer; what is malformed is counted."""
        try:
            packets = parse_compound(data)
        except RemoteProtocolError:
            self.malformed += 1
            return
        self.reports_received += 1
        self.heard_at = now
        size = len(data) + OVERHEAD
        for packet in packets:
            if isinstance(packet, Bye):
                for ssrc in packet.ssrcs:
                    if ssrc == self.ssrc:
                        continue
                    self._timing.bye_received(ssrc, size, now)
                    self._receiver.bye(ssrc)
                    self._sr_at.pop(ssrc, None)
                    self._last_sr.pop(ssrc, None)
                self.due_at = self._timing.tn
            elif packet.ssrc == self.ssrc:
                # Section 8.2: somebody else has our identifier, or this is our own.
                self.collided = True
            elif isinstance(packet, SourceDescription):
                self.remote_cname = packet.cname or self.remote_cname
            else:
                self._report(packet, size, now)

    def _report(self, packet: SenderReport | ReceiverReport, size: int, now: float) -> None:
        self._timing.report_received(packet.ssrc, size, now)
        if isinstance(packet, SenderReport):
            if len(self._sr_at) >= 8 and packet.ssrc not in self._sr_at:
                self._sr_at.clear()
                self._last_sr.clear()
            self._sr_at[packet.ssrc] = now
            self._last_sr[packet.ssrc] = packet.ntp >> 16 & 0xFFFFFFFF
        for block in packet.blocks:
            if block.ssrc != self.ssrc:
                continue
            self.remote_fraction_lost = block.fraction_lost / 256
            self.remote_lost = block.lost
            self.remote_jitter = block.jitter
            if block.last_sr:
                # Section 6.4.1, figure 2: A - LSR - DLSR, in 65536ths.
                middle = ntp_time(now) >> 16 & 0xFFFFFFFF
                trip = ((middle - block.last_sr - block.delay) & 0xFFFFFFFF) / 65536
                if trip < _MOST_ROUND_TRIP:
                    self.round_trip = trip
                elif trip > 65536 - 1:
                    # Clocks tick in steps: a hair below nothing is nothing.
                    self.round_trip = 0.0

    def change_ssrc(self, ssrc: int) -> None:
        """Go on under another identifier (section 8.2)."""
        self.ssrc = ssrc
        self.collided = False
        self.packets = 0
        self.octets = 0
