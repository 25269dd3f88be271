"""A caller whom `twistd sip-redirect` sends to where somebody is.

The phones have no outbound proxy: one that has sends what it is to send elsewhere back to it (RFC 3261 section 8.3).
Linphone does so even without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from server import Server

PASSWORDS = {"alice": "off-with-her-head", "bob": "tub-rub-dub"}

Start = Callable[..., Baresip]


@pytest.fixture(scope="module")
def redirect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A redirect server on udp and tcp, with the users alice and bob of its address."""
    directory = tmp_path_factory.mktemp("redirect")
    running = Server(directory, plugin="sip-redirect", domain="127.0.0.1", transports=("udp", "tcp"))
    for name, password in PASSWORDS.items():
        running.add_user(name, password)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def phone(redirect: Server, tmp_path: Path) -> Iterator[Start]:
    phones: list[Baresip] = []

    def start(user: str) -> Baresip:
        made = Baresip(tmp_path, user, PASSWORDS[user], f"127.0.0.1:{redirect.ports['udp']}", "")
        phones.append(made)
        made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


def test_baresip_follows(phone: Start, redirect: Server) -> None:
    alice, bob = phone("alice"), phone("bob")
    alice.do("dial", bob.aor)
    bob.wait("CALL_INCOMING")
    bob.do("accept")
    alice.wait("CALL_ESTABLISHED")
    bob.wait("CALL_ESTABLISHED")
    alice.do("hangup")
    bob.wait("CALL_CLOSED")
    ladder = redirect.ladder("--method", "INVITE")
    assert "302 Moved Temporarily" in ladder and "(BYE" not in ladder, ladder
