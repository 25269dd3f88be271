"""Flow tokens (RFC 5626 section 5.2)."""

from __future__ import annotations

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.message.grammar import is_token
from twisted_sip.transport.flow_tokens import datagram_token, parse_datagram_token, stream_token


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (Address("192.0.2.1", 5060), Address("198.51.100.7", 65535)),
        (Address("2001:db8::1", 5060), Address("2001:db8::99", 1)),
        (Address("fe80::1%eth0", 5060), Address("fe80::2%eth0", 40000)),
        (Address("0.0.0.0", 5060), Address("198.51.100.7", 5060)),
    ],
)
def test_round_trip(local, remote):
    token = datagram_token(local, remote)
    assert is_token(token)
    assert parse_datagram_token(token) == (local, remote)
    for end in range(len(token)):
        assert parse_datagram_token(token[:end]) is None


@pytest.mark.parametrize("token", ["", "U", "U!!!!", "UAAAA", "Sb1.1", "U" + "B" * 400, "Uü", stream_token("b", 1)])
def test_nonsense(token):
    assert parse_datagram_token(token) is None
