"""The agents of examples/ take calls with sound: what is sent is heard, keys are obeyed, calls are recorded."""

from __future__ import annotations

import math
import runpy
import socket
import struct
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SOURCES = Path(__file__).parents[2] / "examples"
#: A packet each 20 ms.
_PACE = 0.02


class Phone:
    """A phone of few words: one call, PCMU."""

    def __init__(self, peer: Any, server_port: int) -> None:
        self.peer = peer
        self.server = server_port
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind(("127.0.0.1", 0))
        self.media.settimeout(_PACE)
        self.sequence = 0
        self.to = ""
        self.heard = bytearray()

    def call(self) -> None:
        port = self.media.getsockname()[1]
        sdp = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
        )
        self.uri = f"sip:agent@127.0.0.1:{self.server}"
        contact = f"Contact: <sip:phone@127.0.0.1:{self.peer.port}>"
        self.peer.request(
            "INVITE", self.uri, "sip:phone@127.0.0.1", self.uri, contact, "Content-Type: application/sdp", body=sdp
        )
        answer = self.peer.receive()
        assert answer.startswith("SIP/2.0 200"), answer
        fields = dict(line.partition(": ")[::2] for line in answer.split("\r\n\r\n")[0].split("\r\n")[1:])
        self.to, self.target = fields["To"], fields["Contact"].strip("<>")
        self.call_id = fields["Call-ID"]
        [audio] = [line for line in answer.split("\r\n") if line.startswith("m=audio")]
        self.address = ("127.0.0.1", int(audio.split()[1]))
        self.within("ACK", 1)

    def within(self, method: str, number: int) -> None:
        head = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.peer.port};branch=z9hG4bK{method}{number}",
            "Max-Forwards: 70",
            f"From: <sip:phone@127.0.0.1>;tag={self.peer.port}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            "Content-Length: 0",
        ]
        self.peer._socket.send("\r\n".join([*head, "", ""]).encode())

    def packet(self, payload: bytes, kind: int = 0, stamp: int | None = None, mark: int = 0) -> None:
        self.sequence += 1
        stamp = self.sequence * 160 if stamp is None else stamp
        self.media.sendto(
            struct.pack("!BBHII", 0x80, kind | mark << 7, self.sequence, stamp, 7) + payload, self.address
        )

    def listen(self) -> None:
        try:
            data = self.media.recv(2048)
        except TimeoutError:
            return
        if data[1] & 0x7F == 0:
            self.heard += data[12:]

    def say(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            self.packet(payload)
            self.listen()

    def press(self, digit: int) -> None:
        """RFC 4733: the event grows, and ends three times."""
        stamp = (self.sequence + 1) * 160
        for step in range(1, 8):
            end = 0x80 if step > 4 else 0
            self.packet(struct.pack("!BBH", digit, end | 10, min(step, 5) * 160), 101, stamp, int(step == 1))
            self.listen()


def speech(count: int) -> list[bytes]:
    """Return packets of a sound that is easy to know again."""
    return [bytes(0x10 + (number + place // 20) % 0x60 for place in range(160)) for number in range(count)]


@pytest.fixture
def phone(program: Any, free_port: int, peer: Callable[[int], Any]) -> Iterator[Callable[..., Phone]]:
    made: list[Phone] = []

    def start(name: str, *arguments: str) -> Phone:
        program(name, str(free_port), *arguments)
        made.append(Phone(peer(free_port), free_port))
        made[-1].call()
        return made[-1]

    yield start
    for one in made:
        one.media.close()


def test_the_echo_agent(phone: Callable[..., Phone]) -> None:
    caller = phone("echo_agent.py")
    packets = speech(60)
    caller.say(packets)
    for _ in range(20):
        caller.listen()
    said, heard = b"".join(packets[10:40]), bytes(caller.heard)
    assert any(packet in heard for packet in packets[20:40]) and len(heard) > len(said)
    caller.within("BYE", 2)
    assert caller.peer.receive().startswith("SIP/2.0 200")


def test_the_menu(phone: Callable[..., Phone]) -> None:
    caller = phone("ivr.py")
    caller.say([b"\xff" * 160] * 20)
    caller.press(1)
    caller.say([b"\xff" * 160] * 40)
    # A tone, and not silence.
    assert len(set(caller.heard[-1600:])) > 8
    caller.press(0)
    caller.say([b"\xff" * 160] * 10)
    assert caller.peer.receive().startswith("BYE")


def test_the_recording_bot(phone: Callable[..., Phone], tmp_path: Path) -> None:
    caller = phone("recording_bot.py", str(tmp_path))
    caller.say(speech(160))
    caller.within("BYE", 2)
    assert caller.peer.receive().startswith("SIP/2.0 200")
    [recorded] = tmp_path.glob("*.wav")
    seconds = 0.0
    # It is closed a moment after the 200 has gone out.
    for _ in range(250):
        caller.listen()
        with wave.open(str(recorded)) as file:
            seconds = file.getnframes() / file.getframerate()
            samples = struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))
        if seconds > 1.2:
            break
    assert 1.2 < seconds < 5.0
    assert math.sqrt(sum(sample * sample for sample in samples) / len(samples)) > 100


def test_the_recording_bot_overwrites_nothing(tmp_path: Path) -> None:
    """Whatever Call-IDs callers choose."""
    recorder: Any = runpy.run_path(str(SOURCES / "recording_bot.py"))["Recorder"]
    files: list[Path] = []

    async def nothing() -> Any:
        return SimpleNamespace(seconds=0.0)

    for id in ("a-b", "ab", "ab", "/../..", "x" * 300):
        call = SimpleNamespace(
            id=id, answer=nothing, record=files.append, ended=nothing(), remote=SimpleNamespace(uri_text="sip:a@b")
        )
        with pytest.raises(StopIteration):
            recorder.incoming_call(SimpleNamespace(directory=tmp_path), call).send(None)
    assert len(set(files)) == 5 and {file.parent for file in files} == {tmp_path}


@pytest.mark.parametrize(("name", "most"), [("echo_agent.py", 10), ("ivr.py", 30), ("recording_bot.py", 30)])
def test_they_are_short(name: str, most: int) -> None:
    lines = [line for line in (SOURCES / name).read_text("utf-8").splitlines() if line.strip()]
    body = lines[next(place for place, line in enumerate(lines) if line.startswith("class ")) :]
    end = next((place for place, line in enumerate(body) if line.startswith("if __name__")), len(body))
    assert len(body[:end]) <= most


@pytest.mark.parametrize("name", ["echo_agent.py", "ivr.py", "recording_bot.py", "click_to_call.py"])
@pytest.mark.parametrize("arguments", [[], ["junk", "junk"]], ids=["none", "junk"])
def test_how_they_are_used(name: str, arguments: list[str]) -> None:
    command = [sys.executable, str(SOURCES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stderr.startswith(f"usage: {name} ") and "Traceback" not in done.stderr
