"""When a peer is taken for silent, and when it was us who did not listen."""


def test_a_process_that_has_slept_hears_first_what_has_come(pair_of):
    pair = pair_of({"timeout": 5.0}, {"timeout": 5.0})
    pair.agree()
    missed = []
    pair.a.on_timeout = pair.b.on_timeout = missed.append
    for slept in (6.0, 3600.0):
        pair.run(2)
        # Stopped, or a virtual machine that was moved, or a clock that was set: timers first, packets afterwards.
        pair.network.loss = 1.0
        pair.run(0.1)
        pair.network.loss = 0.0
        pair.clock.rightNow += slept
        pair.run(3)
        assert not missed
    pair.network.loss = 1.0
    pair.run(5.5)
    assert [round(one) for one in missed] == [5, 5]


def test_silence_before_a_sleep_counts(pair_of):
    pair = pair_of({"timeout": 5.0})
    pair.agree()
    missed = []
    pair.a.on_timeout = missed.append
    pair.run(1)
    pair.network.loss = 1.0
    pair.run(3)
    pair.clock.rightNow += 100.0
    pair.run(1.5)
    assert not missed
    pair.run(1)
    assert len(missed) == 1


def test_a_stream_that_stood_still_begins_anew(pair_of):
    pair = pair_of({"timeout": 5.0})
    pair.agree()
    missed = []
    pair.a.on_timeout = missed.append
    terms = pair.a.stream.terms
    pair.a.stream.agree(type(terms)())
    pair.run(60, 0.1)
    pair.network.loss = 1.0
    pair.a.stream.agree(terms)
    pair.run(5.5)
    assert len(missed) == 1
