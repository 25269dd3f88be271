"""There is no NAT on the loopback interface: SIPp registers there from one port for another."""

from __future__ import annotations

import pytest

from twisted_sip.message.uri import SIPURI
from twisted_sip.proxy.reachability import reachable


@pytest.mark.parametrize(
    ("contact", "transport", "address", "as_written"),
    [
        ("sip:a@192.0.2.1:5062", "UDP", "192.0.2.1:31062", False),
        ("sip:a@127.0.0.1:5062", "UDP", "192.0.2.1:5062", False),
        ("sip:a@127.0.0.1:5062", "UDP", "127.0.0.1:31062", True),
        ("sip:a@[::1]:5062", "UDP", "[::1]:31062", True),
    ],
)
def test_reachable(contact: str, transport: str, address: str, as_written: bool) -> None:
    assert reachable(SIPURI.parse(contact), transport, address) is as_written
