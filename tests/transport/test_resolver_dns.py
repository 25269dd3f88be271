"""Questions to the DNS: asked once, remembered for a while, never without bound."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.names import dns
from twisted.names.error import DNSQueryTimeoutError, DNSServerError

from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.transport.resolver_dns import DNSQuestions, DNSSettings, system_names
from twisted_sip.transport.resolver_selection import Answer, NAPTRRecord, Question, QuestionType, SRVRecord

ADDRESS, SRV, NAPTR = QuestionType.ADDRESS, QuestionType.SRV, QuestionType.NAPTR


class Desk:
    """A clock, a DNS and the questions over them."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.dns = FakeDNS()
        self.hosts: dict[str, tuple[str, ...]] = {}
        self.questions = DNSQuestions(
            self.clock,
            self.dns,
            DNSSettings(**settings),
            lambda name: self.hosts.get(name, ()),
            lambda host: "2001:db8::9" if ":" in host else "192.0.2.9",
        )

    def ask(self, type_: QuestionType, name: str) -> Answer:
        got = self.questions.ask(Question(type_, name))
        if isinstance(got, Deferred):
            answers: list[Answer] = []
            got.addCallback(answers.append)
            assert answers, "no answer yet"
            return answers[0]
        return got


def test_records_of_each_type() -> None:
    desk = Desk()
    desk.dns.a("h.example", "192.0.2.1", "192.0.2.2").aaaa("h.example", "2001:db8::1")
    desk.dns.srv("_sip._udp.example", 1, 2, 5070, "H.Example.")
    desk.dns.naptr("example", 10, 20, "SIP+D2U", "_sip._udp.example")
    assert desk.ask(ADDRESS, "h.example").addresses == ("2001:db8::1", "192.0.2.1", "192.0.2.2")
    (record,) = desk.ask(SRV, "_sip._udp.example").srv
    assert record == SRVRecord(1, 2, 5070, record.target)
    assert record.target.rstrip(".") == "h.example"
    assert desk.ask(NAPTR, "example").naptr == (NAPTRRecord(10, 20, "s", "sip+d2u", "", "_sip._udp.example"),)


def test_an_answer_is_remembered_for_its_ttl() -> None:
    desk = Desk()
    desk.dns.a("h.example", "192.0.2.1", ttl=20).aaaa("h.example", "2001:db8::1", ttl=60)
    desk.ask(ADDRESS, "h.example")
    asked = len(desk.dns.queries)
    desk.clock.advance(19.9)
    assert isinstance(desk.questions.ask(Question(ADDRESS, "h.example")), Answer)
    assert len(desk.dns.queries) == asked
    desk.clock.advance(0.2)
    desk.ask(ADDRESS, "h.example")
    assert len(desk.dns.queries) == 2 * asked


@pytest.mark.parametrize(("ttl", "kept"), [(0, 1.0), (86400 * 30, 300.0)])
def test_ttls_are_clamped(ttl: int, kept: float) -> None:
    desk = Desk()
    desk.dns.srv("_sip._udp.example", 1, 1, 5060, "h.example", ttl=ttl)
    desk.ask(SRV, "_sip._udp.example")
    desk.clock.advance(kept - 0.1)
    assert desk.ask(SRV, "_sip._udp.example").srv
    assert len(desk.dns.queries) == 1
    desk.clock.advance(0.2)
    desk.ask(SRV, "_sip._udp.example")
    assert len(desk.dns.queries) == 2


@pytest.mark.parametrize(
    ("failure", "kept"), [(None, 30.0), (DNSServerError(), 30.0), (DNSQueryTimeoutError("x"), 5.0), (OSError(), 5.0)]
)
def test_negative_answers_are_remembered_for_less(failure: Exception | None, kept: float) -> None:
    desk = Desk()
    if failure is not None:
        desk.dns.failures["none.example"] = failure
    assert desk.ask(NAPTR, "none.example") == Answer()
    desk.clock.advance(kept - 0.1)
    assert desk.ask(NAPTR, "none.example") == Answer()
    assert len(desk.dns.queries) == 1
    desk.clock.advance(0.2)
    desk.ask(NAPTR, "none.example")
    assert len(desk.dns.queries) == 2


def test_an_unexpected_failure_is_logged_and_counts_as_no_answer() -> None:
    desk = Desk()
    desk.dns.failures["odd.example"] = ZeroDivisionError()
    with capturedLogs() as logs:
        assert desk.ask(SRV, "odd.example") == Answer()
    assert [event["log_level"] for event in logs] == [LogLevel.critical]


def test_a_resolver_that_raises_counts_as_no_answer() -> None:
    desk = Desk()

    def broken(name: str, timeout: Any = None) -> Deferred[Any]:
        raise UnicodeError("no such name")

    desk.dns.lookupService = broken  # type: ignore[method-assign]
    with capturedLogs():
        assert desk.ask(SRV, "odd.example") == Answer()
    assert not desk.questions.waiting


def test_one_family_is_enough() -> None:
    desk = Desk()
    desk.dns.a("four.example", "192.0.2.1")
    desk.dns.aaaa("six.example", "2001:db8::1")
    assert desk.ask(ADDRESS, "four.example").addresses == ("192.0.2.1",)
    assert desk.ask(ADDRESS, "six.example").addresses == ("2001:db8::1",)


def test_families_can_be_switched_off() -> None:
    desk = Desk(ipv6=False)
    desk.dns.a("h.example", "192.0.2.1").aaaa("h.example", "2001:db8::1")
    desk.hosts["h"] = ("::2", "192.0.2.2")
    assert desk.ask(ADDRESS, "h.example").addresses == ("192.0.2.1",)
    assert desk.dns.queries == [("A", "h.example")]
    assert desk.ask(ADDRESS, "h").addresses == ("192.0.2.2",)
    assert Desk(ipv4=False).ask(ADDRESS, "localhost").addresses == ("::1",)


