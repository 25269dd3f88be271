"""Quotes, templates, shell and SQL words and what steers terminals, in everything that peers choose: it is kept as it
is, found again as it is, and shown on one line that steers nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from houses import ALICE, BOB, House, with_credentials
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher

from twisted_sip.cli.call_rows import csv_text
from twisted_sip.cli.main import cli
from twisted_sip.cli.output import Failed, json_line, table_of
from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.accounting_reading import CallFilter
from twisted_sip.storage.batch_writer import InlineThread
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.location_sqlite import SQLiteLocationStore
from twisted_sip.tap.control import CommandError
from twisted_sip.tap.control_rows import Rows
from twisted_sip.tap.logs import observer
from twisted_sip.tap.sections import LogSection
from twisted_sip.tap.server_commands import server_commands

HOSTILE = (
    "'",
    "''",
    '"',
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    "%",
    "_",
    "\\",
    "\\'",
    "%s%n%d",
    "{user}",
    "{{7*7}}",
    "${x}",
    "{0.__class__}",
    "$(touch x)",
    "`id`",
    "; rm -rf /",
    "| cat",
    "../../etc/passwd",
    "a/b",
    ".",
    "[red]x[/red]",
    "[/]",
    "<script>",
    "&amp;",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@x",
    "\x1b[2J\x1b]0;x\x07",
    "\x9b31m",
    "\u202eabc",
    "\u2028",
    "\x85",
    "\x7f",
    "é\u0301",
    "\udcff\udc80",
    "x" * 3000,
)
TEXT = pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))


def steers(text: str) -> list[str]:
    """Return what in *text* is neither printable nor a line end."""
    return [char for char in text if not char.isprintable() and char != "\n"]


# -- stores -------------------------------------------------------------------------------------


@TEXT
def test_users(tmp_path: Path, text: str) -> None:
    store = SQLiteCredentialStore(tmp_path / "users.db", Clock())
    store.add("alice", "example.com", "secret")
    for user, realm in ((text, "example.com"), ("alice", text)):
        assert store.lookup(user, realm) is None
        try:
            text.encode()
        except UnicodeEncodeError:
            continue
        if "\x1b" in text or "\x7f" in text:
            with pytest.raises(LocalProtocolError):
                store.add(user, realm, "other")
            continue
        assert store.add(user, realm, "other")
        found = store.lookup(user, realm)
        assert found is not None and (found.user, found.realm) == (user, realm)
        assert store.remove(user, realm) and not store.remove(user, realm)
    assert [(one.user, one.realm) for one in store.users()] == [("alice", "example.com")]
    store.close()
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("users.db")] == []


@TEXT
def test_bindings(tmp_path: Path, text: str) -> None:
    clock = Clock()
    for again in (False, True):
        store = SQLiteLocationStore(tmp_path / "location.db", clock, InlineThread())
        if not again:
            for aor in ("sip:alice@example.com", f"sip:{text}@example.com"):
                binding = Binding(
                    aor=aor,
                    key=text,
                    contact=f"sip:{text}",
                    call_id=text,
                    cseq=1,
                    expires_at=9e9,
                    user_agent=text,
                    path=(text,),
                    instance=text,
                )
                store.commit(LocationChange(aor=aor, put=(binding,)))
                clock.advance(1)
        found: Any = store.lookup(f"sip:{text}@example.com")
        assert [(one.key, one.call_id, one.user_agent, one.path) for one in found] == [(text, text, text, (text,))]
        assert len(list(store.bindings())) == 2
        store.close()
        clock.advance(1)


@TEXT
def test_a_filter_is_no_pattern(text: str) -> None:
    record = CallRecord(id="1", caller="sip:alice@example.com", callee="sip:bob@example.com", set_up=1.0)
    wanted = CallFilter(caller=text)
    assert wanted.fits(record, 2.0) is (text.lower() in record.caller)


# -- what is shown ------------------------------------------------------------------------------


@TEXT
def test_tables_json_and_failures(text: str, capsys: Any) -> None:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, force_terminal=False, width=400).print(table_of(("a",), [(text,)]))
    assert not steers(out.getvalue())
    assert not steers(json_line({"a": text}))
    assert json.loads(json_line({"a": text})) == {"a": text}
    Failed(f"refused: {text}").show()
    assert not steers(capsys.readouterr().err)


@TEXT
def test_csv(text: str) -> None:
    made = csv_text(("a", "b"), [{"a": text, "b": "x"}])
    rows = list(csv.reader(io.StringIO(made, newline="")))
    assert len(rows) == 2 and len(rows[1]) == 2 and rows[1][1] == "x"
    assert not steers(made.replace("\r\n", "\n"))
    # A spreadsheet takes it for text (formulas begin with these).
    assert rows[1][0][:1] not in ("=", "+", "-", "@", "\t", "\r")


@TEXT
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log(text: str, form: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    publisher = LogPublisher(observer(LogSection(format=form, level="debug"), stream))
    log = Logger("test", observer=publisher)
    log.info("from {who} about {call_id}", who=text, call_id=f"{text}\n2026 [forged] line\r\n")
    log.info("{user}", user=text + "\n")
    made = raw.getvalue().decode()
    assert made.count("\n") == len(made.splitlines()) == 2, made
    assert not steers(made)
    if form == "json":
        line = json.loads(made.split("\n")[0])
        assert line["who"] == text


# -- a server that has heard all of that -----------------------------------------------------------


@pytest.fixture(scope="module")
def told(make_house: Callable[..., House]) -> Iterator[tuple[House, str]]:
    """A server with a watcher, a message, contacts, calls and decisions whose names are hostile."""
    house = make_house("presence")
    for number, text in enumerate(HOSTILE):
        if "\x1b" in text or len(text) > 300:
            continue
        name = text.replace("\\", "\\\\").replace('"', '\\"')
        for method, uri, lines in (
            ("SUBSCRIBE", BOB, ("Event: presence", "Expires: 600")),
            ("MESSAGE", BOB, ("Content-Type: text/plain;x=y",)),
            ("REGISTER", "sip:example.com", (f"User-Agent: {text}",)),
            ("INVITE", BOB, ()),
        ):
            sender = ALICE if method in ("REGISTER", "MESSAGE") else f"sip:eve{number}@elsewhere.example"
            made = house.text_of(method, uri, *lines, sender=sender)
            made = made.replace(f"<{sender}>;tag", f'"{name}" <{sender}>;tag')
            made = made.replace("Call-ID: hard", f"Call-ID: {text}hard").replace("sip:client@", f"sip:c{number}@")
            if sender == ALICE:
                answers = house.ask(made)
                if answers and answers[0].status in (401, 407):
                    house.ask(with_credentials(made, answers[0], "alice"))
            else:
                house.ask(made)
    house.sane()
    commands = server_commands(house.server)

    def ask(self: Any, command: str, **arguments: Any) -> Any:
        try:
            result: Any = commands[command](arguments)
        except CommandError as error:
            raise Failed(str(error)) from error
        if isinstance(result, Deferred):
            found: list[Any] = []
            result.addCallback(found.append)
            house.network.advance(1)
            (result,) = found
        if isinstance(result, Rows):
            result = [row for row in result.rows if row is not None]
        return json.loads(json.dumps(result))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twisted_sip.cli.control_client.ControlClient.__init__", lambda self, directory: None)
        patch.setattr("twisted_sip.cli.control_client.ControlClient.__exit__", lambda self, *exc: None)
        patch.setattr("twisted_sip.cli.control_client.ControlClient.ask", ask)
        yield house, str(house.directory / "state")


@pytest.mark.parametrize(
    "command",
    [
        ("trace", "--list", "--count", "500"),
        ("trace", "--last", "--full"),
        ("contacts",),
        ("contacts", "alice@example.com"),
        ("watchers", "bob@example.com"),
        ("messages", "bob@example.com"),
        ("explain", "--last", "--messages"),
        ("explain", "--user", "alice@example.com", "--messages"),
        ("status",),
        ("bans", "list"),
        ("trace", "{0}"),
        ("trace", "\x1b[2J"),
        ("explain", "\x1b[2J"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_commands(told: tuple[House, str], command: tuple[str, ...], as_json: bool) -> None:
    house, state_dir = told
    done = CliRunner().invoke(cli, [*command, *(["--json"] if as_json else []), "--state-dir", state_dir])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.stdout or done.stderr
    assert not steers(done.stdout), steers(done.stdout)
    assert not steers(done.stderr)
    if as_json and done.exit_code == 0:
        json.loads(done.stdout)
    house.sane()
