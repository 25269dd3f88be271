"""Phones behind NATs watch and are told by the flows that they have opened, also after they have connected anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from conftest import PASSWORDS, presence_server
from natted import PORTS, SERVER, Internet
from processes import wait_for
from server import Server


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    made = Internet(tmp_path_factory.mktemp("internet"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def public(internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = presence_server(
        tmp_path_factory.mktemp("public"),
        "sip-presence",
        pairs=4,
        host=SERVER,
        inside=internet.network.inside,
        ports=PORTS,
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def homes(internet: Internet) -> dict[str, tuple[object, str]]:
    return {user: internet.behind_nat(number) for number, user in enumerate(PASSWORDS, 1)}


@pytest.fixture
def phone(public: Server, homes: dict[str, tuple[object, str]], tmp_path: Path) -> Iterator[Callable[..., Baresip]]:
    phones: list[Baresip] = []

    def start(name: str, number: int, transport: str, expires: int = 600) -> Baresip:
        network, address = homes[name]
        other = "bob" if name == "alice" else "alice"
        made = Baresip(
            tmp_path, f"{name}{number}", PASSWORDS[name], public.domain, public.uri(transport), transport=transport,
            peer=f"{other}{number}", presence=True, expires=expires, network=network, host=address,
        )  # fmt: skip
        phones.append(made)
        made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


@pytest.mark.parametrize(("number", "transport"), [(0, "udp"), (1, "tcp"), (2, "tls")])
def test_watching(phone: Callable[..., Baresip], number: int, transport: str) -> None:
    alice, bob = phone("alice", number, transport), phone("bob", number, transport)
    alice.wait_to_see("Online")
    bob.wait_to_see("Online")
    for watched, watcher in ((alice, bob), (bob, alice)):
        watched.do("presence_offline")
        watcher.wait_to_see("Offline")
        watched.do("presence_online")
        watcher.wait_to_see("Online")
    alice.send("have some wine")
    bob.wait_for_message("have some wine")


def test_a_new_connection(phone: Callable[..., Baresip], public: Server) -> None:
    alice, bob = phone("alice", 3, "tcp", expires=5), phone("bob", 3, "udp")
    alice.wait_to_see("Online")
    # All connections are gone with the process; the phone registers anew over another one.
    public.kill()
    public.start()
    bob.do("presence_offline")
    wait_for(lambda: len(connections(alice)) > 1, lambda: alice.program.text[-6000:])
    # What could not be told is tried again after ten seconds (RFC 5057 section 5.1, note 13), or when she registers; a
    # REGISTER that was lost with the connection is given up by her phone after Timer F only.
    alice.wait_to_see("Offline", 60)


def connections(phone: Baresip) -> set[str]:
    """Return the ports from which *phone* has sent anything over TCP."""
    return set(re.findall(r"^TCP \S+:(\d+) -> \S+:5060$", phone.program.text, re.MULTILINE))
