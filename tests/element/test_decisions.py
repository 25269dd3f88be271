"""Why calls went the way they did, and how much of it is kept."""

from __future__ import annotations

from twisted.internet.task import Clock

from twisted_sip.element.decisions import Decision, Decisions
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request


def request(call_id: str, method: str = "INVITE") -> Request:
    head = f"{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCSeq: 1 {method}\r\n"
    ends = "From: <sip:a@b>;tag=1\r\nTo: <sip:bob@example.com>\r\n"
    made = parse_message(f"{head}{ends}Call-ID: {call_id}\r\n\r\n".encode())
    assert isinstance(made, Request)
    return made


def test_what_is_noted_is_told_in_order() -> None:
    clock = Clock()
    decisions = Decisions(clock.seconds)
    decisions.note(request("a"), "admission", "alice has proved herself")
    clock.advance(1)
    decisions.note(request("a"), "route", "{0} fits, to {1}", "route[1].to", "bob", "the gateway {0}")
    decisions.note(request("b", "BYE"), "admission", "in a dialog {0}")
    assert decisions.call("a") == [
        Decision(0.0, "INVITE", "admission", "alice has proved herself", ""),
        Decision(1.0, "INVITE", "route", "bob fits, to the gateway {0}", "route[1].to"),
    ]
    assert decisions.call("b") == [Decision(1.0, "BYE", "admission", "in a dialog {0}", "")]
    assert decisions.call("c") == []


def test_calls_are_found_by_their_beginning_and_by_what_is_said_of_them() -> None:
    decisions = Decisions(Clock().seconds)
    for call_id in ("ab1", "ab2", "c3", "ab1"):
        decisions.note(request(call_id), "location", "{0} is here: {1}", "", f"user of {call_id}", "sip:x@y")
    assert list(decisions.find("ab")) == ["ab2", "ab1"]
    assert list(decisions.find("x")) == []


def test_the_newest_call() -> None:
    decisions = Decisions(Clock().seconds)
    assert decisions.newest() is None
    for call_id, user in (("1", "sip:bob@example.com"), ("2", "sip:jimbob@example.com"), ("3", "sip:al@example.com")):
        decisions.note(request(call_id, "INVITE" if call_id < "3" else "BYE"), "location", "{0} is here", "", user)
    decisions.note(request("1", "BYE"), "route", "to sip:carol@example.com;user=phone")
    assert decisions.newest() == "3"
    assert decisions.newest("INVITE") == "2"
    assert decisions.newest("", "sip:bob@example.com") == "1"
    assert decisions.newest("", "bob@example.com") == "1"
    assert decisions.newest("INVITE", "sip:carol@example.com") == "1"
    assert decisions.newest("MESSAGE") is None
    assert decisions.newest("BYE", "sip:bob@example.com") is None


def test_decisions_are_bounded() -> None:
    decisions = Decisions(Clock().seconds, 3)
    for call_id in ("a", "b", "c", "d"):
        decisions.note(request(call_id), "route", call_id)
    assert len(decisions) == 3
    assert decisions.call("a") == []
    assert list(decisions.find("")) == ["d", "c", "b"]


def test_more_or_fewer_are_kept_from_now_on() -> None:
    decisions = Decisions(Clock().seconds, 2)
    for most, call_id in ((2, "a"), (3, "b"), (3, "c"), (1, "d")):
        decisions.resize(most)
        decisions.note(request(call_id), "route", call_id)
    assert [len(decisions), *decisions.find("")] == [1, "d"]


def test_what_peers_write_is_kept_short() -> None:
    decisions = Decisions(Clock().seconds)
    long = "x" * 20_000
    decisions.note(request(long), "route", long, "route[0].to", long, long)
    [found] = decisions.call(long)
    assert len(found.text) < 1000
    assert len(next(decisions.find("xxx"))) < 1000


def test_a_request_without_a_call_id_is_noted_all_the_same() -> None:
    decisions = Decisions(Clock().seconds)
    damaged = request("a")
    damaged.headers.remove("call-id")
    damaged.headers.parsed.pop("call-id", None)
    decisions.note(damaged, "admission", "refused")
    assert [one.text for one in decisions.call("")] == ["refused"]
