"""A linphonec as a user has it: publishes presence, watches a friend, chats; steered through its standard input."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from linphone import CONFIGURATION
from natted import Network
from processes import PATIENCE, Program, free_port, needed, wait_for

PRESENCE = """\
[friend_0]
url="{peer}" <sip:{peer}@{domain}>
pol=accept
subscribe=1
"""


class LinphoneConsole:
    """One phone.

    :param peer: the user whom it watches and writes to.
    :param expires: seconds for which it registers and publishes.
    :param presence: whether it publishes presence and watches *peer*.
    :param changes: what stands in its configuration, and what is to stand there instead.
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
        network: Network | None = None,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        needed("linphonec")
        self.user = user
        self.aor = f"sip:{user}@{domain}"
        self._peer = f"sip:{peer}@{domain}"
        home = directory / f"linphonec-{user}-{transport}-{free_port()}"
        (home / ".local" / "share" / "linphone").mkdir(parents=True)
        ports = {kind: str(free_port()) if kind == transport else "0" for kind in ("udp", "tcp", "tls")}
        text = CONFIGURATION.format(
            aor=self.aor,
            user=user,
            domain=domain,
            password=password,
            proxy=proxy,
            rtp=free_port(pair=True),
            **ports,
        ).replace("reg_expires=600", f"reg_expires={expires}")
        if presence:
            text = text.replace("reg_sendregister=1", f"reg_sendregister=1\npublish=1\npublish_expires={expires}")
            text += PRESENCE.format(peer=peer, domain=domain)
        for before, after in (changes or {}).items():
            assert before in text
            text = text.replace(before, after)
        (home / "linphonerc").write_text(text)
        self.log = home / "log"
        environment = {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local" / "share"), "XDG_CONFIG_HOME": str(home)}
        self.program = Program(
            ["linphonec", "-c", str(home / "linphonerc"), "-d", "6", "-l", self.log],
            directory=home,
            inside=network.inside if network else (),
            environment=environment,
        )

    @property
    def text(self) -> str:
        """What it has said and logged."""
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return self.program.text[-2000:] + log[-8000:]

    def registered(self) -> None:
        """Wait until the registrar has confirmed the registration."""

        def answered() -> bool:
            self.program.write("status register\n")
            return any("registered, identity=" in line for line in self.program.lines)

        wait_for(answered, lambda: f"not registered: {self.text}")

    def sees(self) -> str:
        """Return what it has said of its friend last: Online, Offline, Away, Busy; empty for nothing."""
        found = re.findall(rf"Friend .*<{re.escape(self._peer)}> is (\w+)", self.program.text)
        return found[-1] if found else ""

    def wait_to_see(self, state: str, patience: float = PATIENCE) -> None:
        """Wait until the friend is shown as *state*."""
        wait_for(lambda: self.sees() == state, lambda: f"{self.sees()}: {self.text}", patience)

    def send(self, text: str) -> None:
        """Send an instant message to the peer."""
        self.program.write(f"chat {self._peer} {text}\n")

    def sound(self, said: Path, heard: Path) -> None:
        """From now on play *said* in calls, and record to *heard*."""
        for command in ("soundcard use files", f"play {said}", f"record {heard}"):
            self.program.write(command + "\n")
            # It says nothing to that, and breaks long lines of its echo.
            time.sleep(0.1)

    def wait_for_status(self, method: str, status: int, times: int = 1) -> None:
        """Wait until requests of *method* have been answered *status* so many *times*."""
        # What came over a stream is logged as it was read: an answer may follow the end of a body on one line, and
        # may be cut in two by other lines of the log.
        answer = re.compile(rf"SIP/2\.0 {status} (?:(?!SIP/2\.0 |CSeq:)[\s\S])*CSeq: \d+ {method}\b")
        wait_for(
            lambda: len(answer.findall(self.log.read_text(errors="replace"))) >= times,
            lambda: f"no {status} to {method}: {self.text}",
        )

    def wait_for_message(self, text: str) -> None:
        """Wait until an instant message that says *text* has come."""
        self.program.wait_for(rf"Message received from .*: {re.escape(text)}$")

    def kill(self) -> None:
        """End it so that it can tell nobody."""
        self.program.signal(signal.SIGKILL)
        self.program.stop(0)

    def stop(self) -> None:
        """Put the phone away as a user does."""
        if self.program.process.poll() is None:
            self.program.write("quit\n")
            self.program.finish()
        self.program.stop()
