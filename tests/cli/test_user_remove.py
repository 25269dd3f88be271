"""Removing a user removes what is kept for it, whether or not the server runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from twisted.internet.task import Clock

from twisted_sip.cli import user_rest
from twisted_sip.cli.main import cli
from twisted_sip.cli.output import Failed
from twisted_sip.storage.message_sqlite import SQLiteMessageStore, stored_messages
from twisted_sip.storage.sqlite import DatabaseLock
from twisted_sip.testing.made_messages import message


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run(state: Path, *arguments: str, stdin: str = "", where: tuple[str, ...] = ()) -> Result:
    given = ["user", *arguments, *(where or ("--state-dir", str(state)))]
    result = CliRunner().invoke(cli, given, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def add(state: Path, *users: str, **how: Any) -> None:
    for user in users:
        assert run(state, "add", user, "--password-stdin", stdin="secret", **how).exit_code == 0


def leave(state: Path, *users: str) -> None:
    """Have a message wait for each of *users*."""
    clock = Clock()
    clock.advance(time.time())
    store = SQLiteMessageStore(state / "messages.db", clock)
    for user in users:
        store.add(message(user, f"sip:{user}", expires_at=time.time() + 1000))
    clock.advance(1)
    store.close()


def waiting(state: Path) -> list[str]:
    return [found.recipient for found in stored_messages(state / "messages.db", time.time())]


def test_what_waits_goes_with_the_user(state: Path) -> None:
    add(state, "bob@example.com", "carol@example.com")
    leave(state, "bob@example.com", "carol@example.com")
    done = run(state, "remove", "bob@example.com")
    assert (done.exit_code, done.stdout) == (0, "bob@example.com removed, with 1 message\n")
    assert waiting(state) == ["sip:carol@example.com"]
    again = run(state, "remove", "bob@example.com")
    assert (again.exit_code, again.stderr) == (1, "twisted-sip: there is no user bob@example.com\n")


def test_it_may_stay_and_go_later(state: Path) -> None:
    add(state, "bob@example.com")
    leave(state, "bob@example.com")
    assert run(state, "remove", "bob@example.com", "--keep-data").stdout == "bob@example.com removed\n"
    assert waiting(state) == ["sip:bob@example.com"]
    done = run(state, "remove", "bob@example.com")
    assert (done.exit_code, waiting(state)) == (0, [])
    assert done.stdout == "there was no user bob@example.com; removed what was left of it: 1 message\n"


def test_with_one_realm_a_user_is_one_in_every_domain(tmp_path: Path) -> None:
    state, path = tmp_path / "state", tmp_path / "sip.toml"
    path.write_text('[server]\ndomains = ["a.example", "b.example"]\nstate_dir = "state"\n[auth]\nrealm = "phones"\n')
    where = ("--config", str(path))
    add(state, "bob@a.example", where=where)
    leave(state, "bob@a.example", "bob@b.example", "bob@c.example")
    assert run(state, "remove", "bob@b.example", where=where).stdout == "bob@b.example removed, with 2 messages\n"
    assert waiting(state) == ["sip:bob@c.example"]


def test_users_of_another_service_are_not_known_here(tmp_path: Path) -> None:
    state, path = tmp_path / "state", tmp_path / "sip.toml"
    path.write_text('[server]\nstate_dir = "state"\n[auth]\ncredentials_url = "https://accounts.example.com/ha1"\n')
    leave(state, "bob@example.com")
    done = run(state, "remove", "bob@example.com", where=("--config", str(path)))
    assert (done.exit_code, waiting(state)) == (1, ["sip:bob@example.com"])


def test_a_database_that_is_in_use_is_told_of(state: Path) -> None:
    add(state, "bob@example.com")
    leave(state, "bob@example.com")
    lock = DatabaseLock(state / "messages.db")
    done = run(state, "remove", "bob@example.com")
    assert done.exit_code == 1 and "is a user no more" in done.stderr and "in use by another server" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    lock.release()
    assert run(state, "remove", "bob@example.com").exit_code == 0
    assert waiting(state) == []


def test_a_server_that_cannot_do_it_says_so(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reluctant:
        def __init__(self, state_dir: Path) -> None:
            pass

        def __enter__(self) -> Reluctant:
            return self

        def __exit__(self, *exc: object) -> None:
            pass

        def ask(self, command: str, **arguments: Any) -> Any:
            raise Failed("the disk is full")

    add(state, "bob@example.com")
    monkeypatch.setattr(user_rest, "ControlClient", Reluctant)
    done = run(state, "remove", "bob@example.com")
    assert done.exit_code == 1 and "(the disk is full); remove it again" in done.stderr
    done = run(state, "remove", "bob@example.com")
    assert done.exit_code == 1 and "there is no user bob@example.com" in done.stderr


def test_while_the_server_runs(server: Any) -> None:
    given = ["--user", "alice@127.0.0.1", "--password-stdin", "--proxy", server.proxy]
    for text in ("one", "two"):
        sent = server.run("message", "sip:bob@127.0.0.1", text, *given, stdin=server.passwords["alice"])
        assert sent.stdout.startswith("202 Accepted"), sent
    assert server.as_user("publish", "bob", "online").returncode == 0
    assert server.as_user("register", "bob", "--contact", "sip:bob@127.0.0.1:9").returncode == 0
    assert server.run("presence").stdout != "nobody is there\n"
    done = server.run("user", "remove", "bob@127.0.0.1")
    assert done.stdout == "bob@127.0.0.1 removed, with 1 contact, 1 publication, 2 messages\n", done
    assert server.run("presence").stdout == "nobody is there\n"
    assert server.run("messages", "bob@127.0.0.1").stdout == "no message waits for bob@127.0.0.1\n"
    # Who is no user any more is none at once.
    assert server.as_user("publish", "bob", "online").returncode == 1
    sent = server.run("message", "sip:bob@127.0.0.1", "three", *given, stdin=server.passwords["alice"])
    assert sent.stdout.startswith("404 "), sent
    again = server.run("user", "remove", "bob@127.0.0.1")
    assert (again.returncode, again.stderr) == (1, "twisted-sip: there is no user bob@127.0.0.1\n")
