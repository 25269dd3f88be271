"""Phones behind NATs are reached by the flows they have opened: INVITE, ACK and BYE, whoever calls and whoever ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from conftest import PASSWORDS
from linphone import Linphone
from natted import PORTS, SERVER, Internet
from server import Server

Start = Callable[..., Baresip | Linphone]

#: How many alices and bobs there are.
USERS = 32


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    made = Internet(tmp_path_factory.mktemp("internet"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def public(internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server on the public network."""
    running = Server(tmp_path_factory.mktemp("public"), host=SERVER, inside=internet.network.inside, ports=PORTS)
    running.import_users({f"{name}{number}": word for name, word in PASSWORDS.items() for number in range(USERS)})
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return iter(range(USERS))


@pytest.fixture(scope="module")
def homes(internet: Internet) -> dict[str, tuple[object, str]]:
    return {user: internet.behind_nat(number) for number, user in enumerate(PASSWORDS, 1)}


@pytest.fixture
def phone(
    public: Server, homes: dict[str, tuple[object, str]], tmp_path: Path, numbers: Iterator[int]
) -> Iterator[Start]:
    phones: list[Baresip | Linphone] = []
    # Of its own for each test: a phone that could not sign off leaves a contact at which nobody answers.
    number = next(numbers)

    def start(make: type, user: str, transport: str) -> Baresip | Linphone:
        network, address = homes[user]
        where = {"host": address} if make is Baresip else {}
        made = make(
            tmp_path, f"{user}{number}", PASSWORDS[user], public.domain, public.uri(transport), transport=transport,
            network=network, **where,
        )  # fmt: skip
        phones.append(made)
        made.registered()
        return made

    yield start
    for each in phones:
        each.stop()


def judge(public: Server) -> None:
    """What the trace says of a call that went well: nothing was lost and nothing refused."""
    last = public.ladder("--method", "INVITE")
    assert re.search(r"200 O[kK] \(BYE", last), last
    assert "↻" not in last, last
    assert not re.search(r"─ (403|404|408|430|480|481|5\d\d) ", last), last


@pytest.mark.parametrize("ends", ["caller", "callee"])
@pytest.mark.parametrize(("from_", "to"), [("udp", "udp"), ("tcp", "tcp"), ("tls", "tls"), ("udp", "tls")])
def test_calls_between_baresips(phone: Start, public: Server, from_: str, to: str, ends: str) -> None:
    alice, bob = phone(Baresip, "alice", from_), phone(Baresip, "bob", to)
    assert isinstance(alice, Baresip) and isinstance(bob, Baresip)
    # Not a word of a public address: the server has to see for itself where the phones are.
    assert all("@10.0." in contact for contact in public.contacts())
    alice.do("dial", bob.aor)
    bob.wait("CALL_INCOMING")
    bob.do("accept")
    for each in (alice, bob):
        each.wait("CALL_ESTABLISHED")
    one, other = (alice, bob) if ends == "caller" else (bob, alice)
    before = len(one.program.lines)
    one.do("hangup")
    other.wait("CALL_CLOSED")
    one.program.wait_for("SIP/2.0 200 OK", after=before)
    judge(public)


@pytest.mark.parametrize(
    ("transport", "ends"), [("udp", 0), ("udp", 1), ("tcp", 0), ("tcp", 1), ("tls", 0), ("tls", 1)]
)
def test_calls_between_linphones(phone: Start, public: Server, transport: str, ends: int) -> None:
    alice, bob = phone(Linphone, "alice", transport), phone(Linphone, "bob", transport)
    assert isinstance(alice, Linphone) and isinstance(bob, Linphone)
    alice.do(f"call {bob.aor}")
    bob.wait("IncomingReceived")
    bob.do("answer")
    for each in (alice, bob):
        each.wait("StreamsRunning")
    (alice, bob)[ends].do("terminate")
    for each in (alice, bob):
        each.wait("End")
    judge(public)


def test_a_call_that_is_given_up_and_one_that_is_declined(phone: Start) -> None:
    alice, bob = phone(Baresip, "alice", "udp"), phone(Baresip, "bob", "tcp")
    assert isinstance(alice, Baresip) and isinstance(bob, Baresip)
    alice.do("dial", bob.aor)
    bob.wait("CALL_INCOMING")
    alice.wait("CALL_RINGING")
    alice.do("hangup")
    bob.wait("CALL_CLOSED")
    here, there = alice.mark, bob.mark
    bob.do("dial", alice.aor)
    alice.wait("CALL_INCOMING", here)
    alice.do("hangup")
    assert "486" in bob.wait("CALL_CLOSED", there)["param"]
