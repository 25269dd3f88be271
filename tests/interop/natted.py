"""A small internet of network namespaces: the server on a public address, each phone alone behind a NAT of its own.

The phone's network has a router that holds the server's address; what comes for it there is sent on from the NAT's
public address, by a process with sockets on both sides (`nat_process.py`). Nothing else gets from one side to the
other, so a Contact as the phone writes it leads nowhere.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE, Program, needed

SERVER = "198.51.100.1"
PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}

_BIND = """
import socket, sys
kind, host, port, channel = sys.argv[1:]
if kind == "connect":
    made = socket.create_connection((host, int(port)), 10)
else:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    made.bind((host, int(port)))
    if kind == "tcp":
        made.listen()
socket.send_fds(socket.socket(fileno=int(channel)), [b"x"], [made.fileno()])
"""


class Network:
    """A network namespace.

    :param within: the first one made, which owns the user namespace of those who are not root.
    """

    def __init__(self, within: Network | None = None) -> None:
        needed("unshare", "nsenter", "ip")
        private = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        before = within.inside if within else ["unshare", *private] if private else []
        self._held = subprocess.Popen(
            [*before, "unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._held.stdout is not None
        said = self._held.stdout.readline().decode()
        if said != "ready\n":
            self.stop()
            pytest.skip(f"no network namespaces here: {said.strip()}")
        # The process given to nsenter must be the one that lives in the namespace; unshare without --fork becomes it.
        user = ["--user", "--preserve-credentials"] if private else []
        self.inside = ["nsenter", "--target", str(self._held.pid), "--net", *user]
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> None:
        done = subprocess.run(
            [*self.inside, "ip", *words], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode:
            pytest.skip(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def cable(self, other: Network, here: str, there: str) -> None:
        """Join two networks by a cable with the addresses *here* and *there*."""
        end = str(other._held.pid)
        self.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", end)
        for network, address in ((self, here), (other, there)):
            network.ip("addr", "add", f"{address}/24", "dev", "eth0")
            network.ip("link", "set", "eth0", "up")

    def socket(self, kind: str, host: str, port: int) -> socket.socket:
        """Return a socket of this network: bound ("udp"), listening ("tcp") or connected ("connect")."""
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with ours, theirs:
            command = [*self.inside, sys.executable, "-c", _BIND, kind, host, str(port), str(theirs.fileno())]
            done = subprocess.run(
                command, pass_fds=[theirs.fileno()], timeout=PATIENCE, check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            (made,) = socket.recv_fds(ours, 1, 1)[1]
        return socket.socket(fileno=made)

    def stop(self) -> None:
        self._held.kill()
        self._held.wait(PATIENCE)
        if self._held.stdout is not None:
            self._held.stdout.close()


class Internet:
    """The public network, and the networks behind NATs that were plugged in."""

    def __init__(self, directory: Path) -> None:
        self.network = Network()
        self._directory = directory
        self._networks = [self.network]
        self._nats: list[Program] = []
        self.network.ip("addr", "add", f"{SERVER}/32", "dev", "lo")

    def behind_nat(self, number: int) -> tuple[Network, str]:
        """Return a network behind a NAT of its own, and the phone's address in it."""
        public, router_address, phone_address = f"198.51.100.{10 + number}", f"10.0.{number}.1", f"10.0.{number}.2"
        self.network.ip("addr", "add", f"{public}/32", "dev", "lo")
        phone, router = Network(self.network), Network(self.network)
        self._networks += [phone, router]
        phone.cable(router, phone_address, router_address)
        # To the server alone: what a phone asks of the DNS fails at once instead of being waited for.
        phone.ip("route", "add", f"{SERVER}/32", "via", router_address)
        router.ip("addr", "add", f"{SERVER}/32", "dev", "lo")
        inner = [
            router.socket("udp", SERVER, 5060),
            router.socket("tcp", SERVER, 5060),
            router.socket("tcp", SERVER, 5061),
        ]
        files = [each.fileno() for each in inner]
        command = [sys.executable, Path(__file__).parent / "nat_process.py", public, SERVER, *map(str, files)]
        nat = Program(command, directory=self._directory, inside=self.network.inside, pass_fds=files)
        self._nats.append(nat)
        for each in inner:
            each.close()
        nat.wait_for("ready")
        return phone, phone_address

    def stop(self) -> None:
        for nat in self._nats:
            nat.stop()
        for network in reversed(self._networks):
            network.stop()
