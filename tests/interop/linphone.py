"""A linphone as a user has it, steered through linphone-daemon's standard input; its microphone is a file of a tone."""

from __future__ import annotations

import math
import re
import struct
import time
import wave
from pathlib import Path

from natted import Network
from processes import Program, free_port, needed, wait_for

CONFIGURATION = """\
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
verify_server_certs=0
verify_server_cn=0
use_ipv6=0
guess_hostname=1
default_proxy=0
media_encryption=none
use_info=0
[proxy_0]
reg_identity={aor}
reg_proxy=<{proxy}>
reg_route=<{proxy};lr>
reg_expires=600
reg_sendregister=1
[auth_info_0]
username={user}
passwd={password}
domain={domain}
[net]
mtu=0
[rtp]
audio_rtp_port={rtp}
[video]
enabled=0
capture=0
display=0
automatically_initiate=0
automatically_accept=0
"""


def tone(path: Path) -> None:
    """Write ten seconds of a tone that a phone can play."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        samples = (int(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(80000))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))


class Linphone:
    """One phone."""

    def __init__(
        self,
        directory: Path,
        user: str,
        password: str,
        domain: str,
        proxy: str,
        *,
        transport: str = "udp",
        network: Network | None = None,
    ) -> None:
        needed("linphone-daemon")
        self.user = user
        self.aor = f"sip:{user}@{domain}"
        home = directory / f"linphone-{user}-{transport}"
        (home / ".local" / "share" / "linphone").mkdir(parents=True)
        self.tone = home / "tone.wav"
        tone(self.tone)
        ports = {kind: str(free_port()) if kind == transport else "0" for kind in ("udp", "tcp", "tls")}
        (home / "linphonerc").write_text(
            CONFIGURATION.format(
                aor=self.aor,
                user=user,
                domain=domain,
                password=password,
                proxy=proxy,
                rtp=free_port(pair=True),
                **ports,
            )
        )
        command = ["linphone-daemon", "--config", str(home / "linphonerc"), "--disable-stats-events", "--log"]
        self.log = home / "log"
        environment = {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local" / "share"), "XDG_CONFIG_HOME": str(home)}
        self.program = Program(
            [*command, self.log], directory=home, inside=network.inside if network else (), environment=environment
        )

    def do(self, command: str) -> str:
        """Give a command; return what the phone says to it."""
        before = len(self.program.lines)
        self.program.write(command + "\n")

        def answer() -> str | None:
            text = "\n".join(self.program.lines[before:])
            found = re.search(r"Status: (Ok|Error)", text)
            # Its prompt has no line of its own: what belongs to the answer is there when nothing follows for a moment.
            if found is None:
                return None
            time.sleep(0.05)
            return "\n".join(self.program.lines[before:]) if len(self.program.lines) > before else None

        return wait_for(answer, lambda: f"no answer to {command}: {self.program.text[-3000:]}")

    def registration(self) -> str:
        """Return the state of the registration as linphone calls it (Ok, Failed, Progress, Cleared ...)."""
        found = re.search(r"State: LinphoneRegistration(\w+)", self.do("register-status ALL"))
        return found[1] if found else ""

    def registered(self) -> None:
        wait_for(lambda: self.registration() == "Ok", lambda: f"not registered: {self.text}")

    @property
    def text(self) -> str:
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return self.program.text[-2000:] + log[-8000:]

    @property
    def mark(self) -> int:
        """How much it has said so far."""
        return len(self.program.lines)

    def wait(self, state: str, after: int = 0) -> None:
        """Wait until the call is in *state* (IncomingReceived, OutgoingRinging, StreamsRunning, End, Error ...)."""
        self.program.wait_for(rf"^Event: LinphoneCall{state}$", after=after)

    def packets(self) -> tuple[int, int]:
        """Return how many RTP packets the phone sent and received in the call that has just ended."""

        def counts() -> tuple[int, int] | None:
            log = self.log.read_text(errors="replace").rpartition("AUDIO SESSION'S RTP STATISTICS")[2]
            sent = re.findall(r"-sent +(\d+) packets", log)
            received = re.findall(r"-received +(\d+) packets", log)
            return (int(sent[0]), int(received[0])) if sent and received else None

        return wait_for(counts, lambda: self.text)

    def stop(self) -> None:
        """Put the phone away; a signal would leave its registration behind."""
        if self.program.process.poll() is None:
            if self.registration() == "Ok":
                self.do("unregister ALL")
                wait_for(lambda: self.registration() != "Ok", self.text)
            self.program.write("quit\n")
        self.program.stop()
