"""What the interop tests share: a server with two users, and phones that are put away at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# The drivers of the peers stand beside the tests and are imported by their plain names.
sys.path.insert(0, str(Path(__file__).parent))

from baresip import Baresip
from linphone import Linphone
from server import Server

PASSWORDS = {"alice": "off-with-her-head", "bob": "tub-rub-dub"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A proxy on udp, tcp and tls, with the users alice and bob of sip.test."""
    running = Server(tmp_path_factory.mktemp("server"))
    for name, password in PASSWORDS.items():
        running.add_user(name, password)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def baresip(server: Server, tmp_path: Path) -> Iterator[Callable[..., Baresip]]:
    """Start a baresip: ``baresip("alice", "tls")``; it has registered unless told ``register=False``."""
    phones: list[Baresip] = []

    def start(user: str, transport: str = "udp", *, password: str = "", register: bool = True) -> Baresip:
        other = "bob" if user == "alice" else "alice"
        phone = Baresip(
            tmp_path,
            user,
            password or PASSWORDS[user],
            server.domain,
            server.uri(transport),
            transport=transport,
            peer=other,
        )
        phones.append(phone)
        if register:
            phone.registered()
        return phone

    yield start
    for phone in phones:
        phone.stop()


@pytest.fixture
def linphone(server: Server, tmp_path: Path) -> Iterator[Callable[..., Linphone]]:
    """Start a linphone: ``linphone("alice", "tls")``; it has registered unless told ``register=False``."""
    phones: list[Linphone] = []

    def start(user: str, transport: str = "udp", *, password: str = "", register: bool = True) -> Linphone:
        phone = Linphone(
            tmp_path,
            user,
            password or PASSWORDS[user],
            server.domain,
            server.uri(transport),
            transport=transport,
        )
        phones.append(phone)
        if register:
            phone.registered()
        return phone

    yield start
    for phone in phones:
        phone.stop()
