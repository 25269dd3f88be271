"""The publication client against a compositor by script (RFC 3903 sections 4, 5 and 15)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError, RequestRefused
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.scripted_compositor import ScriptedCompositor
from twisted_sip.testing.scripted_sending import ScriptedFlow

PIDF = "application/pidf+xml"


@pytest.fixture
def desk() -> ScriptedCompositor:
    return ScriptedCompositor()


def test_rfc_3903_section_15(desk: ScriptedCompositor) -> None:
    """M7 to M16 of the example as the agent has them, and the removal."""
    state = desk.make(expires=3600)
    desk.keep(state.publish(b"[Published PIDF document]", PIDF))
    initial = desk.request
    assert (initial.method, initial.uri_text, str(initial.to)) == (
        "PUBLISH",
        "sip:presentity@example.com",
        "<sip:presentity@example.com>",
    )
    assert desk.field("event") == "presence" and desk.field("expires") == "3600"
    assert desk.field("content-type") == PIDF and desk.field("sip-if-match") is None
    assert initial.body == b"[Published PIDF document]"
    desk.accept("dx200xyz", 1800)
    assert desk.results == ["dx200xyz"] and state.etag == "dx200xyz"

    # Refresh without a body, before the 1800 s are over.
    desk.element.advance(1619)
    assert len(desk.sent) == 1
    desk.element.advance(1)
    assert (desk.field("sip-if-match"), desk.request.body, desk.field("content-type")) == ("dx200xyz", b"", None)
    assert desk.field("expires") == "3600"
    assert (desk.request.call_id, desk.request.from_.tag) == (initial.call_id, initial.from_.tag)
    assert desk.request.cseq.number == initial.cseq.number + 1
    desk.accept("kwj449x", 1800)
    assert state.etag == "kwj449x"

    # Modify.
    desk.keep(state.publish(b"[New PIDF document]", PIDF))
    assert (desk.field("sip-if-match"), desk.request.body) == ("kwj449x", b"[New PIDF document]")
    desk.accept("qwi982ks", 3600)
    assert desk.results == ["dx200xyz", "qwi982ks"]

    # Remove.
    desk.keep(state.remove())
    assert (desk.field("expires"), desk.field("sip-if-match"), desk.request.body) == ("0", "qwi982ks", b"")
    desk.accept("", 0)
    assert desk.results[-1] is None
    desk.check_empty()


class TestLostState:
    """412 (section 5)."""

    def test_refresh(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.element.advance(1620)
        desk.refuse(412)
        assert (desk.field("sip-if-match"), desk.request.body) == (None, b"open")
        desk.accept("new")
        assert state.etag == "new" and desk.lost == []

    def test_modify(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.keep(state.publish(b"busy", PIDF))
        desk.refuse(412)
        assert (desk.field("sip-if-match"), desk.request.body) == (None, b"busy")
        desk.accept("new")
        assert desk.results == ["new"]

    def test_remove(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.keep(state.remove())
        desk.refuse(412)
        assert desk.results == [None] and len(desk.sent) == 2
        desk.check_empty()

    def test_of_what_was_not_conditional(self, desk: ScriptedCompositor) -> None:
        desk.keep(desk.make().publish(b"open", PIDF))
        desk.refuse(412)
        assert desk.results == [412] and len(desk.sent) == 1
        desk.check_empty()

    def test_no_entity_tag(self, desk: ScriptedCompositor) -> None:
        """It can only be published anew."""
        state = desk.make()
        desk.keep(state.publish(b"open", PIDF))
        desk.accept("")
        assert desk.results == [""]
        desk.keep(state.refresh())
        assert (desk.field("sip-if-match"), desk.request.body) == (None, b"open")


class TestTooBrief:
    """423 (section 5)."""

    def test_asks_for_longer(self, desk: ScriptedCompositor) -> None:
        state = desk.make(expires=60)
        desk.keep(state.publish(b"open", PIDF))
        desk.refuse(423, ("min-expires", "600"))
        assert (desk.field("expires"), desk.request.body) == ("600", b"open")
        desk.accept(expires=600)
        assert state.expires == 600 and desk.results == ["dx200xyz"]

    def test_not_over_and_over(self, desk: ScriptedCompositor) -> None:
        desk.keep(desk.make(expires=60).publish(b"open", PIDF))
        for seconds in (70, 80, 90):
            desk.refuse(423, ("min-expires", str(seconds)))
        assert len(desk.sent) == 3 and desk.results == [423]
        desk.check_empty()

    def test_without_sense(self, desk: ScriptedCompositor) -> None:
        desk.keep(desk.make(expires=60).publish(b"open", PIDF))
        desk.refuse(423)
        assert desk.results == [423]
        desk.check_empty()


class TestFailures:
    @pytest.mark.parametrize("status", [403, 503])
    def test_initial(self, desk: ScriptedCompositor, status: int) -> None:
        desk.keep(desk.make().publish(b"open", PIDF))
        desk.refuse(status)
        assert desk.results == [status] and desk.lost == []
        desk.check_empty()

    def test_refresh_is_tried_again(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.element.advance(1620)
        desk.sent[-1].fail(408)
        desk.element.advance(30)
        assert len(desk.sent) == 3
        desk.refuse(503, ("retry-after", "100"))
        desk.element.advance(100)
        assert len(desk.sent) == 4
        desk.refuse(500)
        desk.element.advance(119)
        assert len(desk.sent) == 4
        desk.element.advance(1)
        # It has expired meanwhile, and is published anew.
        desk.refuse(412)
        desk.refuse(500)
        desk.element.advance(240)
        assert (desk.field("sip-if-match"), desk.request.body) == (None, b"open")
        desk.accept("again")
        assert state.etag == "again" and desk.lost == []

    def test_refresh_is_refused_for_good(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.element.advance(1620)
        desk.refuse(403)
        assert desk.lost == [403] and state.etag == ""
        with pytest.raises(LocalProtocolError, match="nothing was published"):
            state.refresh()
        desk.check_empty()

    def test_nobody_wants_to_know(self, desk: ScriptedCompositor) -> None:
        desk.published(on_lost=None)
        desk.element.advance(1620)
        desk.refuse(403)
        desk.check_empty()

    def test_callback_that_fails(self, desk: ScriptedCompositor) -> None:
        desk.published(on_lost=lambda status: [][status])
        desk.element.advance(1620)
        with LoggedFailures() as failures:
            desk.refuse(403)
        assert len(failures.texts) == 1
        desk.check_empty()

    def test_refused_modification_leaves_what_was_there(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.element.advance(100)
        desk.keep(state.publish(b"nonsense", "text/plain"))
        desk.refuse(415)
        assert desk.results == [415]
        desk.element.advance(1530)
        assert (desk.field("sip-if-match"), desk.request.body) == ("dx200xyz", b"")
        desk.refuse(412)
        assert (desk.request.body, desk.field("content-type")) == (b"open", PIDF)

    def test_refused_modification_with_another_behind_it(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.keep(state.publish(b"nonsense", "text/plain"))
        desk.keep(state.publish(b"busy", PIDF))
        desk.refuse(415)
        assert desk.request.body == b"busy"
        desk.accept("e2")
        assert desk.results == [415, "e2"]

    def test_modification_that_finds_nobody(self, desk: ScriptedCompositor) -> None:
        state = desk.published()
        desk.keep(state.publish(b"busy", PIDF))
        desk.sent[-1].fail(503)
        assert desk.results == [503]
        desk.element.advance(30)
        assert (desk.field("sip-if-match"), desk.request.body) == ("dx200xyz", b"busy")

    def test_initial_with_another_behind_it(self, desk: ScriptedCompositor) -> None:
        state = desk.make()
        desk.keep(state.publish(b"a", PIDF))
        desk.keep(state.publish(b"b", PIDF))
        desk.refuse(403)
        desk.accept()
        assert desk.results == [403, "dx200xyz"]

    @pytest.mark.parametrize("again", [False, True])
    def test_removal(self, desk: ScriptedCompositor, again: bool) -> None:
        """It ends by itself."""
        state = desk.published()
        desk.keep(state.remove())
        if again:
            desk.keep(state.publish(b"new", PIDF))
        desk.refuse(500)
        assert desk.results == [500] and state.etag == ""
        if again:
            assert desk.field("sip-if-match") is None
            desk.accept()
            desk.keep(state.remove())
            desk.accept("")
        desk.check_empty()


class TestOrder:
    """Section 4: one PUBLISH at a time for each Request-URI."""

    def test_of_one_publication_the_last_is_sent(self, desk: ScriptedCompositor) -> None:
        state = desk.make()
        for body in (b"a", b"b", b"c"):
            desk.keep(state.publish(body, PIDF))
        desk.keep(state.refresh())
        assert len(desk.sent) == 1
        desk.sent[-1].answer(100)
        desk.accept("e1")
        assert len(desk.sent) == 2 and desk.request.body == b"c"
        desk.accept("e2")
        assert desk.results == ["e1", "e2", "e2", "e2"] and len(desk.sent) == 2

    def test_of_two_publications(self, desk: ScriptedCompositor) -> None:
        first, second, other = desk.make(), desk.make(), desk.make("sip:other@example.com")
        first.publish(b"1", PIDF)
        second.publish(b"2", PIDF)
        second.publish(b"3", PIDF)
        other.publish(b"4", PIDF)
        assert [outgoing.request.body for outgoing in desk.sent] == [b"1", b"4"]
        desk.sent[0].answer(200, ("sip-etag", "x"))
        assert desk.request.body == b"3"
        first.refresh()
        assert len(desk.sent) == 3
        desk.accept()
        assert desk.field("sip-if-match") == "x"

    def test_the_last_word_counts(self, desk: ScriptedCompositor) -> None:
        state = desk.make()
        desk.keep(state.publish(b"a", PIDF))
        desk.keep(state.publish(b"b", PIDF))
        desk.keep(state.remove())
        desk.accept("e1")
        assert desk.field("expires") == "0"
        desk.keep(state.publish(b"c", PIDF))
        desk.accept("")
        assert (desk.field("sip-if-match"), desk.request.body) == (None, b"c")
        desk.accept("e2")
        assert desk.results == ["e1", "", None, "e2"]

    def test_remove_before_the_first_is_refused(self, desk: ScriptedCompositor) -> None:
        state = desk.make()
        desk.keep(state.publish(b"a", PIDF))
        desk.keep(state.remove())
        desk.refuse(403)
        assert desk.results == [403, None] and len(desk.sent) == 1
        desk.check_empty()

    def test_remove_nothing(self, desk: ScriptedCompositor) -> None:
        desk.keep(desk.make().remove())
        assert desk.results == [None] and not desk.sent

    def test_refresh_that_is_due_while_something_is_sent(self, desk: ScriptedCompositor) -> None:
        first, second = desk.published(), desk.make()
        second.publish(b"2", PIDF)
        desk.element.advance(1620)
        desk.accept("e2")
        assert desk.field("sip-if-match") == "dx200xyz" and first.etag == "dx200xyz"


def test_ways(desk: ScriptedCompositor) -> None:
    flow = ScriptedFlow()
    state = desk.published(
        flow=flow, route=["<sip:p;lr>"], from_=NameAddr.build("sip:u@h"), headers=[("user-agent", "x")]
    )
    assert desk.sent[0].how["flow"] is flow
    assert desk.field("route") == "<sip:p;lr>" and desk.field("user-agent") == "x"
    flow.open = False
    state.refresh()
    assert desk.sent[1].how["flow"] is None


def test_challenge(desk: ScriptedCompositor) -> None:
    state = desk.make(credentials=object())
    state.publish(b"a", PIDF)
    desk.sent[-1].challenge()
    desk.accept()
    state.refresh()
    assert desk.request.cseq.number == 3


def test_limit() -> None:
    desk = ScriptedCompositor(limit=1)
    desk.published()
    with pytest.raises(LocalProtocolError, match="as many as there may be"):
        desk.make().publish(b"a", PIDF)


@pytest.mark.parametrize("how", [{"expires": 0}, {"uri": "sip:a b"}, {"headers": [("x", "a\r\nb")]}])
def test_bad_values(desk: ScriptedCompositor, how: Any) -> None:
    with pytest.raises(LocalProtocolError):
        desk.make(**how)


def test_bad_publications(desk: ScriptedCompositor) -> None:
    state = desk.make()
    with pytest.raises(LocalProtocolError, match="needs a body"):
        state.publish(b"", PIDF)
    with pytest.raises(LocalProtocolError):
        state.publish(b"x", "a\r\nb")
    desk.check_empty()


def test_stop(desk: ScriptedCompositor) -> None:
    desk.published()
    other = desk.make("sip:other@example.com")
    desk.keep(other.publish(b"a", PIDF))
    over: list[Any] = []
    desk.publisher.stop().addCallback(over.append)
    for outgoing in desk.sent[1:]:
        outgoing.answer(200, ("sip-etag", "x"))
    assert over == []
    desk.refuse(500)
    assert over == [None]
    desk.check_empty()


def test_what_is_refused_says_so(desk: ScriptedCompositor) -> None:
    failures: list[Any] = []
    desk.make().publish(b"a", PIDF).addErrback(failures.append)
    desk.refuse(489)
    failures[0].trap(RequestRefused)
    assert str(failures[0].value) == "PUBLISH answered 489 Bad Event"
