"""What the interop tests share: a server with two users, and phones that are put away at the end."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The drivers of the peers stand beside the tests and are imported by their plain names.
sys.path.insert(0, str(Path(__file__).parent))

from answering import Echo, echo_phones
from baresip import Baresip
from linphone import Linphone
from linphonec import LinphoneConsole
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


TRANSPORTS = ("udp", "tcp", "tls")
#: The names of two users.
Pair = tuple[str, str]
#: How many pairs of users the servers with presence have; each test takes one that nobody has had before.
PAIRS = 60
#: Short lives, so that a test can wait until what a killed phone has left behind is over.
SHORT_LIVES = """\
[registrar]
min_expires = 1
[presence]
min_expires = 1
[events]
min_expires = 1
"""


def presence_server(directory: Path, plugin: str, *options: str, pairs: int = PAIRS, **how: Any) -> Server:
    """Return a server with presence, not started, with users alice0, bob0, alice1 ..."""
    (directory / "server.toml").write_text(SHORT_LIVES)
    more = ("--presence",) if plugin == "sip-proxy" else ()
    web = () if "--xcap" in options else ("--xcap", "off")
    made = Server(directory, "--config", str(directory / "server.toml"), *more, *web, *options, plugin=plugin, **how)
    made.import_users({f"{name}{n}": password for n in range(pairs) for name, password in PASSWORDS.items()})
    return made


@pytest.fixture(scope="session", params=["sip-presence", "sip-proxy"])
def presence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with presence: alone, and inside of the proxy."""
    running = presence_server(tmp_path_factory.mktemp("presence"), request.param)
    running.start()
    yield running
    running.stop()


_numbers = itertools.count()


@pytest.fixture
def pair() -> Callable[[], Pair]:
    """Call it for two users about whom nothing is known yet."""

    def take() -> Pair:
        number = next(_numbers) % PAIRS
        return f"alice{number}", f"bob{number}"

    return take


Phone = Baresip | LinphoneConsole


@pytest.fixture
def phone(presence: Server, tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Start a phone that publishes, watches its peer and chats: ``phone(Baresip, "alice0", "tls", peer="bob0")``."""
    phones: list[Phone] = []

    def start(make: type[Phone], user: str, transport: str, *, peer: str, expires: int = 600) -> Phone:
        made = make(
            tmp_path, user, PASSWORDS[user.rstrip("0123456789")], presence.domain, presence.uri(transport),
            transport=transport, peer=peer, expires=expires, presence=True,
        )  # fmt: skip
        phones.append(made)
        made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


@pytest.fixture(scope="session")
def echo(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    """User agents that echo: one at the proxy, one alone."""
    yield from echo_phones(server, tmp_path_factory.mktemp("echo"))
