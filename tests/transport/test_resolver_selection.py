"""RFC 3263 without I/O: transport choice, NAPTR and SRV order, the questions asked and what is made of the answers."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from twisted_sip.errors import ResolutionError
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP, TransportKind
from twisted_sip.transport.resolver_selection import (
    MAX_ADDRESSES,
    MAX_DESTINATIONS,
    MAX_SERVICES,
    MAX_TARGETS,
    Answer,
    InsecureTransport,
    NAPTRRecord,
    Question,
    QuestionType,
    SRVRecord,
    Target,
    choose_kind,
    default_kind,
    denied,
    locate,
    numeric_host,
    order_naptr,
    order_srv,
)

KINDS = (UDP, TCP, TLS)
WS = TransportKind("WS", "ws", True, False, True, 80, "SIP+D2W", "_sip._ws")
WSS = TransportKind("WSS", "wss", True, True, True, 443, "SIPS+D2W", "_sips._ws")


def first(limit: int) -> int:
    return 0


def search(target: Target, zone: dict[tuple[str, str], Answer], asked: list[Question] | None = None):
    """Run a search against *zone*, (type, name) -> Answer."""
    machine = locate(target, KINDS, first)
    try:
        questions = next(machine)
        while True:
            if asked is not None:
                asked.extend(questions)
            questions = machine.send([zone.get((q.type.value, q.name), Answer()) for q in questions])
    except StopIteration as done:
        return done.value


def at(*hosts: str) -> Answer:
    return Answer(addresses=hosts)


def srv(*records: tuple[int, int, int, str]) -> Answer:
    return Answer(srv=tuple(SRVRecord(*record) for record in records))


def naptr(order: int, service: str, replacement: str, flags: str = "s", regexp: str = "") -> NAPTRRecord:
    return NAPTRRecord(order, 50, flags, service, regexp, replacement)


def sip(host: str = "example.com", port: int | None = None, kind: TransportKind | None = None) -> Target:
    return Target(host, port, kind, False, host)


def sips(host: str = "example.com", port: int | None = None, kind: TransportKind | None = None) -> Target:
    return Target(host, port, kind, True, host)


def shown(destinations: tuple[Destination, ...]) -> list[str]:
    return [f"{d.kind!r} {d.address}" for d in destinations]


@pytest.mark.parametrize(
    ("host", "number"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8:0:0::1", "2001:db8::1"),
        ("example.com", None),
        ("1.example.com", None),
        ("1und1.de", None),
        ("", None),
    ],
)
def test_numeric_host(host: str, number: str | None) -> None:
    assert numeric_host(host) == number


@pytest.mark.parametrize("host", ["[::1", "[zz::]", "1.2.3", "300.1.1.1", "1.2.3.4.5", "127.1.", "::g"])
def test_what_looks_numeric_and_is_not_is_refused(host: str) -> None:
    with pytest.raises(ResolutionError):
        numeric_host(host)


@pytest.mark.parametrize(
    ("parameter", "secure", "kind"),
    [
        ("", False, None),
        ("", True, None),
        ("udp", False, UDP),
        ("tcp", False, TCP),
        ("tls", False, TLS),
        ("tcp", True, TLS),
        ("tls", True, TLS),
        ("ws", True, WSS),
        ("wss", False, WSS),
    ],
)
def test_the_transport_parameter(parameter: str, secure: bool, kind: TransportKind | None) -> None:
    assert choose_kind(parameter, secure, (*KINDS, WS, WSS)) is kind


@pytest.mark.parametrize("parameter", ["udp", "sctp", "ws"])
def test_sips_is_never_downgraded_by_the_transport_parameter(parameter: str) -> None:
    with pytest.raises(InsecureTransport):
        choose_kind(parameter, True, (*KINDS, WS))


def test_sips_over_tcp_means_tls_even_without_plain_tcp() -> None:
    assert choose_kind("tcp", True, (UDP, TLS)) is TLS


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(ResolutionError, match="sctp"):
        choose_kind("sctp", False, KINDS)


def test_default_transports() -> None:
    assert default_kind(False, KINDS) is UDP
    assert default_kind(True, KINDS) is TLS
    assert default_kind(False, (TLS, TCP)) is TCP
    with pytest.raises(InsecureTransport):
        default_kind(True, (UDP, TCP))
    with pytest.raises(ResolutionError):
        default_kind(False, (TLS,))


def test_naptr_order_then_preference() -> None:
    records = [
        NAPTRRecord(90, 60, "s", "SIP+D2U", "", "_sip._udp.b"),
        NAPTRRecord(90, 50, "S", "sip+d2t", "", "_sip._tcp.a."),
        NAPTRRecord(50, 90, "s", "SIPS+D2T", "", "_sips._tcp.c"),
    ]
    assert order_naptr(records, False, KINDS) == [(TLS, "_sips._tcp.c"), (TCP, "_sip._tcp.a"), (UDP, "_sip._udp.b")]


def test_naptr_for_sips_keeps_sips_services_only() -> None:
    records = [naptr(1, "SIP+D2U", "u"), naptr(2, "SIP+D2T", "t"), naptr(3, "SIPS+D2T", "s")]
    assert order_naptr(records, True, KINDS) == [(TLS, "s")]
    assert order_naptr(records[:2], True, KINDS) == []


@pytest.mark.parametrize(
    "record",
    [
        naptr(1, "SIP+D2S", "sctp.example.com"),
        naptr(1, "E2U+sip", "enum.example.com"),
        naptr(1, "SIP+D2U", "_sip._udp.example.com", flags="u"),
        naptr(1, "SIP+D2U", "_sip._udp.example.com", flags=""),
        naptr(1, "SIP+D2U", "_sip._udp.example.com", regexp="!.*!x!"),
        naptr(1, "SIP+D2U", "."),
        naptr(1, "SIP+D2U", ""),
    ],
)
def test_naptr_records_that_are_no_use_are_discarded(record: NAPTRRecord) -> None:
    assert order_naptr([record], False, KINDS) == []


def test_naptr_records_are_bounded() -> None:
    records = [naptr(n, "SIP+D2U", f"n{n}") for n in range(100)]
    assert len(order_naptr(records, False, KINDS)) == MAX_SERVICES


def test_srv_priorities_come_in_order() -> None:
    records = [SRVRecord(20, 0, 1, "c"), SRVRecord(10, 0, 1, "a"), SRVRecord(15, 0, 1, "b")]
    assert [record.target for record in order_srv(records, first)] == ["a", "b", "c"]


def test_srv_weights_are_drawn_as_rfc_2782_says() -> None:
    records = [SRVRecord(1, 30, 1, "heavy"), SRVRecord(1, 10, 1, "light"), SRVRecord(1, 0, 1, "never")]
    draws = iter([11, 1])
    limits: list[int] = []

    def randbelow(limit: int) -> int:
        limits.append(limit)
        return next(draws)

    # Weight 0 stands first: running sums 0, 30, 40; 11 falls to heavy. Then 0, 10; 1 falls to light.
    assert [record.target for record in order_srv(records, randbelow)] == ["heavy", "light", "never"]
    assert limits == [41, 11]


def test_a_draw_of_zero_selects_weight_zero() -> None:
    records = [SRVRecord(1, 30, 1, "heavy"), SRVRecord(1, 0, 1, "zero")]
    assert [record.target for record in order_srv(records, first)] == ["zero", "heavy"]


def test_srv_weights_in_the_long_run() -> None:
    records = [SRVRecord(1, 300, 1, "a"), SRVRecord(1, 100, 1, "b")]
    random = Random(7)
    count = Counter(order_srv(records, random.randrange)[0].target for _ in range(4000))
    assert 2.7 < count["a"] / count["b"] < 3.3


def test_denied_is_a_root_target_alone() -> None:
    assert denied([SRVRecord(0, 0, 0, ".")])
    assert denied([SRVRecord(0, 0, 0, "")])
    assert not denied([])
    assert not denied([SRVRecord(0, 0, 5060, "a")])


def test_an_explicit_port_means_addresses_only() -> None:
    asked: list[Question] = []
    found = search(sip(port=5080), {("ADDRESS", "example.com"): at("192.0.2.1", "2001:db8::1")}, asked)
    assert shown(found) == ["UDP 192.0.2.1:5080", "UDP [2001:db8::1]:5080"]
    assert asked == [Question(QuestionType.ADDRESS, "example.com")]
    assert shown(search(sips(port=5080), {("ADDRESS", "example.com"): at("192.0.2.1")})) == ["TLS 192.0.2.1:5080"]
    assert shown(search(sip(port=5080, kind=TCP), {("ADDRESS", "example.com"): at("192.0.2.1")})) == [
        "TCP 192.0.2.1:5080"
    ]


def test_the_example_of_rfc_3263_section_4_1() -> None:
    zone = {
        ("NAPTR", "example.com"): Answer(
            naptr=(
                naptr(50, "SIPS+D2T", "_sips._tcp.example.com"),
                naptr(90, "SIP+D2T", "_sip._tcp.example.com"),
                naptr(100, "SIP+D2U", "_sip._udp.example.com"),
            )
        ),
        ("SRV", "_sip._tcp.example.com"): srv((0, 1, 5060, "server1.example.com"), (0, 2, 5060, "server2.example.com")),
        ("ADDRESS", "server1.example.com"): at("192.0.2.1"),
        ("ADDRESS", "server2.example.com"): at("192.0.2.2"),
    }
    # The first service has no servers, the next has.
    assert shown(search(sip(), zone)) == ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"]


def test_sips_with_naptr_uses_sips_services() -> None:
    zone = {
        ("NAPTR", "example.com"): Answer(
            naptr=(naptr(10, "SIP+D2U", "_sip._udp.example.com"), naptr(50, "SIPS+D2T", "_sips._tcp.other.net"))
        ),
        ("SRV", "_sip._udp.example.com"): srv((0, 0, 5060, "bad.example.com")),
        ("SRV", "_sips._tcp.other.net"): srv((0, 0, 5443, "tls.other.net")),
        ("ADDRESS", "bad.example.com"): at("192.0.2.66"),
        ("ADDRESS", "tls.other.net"): at("192.0.2.3"),
    }
    (found,) = search(sips(), zone)
    assert found == Destination(TLS, Address("192.0.2.3", 5443), "example.com")


def test_sips_whose_naptr_answers_offer_no_tls_asks_for_sips_srv_alone() -> None:
    asked: list[Question] = []
    zone = {
        ("NAPTR", "example.com"): Answer(naptr=(naptr(10, "SIP+D2U", "_sip._udp.example.com"),)),
        ("ADDRESS", "example.com"): at("192.0.2.9"),
    }
    assert shown(search(sips(), zone, asked)) == ["TLS 192.0.2.9:5061"]
    assert Question(QuestionType.SRV, "_sips._tcp.example.com") in asked
    assert not any(q.name.startswith("_sip.") for q in asked)


def test_naptr_without_srv_records_uses_its_transport_at_the_domain() -> None:
    zone = {
        ("NAPTR", "example.com"): Answer(naptr=(naptr(10, "SIP+D2T", "_sip._tcp.example.com"),)),
        ("ADDRESS", "example.com"): at("192.0.2.9"),
    }
    assert shown(search(sip(), zone)) == ["TCP 192.0.2.9:5060"]


def test_naptr_whose_srv_denies_the_service_leads_nowhere() -> None:
    zone = {
        ("NAPTR", "example.com"): Answer(naptr=(naptr(10, "SIP+D2T", "_sip._tcp.example.com"),)),
        ("SRV", "_sip._tcp.example.com"): srv((0, 0, 0, ".")),
        ("ADDRESS", "example.com"): at("192.0.2.9"),
    }
    with pytest.raises(ResolutionError):
        search(sip(), zone)


def test_without_naptr_the_first_transport_with_srv_records_is_used() -> None:
    asked: list[Question] = []
    zone = {
        ("SRV", "_sip._tcp.example.com"): srv((1, 0, 5070, "a.example.com")),
        ("ADDRESS", "a.example.com"): at("192.0.2.1"),
    }
    assert shown(search(sip(), zone, asked)) == ["TCP 192.0.2.1:5070"]
    assert [q.name for q in asked if q.type is QuestionType.SRV] == ["_sip._udp.example.com", "_sip._tcp.example.com"]


def test_an_explicit_transport_asks_for_its_srv_only() -> None:
    asked: list[Question] = []
    zone = {
        ("SRV", "_sips._tcp.example.com"): srv((1, 0, 5071, "a.example.com")),
        ("ADDRESS", "a.example.com"): at("192.0.2.1"),
    }
    assert shown(search(sip(kind=TLS), zone, asked)) == ["TLS 192.0.2.1:5071"]
    assert asked[0] == Question(QuestionType.SRV, "_sips._tcp.example.com")


def test_without_any_service_record_the_addresses_of_the_domain_count() -> None:
    zone = {("ADDRESS", "example.com"): at("192.0.2.1")}
    assert shown(search(sip(), zone)) == ["UDP 192.0.2.1:5060"]
    assert shown(search(sips(), zone)) == ["TLS 192.0.2.1:5061"]
    assert shown(search(sip(kind=TCP), zone)) == ["TCP 192.0.2.1:5060"]


@pytest.mark.parametrize("kind", [None, UDP])
def test_a_root_target_means_that_there_is_no_service(kind: TransportKind | None) -> None:
    zone = {("SRV", "_sip._udp.example.com"): srv((0, 0, 0, ".")), ("ADDRESS", "example.com"): at("192.0.2.1")}
    with pytest.raises(ResolutionError, match="no such service"):
        search(sip(kind=kind), zone)


def test_a_root_target_for_another_transport_leaves_the_default() -> None:
    zone = {("SRV", "_sip._tcp.example.com"): srv((0, 0, 0, ".")), ("ADDRESS", "example.com"): at("192.0.2.1")}
    assert shown(search(sip(), zone)) == ["UDP 192.0.2.1:5060"]


def test_servers_without_addresses_are_a_dead_end() -> None:
    zone = {
        ("SRV", "_sip._udp.example.com"): srv((0, 0, 5060, "gone.example.com")),
        ("ADDRESS", "example.com"): at("192.0.2.1"),
    }
    with pytest.raises(ResolutionError, match="no addresses"):
        search(sip(), zone)


def test_no_address_is_a_dead_end() -> None:
    with pytest.raises(ResolutionError, match="has no address"):
        search(sip(), {})


def test_no_secure_transport_is_a_dead_end() -> None:
    machine = locate(sips(), (UDP, TCP), first)
    assert next(machine) == (Question(QuestionType.NAPTR, "example.com"),)
    with pytest.raises(InsecureTransport):
        machine.send([Answer()])


def test_transports_that_a_sip_uri_uses_unasked() -> None:
    machine = locate(sip(), (TLS,), first)
    next(machine)
    with pytest.raises(ResolutionError, match="no transport for a sip URI"):
        machine.send([Answer()])


def test_the_order_of_rfc_7984_section_4() -> None:
    zone = {
        ("SRV", "_sip._tcp.example.com"): srv((10, 1, 5060, "sip-1.example.com"), (20, 1, 5061, "sip-2.example.com")),
        ("ADDRESS", "sip-1.example.com"): at("2001:db8:58:c02::face", "192.0.2.45"),
        ("ADDRESS", "sip-2.example.com"): at("2001:db8:58:c02::dead", "192.0.2.75"),
    }
    assert shown(search(sip(kind=TCP), zone)) == [
        "TCP [2001:db8:58:c02::face]:5060",
        "TCP 192.0.2.45:5060",
        "TCP [2001:db8:58:c02::dead]:5061",
        "TCP 192.0.2.75:5061",
    ]


def test_the_same_server_twice_is_tried_once() -> None:
    zone = {
        ("SRV", "_sip._udp.example.com"): srv((1, 0, 5060, "a.example.com"), (2, 0, 5060, "a.example.com.")),
        ("ADDRESS", "a.example.com"): at("192.0.2.1"),
    }
    assert shown(search(sip(), zone)) == ["UDP 192.0.2.1:5060"]


def test_huge_answers_are_cut() -> None:
    many = tuple(f"192.0.2.{n}" for n in range(200))
    zone = {("SRV", "_sip._udp.example.com"): srv(*[(n, 0, 5060, f"s{n}.example.com") for n in range(300)])}
    for n in range(300):
        zone["ADDRESS", f"s{n}.example.com"] = at(*(f"10.{n % 250}.0.{host}" for host in range(200)))
    asked: list[Question] = []
    found = search(sip(), zone, asked)
    assert len(found) == MAX_DESTINATIONS
    assert sum(q.type is QuestionType.ADDRESS for q in asked) == MAX_TARGETS
    assert len(search(sip("h", 5060), {("ADDRESS", "h"): at(*many)})) == MAX_ADDRESSES


def test_an_srv_record_with_port_zero_is_passed_over() -> None:
    zone = {
        ("SRV", "_sip._udp.example.com"): srv((1, 0, 0, "a.example.com"), (2, 0, 5060, "b.example.com")),
        ("ADDRESS", "a.example.com"): at("192.0.2.1"),
        ("ADDRESS", "b.example.com"): at("192.0.2.2"),
    }
    assert shown(search(sip(), zone)) == ["UDP 192.0.2.2:5060"]
