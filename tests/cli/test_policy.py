"""``twisted-sip policy``, with the database alone and by way of a server that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from twisted_sip.cli import policy_store
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.main import cli
from twisted_sip.cli.output import Failed
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.tap.control import CommandError
from twisted_sip.tap.policy_commands import policy_commands

ALICE = "sip:alice@example.com"


class Served:
    """A server in place of a ControlClient: the same commands, no socket."""

    store = MemoryCallPolicyStore()

    def __init__(self, state_dir: Path) -> None:
        self.commands = policy_commands(self.store)

    def ask(self, command: str, **arguments: Any) -> Any:
        results: list[Any] = []
        problems: list[Any] = []
        try:
            self.commands[command](json.loads(json.dumps(arguments))).addCallbacks(results.append, problems.append)
        except CommandError as error:
            raise Failed(str(error)) from error
        if problems:
            raise Failed(problems[0].getErrorMessage())
        return results[0]

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


@pytest.fixture(params=["database", "server"])
def run(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "server":
        Served.store = MemoryCallPolicyStore()
        monkeypatch.setattr(policy_store, "ControlClient", Served)

    def command(*arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["policy", *arguments, "--state-dir", str(tmp_path)])
        assert done.exit_code == status, done.output
        return done

    return command


def test_a_fresh_user(run: Any) -> None:
    assert "every call is let through" in run("show", "alice@example.com").output
    assert json.loads(run("show", "alice@example.com", "--json").output) == {}
    assert "has no call policy" in run("clear", "alice@example.com", status=1).output
    assert "the call goes on" in run("test", "alice@example.com", "bob@example.net").output


def test_to_look_makes_no_database(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for arguments in (("show", ALICE), ("test", ALICE, ALICE), ("clear", ALICE)):
        CliRunner().invoke(cli, ["policy", *arguments, "--state-dir", str(state)])
        assert not state.exists()


def test_what_is_set_stays_until_it_is_set_otherwise(run: Any) -> None:
    run("set", "alice@example.com", "--forward-busy", "carol@example.com", "--after", "30", "--block", "@SPAM.example")
    run("set", ALICE, "--hours", "mon-fri 09:00-17:00", "--time-zone", "Europe/Berlin", "--allow", "bob@example.net")
    run("set", ALICE, "--block", "anonymous", "--allowed-only", "on", "--do-not-disturb", "on")
    assert json.loads(run("show", ALICE, "--json").output) == {
        "forward_busy": "sip:carol@example.com",
        "no_answer_after": 30,
        "blocked": ["@spam.example", "anonymous"],
        "allowed": ["bob@example.net"],
        "allowed_only": True,
        "do_not_disturb": True,
        "hours": ["mon-fri 09:00-17:00"],
        "time_zone": "Europe/Berlin",
    }
    assert "sip:carol@example.com" in run("show", ALICE).output
    run(
        "set", ALICE, "--forward-busy", "off", "--unblock", "all", "--disallow", "bob@example.net", "--hours", "always",
        "--allowed-only", "off", "--do-not-disturb", "off", "--after", "20", "--time-zone", "UTC",
    )  # fmt: skip
    assert json.loads(run("show", ALICE, "--json").output) == {}
    assert "removed" in run("clear", ALICE).output


def test_what_becomes_of_a_call(run: Any) -> None:
    run("set", ALICE, "--hours", "wed 09:00-17:00", "--block", "anonymous", "--forward-no-answer", "sip:vm@example.com")
    at = ("--at", "2026-07-01T12:00")
    assert run("test", ALICE, "bob@example.net", *at).output == "the call goes on\n"
    assert "declined with 480 (hours)" in run("test", ALICE, "bob@x.org", "--at", "2026-07-02T12:00+00:00").output
    assert "declined with 433 Anonymity Disallowed (blocked)" in run("test", ALICE, "Anonymous", *at).output
    found = json.loads(run("test", ALICE, "bob@x.org", "--outcome", "no answer", "--json").output)
    assert (found["action"], found["target"]) == ("forward", "sip:vm@example.com")
    assert "forwarded to sip:vm@example.com" in run("test", ALICE, "b@x.org", "--outcome", "no answer").output


@pytest.mark.parametrize(
    "options",
    [
        ["--hours", "whenever"], ["--block", "bob"], ["--forward-always", "sip:"], ["--time-zone", "Mars"], [],
        ["--forward-always", "rubbish"], ["--forward-closed", "@"],
        ["--forward-always", ALICE], ["--forward-busy", f"{ALICE};x=y"], ["--after", "0"],
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(run: Any, options: list[str]) -> None:
    done = run("set", ALICE, *options, status=2)
    assert "Traceback" not in done.output
    run("test", ALICE, "bob@x.org", "--at", "noon", status=2)


def test_a_user_that_does_not_exist(run: Any, tmp_path: Path) -> None:
    run("set", "bob@example.com", "--do-not-disturb", "on")  # nobody has been added: it cannot be known
    store = SQLiteCredentialStore(tmp_path / "users.db")
    store.add("alice", "example.com", "x")
    store.add("dora", "asterisk", "x")
    store.close()
    done = run("set", "bob@example.com", "--do-not-disturb", "off", status=1)
    assert "there is no user bob@example.com, add it with: twisted-sip user add bob@example.com" in done.output
    for command in (("show", "bob@example.com"), ("test", "bob@example.com", "dora@example.com")):
        # Not that its calls are let through: there is none that could have calls.
        assert "there is no user bob@example.com" in run(*command, status=1).output
    run("set", "bob@elsewhere.example", "--do-not-disturb", "on", status=1)
    run("set", "dora@example.com", "--do-not-disturb", "on", status=1)
    run("set", "dora@elsewhere.example", "--do-not-disturb", "on")
    run("set", ALICE, "--do-not-disturb", "on")
    run("clear", "bob@example.com")
    config = tmp_path / "sip.toml"
    config.write_text("[auth]\nrequired = false\n")
    run("set", "bob@example.com", "--do-not-disturb", "on", "--config", str(config))


def test_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "users.db").write_text("no database, not even a little, whatever one does")
    done = CliRunner().invoke(cli, ["policy", "show", ALICE, "--state-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "damaged" in done.output


def test_what_a_server_refuses(tmp_path: Path) -> None:
    Served.store = MemoryCallPolicyStore()
    server = Served(tmp_path)
    for command, arguments in (
        ("policy-show", {}),
        ("policy-set", {"aor": ALICE}),
        ("policy-set", {"aor": ALICE, "policy": {"colour": "red"}}),
    ):
        with pytest.raises(Failed):
            server.ask(command, **arguments)
    assert server.ask("policy-set", aor=ALICE, policy={"do_not_disturb": True}) == {"do_not_disturb": True}
    assert Served.store.lookup(ALICE) == CallPolicy(do_not_disturb=True)
    assert ControlClient is not Served
