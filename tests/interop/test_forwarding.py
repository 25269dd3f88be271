"""Calls that baresips have forwarded, because they are busy or because nobody answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from server import Server

PASSWORDS = {"alice": "off-with-her-head", "bob": "tub-rub-dub", "carol": "jam-tomorrow"}

Start = Callable[[str], Baresip]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("forwarding"), transports=("udp",))
    for name, password in PASSWORDS.items():
        running.add_user(name, password)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def phone(proxy: Server, tmp_path: Path) -> Iterator[Start]:
    phones: list[Baresip] = []

    def start(user: str) -> Baresip:
        made = Baresip(tmp_path, user, PASSWORDS[user], proxy.domain, proxy.uri("udp"))
        phones.append(made)
        made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


def policy(proxy: Server, *options: str) -> None:
    done = proxy.command("policy", "set", f"bob@{proxy.domain}", *options)
    assert done.returncode == 0, done


@pytest.mark.parametrize("why", ["busy", "no answer"])
def test_forwarded(phone: Start, proxy: Server, why: str) -> None:
    carols = f"carol@{proxy.domain}"
    policy(proxy, "--forward-busy", carols, "--forward-no-answer", carols, "--after", "2")
    alice, bob, carol = phone("alice"), phone("bob"), phone("carol")
    alice.do("dial", f"sip:bob@{proxy.domain}")
    bob.wait("CALL_INCOMING")
    if why == "busy":
        bob.do("hangup")
    carol.wait("CALL_INCOMING")
    bob.wait("CALL_CLOSED")
    carol.do("accept")
    alice.wait("CALL_ESTABLISHED")
    alice.program.wait_for("181 Call Is Being Forwarded")
    alice.do("hangup")
    carol.wait("CALL_CLOSED")
    told = proxy.command("explain", proxy.ladder("--method", "INVITE").split()[1]).stdout
    assert f"sip:bob@{proxy.domain} has it forwarded to sip:{carols}" in " ".join(told.split()), told
