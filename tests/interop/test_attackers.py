"""What strangers get: no list of users, no password, no relay to third parties."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from processes import Program, needed
from server import Server
from wire import Wire

#: 1000 and 1003 exist, 1003 has registered.
USERS = {str(number): "secret" for number in (1000, 1003)}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("attacked"), transports=("udp",), domain="127.0.0.1")
    running.import_users(USERS)
    running.start()
    done = running.command_of_client("register", "1003@127.0.0.1", "--contact", "sip:1003@127.0.0.1:9", stdin="secret")
    assert done.returncode == 0, done
    yield running
    running.stop()


def scan(directory: Path, *command: str, patience: float = 60.0) -> str:
    """Run a scanner to its end and return what it says."""
    program = Program(command, directory=directory, environment={"HOME": str(directory)})
    program.finish(patience)
    return program.text


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE"])
def test_svwar_lists_nobody(attacked: Server, tmp_path: Path, method: str) -> None:
    needed("svwar")
    port = str(attacked.ports["udp"])
    said = scan(
        tmp_path, "svwar", "-p", port, "-m", method, "-e", "998-1005", "--force", "--maximumtime", "3", "127.0.0.1"
    )
    assert "Traceback" not in said, said
    assert not re.search(r"\b(1000|1003)\b.*\b(reqauth|noauth|weird)\b", said), said
    # Without --force it asks after a user who cannot exist, and gives up where that one looks like all others.
    said = scan(tmp_path, "svwar", "-p", port, "-m", method, "-e", "998-1005", "--maximumtime", "3", "127.0.0.1")
    assert not re.search(r"\b(1000|1003)\b.*\b(reqauth|noauth|weird)\b", said), said


def test_svmap_and_sipsak(attacked: Server, tmp_path: Path) -> None:
    needed("svmap", "sipsak")
    port = str(attacked.ports["udp"])
    assert "127.0.0.1" in scan(tmp_path, "svmap", "-p", port, "127.0.0.1")
    # sipsak -U registers without credentials: refused, whether the user exists or not.
    for user in ("1003", "1004"):
        usrloc = scan(
            tmp_path, "sipsak", "-U", "-v", "-s", f"sip:{user}@127.0.0.1:{port}", "-C", f"sip:{user}@127.0.0.1:9"
        )
        assert re.search("^SIP/2.0 40[13] ", usrloc, re.MULTILINE), usrloc
    assert attacked.contacts("1004") == []


def test_svcrack_ends_banned(attacked: Server, tmp_path: Path) -> None:
    needed("svcrack")
    words = tmp_path / "words"
    words.write_text("\n".join([*(f"guess{n}" for n in range(40)), "secret", ""]))
    port = str(attacked.ports["udp"])
    said = scan(tmp_path, "svcrack", "-p", port, "-u", "1000", "-d", str(words), "--maximumtime", "3", "127.0.0.1")
    assert "secret" not in said, said
    (ban,) = attacked.json("bans", "list")
    assert (ban["source"], ban["user"]) == ("127.0.0.1", "1000")
    register = ("register", "1000@127.0.0.1", "--contact", "sip:1000@127.0.0.1:9")
    # The right password is worth nothing while the ban lasts, and another phone on the same address is not hit.
    assert attacked.command_of_client(*register, stdin="secret").stdout.startswith("403")
    other = ("register", "1003@127.0.0.1", "--contact", "sip:1003@127.0.0.1:9")
    assert attacked.command_of_client(*other, stdin="secret").returncode == 0
    assert attacked.command("bans", "lift", "127.0.0.1", "1000").returncode == 0
    assert attacked.json("bans", "list") == []
    assert attacked.command_of_client(*register, stdin="secret").returncode == 0


@pytest.fixture
def third() -> Iterator[Wire]:
    """Somebody who has nothing to do with the server; nothing may be sent there."""
    with Wire(9, "127.0.0.5") as wire:
        yield wire


def forged(port: int, token: str = "") -> str:
    return f"Route: <sip:{token + '@' if token else ''}127.0.0.1:{port};lr>"


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "BYE", "ACK", "SUBSCRIBE", "REFER", "REGISTER"])
def test_no_relay_to_third_parties(attacked: Server, third: Wire, method: str) -> None:
    port = attacked.ports["udp"]
    away, local, foreign = f"sip:v@127.0.0.5:{third.port}", "sip:1000@127.0.0.1", "sip:mallory@example.org"
    past = f"Route: <{away};lr>"
    attempts = [
        (away, foreign, away, ()),
        (away, local, away, ()),
        (away, foreign, local, ()),
        (away, foreign, away, (forged(port),)),
        (away, foreign, away, (forged(port, "Dnxm-1Rw6pv_r_y9"),)),
        (away, local, away, (forged(port, "sVNyR6LJZdst5W3zYVVCSDhBQUFHQUxRUl9BQUFCZ3lN"),)),
        (local, foreign, local, (past,)),
        (local, local, local, (past,)),
        (local, foreign, local, (forged(port), past)),
        (f"sip:127.0.0.1:{port}", foreign, local, (past,)),
        (f"sip:127.0.0.1:{port};lr", foreign, local, (forged(port), past)),
        (f"sip:1003@127.0.0.1:{port};maddr=127.0.0.5", foreign, local, ()),
    ]
    with Wire(port) as stranger:
        for uri, from_, to, fields in attempts:
            for to_tag in ("", "a-tag"):
                stranger.request(method, uri, from_, to, *fields, to_tag=to_tag)
                status = 0 if method == "ACK" else stranger.status()
                assert method == "ACK" or status >= 400, (method, uri, from_, to, fields, to_tag, status)
    assert third.receive(0.3) == ""


def test_a_cancel_reaches_nobody(attacked: Server, third: Wire) -> None:
    port = attacked.ports["udp"]
    with Wire(port) as stranger:
        stranger.request("CANCEL", f"sip:v@127.0.0.5:{third.port}", "sip:m@example.org", "sip:v@example.org")
        assert stranger.status() == 481
    assert third.receive(0.3) == ""


def test_a_call_cannot_be_ended_by_others(server: Server, baresip: Callable[..., Baresip]) -> None:
    """A BYE and a CANCEL with everything but the token of the dialog right do not end it."""
    alice, bob = baresip("alice"), baresip("bob")
    alice.do("dial", bob.aor)
    bob.wait("CALL_INCOMING")
    with Wire(server.ports["udp"]) as stranger:
        (call_id,) = [event["id"] for event in bob.events if event["type"] == "CALL_INCOMING"]
        stranger.request("CANCEL", "sip:bob@sip.test", alice.aor, bob.aor, call_id=call_id)
        assert stranger.status() == 481
        bob.do("accept")
        alice.wait("CALL_ESTABLISHED")
        contact = server.contacts("bob")[0]
        tags = re.findall(r"^(?:To|From): .*;tag=(\w+)", alice.program.text, re.MULTILINE)
        stranger.request("BYE", contact, alice.aor, bob.aor, to_tag=tags[-1], call_id=call_id)
        assert stranger.status() in (403, 407, 481)
    assert not any(event["type"] == "CALL_CLOSED" for event in (*alice.events, *bob.events))
    alice.do("hangup")
    bob.wait("CALL_CLOSED")
