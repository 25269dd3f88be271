"""The DTLS association as a machine (RFC 5763, RFC 5764)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from twisted.internet.task import Clock

from twisted_sip.media.dtls import LIMIT, DTLSAssociation, DTLSKeys
from twisted_sip.media.dtls_certificate import DTLSCertificate, matches, usable
from twisted_sip.media.srtp import SRTP
from twisted_sip.media.srtp_profile import PROFILES, SRTPProfile
from twisted_sip.sdp.fingerprint import Fingerprint
from twisted_sip.transaction.timers import TimerQueue

ALL = tuple(PROFILES.values())


class End:
    """One end: a DTLSUser."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.other: End | None = None
        self.association: DTLSAssociation
        self.keys: list[DTLSKeys] = []
        self.failures: list[str] = []
        self.sent: list[bytes] = []

    def dtls_send(self, data: bytes) -> None:
        self.sent.append(data)
        if self.other is not None and not self.wire.loses(data):
            self.wire.clock.callLater(0.01, self.other.association.datagram, data)

    def dtls_established(self, keys: DTLSKeys) -> None:
        self.keys.append(keys)

    def dtls_failed(self, reason: str) -> None:
        self.failures.append(reason)


class Wire:
    """A client and a server."""

    def __init__(
        self,
        *,
        ours: tuple[SRTPProfile, ...] = ALL,
        theirs: tuple[SRTPProfile, ...] = ALL,
        told: tuple[Fingerprint, ...] | None = None,
        mtu: int = 1200,
    ) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.loses: Callable[[bytes], bool] = lambda data: False
        self.client, self.server = End(self), End(self)
        self.client.other, self.server.other = self.server, self.client
        first, second = DTLSCertificate(0.0), DTLSCertificate(1.7e9)
        known = (second.fingerprint,) if told is None else told
        self.client.association = DTLSAssociation(self.client, self.timers, first, ours, known, client=True, mtu=mtu)
        self.server.association = DTLSAssociation(
            self.server, self.timers, second, theirs, (first.fingerprint,), client=False, mtu=mtu
        )

    def start(self) -> None:
        self.server.association.start()
        self.client.association.start()

    def run(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)

    @property
    def states(self) -> tuple[str, str]:
        return self.client.association.state, self.server.association.state


@pytest.mark.parametrize("profile", ALL, ids=lambda one: one.suite)
def test_both_come_to_the_same_keys(profile: SRTPProfile) -> None:
    wire = Wire(ours=(profile,))
    wire.start()
    wire.run()
    assert wire.states == ("established", "established")
    (client,), (server,) = wire.client.keys, wire.server.keys
    assert client.ours == server.theirs and client.theirs == server.ours and client.ours != client.theirs
    assert client.ours.profile is profile and len(client.ours.key_salt) == profile.length
    assert wire.client.association.idle and wire.server.association.idle and not wire.timers.pending
    one, other = SRTP(wire.clock.seconds), SRTP(wire.clock.seconds)
    one.use(client.ours, client.theirs)
    other.use(server.ours, server.theirs)
    packet = b"\x80\x00" + bytes(30)
    assert other.unprotect_rtp(one.protect_rtp(packet) or b"") == packet


def test_a_server_takes_a_client_that_comes_early() -> None:
    wire = Wire()
    wire.client.association.start()
    wire.run()
    assert wire.states == ("established", "established")
    wire.client.association.start()
    assert wire.states[0] == "established"


@pytest.mark.parametrize("seed", range(12))
def test_lost_flights_are_sent_again(seed: int) -> None:
    wire = Wire()
    chance = random.Random(seed)
    wire.loses = lambda data: chance.random() < 0.3 and wire.clock.seconds() < 8
    wire.start()
    wire.run(LIMIT)
    assert wire.states == ("established", "established")
    assert not wire.timers.pending


@pytest.mark.parametrize("mtu", [300, 500])
def test_datagrams_are_no_longer_than_they_may_be(mtu: int) -> None:
    wire = Wire(mtu=mtu)
    wire.start()
    wire.run()
    assert wire.states == ("established", "established")
    sizes = [len(data) for data in wire.client.sent + wire.server.sent]
    assert max(sizes) <= mtu and len(sizes) > 4


def test_another_certificate_than_was_told() -> None:
    wire = Wire(told=(DTLSCertificate(0.0).fingerprint,))
    wire.start()
    wire.run()
    assert wire.states[0] == "failed" and not wire.client.keys
    assert wire.client.failures == ["the certificate is not the one whose fingerprint was told"]
    assert wire.client.association.idle
    wire.client.association.datagram(b"\x16" + bytes(20))
    assert len(wire.client.failures) == 1


