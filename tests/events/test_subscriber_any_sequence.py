"""Whatever happens in whatever order: subscriptions and publications end once, in time, and leave nothing behind."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.testing.scripted_compositor import ScriptedCompositor
from twisted_sip.testing.scripted_notifier import ScriptedNotifier

STATES = st.sampled_from(
    [
        "active",
        "active;expires=60",
        "active;expires=0",
        "active;expires=x",
        "pending;expires=600",
        "odd",
        "terminated",
        "terminated;reason=deactivated",
        "terminated;reason=rejected",
        "terminated;reason=probation;retry-after=5",
    ]
)
STATUSES = st.sampled_from([100, 200, 202, 204, 302, 401, 403, 404, 408, 412, 423, 481, 489, 500, 502, 503, 603])
SECONDS = st.sampled_from([0.1, 1.0, 31.0, 32.0, 60.0, 700.0])
TAGS = st.sampled_from(["b", "fork2", "fork3"])

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("notify"), STATES, TAGS),
        st.tuples(st.just("answer"), STATUSES, st.integers(0, 900)),
        st.tuples(st.just("fail"), st.sampled_from([408, 503]), st.just(0)),
        st.tuples(st.just("advance"), SECONDS, st.just(0)),
        st.tuples(st.just("refresh"), st.booleans(), st.just(0)),
        st.tuples(st.just("rates"), st.just(0), st.just(0)),
        st.tuples(st.just("unsubscribe"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


class Play:
    """A subscriber, and a peer who does what it likes."""

    def __init__(self, **how: Any) -> None:
        self.desk = ScriptedNotifier()
        self.over: list[Any] = []
        self.subscription = self.desk.subscribe(**how)
        self.subscription.when_over().addCallback(self.over.append)
        self.answered: set[int] = set()

    def unanswered(self) -> Any:
        """Return the oldest request without a final answer."""
        for place, outgoing in enumerate(self.desk.sent):
            if place not in self.answered:
                return place, outgoing
        return -1, None

    def step(self, what: str, value: Any, other: Any) -> None:
        place, outgoing = self.unanswered()
        if what == "notify":
            with contextlib.suppress(RemoteProtocolError):
                self.desk.notify(value, tag=other)
        elif what == "answer" and outgoing is not None:
            if value >= 200:
                self.answered.add(place)
            outgoing.answer(value, ("expires", str(other)), ("min-expires", str(other)), to_tag="b")
        elif what == "fail" and outgoing is not None:
            self.answered.add(place)
            outgoing.fail(value)
        elif what == "advance":
            self.advance(value)
        elif what == "refresh":
            self.subscription.refresh(conditional=value)
        elif what == "rates":
            self.subscription.set_rates(Rates(max_rate=1))
        elif what == "unsubscribe":
            self.subscription.unsubscribe()

    def advance(self, seconds: float) -> None:
        self.desk.element.advance(seconds)


@settings(max_examples=150, deadline=None)
@given(
    steps=STEPS,
    expires=st.sampled_from([0, 60, 600]),
    forks=st.sampled_from([1, 3]),
    persistent=st.booleans(),
    conditional=st.booleans(),
)
def test_subscription(steps: Any, expires: int, forks: int, persistent: bool, conditional: bool) -> None:
    play = Play(expires=expires, forks=forks, persistent=persistent, conditional=conditional)
    for step in steps:
        play.step(*step)
        assert (play.subscription.state == "terminated") == bool(play.over)
        assert len(play.desk.subscriber.dialogs) <= forks
        assert play.desk.subscriber.awaited <= 1
    play.subscription.unsubscribe()
    # Nobody answers any more: what is on its way fails, Timer N ends what waits.
    while (unanswered := play.unanswered())[1] is not None:
        play.answered.add(unanswered[0])
        unanswered[1].fail(408)
        play.advance(1)
    play.advance(33)
    while (unanswered := play.unanswered())[1] is not None:
        play.answered.add(unanswered[0])
        unanswered[1].fail(408)
    play.advance(33)
    assert play.over == [None]
    play.desk.check_empty()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["publish", "refresh", "remove"]), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("answer"), STATUSES, st.integers(0, 900)),
        st.tuples(st.just("fail"), st.sampled_from([408, 503]), st.just(0)),
        st.tuples(st.just("advance"), SECONDS, st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=OPERATIONS)
def test_publications(steps: Any) -> None:
    desk = ScriptedCompositor()
    states = [desk.make(expires=60), desk.make(expires=600), desk.make("sip:other@example.com")]
    answered: set[int] = set()
    wanted = 0

    def unanswered() -> list[int]:
        places = [place for place in range(len(desk.sent)) if place not in answered]
        uris = [desk.sent[place].request.uri_text for place in places]
        # RFC 3903 section 4.
        assert len(uris) == len(set(uris))
        return places

    def answer(status: int, seconds: int) -> None:
        place = unanswered()[0]
        if status >= 200:
            answered.add(place)
        fields = [("expires", str(seconds)), ("min-expires", str(seconds)), ("sip-etag", f"e{place}")]
        desk.sent[place].answer(status, *fields)

    for what, value, other in steps:
        if what in ("publish", "refresh", "remove"):
            wanted += 1
            state = states[value]
            try:
                if what == "publish":
                    desk.keep(state.publish(b"x", "text/plain"))
                else:
                    desk.keep(state.refresh() if what == "refresh" else state.remove())
            except LocalProtocolError:
                wanted -= 1
        elif what == "advance":
            desk.element.advance(value)
        elif unanswered():
            if what == "answer":
                answer(value, other)
            else:
                place = unanswered()[0]
                answered.add(place)
                desk.sent[place].fail(value)
    over: list[Any] = []
    desk.publisher.stop().addCallback(over.append)
    while unanswered():
        answer(200, 600)
    assert over == [None]
    assert len(desk.results) == wanted
    for state in states:
        state.remove()
    while unanswered():
        answer(200, 600)
    desk.check_empty()
