"""The peers of the soak: processes of phones and one of strangers, some of which die every now and then."""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter

from soak_server import SoakServer

HERE = pathlib.Path(__file__).resolve().parent
#: Phones in one process, which die together.
PHONES = 8
#: Seconds for which a process is held before it dies or goes on: its sockets are there, and silent.
HELD = (3.0, 20.0)
#: What strangers do, compared with what phones do.
STRANGERS = 0.1


class Peer:
    """One process of peers.

    :ivar stopped_until: when it is let go on, 0.0 while it runs.
    """

    def __init__(self, server: SoakServer, lots: random.Random, name: str, program: str, *arguments: object) -> None:
        self._lots, self.name = lots, name
        self._command = [sys.executable, str(HERE / program), *map(str, arguments)]
        ports = ",".join(f"{transport}:{port}" for transport, port in server.ports.items())
        self._command += ["--ports", ports]
        self._out = server.work / f"{name}.out"
        self.errors = server.work / f"{name}.err"
        self.stopped_until = 0.0
        self.dies = False
        self.past: Counter[str] = Counter()

    def start(self, rate: float) -> None:
        """Start it, or start it anew."""
        with self._out.open("wb") as out, self.errors.open("ab") as errors:
            command = [*self._command, "--seed", str(self._lots.randrange(10**6))]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=errors)
        self.rate(rate)

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()

    def rate(self, rate: float) -> None:
        """Let it do so many things per second."""
        self._say(f"rate {rate}")

    def counts(self) -> Counter[str]:
        """What it has done in this life and those before."""
        with self._out.open("rb") as out:
            lines = out.read().splitlines()
        for line in reversed(lines):
            with contextlib.suppress(ValueError):
                return self.past + Counter(json.loads(line))
        return self.past

    def die(self) -> None:
        """Kill it without notice, and forget it."""
        self.past = self.counts()
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self._out.write_bytes(b"")
        self.stopped_until = 0.0

    def hold(self, until: float, dies: bool) -> None:
        """Have it do nothing for a while, with its sockets open."""
        self.process.send_signal(signal.SIGSTOP)
        self.stopped_until, self.dies = until, dies

    def go_on(self) -> None:
        """Have it go on after that."""
        self.process.send_signal(signal.SIGCONT)
        self.stopped_until = 0.0

    def quit(self) -> None:
        """Have it leave in good order."""
        if self.stopped_until:
            self.go_on()
        self._say("quit")

    def wait(self, until: float) -> bool:
        """Wait for its end; tell whether it has come."""
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.die()
            return False
        return True


class Crew:
    """All peers.

    :ivar rate: things to do per second, those of strangers aside.
    :ivar deaths: how many processes were killed.
    """

    def __init__(self, server: SoakServer, users: int, lots: random.Random, *, apart: bool = False) -> None:
        """Have nobody yet.

        :param apart: phones call those of other processes, so that a call with both ends dead is rare: it is there for
            the three minutes of Timer C, or until its session timer is over.
        """
        self.server, self.lots = server, lots
        self.rate = 0.0
        self.deaths = self.silences = 0
        self.phones = [
            Peer(
                server, lots, f"phones-{first // PHONES}", "soak_phones.py",
                "--first", first, "--count", PHONES, "--users", users, *(["--apart"] if apart else []),
            )
            for first in range(0, users, PHONES)
        ]  # fmt: skip
        self.strangers = Peer(server, lots, "strangers", "soak_strangers.py")

    @property
    def peers(self) -> list[Peer]:
        """All processes."""
        return [*self.phones, self.strangers]

    def start(self) -> None:
        """Start all of them; they register, and wait."""
        for peer in self.peers:
            peer.start(0.0)

    def _rate_of(self, peer: Peer) -> float:
        return self.rate * STRANGERS if peer is self.strangers else self.rate / len(self.phones)

    def set_rate(self, rate: float) -> None:
        """Let them do so many things per second."""
        self.rate = rate
        for peer in self.peers:
            peer.rate(self._rate_of(peer))

    def misfortune(self) -> str:
        """Let one process die, or fall silent; return what has happened."""
        peer = self.lots.choice(self.peers)
        if peer.stopped_until:
            return ""
        if self.lots.random() < 0.4:
            self.silences += 1
            peer.hold(time.monotonic() + self.lots.uniform(*HELD), self.lots.random() < 0.5)
            return f"{peer.name} falls silent"
        return self._kill(peer)

    def _kill(self, peer: Peer) -> str:
        self.deaths += 1
        peer.die()
        peer.start(self._rate_of(peer))
        return f"{peer.name} dies"

    def tend(self) -> str:
        """Go on with those whose silence is over, and start those anew that have died; return what has happened.

        :raises RuntimeError: one has ended by itself.
        """
        now = time.monotonic()
        for peer in self.peers:
            if peer.process.poll() is not None:
                raise RuntimeError(f"{peer.name} has ended:\n{peer.errors.read_text(errors='replace')[-1500:]}")
            if 0.0 < peer.stopped_until <= now:
                if peer.dies:
                    return self._kill(peer)
                peer.go_on()
                return f"{peer.name} wakes up"
        return ""

    def counts(self) -> Counter[str]:
        """What all have done."""
        total: Counter[str] = Counter()
        for peer in self.peers:
            total += peer.counts()
        return total

    def finish(self) -> None:
        """End the load: every other process leaves in good order, the others are killed."""
        for number, peer in enumerate(self.peers):
            if number % 2:
                self.deaths += 1
                peer.die()
            else:
                peer.quit()
        until = time.monotonic() + 20
        for peer in self.peers[::2]:
            peer.wait(until)

    def close(self) -> None:
        """Kill what still runs."""
        for peer in self.peers:
            if hasattr(peer, "process"):
                peer.die()

    def troubles(self) -> list[str]:
        """What the peers complain of, which are to be sound themselves."""
        return [
            f"{peer.name}: {text.splitlines()[-1][:300]}"
            for peer in self.peers
            if peer.errors.exists() and (text := peer.errors.read_text(errors="replace").strip())
        ]
