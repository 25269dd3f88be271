"""Sources and hooks of a session, where one comes in the middle of another."""

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.tones import tone


def test_who_plays_again_when_it_is_replaced_waits_for_no_end_that_never_comes(pair):
    pair.agree()
    ended = []

    def again(whole):
        pair.a.play(tone("busy")).addCallback(lambda whole: ended.append(("again", whole)))
        return whole

    pair.a.play(tone("dial")).addCallback(again).addCallback(lambda whole: ended.append(("first", whole)))
    other = pair.a.play(tone("ringback"))
    assert isinstance(other, Deferred)
    other.addCallback(lambda whole: ended.append(("other", whole)))
    assert ended == [("first", False), ("other", False)]
    pair.a.stop_playing()
    assert ended[-1] == ("again", False)


@pytest.mark.parametrize("keys", [{}, {"dtmf": False}])
def test_a_fault_with_one_key_does_not_cost_those_after_it(pair_of, keys):
    pair = pair_of(keys, keys)
    pair.agree()
    heard, logged = [], []

    def pressed(key, held, how):
        heard.append(key)
        if key == "1":
            raise KeyError(key)

    pair.b.on_dtmf = pressed
    pair.a.send_dtmf("123")
    globalLogPublisher.addObserver(logged.append)
    try:
        pair.run(1)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert heard == ["1", "2", "3"]
    assert len([one for one in logged if "log_failure" in one]) == 1


def test_a_bridge_to_a_closed_session_changes_nothing(pair):
    pair.agree()
    other = pair.planes[0]()
    other.bridge(pair.a)
    bridge = pair.a._sound.bridge
    gone = pair.planes[1]()
    gone.close()
    for one, two in ((pair.a, gone), (gone, pair.a)):
        with pytest.raises(LocalProtocolError):
            one.bridge(two)
        assert pair.a._sound.bridge is bridge and len(bridge.parties) == 2
