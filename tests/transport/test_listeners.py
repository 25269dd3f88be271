"""What is ours where one listens on every address."""

from __future__ import annotations

import pytest

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.transport.listeners import Listeners


@pytest.mark.parametrize(
    ("host", "ours", "asked"),
    [
        ("192.0.2.1", True, ["192.0.2.1"]),
        ("192.0.2.9", False, ["192.0.2.9"]),
        ("127.0.0.7", True, []),
        # The kernel resolves names while everything waits: a peer must not have it asked for one.
        ("slow.example.net", False, []),
        ("127.example.net", False, []),
    ],
)
def test_a_wildcard_covers_addresses_of_this_host_alone(host: str, ours: bool, asked: list[str]) -> None:
    questions: list[str] = []

    def source_for(remote: str) -> str:
        questions.append(remote)
        return "192.0.2.1"

    listeners = Listeners(source_for)
    listeners.add(UDP, Address("0.0.0.0", 5060), "")
    assert listeners.is_local(host, 5060) is ours
    assert questions == asked
