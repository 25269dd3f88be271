"""What is ours (RFC 3261 sections 16.4 and 16.5)."""

from __future__ import annotations

import pytest

from twisted_sip.element.domains import Domains
from twisted_sip.interfaces.flow import Address
from twisted_sip.message.uri import parse_uri


class Listener:
    def __init__(self, port: int) -> None:
        self.address = Address("192.0.2.1", port)


class Transports:
    """Listens on 192.0.2.1 and 2001:db8::1."""

    def __init__(self, *ports: int) -> None:
        self.listeners = [Listener(port) for port in ports]

    def is_local_address(self, host: str, port: int | None) -> bool:
        ports = [listener.address.port for listener in self.listeners]
        return host in ("192.0.2.1", "2001:db8::1", "127.0.0.1") and port in ports


@pytest.fixture
def domains() -> Domains:
    return Domains(["Example.COM", "example.org.", "[2001:db8::5]"], Transports(5060, 5061))


@pytest.mark.parametrize(
    ("host", "port", "ours"),
    [
        ("example.com", None, True),
        ("EXAMPLE.com", None, True),
        ("example.com.", None, True),
        ("example.org", 5061, True),
        ("example.com", 5080, False),
        ("www.example.com", None, False),
        ("[2001:db8::5]", None, True),
        ("2001:db8::5", None, True),
        ("192.0.2.1", None, True),
        ("192.0.2.1", 5061, True),
        ("[2001:db8::1]", 5060, True),
        ("127.0.0.1", 5070, False),
        ("192.0.2.2", None, False),
    ],
)
def test_hosts(domains: Domains, host: str, port: int | None, ours: bool) -> None:
    for _ in range(2):
        assert domains.is_local(host, port) is ours


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        ("sip:bob@example.com", True),
        ("sips:bob@example.com", True),
        ("sip:bob@example.com:5060;transport=tcp", True),
        ("sip:192.0.2.1:5070", False),
        ("tel:+1555", False),
        ("http://example.com", False),
        ("sip:bob@example.com;maddr=192.0.2.1", True),
        ("sip:bob@example.com;maddr=192.0.2.9", False),
        ("sip:bob@example.com:5061;maddr=192.0.2.1", True),
        ("sip:bob@example.net;maddr=192.0.2.1", False),
    ],
)
def test_uris(domains: Domains, uri: str, ours: bool) -> None:
    for _ in range(2):
        assert domains.is_local_uri(parse_uri(uri)) is ours


def test_the_default_port_of_sips() -> None:
    domains = Domains([], Transports(5061))
    assert domains.is_local_uri(parse_uri("sips:192.0.2.1"))
    assert not domains.is_local_uri(parse_uri("sip:192.0.2.1"))


def test_new_listeners_count_at_once() -> None:
    transports = Transports(5060)
    domains = Domains(["example.com"], transports)
    uri = parse_uri("sip:example.com:5080")
    assert not domains.is_local_uri(uri)
    transports.listeners.append(Listener(5080))
    assert domains.is_local_uri(uri)


def test_what_is_remembered_is_bounded() -> None:
    domains = Domains(["example.com"], Transports(5060))
    for number in range(10_000):
        domains.is_local_uri(parse_uri(f"sip:host{number}.example.net"))
    assert len(domains._known) < 5_000
    assert len(domains._known_uris) < 5_000
    assert not domains.is_local_uri(parse_uri("sip:u@" + "h" * 3000 + ".example.com"))
