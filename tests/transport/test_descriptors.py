"""Where to listen, as text."""

from __future__ import annotations

import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.transport.descriptors import default_descriptors, parse_descriptor


@pytest.mark.parametrize(
    ("text", "kind", "port", "interface"),
    [
        ("udp:5060:interface=127.0.0.1", UDP, 5060, "127.0.0.1"),
        ("tcp:5060", TCP, 5060, ""),
        ("TLS:5061", TLS, 5061, ""),
        ("udp", UDP, 5060, ""),
        ("tls:", TLS, 5061, ""),
        ("udp:0", UDP, 0, ""),
        (r"udp:5060:interface=\:\:1", UDP, 5060, "::1"),
        ("udp:5060:interface=[::1]", UDP, 5060, "::1"),
        ("tcp:5060:interface=[2001:DB8:0::1]", TCP, 5060, "2001:db8::1"),
        (r"tcp:5060:interface=fe80\:\:1%eth0", TCP, 5060, "fe80::1%eth0"),
        ("tcp:5060:interface=0.0.0.0", TCP, 5060, "0.0.0.0"),
    ],
)
def test_good_ones(text, kind, port, interface):
    descriptor = parse_descriptor(text)
    assert (descriptor.kind, descriptor.port, descriptor.interface) == (kind, port, interface)
    assert descriptor.wildcard is (interface in ("", "0.0.0.0", "::"))
    assert (descriptor.certificate, descriptor.advertise) == (None, None)


def test_certificate_and_advertised_name():
    descriptor = parse_descriptor(r"tls:5061:privateKey=/a/k\:1.pem:certKey=c.pem:advertise=sip.example.com\:5071")
    assert descriptor.certificate is not None
    assert (descriptor.certificate.private_key, descriptor.certificate.certificate) == ("/a/k:1.pem", "c.pem")
    assert descriptor.advertise == "sip.example.com:5071"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "unknown transport '', write one of tcp, tls, udp"),
        ("sctp:5060", "unknown transport 'sctp'"),
        ("udp:70000", "'70000' is no port"),
        ("udp:x", "'x' is no port"),
        ("udp:²", "is no port"),
        ("udp:5060:interface=localhost", "no numeric address"),
        ("udp:5060:interface=::1", "is no option"),
        ("udp:5060:colour=red", "unknown option 'colour'"),
        ("tcp:5060:privateKey=k:certKey=c", "unknown option 'privateKey'"),
        ("tls:5061:privateKey=k.pem", "give both"),
        ("udp:5060:127.0.0.1", "is no option"),
        ("udp:5060:interface=[::1", "no numeric address|is no option"),
        ("udp:5060\\", "is no port"),
    ],
)
def test_bad_ones(text, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        parse_descriptor(text)
    assert all(problem.startswith(f"listen {text}: ") for problem in caught.value.problems)


def test_defaults():
    assert [parse_descriptor(text).port for text in default_descriptors()] == [5060, 5060, 5061]