def test_a_bare_alias_is_followed() -> None:
    desk = Desk()
    desk.dns.cname("www.example", "h.example").a("h.example", "192.0.2.1")
    assert desk.ask(ADDRESS, "www.example").addresses == ("192.0.2.1",)


def test_a_loop_of_aliases_ends() -> None:
    desk = Desk(ipv6=False)
    desk.dns.cname("a.example", "b.example").cname("b.example", "a.example")
    assert desk.ask(ADDRESS, "a.example") == Answer()
    assert len(desk.dns.queries) == 5


def test_answers_of_another_type_are_ignored() -> None:
    desk = Desk()

    def wrong(name: str, timeout: Any = None) -> Deferred[Any]:
        return FakeDNS().a(name, "192.0.2.1").lookupAddress(name)

    desk.dns.lookupService = wrong  # type: ignore[method-assign]
    assert desk.ask(SRV, "h.example") == Answer()


def test_huge_answers_are_cut() -> None:
    desk = Desk()
    for n in range(500):
        desk.dns.srv("_sip._udp.example", n, 0, 5060, f"h{n}.example")
    assert len(desk.ask(SRV, "_sip._udp.example").srv) == 64


def test_localhost_hosts_file_and_numbers_need_no_dns() -> None:
    desk = Desk()
    desk.hosts["pbx"] = ("192.0.2.7",)
    assert desk.ask(ADDRESS, "localhost").addresses == ("127.0.0.1", "::1")
    assert desk.ask(ADDRESS, "phone.localhost").addresses == ("127.0.0.1", "::1")
    assert desk.ask(ADDRESS, "pbx").addresses == ("192.0.2.7",)
    assert desk.ask(ADDRESS, "192.0.2.8").addresses == ("192.0.2.8",)
    assert desk.ask(ADDRESS, "2001:db8::8").addresses == ("2001:db8::8",)
    assert desk.dns.queries == []


def test_a_question_that_is_out_is_not_asked_again() -> None:
    desk = Desk(ipv6=False)
    desk.dns.a("h.example", "192.0.2.1")
    desk.dns.hold = True
    question = Question(ADDRESS, "h.example")
    answers: list[Answer] = []
    for _ in range(3):
        waiting = desk.questions.ask(question)
        assert isinstance(waiting, Deferred)
        waiting.addCallback(answers.append)
    assert desk.dns.queries == [("A", "h.example")]
    desk.dns.release()
    assert [answer.addresses for answer in answers] == [("192.0.2.1",)] * 3
    assert not desk.questions.waiting


def test_one_who_leaves_does_not_disturb_the_others() -> None:
    desk = Desk(ipv6=False)
    desk.dns.a("h.example", "192.0.2.1")
    desk.dns.hold = True
    question = Question(ADDRESS, "h.example")
    leaving = desk.questions.ask(question)
    staying = desk.questions.ask(question)
    assert isinstance(leaving, Deferred)
    assert isinstance(staying, Deferred)
    failures: list[Any] = []
    leaving.addErrback(failures.append)
    leaving.cancel()
    assert failures[0].check(CancelledError)
    answers: list[Answer] = []
    staying.addCallback(answers.append)
    desk.dns.release()
    assert answers[0].addresses == ("192.0.2.1",)


def test_waiting_questions_are_bounded() -> None:
    desk = Desk(max_waiting=2)
    desk.dns.hold = True
    for n in range(2):
        assert isinstance(desk.questions.ask(Question(SRV, f"n{n}.example")), Deferred)
    assert desk.questions.ask(Question(SRV, "n2.example")) == Answer()
    assert len(desk.questions.waiting) == 2


def test_the_memory_is_bounded() -> None:
    desk = Desk(max_entries=16)
    for n in range(100):
        desk.dns.srv(f"n{n}.example", 1, 1, 5060, "h.example", ttl=5 if n < 10 else 60)
        desk.ask(SRV, f"n{n}.example")
        assert len(desk.questions.known) <= 16
    assert Question(SRV, "n99.example") in desk.questions.known
    desk.clock.advance(61)
    desk.ask(SRV, "new.example")
    desk.questions.known.update({Question(SRV, f"x{n}"): (0.0, Answer()) for n in range(20)})
    desk.ask(SRV, "newer.example")
    assert len(desk.questions.known) <= 3


def test_a_domain_that_no_longer_offers_tls_is_worth_a_warning() -> None:
    # RFC 3263 section 7: it may be a bid-down attack.
    desk = Desk(max_entries=2)
    for name in ("a.example", "b.example", "c.example"):
        desk.dns.naptr(name, 1, 1, "SIPS+D2T", "_sips._tcp.example", ttl=10)
    with capturedLogs() as logs:
        for name in ("a.example", "b.example", "c.example", "none.example"):
            desk.ask(NAPTR, name)
        desk.clock.advance(60)
        assert desk.ask(NAPTR, "c.example").naptr
        for name in ("a.example", "b.example", "c.example"):
            desk.dns.failures[name] = DNSServerError()
        desk.clock.advance(60)
        for name in ("a.example", "b.example", "c.example"):
            desk.ask(NAPTR, name)
            desk.clock.advance(60)
            desk.ask(NAPTR, name)
    # The memory holds two domains.
    assert [event["name"] for event in logs] == ["b.example", "c.example"]


def test_the_system_names_have_no_cache_of_their_own() -> None:
    clock = Clock()
    names = system_names(clock, (1, 2))
    assert names.timeout == (1, 2)
    assert names.typeToMethod[dns.A] == names.lookupAddress
