"""presence, publish, watchers and messages beside a server that runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest


def test_who_is_where(server: Any) -> None:
    published = server.as_user(
        "publish", "alice", "online", "--note", "In a m\u00e9eting", "--activity", "meeting", "--activity", "busy"
    )
    assert published.stdout.startswith("200 OK\n  entity-tag "), published
    table = server.run("presence").stdout.splitlines()
    assert table[0].split()[:3] == ["user", "state", "doing"]
    assert table[2].split()[:6] == ["alice@127.0.0.1", "online", "meeting,", "busy", "In", "a"]
    (one,) = json.loads(server.run("presence", "--json").stdout)
    assert (one["basic"], one["note"], one["activities"]) == ("open", "In a m\u00e9eting", ["meeting", "busy"])
    assert 3500 < one["expires_in"] <= 3600
    assert server.run("presence", "bob@127.0.0.1").stdout.splitlines()[2].split() == ["bob@127.0.0.1", "offline"]
    whole = json.loads(server.run("presence", "alice@127.0.0.1", "--json").stdout)
    assert "<basic>open</basic>" in whole["document"]
    assert [each["publisher"] for each in whole["publications"]] == ["sip:alice@127.0.0.1"]

    etag = published.stdout.split("entity-tag ")[1].split(",")[0]
    replaced = server.as_user("publish", "alice", "offline", "--replace", etag, "--expires", "100", "--json")
    answer = json.loads(replaced.stdout)
    assert (answer["status"], answer["expires"]) == (200, 100)
    assert json.loads(server.run("presence", "--json").stdout)[0]["basic"] == "closed"
    gone = server.as_user("publish", "alice", "--remove", etag)
    assert (gone.returncode, gone.stdout.splitlines()[0]) == (1, "412 Conditional Request Failed")
    assert server.as_user("publish", "alice", "--remove", answer["etag"]).stdout == "200 OK\n"
    assert server.run("presence").stdout == "nobody is there\n"


def test_publishing_without_a_password(server: Any) -> None:
    done = server.run("publish", "alice@127.0.0.1", "online", "--proxy", server.proxy)
    assert done.returncode == 1
    assert done.stderr == "twisted-sip: a password is wanted: give --user and --password-stdin\n"


def test_who_is_registered_is_there(server: Any) -> None:
    bound = server.as_user("register", "bob", "--contact", "sip:bob@127.0.0.1:9")
    assert bound.returncode == 0
    assert server.run("presence").stdout.splitlines()[2].split()[:2] == ["bob@127.0.0.1", "online"]
    assert server.as_user("register", "bob", "--remove-all").returncode == 0
    assert server.run("presence").stdout == "nobody is there\n"


def test_watching_in_a_pipe(server: Any, program: Callable[..., Any]) -> None:
    watching = program("presence", "--watch", "alice@127.0.0.1")
    watching.until("offline")
    server.as_user("publish", "alice", "online", "--activity", "away", "--expires", "60")
    watching.until("alice@127.0.0.1  online  away")
    as_json = program("presence", "--watch", "--json")
    as_json.until('"basic": "open"')
    for one in (watching, as_json):
        one.process.send_signal(signal.SIGINT)
        assert one.end() == 0
        assert "Traceback" not in one.text


def test_watching_on_a_terminal(server: Any, terminal: Callable[..., Any]) -> None:
    watching = terminal("presence", "--watch")
    watching.until("Control-C ends")
    server.as_user("publish", "bob", "online", "--note", "Lunch", "--expires", "60")
    watching.until("Lunch")
    watching.type("\x03")
    assert watching.end() == 0
    # The cursor is shown again.
    assert "\x1b[?25h" in watching.text
    assert "Traceback" not in watching.text


def test_messages_that_wait(server: Any) -> None:
    assert server.run("messages", "bob@127.0.0.1").stdout == "no message waits for bob@127.0.0.1\n"
    given = ["--user", "alice@127.0.0.1", "--password-stdin", "--proxy", server.proxy]
    for text in ("one", "two"):
        sent = server.run("message", "sip:bob@127.0.0.1", text, *given, stdin=server.passwords["alice"])
        assert sent.stdout.startswith("202 Accepted"), sent
    table = server.run("messages", "bob@127.0.0.1").stdout.splitlines()
    assert [line.split()[0] for line in table[2:]] == ["alice@127.0.0.1"] * 2
    assert table[2].split()[3:] == ["text/plain;charset=UTF-8", "3", "bytes", "6", "d", "23", "h"]
    waiting = json.loads(server.run("messages", "bob@127.0.0.1", "--json").stdout)
    assert [each["bytes"] for each in waiting] == [3, 3]
    assert server.run("messages", "bob@127.0.0.1", "--purge").stdout == "2 messages dropped\n"
    assert json.loads(server.run("messages", "bob@127.0.0.1", "--purge", "--json").stdout) == {"dropped": 0}
    assert json.loads(server.run("messages", "bob@127.0.0.1", "--json").stdout) == []


def test_nobody_watches(server: Any) -> None:
    assert server.run("watchers", "alice@127.0.0.1").stdout == "nobody watches alice@127.0.0.1\n"
    assert json.loads(server.run("watchers", "alice@127.0.0.1", "--json").stdout) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "alice@127.0.0.1"],
        ["publish", "alice@127.0.0.1", "busy"],
        ["publish", "alice@127.0.0.1", "online", "--remove", "x"],
        ["publish", "example.com", "online"],
        ["presence", "example.com"],
        ["watchers"],
        ["messages"],
        ["chat", "alice@127.0.0.1"],
        ["chat", "alice@127.0.0.1", "nobody"],
    ],
)
def test_wrong_usage(server: Any, arguments: list[str]) -> None:
    done = server.run(*arguments)
    assert done.returncode == 2
    assert "Error: " in done.stderr