def test_no_profile_in_common() -> None:
    wire = Wire(ours=ALL[:1], theirs=ALL[1:])
    wire.start()
    wire.run()
    assert wire.states == ("failed", "failed")
    assert wire.client.failures == wire.server.failures == ["no SRTP profile in common"]


def test_nobody_answers() -> None:
    wire = Wire()
    wire.client.other = None
    wire.client.association.start()
    wire.run(LIMIT + 1)
    assert wire.client.failures == ["the DTLS handshake was not finished in time"]
    # 0, 1, 3, 7, 15 and 23 seconds.
    assert len(wire.client.sent) == 6 and wire.client.association.retransmissions == 5
    assert not wire.timers.pending


def test_a_fatal_alert_ends_it() -> None:
    wire = Wire()
    wire.client.other = None
    wire.client.association.start()
    wire.client.association.datagram(bytes.fromhex("15fefd00000000000000000002 0228"))
    assert wire.client.association.state == "failed" and "handshake" in wire.client.failures[0]
    assert wire.client.association.idle


def test_rubbish_is_nothing() -> None:
    wire = Wire()
    wire.start()
    for end in (wire.client, wire.server):
        for data in (b"\x14", b"\x16" * 30, b"\x16\xfe\xfd" + bytes(10), bytes([63]) * 2000):
            end.association.datagram(data)
    wire.run(3)
    assert wire.states == ("established", "established")
    for data in (b"\x17\xfe\xfd" + bytes(50), b"\x3f"):
        wire.client.association.datagram(data)
        wire.server.association.datagram(data)
    assert wire.states == ("established", "established")


def test_the_last_flight_is_repeated_for_a_peer_that_lacks_it_but_not_without_end() -> None:
    wire = Wire()
    wire.start()
    wire.run()
    sent = len(wire.server.sent)
    for _ in range(50):
        wire.server.association.datagram(wire.client.sent[-1])
    assert sent < len(wire.server.sent) <= sent + 8 * 2
    sent = len(wire.client.sent)
    wire.client.association.datagram(wire.server.sent[-1])
    assert len(wire.client.sent) == sent


def test_a_way_that_opens_late_hastens_it() -> None:
    wire = Wire()
    wire.loses = lambda data: True
    wire.client.association.hasten()
    wire.start()
    wire.run(0.3)
    wire.loses = lambda data: False
    wire.client.association.hasten()
    wire.run(0.3)
    assert wire.states == ("established", "established")


def test_the_end() -> None:
    wire = Wire()
    wire.start()
    wire.run()
    sent = len(wire.client.sent)
    wire.client.association.close()
    assert len(wire.client.sent) == sent + 1
    wire.run()
    wire.client.association.close()
    wire.server.association.close(quiet=True)
    assert wire.states == ("closed", "closed") and len(wire.client.sent) == sent + 1
    early = Wire()
    early.client.association.start()
    early.client.association.close()
    early.run(LIMIT + 1)
    assert early.client.failures == [] and not early.timers.pending


def test_fingerprints() -> None:
    made, other = DTLSCertificate(0.0), DTLSCertificate(0.0)
    certificate = made.certificate
    weak = Fingerprint.of("sha-1", certificate.fingerprint(hashes.SHA1()))
    assert matches(certificate, [made.fingerprint]) and matches(certificate, [other.fingerprint, made.fingerprint])
    assert matches(certificate, [weak])
    # RFC 8122 section 5.1: the best hash function counts, the others prove nothing.
    assert not matches(certificate, [weak, other.fingerprint])
    assert usable([weak, made.fingerprint]) == (made.fingerprint,)
    md5 = Fingerprint.of("md5", certificate.fingerprint(hashes.MD5()))
    assert usable([md5]) == () and not matches(certificate, [md5]) and not matches(certificate, [])


def test_data_of_the_peer_is_not_kept() -> None:
    wire = Wire()
    wire.start()
    wire.run()
    client, server = wire.client.association, wire.server.association
    for _ in range(20):
        records = []
        for _ in range(8):
            client._connection.send(b"data")
            records.append(client._connection.bio_read(65536))
        server.datagram(b"".join(records))
    with pytest.raises(SSL.WantReadError):
        server._connection.recv(4096)
    # It is still there for what comes.
    client._connection.send(b"more")
    server.datagram(client._connection.bio_read(65536))
    client.close()
    wire.run(0.1)
    server.datagram(b"\x17")
    assert wire.states == ("closed", "established") and not wire.server.failures
