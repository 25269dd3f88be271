"""An offer that names a stranger's address does not have us send to him for long."""

import attrs
import pytest

from twisted_sip.media.proven_target import ProvenTarget
from twisted_sip.media.tones import tone
from twisted_sip.sdp.description import SessionDescription

OFFER = """v=0
o=- 1 {version} IN IP4 192.0.2.1
s=-
c=IN IP4 {host}
t=0 0
m=audio 4000 RTP/AVP 0
"""


def _offer(host, version=1):
    return SessionDescription.parse(OFFER.format(host=host, version=version))


@pytest.fixture
def to_victim(pair):
    """Packets that go to a host that never sends."""
    seen = []
    pair.network.bind("203.0.113.66", 4000, lambda data, source: seen.append(pair.clock.seconds()))
    return seen


def test_nothing_is_sent_for_long_to_who_never_sends(pair, to_victim):
    pair.b.answer(_offer("203.0.113.66"))
    pair.b.play(tone("dial"))
    pair.run(9)
    before = len(to_victim)
    assert before > 440
    pair.run(20)
    assert len(to_victim) <= before + 55
    pair.network.sockets.pop(("203.0.113.66", 4000)).close()


def test_further_offers_do_not_make_it_longer(pair, to_victim):
    own = []
    mine = pair.network.bind("192.0.2.77", 4000, lambda data, source: own.append(data))
    port = pair.b.answer(_offer("203.0.113.66")).media[0].port
    pair.b.play(tone("dial"))
    for version in range(2, 10):
        pair.run(4)
        victim = version % 2
        pair.b.answer(_offer("203.0.113.66" if victim else "192.0.2.77", version))
        if not victim:
            mine.send(bytes.fromhex("80000001000000a000000007") + bytes(160), ("192.0.2.2", port))
    assert len(to_victim) <= 520
    assert len(own) > 600
    mine.close()
    pair.network.sockets.pop(("203.0.113.66", 4000)).close()


def test_listeners_who_send_rtcp_alone_are_heard_out(pair):
    pair.agree()
    pair.b.play(tone("dial"))
    # Nothing but RTCP comes back.
    stream = pair.a._stream
    stream.terms = attrs.evolve(stream.terms, sends=False)
    pair.run(30)
    assert pair.a.statistics().packets_received > 1400
    assert pair.b.statistics().packets_received == 0


def test_what_a_proof_gives_back():
    proof = ProvenTarget(1.0)
    proof.sent("a", 0.75)
    proof.heard("b", ("a", 1))
    proof.heard("a", None)
    assert proof.host == "" and proof.patient
    proof.heard("a", ("a", 1))
    assert proof.host == "a"
    proof.sent("b", 0.75)
    assert proof.patient
    proof.sent("b", 0.25)
    assert not proof.patient
    proof.sent("c", 0.25)
    proof.heard("c", ("c", 1))
    assert proof.host == "c" and not proof.patient


def test_patience_without_end():
    proof = ProvenTarget(0.0)
    proof.sent("a", 1000.0)
    assert proof.patient
