"""A baresip as a user has it: an account, a tone for a microphone; steered over its control socket (ctrl_tcp)."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from natted import Network
from processes import PATIENCE, Program, free_port, needed, wait_for

MODULES = "/usr/lib/baresip/modules"
CONFIGURATION = """\
poll_method epoll
sip_listen {host}:{port}
{tls}
net_interface {host}
call_local_timeout 120
call_max_calls 4
{sound}
rtp_ports {rtp}-{rtp_end}
rtp_stats yes
module_path {modules}
module g711.so
module ausine.so
module aubridge.so
module aufile.so
{more}
module_tmp account.so
module_app contact.so
module_app debug_cmd.so
module_app menu.so
{presence}
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{control}
"""
#: A tone for a microphone, and nobody who listens.
TONE = """\
audio_player aubridge,nil
audio_source ausine,440
audio_alert aubridge,alert
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2"""
#: A file for a microphone; what is said and heard is written to files.
FILES = """\
audio_player aubridge,nil
audio_source aufile,{said}
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module sndfile.so
snd_path {directory}"""


class Baresip:
    """One phone.

    :param expires: seconds for which it registers and publishes.
    :param presence: whether it publishes presence and watches *peer*.
    :param account: extra parameters of the account, as in baresip's accounts file.
    :param host: its address.
    :param network: the network it is in.
    :param said: the WAV file (8 kHz, mono) that it plays in each call; what it hears is recorded then.
    :param modules: further modules.
    :param register: whether it registers at all.
    """

    def __init__(
        self,
        directory: Path,
        user: str,
        password: str,
        domain: str,
        proxy: str,
        *,
        transport: str = "udp",
        peer: str = "",
        expires: int = 600,
        presence: bool = False,
        host: str = "127.0.0.1",
        network: Network | None = None,
        account: str = "",
        ca_file: Path | None = None,
        said: Path | None = None,
        modules: Iterable[str] = (),
        register: bool = True,
    ) -> None:
        needed("baresip")
        self.user = user
        self.aor = f"sip:{user}@{domain}"
        home = directory / f"baresip-{user}-{transport}"
        home.mkdir(parents=True)
        # Its names of files have room for few characters.
        self._sounds = Path(tempfile.mkdtemp(prefix="snd-"))
        self.port = free_port(pair=True)
        rtp = free_port(pair=True) & ~1
        control = free_port()
        tls = f"sip_cafile {ca_file}" if ca_file else ""
        more = [f"module {name}.so" for name in modules]
        (home / "config").write_text(
            CONFIGURATION.format(
                host=host, port=self.port, rtp=rtp, rtp_end=rtp + 20, modules=MODULES, control=control, tls=tls,
                sound=FILES.format(said=said, directory=self._sounds) if said else TONE, more="\n".join(more),
                presence="module_app presence.so" if presence else "",
            )
        )  # fmt: skip
        way = f';outbound="{proxy}"' if proxy else ""
        (home / "accounts").write_text(
            f"<{self.aor};transport={transport}>;auth_user={user};auth_pass={password}{way};"
            f"regint={expires if register else 0};audio_codecs=pcmu/8000/1"
            f"{f';pubint={expires}' if presence else ''}{account}\n"
        )
        watched = ";presence=p2p" if presence else ""
        (home / "contacts").write_text(f'"peer" <sip:{peer or user}@{domain}>{watched}\n')
        self.program = Program(
            ["baresip", "-f", str(home), "-s"], directory=home, inside=network.inside if network else ()
        )
        self.events: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self.program.wait_for("baresip is ready")
        if network is None:
            self._control = socket.create_connection((host, control), PATIENCE)
        else:
            self._control = network.socket("connect", host, control)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self._control.settimeout(None)
        buffer = b""
        while True:
            try:
                data = self._control.recv(65535)
            except OSError:
                return
            if not data:
                return
            buffer += data
            # Netstrings: length, colon, content, comma.
            while (found := re.match(rb"(\d+):", buffer)) and len(buffer) > found.end() + int(found[1]):
                end = found.end() + int(found[1])
                message = json.loads(buffer[found.end() : end])
                buffer = buffer[end + 1 :]
                (self.events if message.get("event") else self._answers).append(message)

    def do(self, command: str, parameters: str = "") -> dict[str, Any]:
        """Give a command, as it is typed after the slash; return baresip's answer."""
        before = len(self._answers)
        text = json.dumps({"command": command, "params": parameters, "token": str(before)}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))
        wait_for(lambda: self._answers[before:], lambda: f"no answer to {command}: {self.program.text[-4000:]}")
        return self._answers[before]

    def wait(self, kind: str, after: int = 0, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait for an event of *kind* (REGISTER_OK, CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED ...)."""
        return wait_for(
            lambda: next((event for event in self.events[after:] if event["type"] == kind), None),
            lambda: f"{self.user}: no {kind} in {self.events[after:]}\n{self.program.text[-6000:]}",
            patience,
        )

    def registered(self) -> None:
        """Wait until the registrar has confirmed the registration (this may be before the control socket is there)."""
        self.program.wait_for(r"200 OK .*\[\d+ bindings?\]")

    def sees(self) -> str:
        """Return how the peer is shown: Online, Offline, Busy or Unknown."""
        found = re.search(r"([A-Z][a-z]+)(?:\x1b\S*)? peer <", self.do("contacts")["data"])
        return found[1] if found else ""

    def wait_to_see(self, state: str, patience: float = PATIENCE) -> None:
        """Wait until the peer is shown as *state*."""
        wait_for(lambda: self.sees() == state, lambda: f"{self.sees()}: {self.program.text[-6000:]}", patience)

    def send(self, text: str) -> None:
        """Send an instant message to the peer."""
        self.do("contact_next")
        self.do("message", text)

    def wait_for_status(self, method: str, status: int, times: int = 1) -> None:
        """Wait until requests of *method* have been answered *status* so many *times*."""
        answer = re.compile(rf"^SIP/2\.0 {status} .*\n(?:.+\n)*?CSeq: \d+ {method}$", re.MULTILINE)
        wait_for(
            lambda: len(answer.findall(self.program.text)) >= times,
            lambda: f"no {status} to {method}: {self.program.text[-6000:]}",
        )

    def wait_for_message(self, text: str) -> None:
        """Wait until an instant message that says *text* has come."""
        self.program.wait_for(rf"(^|: ){re.escape(text)}$")

    def heard(self) -> list[Path]:
        """Return the files with what was heard in each call so far, in order."""
        return sorted(self._sounds.glob("dump-*-dec.wav"))

    @property
    def mark(self) -> int:
        """How many events there were so far."""
        return len(self.events)

    def kill(self) -> None:
        """End it so that it can tell nobody."""
        self.program.signal(signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        self._control.close()
        self.program.stop()
        shutil.rmtree(self._sounds, ignore_errors=True)
