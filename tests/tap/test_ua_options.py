"""The options and the configuration file of ``twistd sip-ua``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.faults import WrongSetting
from twisted_sip.tap.sip_ua import Options
from twisted_sip.tap.startup import StartFailure
from twisted_sip.tap.ua_lines import INSTANCES_NAME, Answers, line_credentials, line_instances, line_password
from twisted_sip.tap.ua_options import with_answer
from twisted_sip.tap.ua_sections import (
    AnswerSection,
    LineSection,
    UAConfiguration,
    VoicemailSection,
    stun_address,
    with_servers,
)


def read(*arguments: str) -> UAConfiguration:
    options = Options()
    options.parseOptions(list(arguments))
    return options.configuration()


def faults(*arguments: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(*arguments)
    return list(caught.value.problems)


def test_nothing_said() -> None:
    found = read()
    assert (found.line, found.answer.answer, found.server.listen) == ((), "echo", ())
    assert found.server.state_dir.is_absolute()


def test_a_line(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("tub-rub-dub\nsecond line\n")
    found = read(
        "--register", "bob@example.com", "--password-file", str(secret), "--proxy", "sip:p1.example.com", "--proxy",
        "sip:p2.example.com", "--realm", "asterisk", "--registrar", "sip:reg.example.com", "--expires", "60",
        "--user", "robert", "--answer", "record", str(tmp_path / "box"), "--ring", "20", "--listen", "udp:5070",
    )  # fmt: skip
    [line] = found.line
    assert line.aor == "sip:bob@example.com" and line.proxies == ("sip:p1.example.com", "sip:p2.example.com")
    assert (line.registrar, line.expires, line.realms, line.user) == (
        "sip:reg.example.com",
        60,
        ("asterisk",),
        "robert",
    )
    assert found.answer.answer == f"record {tmp_path / 'box'}" and found.answer.ring == 20.0
    assert line_password(line) == "tub-rub-dub"
    assert line_credentials(line, "x", lambda: "r") is not None
    assert line_credentials(line, "", lambda: "r") is None


def test_passwords(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\r\nmore"))
    assert read("--register", "sip:bob@example.com", "--password-stdin").line[0].password == "secret"
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "the password is empty" in faults("--register", "sip:bob@example.com", "--password-stdin")[0]
    assert capsys.readouterr().err == ""
    assert read("--register", "sip:bob@example.com", "--password", "x").line[0].password == "x"
    assert "everybody on this machine can see the password" in capsys.readouterr().err


def test_faults_of_options(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "noise.wav").write_bytes(b"RIFF")
    assert faults("--answer", "dance", "--ring", "soon", "--register", "bob", "--expires", "x") == [
        'command line: --ring: "soon" is not a number, write seconds',
        'command line: --answer: "dance" is no answer, write echo, play FILE, record DIR, dtmf-menu FILE or '
        "reject STATUS",
        'command line: --expires: "x" is not a whole number, write seconds',
        'command line: --register: "sip:bob" names no user, write one like sip:bob@example.com',
    ]
    for answer, words in (
        ("play gone.wav", "does not exist"), ("echo loud", "takes nothing"), ("play", "lacks its FILE"),
        (f"record {tmp_path / 'file'}", "is not a directory"), (f"play {tmp_path}", "is not a file"),
        (f"play {tmp_path / 'noise.wav'}", "cannot be played (not a WAV file"),
        ("reject 200", "no status to reject with"), ("ecko", "did you mean echo?"),
    ):  # fmt: skip
        [line] = faults("--answer", answer)
        assert words in line, line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--user", "x"], ["--password-stdin"], ["--proxy", "sip:x"], ["--realm", "x"], ["extra"], ["--bogus"],
        ["--register", "sip:a@b", "--password", "x", "--password-stdin"],
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read(*arguments)
    assert caught.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_empty_or_zero_is_not_passed_over() -> None:
    """A variable of a script that is not set must not make an agent that registers nowhere."""
    [fault] = faults("--register", "")
    assert fault.startswith('command line: --register: "sip:" ')
    [fault] = faults("--register", "bob@example.com", "--expires", "0")
    assert fault == "command line: --expires: 0 is out of range, write a whole number, at least 1"


def test_quotes_may_be_forgotten() -> None:
    assert with_answer(["--answer", "play", "a.wav", "--ring", "1"]) == ["--answer", "play a.wav", "--ring", "1"]
    assert with_answer(["-a", "echo", "x"]) == ["-a", "echo", "x"]
    assert with_answer(["-a", "play", "--ring"]) == ["-a", "play", "--ring"]
    assert with_answer(["--answer"]) == ["--answer"]


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "ua.toml").write_text(
        '[server]\nstun = ["192.0.2.1", "[2001:db8::1]:5000"]\n[answer]\nanswer = "record box"\n'
        '[[line]]\naor = "sip:a@example.com"\npassword = "x"\n[[line]]\naor = "sip:b@example.com"\nanswer = "echo"\n'
        '[agent]\nmax_calls = 3\n[media]\nports = [30000, 30010]\ncodecs = ["PCMA"]\nsrtp = "off"\nice = "full"\n'
        '[[turn]]\naddress = "192.0.2.9"\nuser = "bob"\npassword = "x"\n[[turn]]\naddress = "192.0.2.8:3479"\n'
    )
    found = read("--config", str(tmp_path / "ua.toml"), "--register", "sip:a@example.com")
    assert [line.aor for line in found.line] == ["sip:b@example.com", "sip:a@example.com"]
    assert found.answer.answer == f"record {tmp_path / 'box'}"
    assert (found.agent.max_calls, found.media.ports, found.media.codecs) == (3, (30000, 30010), ("PCMA",))
    ice = with_servers(found, [line_password(server) for server in found.turn]).ice_settings
    assert [str(server) for server in ice.stun_servers] == ["192.0.2.1:3478", "[2001:db8::1]:5000"]
    assert [(str(one.address), one.username, one.password) for one in ice.turn_servers] == [
        ("192.0.2.9:3478", "bob", "x"),
        ("192.0.2.8:3479", "", ""),
    ]


def test_faults_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ua.toml"
    path.write_text(
        '[server]\nstun = ["stun.example.com"]\n[[line]]\naor = "sip:example.com"\npassword = "x"\n'
        'password_file = "gone"\nproxies = ["x y"]\n[[line]]\n[voicemail]\nend_key = "##"\n[media]\nptime = 7\n'
        "[agent]\nmin_see = 5\n[answer]\nring = 500\n"
    )
    found = [line.removeprefix(f"{path}: ").partition(": ")[0] for line in faults("--config", str(path))]
    assert found == [
        "server.stun", "line[0].aor", "line[0].password_file", "line[0].proxies", "line[1].aor", "answer.ring",
        "voicemail.end_key", "agent.min_see", "media.ptime",
    ]  # fmt: skip


def test_stun_servers() -> None:
    assert str(stun_address("192.0.2.1")) == "192.0.2.1:3478"
    assert stun_address("[2001:db8::1]").port == 3478
    assert stun_address("2001:db8::1").host == "2001:db8::1"
    for wrong in ("192.0.2.1:x", "192.0.2.1:0", "name:1", "[x]:1"):
        with pytest.raises(WrongSetting):
            stun_address(wrong)


def test_password_files(tmp_path: Path) -> None:
    for name, content in (("empty", b"\n"), ("bytes", b"\xff\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigurationError):
            line_password(LineSection(aor="sip:a@b", password_file=tmp_path / name))
    with pytest.raises(WrongSetting):
        LineSection(aor="sip:a@b", password_file=tmp_path / "empty", password="x")
    assert line_password(LineSection(aor="sip:a@b")) == ""


def test_instances_stay_the_same(tmp_path: Path) -> None:
    first = line_instances(tmp_path, ["sip:a@b"])
    both = line_instances(tmp_path, ["sip:a@b", "sip:c@b"])
    assert both["sip:a@b"] == first["sip:a@b"] and both["sip:c@b"].startswith("urn:uuid:")
    assert line_instances(tmp_path, ["sip:c@b"]) == {"sip:c@b": both["sip:c@b"]}
    for damage in ("{", "[]", '{"a": 1}'):
        (tmp_path / INSTANCES_NAME).write_text(damage)
        with pytest.raises(StartFailure, match="damaged"):
            line_instances(tmp_path, ["sip:a@b"])
    with pytest.raises(StartFailure):
        line_instances(tmp_path / "gone" / "deeper", ["sip:a@b"])


def test_one_machine_for_one_directory(tmp_path: Path) -> None:
    answers = Answers(AnswerSection(), VoicemailSection(), lambda: 0.0)
    changes: list[Any] = []
    machine = answers.machine(tmp_path)
    answers.changed = lambda: changes.append(1)
    assert answers.machine(tmp_path) is machine
    machine.mailbox.keep(machine.mailbox.begin("x"))
    assert changes == [1]


def test_messages_need_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answers = Answers(AnswerSection(), VoicemailSection(), lambda: 0.0)
    answers.machine(tmp_path / "new" / "box")
    answers.prepare()
    assert list((tmp_path / "new" / "box").iterdir()) == []
    answers.machine(tmp_path / "file" / "box")
    answers.machine(Path("/proc/nowhere/box"))
    with pytest.raises(StartFailure) as caught:
        answers.prepare()
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"{tmp_path / 'file' / 'box'}: no messages can be kept there (")
