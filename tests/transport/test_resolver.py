"""The resolver as its users see it: values at once where nobody need be asked, Deferreds otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from twisted_sip.errors import ResolutionError
from twisted_sip.interfaces.destination import Destination, IResolver
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.message.uri import parse_uri
from twisted_sip.message.via import Via
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.transport.resolver import Resolver, checked_name
from twisted_sip.transport.resolver_dns import DNSQuestions, DNSSettings
from twisted_sip.transport.resolver_selection import InsecureTransport


class Desk:
    """A clock, a DNS and a resolver over them."""

    def __init__(self, **how: Any) -> None:
        self.clock = Clock()
        self.dns = FakeDNS()
        self.hosts: dict[str, tuple[str, ...]] = {}
        questions = DNSQuestions(
            self.clock, self.dns, DNSSettings(), lambda name: self.hosts.get(name, ()), lambda host: host
        )
        self.resolver = Resolver(self.clock, questions=questions, randbelow=lambda limit: 0, **how)

    def resolve(self, uri: str) -> list[str]:
        return shown(outcome(self.resolver.resolve(parse_uri(uri))))

    def fails(self, uri: str) -> ResolutionError:
        try:
            got = outcome(self.resolver.resolve(parse_uri(uri)))
        except ResolutionError as error:
            return error
        assert isinstance(got, Failure), got
        assert isinstance(got.value, ResolutionError)
        return got.value

    def at_rest(self) -> bool:
        return not self.clock.getDelayedCalls() and not self.resolver.questions.waiting


def outcome(got: Any) -> Any:
    if not isinstance(got, Deferred):
        return got
    outcomes: list[Any] = []
    got.addBoth(outcomes.append)
    assert outcomes, "no outcome yet"
    return outcomes[0]


def shown(destinations: Any) -> list[str]:
    if isinstance(destinations, Failure):
        destinations.raiseException()
    return [f"{d.kind!r} {d.address}" for d in destinations]


def test_it_is_a_resolver() -> None:
    assert verifyObject(IResolver, Desk().resolver)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.1", "UDP 192.0.2.1:5060"),
        ("sip:alice@192.0.2.1:5070", "UDP 192.0.2.1:5070"),
        ("sip:192.0.2.1;transport=tcp", "TCP 192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=TLS", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1:5060;transport=tcp", "TLS 192.0.2.1:5060"),
        ("sip:[2001:db8::1]", "UDP [2001:db8::1]:5060"),
        ("sip:bob@[2001:DB8::1]:5070;transport=tcp", "TCP [2001:db8::1]:5070"),
        ("sip:example.com;maddr=192.0.2.7", "UDP 192.0.2.7:5060"),
        ("sip:example.com:5080;maddr=192.0.2.7;transport=tcp", "TCP 192.0.2.7:5080"),
    ],
)
def test_numeric_hosts_resolve_at_once(uri: str, expected: str) -> None:
    desk = Desk()
    for _ in range(2):
        got = desk.resolver.resolve(parse_uri(uri))
        assert not isinstance(got, Deferred)
        assert shown(got) == [expected]
    assert desk.dns.queries == []


def test_the_certificate_proves_the_domain_of_the_uri() -> None:
    desk = Desk()
    assert desk.resolver.resolve(parse_uri("sips:Example.COM;maddr=192.0.2.7")) == (
        Destination(TLS, Address("192.0.2.7", 5061), "example.com"),
    )
    assert desk.resolver.resolve(parse_uri("sips:[2001:db8::1]")) == (
        Destination(TLS, Address("2001:db8::1", 5061), "2001:db8::1"),
    )
    desk.dns.srv("_sips._tcp.example.com", 1, 1, 5061, "host.elsewhere.net").a("host.elsewhere.net", "192.0.2.1")
    (found,) = outcome(desk.resolver.resolve(parse_uri("sips:example.com")))
    assert found.name == "example.com"


def test_the_memory_of_numeric_hosts_is_bounded() -> None:
    desk = Desk()
    for n in range(3000):
        desk.resolve(f"sip:u{n}@192.0.2.1")
    assert len(desk.resolver._numeric) <= 1024


@pytest.mark.parametrize("uri", ["tel:+358555", "mailto:a@example.com"])
def test_other_schemes_are_refused(uri: str) -> None:
    assert "no SIP URI" in str(Desk().fails(uri))


@pytest.mark.parametrize("uri", ["sips:192.0.2.1;transport=udp", "sips:example.com;transport=udp"])
def test_sips_over_udp_is_refused(uri: str) -> None:
    desk = Desk()
    assert isinstance(desk.fails(uri), InsecureTransport)
    assert desk.dns.queries == []


@pytest.mark.parametrize(
    "uri",
    [
        "sip:0.0.0.0",
        "sip:[::]",
        "sip:192.0.2.1;transport=sctp",
        "sip:example.com;maddr=300.1.1.1",
        "sip:example.com;maddr=a..b",
    ],
)
def test_what_cannot_be_reached_is_refused(uri: str) -> None:
    desk = Desk()
    desk.fails(uri)
    assert desk.dns.queries == []


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "a b", "é.example", ".".join(["abcd"] * 60)])
def test_names_that_cannot_be_in_the_dns(name: str) -> None:
    with pytest.raises(ResolutionError):
        checked_name(name)
    assert checked_name("Example.COM.") == "example.com"


def test_the_whole_way_through_naptr_srv_and_addresses() -> None:
    desk = Desk()
    desk.dns.naptr("example.com", 10, 10, "SIP+D2T", "_sip._tcp.example.com")
    desk.dns.naptr("example.com", 20, 10, "SIP+D2U", "_sip._udp.example.com")
    desk.dns.srv("_sip._tcp.example.com", 10, 1, 5070, "a.example.com")
    desk.dns.srv("_sip._tcp.example.com", 20, 1, 5080, "b.example.com")
    desk.dns.a("a.example.com", "192.0.2.1").aaaa("a.example.com", "2001:db8::1").a("b.example.com", "192.0.2.2")
    expected = ["TCP [2001:db8::1]:5070", "TCP 192.0.2.1:5070", "TCP 192.0.2.2:5080"]
    assert desk.resolve("sip:bob@example.com") == expected
    assert desk.at_rest()
    asked = len(desk.dns.queries)
    # All of it is known now, so the second time nobody waits.
    again = desk.resolver.resolve(parse_uri("sip:bob@example.com"))
    assert not isinstance(again, Deferred)
    assert shown(again) == expected
    assert len(desk.dns.queries) == asked


def test_what_is_known_to_be_missing_is_refused_at_once() -> None:
    desk = Desk()
    desk.fails("sip:example.com")
    with pytest.raises(ResolutionError):
        desk.resolver.resolve(parse_uri("sip:example.com"))


def test_an_explicit_port_asks_for_addresses_only() -> None:
    desk = Desk()
    desk.dns.a("example.com", "192.0.2.1")
    assert desk.resolve("sip:example.com:5060") == ["UDP 192.0.2.1:5060"]
    assert {type_ for type_, _ in desk.dns.queries} == {"A", "AAAA"}


def test_names_of_this_host_have_no_service_records() -> None:
    desk = Desk()
    desk.hosts["pbx"] = ("192.0.2.5", "2001:db8::5")
    got = desk.resolver.resolve(parse_uri("sip:localhost"))
    assert shown(got) == ["UDP 127.0.0.1:5060", "UDP [::1]:5060"]
    assert shown(desk.resolver.resolve(parse_uri("sip:PBX;transport=tcp"))) == [
        "TCP 192.0.2.5:5060",
        "TCP [2001:db8::5]:5060",
    ]
    assert shown(desk.resolver.resolve(parse_uri("sips:pbx")))[0] == "TLS 192.0.2.5:5061"
    assert desk.dns.queries == []


def test_kinds_limit_and_order_the_transports() -> None:
    desk = Desk(kinds=(TCP, UDP))
    for kind in ("udp", "tcp"):
        desk.dns.srv(f"_sip._{kind}.example.com", 1, 1, 5060, "a.example.com")
    desk.dns.a("a.example.com", "192.0.2.1")
    assert desk.resolve("sip:example.com") == ["TCP 192.0.2.1:5060"]
    assert isinstance(desk.fails("sips:192.0.2.1"), InsecureTransport)
    desk.fails("sip:192.0.2.1;transport=tls")


def test_silent_name_servers_are_not_waited_for_for_ever() -> None:
    desk = Desk(deadline=4.0)
    desk.dns.hold = True
    failures: list[Failure] = []
    waiting = desk.resolver.resolve(parse_uri("sip:example.com"))
    assert isinstance(waiting, Deferred)
    waiting.addErrback(failures.append)
    desk.clock.advance(3.9)
    assert not failures
    desk.clock.advance(0.2)
    assert failures[0].check(ResolutionError)
    # What comes late is remembered and disturbs nobody.
    desk.dns.time_out()
    assert desk.at_rest()


def test_a_search_can_be_cancelled() -> None:
    desk = Desk()
    desk.dns.a("example.com", "192.0.2.1")
    desk.dns.hold = True
    failures: list[Failure] = []
    waiting = desk.resolver.resolve(parse_uri("sip:example.com"))
    assert isinstance(waiting, Deferred)
    waiting.addErrback(failures.append)
    waiting.cancel()
    assert failures[0].check(CancelledError)
    desk.dns.release()
    assert desk.at_rest()


def test_answers_that_come_one_by_one() -> None:
    desk = Desk()
    desk.dns.srv("_sip._udp.example.com", 1, 1, 5060, "a.example.com").a("a.example.com", "192.0.2.1")
    desk.dns.hold = True
    found: list[Any] = []
    waiting = desk.resolver.resolve(parse_uri("sip:example.com"))
    assert isinstance(waiting, Deferred)
    waiting.addCallback(found.append)
    while not found:
        desk.dns.release()
        desk.dns.hold = True
    assert shown(found[0]) == ["UDP 192.0.2.1:5060"]
    assert desk.at_rest()


def test_a_dead_end_is_a_failure_of_the_deferred() -> None:
    desk = Desk()
    desk.dns.hold = True
    failures: list[Failure] = []
    waiting = desk.resolver.resolve(parse_uri("sip:example.com:5060"))
    assert isinstance(waiting, Deferred)
    waiting.addErrback(failures.append)
    desk.dns.release()
    assert failures[0].check(ResolutionError)
    assert desk.at_rest()


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;received=192.0.2.99", ["UDP 192.0.2.1:5060"]),
        ("SIP/2.0/TLS [2001:db8::1]:5070;branch=z9hG4bKx", ["TLS [2001:db8::1]:5070"]),
        ("SIP/2.0/TCP client.example.com:5099;branch=z9hG4bKx", ["TCP 192.0.2.3:5099"]),
        ("SIP/2.0/UDP client.example.com;branch=z9hG4bKx", ["UDP 192.0.2.4:5074", "UDP 192.0.2.3:5075"]),
        ("SIP/2.0/TLS client.example.com;branch=z9hG4bKx", ["TLS 192.0.2.4:5073"]),
        ("SIP/2.0/TCP client.example.com;branch=z9hG4bKx", ["TCP 192.0.2.3:5060"]),
    ],
)
def test_where_responses_go_when_the_usual_way_is_lost(via: str, expected: list[str]) -> None:
    # RFC 3263 section 5.
    desk = Desk()
    desk.dns.a("client.example.com", "192.0.2.3").a("backup.example.com", "192.0.2.4")
    desk.dns.srv("_sip._udp.client.example.com", 1, 0, 5074, "backup.example.com")
    desk.dns.srv("_sip._udp.client.example.com", 2, 0, 5075, "client.example.com")
    desk.dns.srv("_sips._tcp.client.example.com", 1, 0, 5073, "backup.example.com")
    desk.dns.naptr("client.example.com", 1, 1, "SIP+D2T", "_sip._tcp.trap.example.com")
    assert shown(outcome(desk.resolver.resolve_response(Via.parse(via)))) == expected


def test_responses_over_a_transport_that_is_not_ours() -> None:
    with pytest.raises(ResolutionError):
        Desk().resolver.resolve_response(Via.parse("SIP/2.0/SCTP 192.0.2.1;branch=z9hG4bKx"))
    with pytest.raises(ResolutionError):
        Desk(kinds=(UDP,)).resolver.resolve_response(Via.parse("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx"))


def test_the_name_servers_of_the_system_are_read_when_the_first_name_comes() -> None:
    clock = Clock()
    resolver = Resolver(clock)
    assert shown(resolver.resolve(parse_uri("sip:192.0.2.1"))) == ["UDP 192.0.2.1:5060"]
    assert not clock.getDelayedCalls()
    resolver.stop()
    assert shown(resolver.resolve(parse_uri("sip:localhost:5070")))[0] == "UDP 127.0.0.1:5070"
    resolver.stop()
    resolver.stop()
    assert not clock.getDelayedCalls()


def test_names_can_be_given() -> None:
    dns = FakeDNS().a("given.example", "192.0.2.1")
    assert shown(outcome(Resolver(Clock(), dns).resolve(parse_uri("sip:given.example:5060")))) == ["UDP 192.0.2.1:5060"]
