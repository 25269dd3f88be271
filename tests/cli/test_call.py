"""``twisted-sip call`` and ``load`` as commands, called by nobody and by a user agent that runs beside them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from twisted.internet.task import Clock

from twisted_sip.agent.call_events import DTMF, CallState, HoldChanged, Progress
from twisted_sip.cli.call_agent import media_settings, parse_callee, stun_servers
from twisted_sip.cli.call_line import CallLine, media_words
from twisted_sip.cli.load import rows
from twisted_sip.cli.load_calls import percentiles
from twisted_sip.cli.main import cli
from twisted_sip.interfaces.media import MediaStatistics
from twisted_sip.media.tones import KeySource

from .conftest import Terminal

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a `twistd sip-ua` that answers with a file of keys."""
    directory = tmp_path_factory.mktemp("phone")
    with wave.open(str(directory / "keys.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        source = KeySource("159")
        while piece := source.read(160):
            file.writeframes(piece)
    port = free_port()
    command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "sip-ua", f"--listen=udp:{port}:interface=127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--answer", "play keys.wav"], cwd=directory, env=ENVIRONMENT,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "listening over udp" in line:
                break
        yield f"sip:phone@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "twisted_sip.cli.main", *arguments], env=ENVIRONMENT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == status, done
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_a_call_until_the_other_side_hangs_up(phone: str, tmp_path: Path) -> None:
    done = run("call", phone, "--record", str(tmp_path / "heard.wav"))
    assert re.search(
        r"answered\n.*200 OK\n  talked +\d\.\d s, ended by remote \(bye\)\n  codec +PCMU/8000", done.stdout, re.DOTALL
    )
    with wave.open(str(tmp_path / "heard.wav")) as file:
        assert file.getnframes() > 3000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_that_is_full(phone: str) -> None:
    done = run("call", phone, "--record", "/dev/full", "--duration", "1.5")
    assert done.stdout.startswith("200 OK\n") or "\n200 OK\n" in done.stdout
    assert done.stderr == "twisted-sip: /dev/full: not all was recorded (no space left on device)\n"


def test_a_call_as_json(phone: str) -> None:
    told = json.loads(run("call", phone, "--duration", "0.4", "--json").stdout)
    assert (told["status"], told["ended_by"], told["media"]["codec"]) == (200, "local", "PCMU/8000")
    assert told["answered_after"] < 5


def test_keys_end_a_call(phone: str) -> None:
    told = json.loads(run("call", phone, "--dtmf", "1", "--dtmf-how", "info", "--json").stdout)
    assert told["status"] == 200


def test_what_is_played_is_not_written_over(tmp_path: Path) -> None:
    said = tmp_path / "said.wav"
    with wave.open(str(said), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    before = said.read_bytes()
    (tmp_path / "link.wav").symlink_to(said)
    for record in (said, tmp_path / "link.wav"):
        done = run("call", "sip:x@127.0.0.1", "--play", str(said), "--record", str(record), status=2)
        assert "--record would write over the file that --play plays" in done.stderr
    assert said.read_bytes() == before


def test_nobody_is_there() -> None:
    told = json.loads(run("call", f"sip:x@127.0.0.1:{free_port()}", "--timeout", "5", "--json", status=1).stdout)
    assert (told["status"], told["reason"]) == (503, "Cannot Be Reached")


class Screen:
    """Runs a command on a terminal, and keeps what was on each line of it."""

    def __init__(self, *arguments: str) -> None:
        environment = {name: value for name, value in ENVIRONMENT.items() if name != "COLUMNS"}
        command = [sys.executable, "-m", "twisted_sip.cli.main", *arguments]
        self.terminal = Terminal(command, Path.cwd(), environment)

    def end(self, *keys: str) -> list[str]:
        """Type *keys*, and wait until it ends with 0; return its frames, without colours."""
        for key in keys:
            self.terminal.type(key)
        assert self.terminal.end() == 0, self.terminal.text
        text = self.terminal.text
        assert "Traceback" not in text
        # The cursor is hidden while lines change.
        assert text.index("\x1b[?25l") < text.index("\x1b[?25h")
        return re.split(r"\r?(?:\x1b\[1A)?\x1b\[2K", re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]", "", text))


def test_a_call_on_a_terminal(phone: str) -> None:
    screen = Screen("call", phone, "--duration", "2")
    screen.terminal.until("MOS")
    frames = screen.end()
    assert any(frame.startswith("trying       sip:phone@127.0.0.1") for frame in frames)
    lines = [frame.rstrip("\r\n") for frame in frames if frame.startswith("established  sip:phone@")]
    assert len(lines) > 2
    # One line, whatever it has to tell.
    assert all(len(line) <= 100 and "\n" not in line for line in lines), lines
    assert any(re.search(r"  \d s  PCMU/8000  loss 0.0%  jitter", line) for line in lines), lines
    assert "200 OK" in frames[-1] and "talked" in frames[-1]


def test_what_the_line_tells() -> None:
    observers: list[Any] = []
    call: Any = SimpleNamespace(
        state=CallState.TRYING, observe=observers.append, seconds=61.0, statistics=MediaStatistics
    )
    line = CallLine(Clock(), "sip:bob@example.com")
    assert line.text().plain == "sip:bob@example.com"
    line.follow(call)
    observers[0](Progress(status=180, reason="Ringing"))
    assert line.text().plain == "trying       sip:bob@example.com  180 Ringing"
    call.state = CallState.ESTABLISHED
    observers[0](DTMF(digit="5"))
    assert line.text().plain == "established  sip:bob@example.com  1 min  key 5 (rtp)  no sound"
    observers[0](HoldChanged(on=True))
    assert line.text().no_wrap and "  on hold  " in line.text().plain
    line.close()


def test_control_c_hangs_up(phone: str) -> None:
    screen = Screen("call", phone)
    screen.terminal.until("established")
    frames = screen.end("\x03")
    assert "200 OK" in frames[-1] and "ended by local (bye)" in frames[-1]


def test_load_on_a_terminal(phone: str) -> None:
    screen = Screen("load", phone, "--rate", "10", "--calls", "10", "--duration", "0.2")
    screen.terminal.until("set-up ms")
    frames = screen.end()
    assert any("of 10, " in frame for frame in frames[:-1])
    last = [line.split() for line in frames[-1].splitlines() if line.strip()]
    assert last[0] == ["calls", "10", "of", "10,", "0", "now"] and last[2:4] == [["answered", "10"], ["failed", "0"]]


@pytest.mark.parametrize(
    ("raised", "told"), [("ValueError('no\\nsense')", "ValueError: no sense"), ("KeyError()", "Key")]
)
def test_what_nobody_has_foreseen(raised: str, told: str) -> None:
    """It is told in one line, with where it came from."""
    program = f"""
from twisted_sip.cli.client import with_element
from twisted_sip.cli.output import Failed

async def work(element):
    raise {raised}

try:
    with_element(work)
except Failed as error:
    error.show()
    raise SystemExit(error.exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(rf"twisted-sip: unexpected {told}.* \(<string>:6\)\n", done.stderr), done.stderr


def test_load(phone: str, tmp_path: Path) -> None:
    result = json.loads(run("load", phone, "--rate", "20", "--calls", "6", "--duration", "0.2", "--json").stdout)
    assert (result["answered"], result["failed"], result["active"]) == (6, {}, 0)
    assert set(result["setup_ms"]) == {"min", "p50", "p90", "p95", "p99", "max"}
    text = run(
        "load", f"sip:x@127.0.0.1:{free_port()}", "--rate", "50", "--calls", "2", "--timeout", "3", status=1
    ).stdout
    assert "2 x 503" in text


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["call", "sip:"], 2), (["call", "sip:a@b", "--dtmf", "x y"], 2), (["call", "sip:a@b", "--codecs", "MP3"], 2),
        (["call", "sip:a@b", "--play", "gone.wav"], 1), (["load", "sip:a@b", "--play", "gone.wav"], 1),
        (["load", "sip:{n}", "--rate", "0"], 2), (["call", "sip:a@b", "--record", "no/such/place.wav"], 1),
    ],
)  # fmt: skip
def test_what_cannot_be_done(arguments: list[str], status: int) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == status, done.output


def test_words() -> None:
    assert media_words(MediaStatistics()) == "no sound"
    found = MediaStatistics(
        codec="PCMU/8000",
        packets_sent=5,
        packets_received=4,
        fraction_lost=0.01,
        jitter=0.002,
        round_trip=0.05,
        mos=4.2,
    )
    assert media_words(found) == "PCMU/8000  loss 1.0%  jitter 2.0 ms  MOS 4.2  rtt 50 ms  5 out, 4 in"
    assert media_words(MediaStatistics(codec="PCMU/8000", packets_sent=5)) == "PCMU/8000  nothing heard  5 out"
    assert percentiles([]) == {}
    assert percentiles([0.003, 0.001]) == {"min": 1.0, "p50": 1.0, "p90": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert percentiles([n / 1000 for n in range(1, 101)])["p95"] == 95.0
    assert media_settings(None, "required").sdes_in_clear
    result: dict[str, Any] = {
        "started": 1, "calls": 2, "active": 1, "rate": 1.0, "answered": 1, "failed": {}, "setup_ms": {"p50": 1.0},
        "rtp": {"sent": 5, "received": 5, "lost": 1, "loss": 0.1, "mos_least": 4.0, "mos_mean": 4.1},
    }  # fmt: skip
    assert dict(rows(result))["RTP packets"] == "5 sent, 5 received, 1 lost (10.00%)"


@pytest.mark.parametrize("command", ["call", "load"])
def test_a_word_is_nobody_to_call(command: str) -> None:
    for word in ("nonsense", "sip:", "{n}"):
        done = CliRunner().invoke(cli, [command, word])
        assert done.exit_code == 2 and "is not a SIP URI like sip:bob@example.com" in done.output, done.output
    assert str(parse_callee("sip:pbx")) == "sip:pbx" and parse_callee("localhost").host == "localhost"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["call", "--timeout", "nan"], "'nan' is not a number"),
        (["call", "--duration", "nan"], "'nan' is not a number"),
        (["load", "--rate", "nan"], "'nan' is not a number"),
        (["load", "--codecs", "GSM"], "there is no codec 'GSM'"),
        (["call", "--codecs", ""], "there is no codec ''"),
        (["call", "--stun", "x:y"], '--stun: "x:y" is not a host like stun.example.com or 192.0.2.1:3478'),
        (["call", "--stun", "[::1"], "is not a host like"),
        (["call", "--stun", "192.0.2.1:0"], "is not a host like"),
        (["call", "--stun", "192.0.2.1", "--ice", "lite"], "--stun is of use with --ice full, not lite"),
        (["call", "--stun", "192.0.2.1", "--ice", "off"], "--stun is of use with --ice full, not off"),
    ],
)
def test_options_that_cannot_be(option: list[str], told: str) -> None:
    command, *rest = option
    done = CliRunner().invoke(cli, [command, "sip:bob@192.0.2.1", *rest])
    assert done.exit_code == 2 and told in done.output


def test_stun_servers() -> None:
    assert stun_servers(("stun.example.com", "192.0.2.1:5000", "[2001:db8::1]:5001", "[2001:db8::1]"), None) == (
        ("stun.example.com", 3478),
        ("192.0.2.1", 5000),
        ("2001:db8::1", 5001),
        ("2001:db8::1", 3478),
    )
    assert stun_servers((), "lite") == ()
    assert media_settings(None, "off", "full").ice == "full"


def test_without_libopus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_sip.media.codecs.table.is_available", lambda: False)
    with pytest.raises(click.UsageError, match="libopus"):
        media_settings("opus", "off")
    assert media_settings("opus,PCMU", "off").codecs == ("opus", "PCMU")


def test_a_stun_server_that_there_is_not() -> None:
    done = run("call", "sip:bob@127.0.0.1:9", "--stun", "nobody.invalid", "--timeout", "5", status=1)
    assert (done.returncode, done.stderr) == (1, "twisted-sip: nobody.invalid: there is no such host\n")
