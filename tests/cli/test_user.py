"""Users from the command line: what is stored, what is refused, and that no password is ever an argument."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from twisted_sip.cli.main import cli
from twisted_sip.cli.user import user as user_group
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.passwords import ha1_of


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run(state: Path, *arguments: str, stdin: str = "") -> Result:
    result = CliRunner().invoke(cli, ["user", *arguments, "--state-dir", str(state)], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def users(state: Path) -> list[tuple[str, str, str]]:
    result = run(state, "list", "--json")
    assert result.exit_code == 0
    return [(one["user"], one["realm"], one["algorithm"]) for one in json.loads(result.stdout)]


def test_to_look_makes_no_database(state: Path) -> None:
    assert users(state) == []
    assert "there are no users yet" in run(state, "list").stdout
    changed = run(state, "passwd", "alice@example.com", "--password-stdin", stdin="x")
    assert changed.exit_code == 1 and f"there are no users yet in {state}; add one with" in changed.stderr
    assert not state.exists()


def test_add_list_change_and_remove(state: Path) -> None:
    assert (
        run(state, "add", "Alice@EXAMPLE.com", "--password-stdin", stdin="secret\n").stdout
        == "Alice@example.com added\n"
    )
    run(state, "add", "sip:bob@[2001:db8::1]", "--password-stdin", "--algorithm", "sha-256", stdin="s")
    assert users(state) == [("bob", "2001:db8::1", "SHA-256"), ("Alice", "example.com", "")]
    store = SQLiteCredentialStore(state / "users.db")
    found = store.lookup("Alice", "example.com")
    assert found is not None
    assert found.ha1["MD5"] == ha1_of("MD5", "Alice", "example.com", "secret")
    assert run(state, "passwd", "Alice@example.com", "--password-stdin", stdin="other").exit_code == 0
    changed = store.lookup("Alice", "example.com")
    assert changed is not None
    assert changed.ha1["SHA-256"] == ha1_of("SHA-256", "Alice", "example.com", "other")
    store.close()
    assert run(state, "remove", "Alice@example.com").exit_code == 0
    assert users(state) == [("bob", "2001:db8::1", "SHA-256")]
    table = run(state, "list").stdout.splitlines()
    assert [line.split() for line in table[2:]] == [["bob", "2001:db8::1", "SHA-256"]]


def test_escapes_in_a_user_are_undone(state: Path) -> None:
    run(state, "add", "j%6Fhn%20x@example.com", "--password-stdin", stdin="s")
    assert users(state) == [("john x", "example.com", "")]


def test_the_realm_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "sip.toml"
    path.write_text('[server]\nstate_dir = "st"\n[auth]\nrealm = "phones"\n')
    result = CliRunner().invoke(
        cli, ["user", "add", "alice@example.com", "--password-stdin", "--config", str(path)], input="s"
    )
    assert result.exit_code == 0
    assert users(tmp_path / "st") == [("alice", "phones", "")]


def test_a_bad_configuration_is_told_whole(tmp_path: Path) -> None:
    path = tmp_path / "sip.toml"
    path.write_text("[server]\nx = 1\ny = 2\n")
    result = CliRunner().invoke(cli, ["user", "list", "--config", str(path)])
    assert result.exit_code == 1
    assert [line.split(": ")[2] for line in result.stderr.splitlines()] == ["server.x", "server.y"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "text"),
    [
        (["add", "known@example.com", "--password-stdin"], "s", 1, "exists already"),
        (["passwd", "nobody@example.com", "--password-stdin"], "s", 1, "there is no user nobody@example.com"),
        (["remove", "nobody@example.com"], "", 1, "there is no user nobody@example.com"),
        (["add", "new@example.com", "--password-stdin"], "", 1, "the password is empty"),
        (["add", "new@example.com", "--password-stdin"], "a\x07b\n", 1, "control character"),
        (["add", "new@example.com"], "s", 2, "--password-stdin"),
        (["add", "example.com", "--password-stdin"], "s", 2, "is not an address-of-record"),
        (["add", "a@b:5060", "--password-stdin"], "s", 2, "is not an address-of-record"),
        (["add", "a:pw@b", "--password-stdin"], "s", 2, "is not an address-of-record"),
        (["add", "a@b;transport=tcp", "--password-stdin"], "s", 2, "is not an address-of-record"),
        (["add", "tel:+1", "--password-stdin"], "s", 2, "is not an address-of-record"),
        (["add", "new@example.com", "--password-stdin", "--algorithm", "MD6"], "s", 2, "MD6"),
        (["add", "new@example.com", "secret"], "", 2, "unexpected extra argument"),
    ],
)
def test_what_is_refused(state: Path, arguments: list[str], stdin: str, status: int, text: str) -> None:
    run(state, "add", "known@example.com", "--password-stdin", stdin="s")
    before = users(state)
    result = run(state, *arguments, stdin=stdin)
    assert result.exit_code == status
    assert text in result.stderr
    assert users(state) == before


def test_a_damaged_database_is_one_line(state: Path) -> None:
    state.mkdir()
    (state / "users.db").write_bytes(b"garbage" * 99)
    result = run(state, "list")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "damaged" in result.stderr


def test_no_command_takes_a_password_as_an_argument() -> None:
    for command in user_group.commands.values():
        for parameter in command.params:
            assert parameter.name not in ("password", "secret")
            if parameter.name == "password_stdin":
                assert parameter.is_flag  # type: ignore[attr-defined]
