"""Symmetric RTP: whom to believe (RFC 4961)."""

from twisted_sip.media.latch import Latch

TOLD, NAT, THIEF = ("192.0.2.9", 4000), ("203.0.113.5", 61000), ("198.51.100.66", 9)


def test_the_told_address_is_believed():
    latch = Latch()
    latch.tell(TOLD)
    assert latch.accepts(TOLD, 0.0) and latch.target == TOLD and latch.moves == 0


def test_behind_a_nat_the_first_source_is_followed_and_no_other():
    latch = Latch()
    latch.tell(TOLD)
    assert latch.accepts(NAT, 0.0) and latch.target == NAT
    assert not latch.accepts(THIEF, 0.5)
    assert latch.target == NAT and latch.refused == 1


def test_the_told_address_takes_over_from_a_thief_who_was_first():
    latch = Latch()
    latch.tell(TOLD)
    latch.accepts(THIEF, 0.0)
    assert latch.accepts(TOLD, 0.01) and latch.target == TOLD and latch.moves == 1
    assert not latch.accepts(THIEF, 0.02)


def test_after_long_silence_another_source_is_followed():
    latch = Latch(relatch=2.0)
    latch.tell(TOLD)
    latch.accepts(NAT, 0.0)
    assert not latch.accepts(THIEF, 1.9)
    assert latch.accepts(("203.0.113.5", 62000), 2.0) and latch.moves == 1


def test_a_new_offer_lets_the_peer_move():
    latch = Latch()
    latch.tell(TOLD)
    latch.accepts(NAT, 0.0)
    latch.tell(TOLD)
    assert latch.target == NAT
    latch.renew()
    assert latch.accepts(("203.0.113.5", 62000), 0.1)
    latch.tell(("192.0.2.10", 1))
    assert latch.target == ("192.0.2.10", 1) and latch.latched is None


def test_nothing_is_sent_where_nobody_listens():
    latch = Latch()
    latch.tell(None)
    assert latch.accepts(NAT, 0.0) and latch.target is None
    latch.tell(None)
    assert latch.target is None
    latch.tell(None, follow=True)
    assert latch.accepts(NAT, 0.0)
    assert latch.target == NAT
    latch.renew()
    assert latch.accepts(THIEF, 0.1) and latch.target == THIEF


def test_without_symmetry_the_description_alone_counts():
    latch = Latch(symmetric=False)
    assert not latch.accepts(TOLD, 0.0)
    latch.tell(TOLD)
    assert latch.accepts((TOLD[0], 5), 0.0) and latch.target == TOLD
    assert latch.accepts(TOLD, 0.0)
    assert not latch.accepts(NAT, 0.0) and latch.refused == 2


def test_where_others_prove_who_it_is_everybody_is_taken_and_nobody_followed():
    latch = Latch()
    latch.tell(TOLD)
    latch.open = True
    assert latch.accepts(THIEF, 0.0) and latch.target == TOLD and latch.latched is None


def test_another_host_has_to_insist():
    latch = Latch(relatch=2.0)
    latch.tell(TOLD)
    latch.accepts(NAT, 0.0)
    assert not latch.accepts(THIEF, 2.0) and not latch.accepts(THIEF, 9.9)
    assert not any(latch.accepts(THIEF, 10.0 + number / 50) for number in range(4))
    assert not latch.accepts(("198.51.100.67", 9), 10.1)
    assert not any(latch.accepts(THIEF, 11.0 + number / 50) for number in range(4))
    # The peer speaks again.
    assert latch.accepts(NAT, 11.5) and latch.target == NAT
    assert not latch.accepts(THIEF, 11.6)
    assert [latch.accepts(THIEF, 21.5 + number / 50) for number in range(5)] == [False] * 4 + [True]
    assert latch.target == THIEF and latch.moves == 1
