"""The chat as it is used: in pipes and on terminals, beside a server that runs."""

from __future__ import annotations

import json
import os
import signal
import termios
import time
from collections.abc import Callable
from typing import Any

import pytest

ALICE, BOB = "alice@127.0.0.1", "bob@127.0.0.1"


def chat(server: Any, program: Callable[..., Any], user: str, peer: str, *options: str) -> Any:
    """Begin a chat in a pipe."""
    made = program("chat", user, peer, "--password-stdin", "--proxy", server.proxy, *options)
    made.type(server.passwords[user.partition("@")[0]] + "\n")
    return made


def registered(server: Any, user: str) -> None:
    """Wait until *user* is registered."""
    deadline = time.monotonic() + 60
    while json.loads(server.run("contacts", user, "--json").stdout) == []:
        assert time.monotonic() < deadline


def test_two_pipes(server: Any, program: Callable[..., Any]) -> None:
    bob = chat(server, program, BOB, ALICE)
    registered(server, BOB)
    alice = chat(server, program, ALICE, BOB, "--json")
    alice.type("hello\n")
    bob.until(f" {ALICE}: hello")
    alice.until('"displayed"')
    bob.type("Gr\u00fc\u00dfe\n")
    alice.until("Gr\u00fc\u00dfe")
    events = [json.loads(line) for line in alice.text.splitlines()]
    assert {"said", "mark", "message"} <= {event["event"] for event in events}
    alice.type("/quit\n")
    assert alice.process.wait(60) == 0
    assert bob.end() == 0
    assert "Traceback" not in bob.text
    assert server.run("contacts", ALICE).stdout == f"{ALICE} is not registered\n"


def test_who_is_away_gets_it_later(server: Any, program: Callable[..., Any]) -> None:
    alice = server.as_user("chat", "alice", BOB, stdin="first\nsecond\n")
    assert alice.returncode == 0, alice
    lines = [line.partition(" ")[2] for line in alice.stdout.splitlines()]
    assert lines == ["-- stored: first", "-- stored: second"]
    bob = chat(server, program, BOB, ALICE)
    bob.until(": first")
    bob.until(": second")
    assert bob.end() == 0


def test_staying_for_an_answer(server: Any, program: Callable[..., Any]) -> None:
    bob = chat(server, program, BOB, ALICE)
    registered(server, BOB)
    alice = server.as_user("chat", "alice", BOB, "--wait", "2", stdin="hello")
    assert "-- displayed: hello" in alice.stdout
    assert bob.end() == 0


def test_what_is_not_taken(server: Any) -> None:
    done = server.as_user("chat", "alice", "sip:nobody@127.0.0.1", stdin="hello\n" + "x" * 2000 + "\n")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "twisted-sip: not sent: hello (404 Not Found)",
        f"twisted-sip: not sent: {'x' * 39}\u2026 (it is longer than an instant message may be)",
    ]


@pytest.mark.parametrize(
    ("options", "stdin", "text"),
    [
        (["--password-stdin"], "wrong\n", "the password is wrong, or there is no such user"),
        (["--password-stdin"], "", "the password is empty"),
        ([], "hello\n", "a password is wanted: give --password-stdin, and the password as the first line"),
        (["--timeout", "0.3", "--proxy", "sip:127.0.0.1:9"], "", ""),
    ],
)
def test_what_ends_it_at_once(server: Any, options: list[str], stdin: str, text: str) -> None:
    proxy = [] if "--proxy" in options else ["--proxy", server.proxy]
    done = server.run("chat", ALICE, BOB, *options, *proxy, stdin=stdin)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"twisted-sip: {text}")


def test_a_domain_that_is_not_served(server: Any) -> None:
    done = server.run("chat", "alice@example.com", BOB, "--proxy", server.proxy)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("twisted-sip: not registered: ")


def test_a_signal_takes_the_registration_back(server: Any, program: Callable[..., Any]) -> None:
    alice = chat(server, program, ALICE, BOB)
    registered(server, ALICE)
    alice.process.send_signal(signal.SIGTERM)
    assert alice.process.wait(60) == 1
    assert alice.output.read() == "twisted-sip: interrupted\n"
    assert server.run("contacts", ALICE).stdout == f"{ALICE} is not registered\n"


def test_two_terminals(server: Any, terminal: Callable[..., Any]) -> None:
    sides = {}
    for user, peer in ((ALICE, BOB), (BOB, ALICE)):
        side = sides[user] = terminal("chat", user, peer, "--proxy", server.proxy)
        side.until("Password: ")
        side.type(server.passwords[user.partition("@")[0]] + "\n")
        side.until("Control-C leaves")
    alice, bob = sides[ALICE], sides[BOB]
    alice.type("helo\x1b[Dl")
    bob.until("alice is typing")
    alice.type("\r")
    bob.until("hello")
    alice.until("displayed")
    bob.type("\x0c\x1b[5~\x1b[6~answer\r")
    alice.until("answer")
    bob.type("/quit\r")
    assert bob.end() == 0
    os.kill(alice.pid, signal.SIGWINCH)
    alice.type("\x03")
    alice.until("\x1b[?1049l")
    assert alice.end() == 0
    # What was said stays on the terminal.
    assert "hello" in alice.text.rpartition("\x1b[?1049l")[2]
    assert "Traceback" not in alice.text + bob.text


def test_a_terminal_and_a_signal(server: Any, terminal: Callable[..., Any]) -> None:
    alice = terminal("chat", ALICE, BOB, "--proxy", server.proxy)
    alice.until("Password: ")
    alice.type(server.passwords["alice"] + "\n")
    alice.until("Control-C leaves")
    taken = alice.flags()
    assert taken[3] & (termios.ISIG | termios.ECHO) == 0
    os.kill(alice.pid, signal.SIGTERM)
    alice.until("\x1b[?1049l")
    assert alice.end() == 0
    assert alice.left[3] & termios.ISIG and alice.left[3] & termios.ICANON and alice.left[3] & termios.ECHO


def test_a_terminal_and_a_wrong_password(server: Any, terminal: Callable[..., Any]) -> None:
    alice = terminal("chat", ALICE, BOB, "--proxy", server.proxy)
    alice.until("Password: ")
    alice.type("wrong\n")
    alice.until("the password is wrong")
    assert alice.end() == 1
    again = terminal("chat", ALICE, BOB, "--proxy", server.proxy)
    again.until("Password: ")
    again.type("\x03")
    assert again.end() == 1
    assert "Traceback" not in alice.text + again.text


def test_a_terminal_gives_no_password_by_stdin(server: Any, terminal: Callable[..., Any]) -> None:
    alice = terminal("chat", ALICE, BOB, "--password-stdin")
    alice.until("the password is asked for")
    assert alice.end() == 2
