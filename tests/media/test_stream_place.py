"""A peer that wants its media by the other version of IP (RFC 3264 section 8.3.1)."""

import pytest
from twisted.internet.defer import Deferred, fail

from twisted_sip.errors import MediaRefused
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.testing.media_network import MediaNetwork


def sdp(address, version=1, media="m=audio 4000 RTP/AVP 0\r\n"):
    family = "IP6" if ":" in address else "IP4"
    return SessionDescription.parse(
        f"v=0\r\no=- 1 {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n{media}"
    )


FOUR, SIX = "192.0.2.9", "2001:db8::9"


class House:
    """One that has both, and asks which."""

    def __init__(self, clock, **settings):
        self.network = MediaNetwork(clock)
        self.six = self.network.plane("2001:db8::1", **settings)
        self.four = self.network.plane("192.0.2.1", **settings)
        self.session = self.six()
        self.asked = []
        self.session.other_plane = self.other

    def other(self, address):
        self.asked.append(address)
        return self.six if ":" in address else self.four

    def close(self):
        self.session.close()
        assert not self.network.sockets and not self.six.sessions and not self.four.sessions
        assert not self.six.ports.pairs and not self.four.ports.pairs


@pytest.fixture
def house(pair):
    made = House(pair.clock)
    yield made
    made.close()


def test_it_moves_and_stays(house):
    session = house.session
    session.echo()
    first = session.answer(sdp(SIX))
    assert first.media[0].address == "2001:db8::1" and session.stream.terms.target == (SIX, 4000)
    second = session.answer(sdp(FOUR, 2))
    assert house.asked == [FOUR]
    assert second.media[0].address == "192.0.2.1" and session.stream.terms.target == (FOUR, 4000)
    assert second.origin.session_id == first.origin.session_id and second.origin.version == first.origin.version + 1
    # The sound goes with it.
    assert session.stream.echoing and session.stream.port.host == "192.0.2.1"
    assert session in house.four.sessions and session not in house.six.sessions
    # Until the next exchange it could go back; then not any more.
    assert house.six.ports.pairs == 1
    third = session.answer(sdp(FOUR, 3, "m=audio 5000 RTP/AVP 0\r\n"))
    assert house.six.ports.pairs == 0 and third.media[0].port == second.media[0].port
    session.rolled_back()
    assert session.stream.terms.target == (FOUR, 4000)


def test_an_offer_of_ours_comes_from_there(house):
    house.session.answer(sdp(SIX))
    answer = house.session.answer(sdp(FOUR, 2))
    offer = house.session.offer()
    assert offer.media[0].address == "192.0.2.1" and offer.media[0].port == answer.media[0].port
    assert house.six.ports.pairs == 0
    house.session.rolled_back()
    assert house.session.stream.terms.target == (FOUR, 4000)


def test_it_goes_back(house):
    session = house.session
    first = session.answer(sdp(SIX))
    session.answer(sdp(FOUR, 2))
    session.rolled_back()
    assert session.stream.terms.target == (SIX, 4000) and session.stream.port.port == first.media[0].port
    assert house.four.ports.pairs == 0 and session in house.six.sessions
    # And moves once more.
    session.answer(sdp(FOUR, 3))
    assert session.stream.terms.target == (FOUR, 4000)


def test_an_offer_that_cannot_be_taken_does_not_move_it(house):
    session = house.session
    session.answer(sdp(SIX))
    with pytest.raises(MediaRefused):
        session.answer(sdp(FOUR, 2, "m=audio 4000 RTP/AVP 18\r\n"))
    assert session.stream.terms.target == (SIX, 4000) and house.four.ports.pairs == 0


def test_a_first_offer_that_is_rolled_back(house):
    session = house.session
    session.answer(sdp(FOUR))
    assert session.stream.terms.target == (FOUR, 4000)
    session.rolled_back()
    assert house.four.ports.pairs == 0 and session in house.six.sessions


class Waiting:
    """An extension that takes its time."""

    protocols = ()
    session_attributes = ()

    def __init__(self):
        self.deferred = None
        self.closed = 0

    def prepare(self, stream, offered):
        if self.deferred is None:
            return stream
        return self.deferred.addCallback(lambda _: stream)

    def agreed(self, local, remote, *, offered):
        pass

    def close(self):
        self.closed += 1


def test_what_takes_part_is_made_anew(house):
    made = []

    def make(session):
        made.append(Waiting())
        made[-1].deferred = fail(MediaRefused("no")) if len(made) == 2 else None
        return made[-1]

    house.four.extensions = house.six.extensions = (make,)
    house.session._extensions = [make(None)]
    house.session.answer(sdp(SIX))
    failures = []
    answer = house.session.answer(sdp(FOUR, 2))
    assert isinstance(answer, Deferred)
    answer.addErrback(failures.append)
    assert failures and house.session.stream.terms.target == (SIX, 4000)
    assert [one.closed for one in made] == [0, 1] and house.session._extensions == [made[0]]


@pytest.mark.parametrize("way", ["nobody", "none", "held", "name"])
def test_where_it_stays(house, way):
    session = house.session
    session.answer(sdp(SIX))
    if way == "nobody":
        session.other_plane = None
    elif way == "none":
        session.other_plane = lambda address: None
    if way in ("nobody", "none"):
        with pytest.raises(MediaRefused) as refused:
            session.answer(sdp(FOUR, 2))
        assert refused.value.warning_code == 301
    else:
        session.answer(sdp("0.0.0.0" if way == "held" else "media.example", 2))
        assert not house.asked and session.stream.terms.target is None
    assert house.four.ports.pairs == 0


def test_ice_is_not_given_up(pair):
    house = House(pair.clock, ice="lite")
    house.session.answer(sdp(SIX))
    with pytest.raises(MediaRefused):
        house.session.answer(sdp(FOUR, 2))
    house.close()


def test_closed_while_it_could_go_back(house):
    house.session.answer(sdp(SIX))
    house.session.answer(sdp(FOUR, 2))
    assert house.six.ports.pairs == house.four.ports.pairs == 1
