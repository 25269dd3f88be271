"""``twisted-sip check``: what it finds on a host, each with its mend."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from twisted_sip.cli.dns_findings import _judge
from twisted_sip.cli.main import cli
from twisted_sip.interfaces.destination import Destination
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.storage.accounting_rows import ACCOUNTING_FILE, ACCOUNTING_SCHEMA
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.message_rows import MESSAGE_SCHEMA
from twisted_sip.storage.message_sqlite import MESSAGE_FILE
from twisted_sip.storage.publication_sqlite import PUBLICATION_FILE, PUBLICATION_SCHEMA
from twisted_sip.storage.sqlite import open_database
from twisted_sip.transport.self_signed import LIFETIME, make_self_signed


def check(tmp_path: Path, text: str, status: int) -> list[tuple[str, str, str]]:
    """Return level, subject and text with its mend of every finding."""
    path = tmp_path / "sip.toml"
    path.write_text(text)
    arguments = ["check", str(path), "--no-dns"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == status, result
    lines = CliRunner().invoke(cli, arguments).stdout.splitlines()
    found = json.loads(result.stdout)
    assert len(lines) == len(found)
    assert all(one["mend"] in line for one, line in zip(found, lines, strict=True))
    assert all(one["mend"] for one in found if one["level"] != "ok")
    return [(one["level"], one["subject"], f"{one['text']}, {one['mend']}".removesuffix(", ")) for one in found]


SERVER = '[server]\ndomains = ["example.com"]\nlisten = ["udp:0:interface=127.0.0.1"]\nstate_dir = "st"\n'


def test_nothing_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "st").mkdir(mode=0o700)
    store = SQLiteCredentialStore(tmp_path / "st" / "users.db")
    store.add("alice", "example.com", "x")
    store.close()
    assert check(tmp_path, SERVER, 0) == [
        ("ok", f"configuration {tmp_path}/sip.toml", "has no faults"),
        ("ok", f"state directory {tmp_path}/st", "can be written"),
        ("ok", "users", "1 can log in"),
        ("ok", "listen udp:0:interface=127.0.0.1", "can be listened on"),
    ]
    assert sorted(path.name for path in (tmp_path / "st").iterdir()) == ["users.db"]


def test_the_databases_and_ports_of_presence(tmp_path: Path) -> None:
    (tmp_path / "st").mkdir(mode=0o700)
    for file, schema in ((PUBLICATION_FILE, PUBLICATION_SCHEMA), (MESSAGE_FILE, MESSAGE_SCHEMA)):
        open_database(tmp_path / "st" / file, schema, synchronous="NORMAL").close()
    for name in ("subscriptions.db", "documents.db"):
        (tmp_path / "st" / name).write_bytes(b"garbage" * 99)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
        metrics = check(tmp_path, f'{SERVER}[metrics]\nenabled = true\nlisten = ["{taken}"]\n', 1)
        assert ("error", f"metrics {taken}", "address already in use, choose another port") in metrics
        found = check(tmp_path, f'{SERVER}[xcap]\nlisten = ["{taken}", "tcp:0:interface=[::1]"]\n', 1)
    kept = {subject: (level, text) for level, subject, text in found}
    assert kept["publications"] == ("ok", "0 in the database")
    assert kept["messages"] == ("ok", "0 in the database")
    for subject in ("subscriptions", "documents"):
        assert kept[subject][0] == "error"
        assert "restore a backup or move the file away" in kept[subject][1]
    assert kept[f"xcap {taken}"] == ("error", "address already in use, choose another port")
    assert kept["xcap tcp:0:interface=[::1]"] == ("ok", "can be listened on")
    off = check(tmp_path, f'{SERVER}[xcap]\nenabled = false\nlisten = ["{taken}"]\n', 1)
    assert not [subject for _, subject, _ in off if subject.startswith("xcap")]


def test_a_damaged_database_of_call_records_would_keep_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "st").mkdir(mode=0o700)
    path = tmp_path / "st" / ACCOUNTING_FILE
    open_database(path, ACCOUNTING_SCHEMA, synchronous="FULL").close()
    assert ("ok", "call records", "0 in the database") in check(tmp_path, SERVER, 0)
    path.write_bytes(b"garbage" * 99)
    (found,) = [one for one in check(tmp_path, SERVER, 1) if one[0] == "error"]
    assert found[1] == "call records" and "restore a backup or move the file away" in found[2]


def test_faults_of_the_file(tmp_path: Path) -> None:
    found = check(tmp_path, '[server]\ndomans = []\n[log]\nformat = "jsn"\n', 1)
    assert found == [
        ("error", f"{tmp_path}/sip.toml: server.domans", "unknown key, did you mean domains?"),
        ("error", f"{tmp_path}/sip.toml: log.format", '"jsn" is unknown, did you mean json?'),
    ]


def test_the_surroundings(tmp_path: Path) -> None:
    (tmp_path / "st").mkdir()
    (tmp_path / "st").chmod(0o755)
    for name in ("users.db", "location.db"):
        (tmp_path / "st" / name).write_bytes(b"garbage" * 99)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        listen = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
        found = check(tmp_path, SERVER.replace("udp:0:interface=127.0.0.1", listen), 1)
    assert [(level, subject) for level, subject, _ in found] == [
        ("ok", f"configuration {tmp_path}/sip.toml"),
        ("warning", f"state directory {tmp_path}/st"),
        ("error", "users"),
        ("error", "registrations"),
        ("error", f"listen {listen}"),
    ]
    assert found[1][2] == f"is open to other users, chmod 700 {tmp_path}/st"
    assert "restore a backup or move the file away" in found[2][2]
    assert "is in use, stop what uses it or choose another port" in found[4][2]


def test_a_busy_port_is_seen_through_a_bad_certificate(tmp_path: Path) -> None:
    key, certificate = make_self_signed(["example.com"], datetime.now(UTC) - LIFETIME - timedelta(days=5))
    (tmp_path / "k.pem").write_bytes(key)
    (tmp_path / "c.pem").write_bytes(certificate)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        listen = f"tls:{busy.getsockname()[1]}:interface=127.0.0.1:privateKey=k.pem:certKey=c.pem"
        found = [
            one[1:]
            for one in check(tmp_path, SERVER.replace("udp:0:interface=127.0.0.1", listen), 1)
            if one[0] == "error"
        ]
    (_, expired), (subject, taken) = found
    assert "expired" in expired and subject.startswith("listen tls:") and "is in use" in taken


@pytest.mark.parametrize(
    ("age", "level", "text"),
    [
        (timedelta(days=1), "ok", "is good for 818 days"),
        (LIFETIME - timedelta(days=5, hours=1), "warning", "ends in 5 days, renew it"),
        (LIFETIME + timedelta(days=5), "error", "renew it"),
    ],
)
def test_certificates(tmp_path: Path, age: timedelta, level: str, text: str) -> None:
    key, certificate = make_self_signed(["example.com"], datetime.now(UTC) - age)
    (tmp_path / "k.pem").write_bytes(key)
    (tmp_path / "c.pem").write_bytes(certificate)
    tls = '[tls]\nprivate_key = "k.pem"\ncertificate = "c.pem"\n'
    server = SERVER.replace("udp:0", "tls:0").replace('"example.com"', '"example.com", "example.org"')
    found = check(tmp_path, server + tls, 1 if level == "error" else 0)
    certificates = [one for one in found if one[1].startswith("certificate")]
    # What is wrong with a certificate is told once; the port is looked at without it.
    assert ("ok", "listen tls:0:interface=127.0.0.1", "can be listened on") in found
    assert certificates[0][0] == level
    assert text in certificates[0][2]
    if level != "error":
        assert certificates[1][2] == "proves example.com, not example.org, get one for example.org (RFC 5922)"


def test_a_certificate_that_is_not_there_yet(tmp_path: Path) -> None:
    found = check(tmp_path, SERVER.replace("udp:0", "tls:0"), 0)
    assert ("ok", "listen tls:0:interface=127.0.0.1", "can be listened on") in found
    assert any(subject == "certificate" and level == "warning" for level, subject, _ in found)


def test_where_domains_lead() -> None:
    here, there = (Destination(UDP, Address(host, 5060), "example.com") for host in ("192.0.2.1", "192.0.2.9"))
    own = {"192.0.2.1"}
    assert _judge("example.com", [there, here], "", own).level == "ok"
    assert "leads elsewhere: udp 192.0.2.9:5060" in _judge("example.com", [there], "", own).text
    assert "_sip._udp.example.com" in _judge("example.com", [], "no such name", own).mend


AGENT = """
[server]
state_dir = "st"
listen = ["udp:0:interface=127.0.0.1"]
[answer]
answer = "record new/box"
[[line]]
aor = "sip:bob@example.com"
password_file = "secret"
[[line]]
aor = "sip:carol@example.com"
answer = "dtmf-menu menu.toml"
"""


def test_the_file_of_a_user_agent(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "menu.toml").write_text('[menu.main]\nprompt = "tone:busy"\n[menu.main.key]\n1 = { record = "box" }\n')
    assert check(tmp_path, AGENT, 0) == [
        ("ok", f"configuration {tmp_path}/sip.toml", "has no faults"),
        ("ok", f"state directory {tmp_path}/st", "is not there yet, the first start makes it"),
        ("ok", "listen udp:0:interface=127.0.0.1", "can be listened on"),
        ("ok", "line sip:bob@example.com", "has a password"),
        ("warning", "line sip:carol@example.com", "has no password, few registrars do without, set password_file"),
        ("ok", f"answer record {tmp_path}/new/box", "has no faults"),
        ("ok", f"answer dtmf-menu {tmp_path}/menu.toml", "has no faults"),
        ("ok", f"messages in {tmp_path}/new/box", "the first start makes it"),
        ("ok", f"messages in {tmp_path}/box", "the first start makes it"),
    ]


def test_faults_around_a_user_agent(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    (tmp_path / "new").touch()
    (tmp_path / "menu.toml").write_text("[menu.main]\ntimes = 0\n")
    wrong = [one for one in check(tmp_path, AGENT, 1) if one[0] == "error"]
    assert [subject for _, subject, _ in wrong] == [
        "line sip:bob@example.com", f"answer dtmf-menu {tmp_path}/menu.toml", f"messages in {tmp_path}/new/box",
    ]  # fmt: skip
    assert wrong[2][2] == f"{tmp_path}/new is no directory, choose another directory"
    [(_, subject, text)] = check(tmp_path, f"{AGENT}[agent]\nmin_see = 5\n", 1)
    assert subject == f"{tmp_path}/sip.toml: agent.min_see" and "min_se" in text


def test_what_a_file_is_for(tmp_path: Path) -> None:
    path = tmp_path / "sip.toml"
    path.write_text('[server]\nlisten = ["udp:0"]\n')
    arguments = ["check", str(path), "--no-dns", "--state-dir", str(tmp_path / "st"), "--for"]
    assert "users: " in CliRunner().invoke(cli, [*arguments, "server"]).stdout
    assert "answer echo: has no faults" in CliRunner().invoke(cli, [*arguments, "sip-ua"]).stdout
