#!/usr/bin/env python3
"""Those in the soak who do not keep to the rules: `soak.py` starts it, and may kill it.

Malformed and half datagrams, half messages over connections that fall silent, TLS handshakes that are broken off,
INVITEs whose sender is gone, responses to nothing. Lines in: ``rate R``, ``quit``. Lines out: counts as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import Counter, deque

from soak_phone import DOMAIN

#: Connections that are left silent at a time; the oldest is dropped, most often without a word.
SILENT = 40
REPORT = 2.0


class Strangers:
    """They do one thing after the other.

    :param ports: of the server, by transport.
    """

    def __init__(self, ports: dict[str, int], lots: random.Random) -> None:
        self.ports, self.lots = ports, lots
        self.counts: Counter[str] = Counter()
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._silent: deque[socket.socket] = deque()
        self._kinds = [getattr(self, name) for name in dir(self) if name.startswith("do_")]

    def act(self) -> None:
        """Do one of the things that begin with ``do_``."""
        what = self.lots.choice(self._kinds)
        with contextlib.suppress(OSError):
            what()
            self.counts[what.__name__.removeprefix("do_")] += 1
        with contextlib.suppress(OSError):
            while True:
                self._socket.recv(65535)

    def request(self, method: str, cseq: str = "") -> bytes:
        """Return a request that nobody can prove to have sent."""
        here = self._socket.getsockname()[1]
        serial = self.lots.getrandbits(48)
        user = f"u{self.lots.randrange(8)}"
        return (
            f"{method} sip:{user}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK{serial:x}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:x@elsewhere.test>;tag=s{serial:x}\r\nTo: <sip:{user}@{DOMAIN}>\r\n"
            f"Call-ID: stranger-{serial:x}\r\nCSeq: {cseq or f'1 {method}'}\r\nContact: <sip:x@127.0.0.1:{here}>\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        self._socket.sendto(data, ("127.0.0.1", self.ports["udp"]))

    def connect(self, transport: str) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.ports[transport]), 3)

    def leave(self, connection: socket.socket) -> None:
        """Let it be silent; an old one goes, half of them with a reset."""
        self._silent.append(connection)
        if len(self._silent) > SILENT:
            self.reset(self._silent.popleft())

    def reset(self, connection: socket.socket) -> None:
        """Close it, perhaps with a reset."""
        if self.lots.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    # -- over UDP --------------------------------------------------------------------------------

    def do_noise(self) -> None:
        self.send(os.urandom(self.lots.randrange(1, 1200)))

    def do_mutated(self) -> None:
        data = bytearray(self.request(self.lots.choice(("INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE", "PUBLISH"))))
        for _ in range(self.lots.randrange(1, 12)):
            data[self.lots.randrange(len(data))] = self.lots.randrange(256)
        self.send(bytes(data))

    def do_cut(self) -> None:
        data = self.request("INVITE")
        self.send(data[: self.lots.randrange(1, len(data))])

    def do_wrong_cseq(self) -> None:
        self.send(self.request("OPTIONS", self.lots.choice(("1 INVITE", "99999999999 OPTIONS", "x", "-1 OPTIONS"))))

    def do_response_to_nothing(self) -> None:
        self.send(self.request("OPTIONS").replace(f"OPTIONS sip:u0@{DOMAIN} SIP/2.0".encode(), b"SIP/2.0 200 OK"))

    def do_call_and_go(self) -> None:
        """A call from elsewhere whose caller does not live to hear of it."""
        self.send(self.request("INVITE"))

    def do_write(self) -> None:
        self.send(self.request("MESSAGE"))

    def do_bye_to_nothing(self) -> None:
        self.send(self.request("BYE"))

    # -- over connections ------------------------------------------------------------------------

    def do_silent_connection(self) -> None:
        self.leave(self.connect("tcp"))

    def do_half_message(self) -> None:
        connection = self.connect("tcp")
        data = self.request("OPTIONS").replace(b"/UDP", b"/TCP")
        connection.sendall(data[: self.lots.randrange(1, len(data))])
        self.leave(connection)

    def do_stream_noise(self) -> None:
        connection = self.connect(self.lots.choice(("tcp", "tls")))
        connection.sendall(os.urandom(self.lots.randrange(1, 4000)))
        self.reset(connection)

    def do_ask_and_go(self) -> None:
        connection = self.connect("tcp")
        connection.sendall(self.request("OPTIONS").replace(b"/UDP", b"/TCP") * self.lots.randrange(1, 4))
        self.reset(connection)

    def do_aborted_handshake(self) -> None:
        connection = self.connect("tls")
        hello = ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
        data = hello.read()
        connection.sendall(data[: self.lots.randrange(1, len(data) + 1)])
        if self.lots.random() < 0.3:
            self.leave(connection)
        else:
            self.reset(connection)

    def run(self) -> None:
        """Do as told on standard input until its end."""
        rate, due, report = 0.0, 0.0, time.monotonic() + REPORT
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if now >= report:
                    report = now + REPORT
                    print(json.dumps(self.counts), flush=True)
                wait = report - now if rate <= 0 else min(report, due) - now
                if selector.select(max(0.0, wait)):
                    words = os.read(sys.stdin.fileno(), 4096).decode().split()
                    if not words or "quit" in words:
                        return
                    rate = float(words[-1])
                    due = time.monotonic()
                elif rate > 0 and time.monotonic() >= due:
                    due += self.lots.expovariate(rate)
                    self.act()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ports", required=True, help="those of the server, as udp:5060,tcp:5060,tls:5061")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    pairs = (part.split(":") for part in args.ports.split(","))
    strangers = Strangers({name: int(port) for name, port in pairs}, random.Random(args.seed))
    strangers.run()
    print(json.dumps(strangers.counts), flush=True)


if __name__ == "__main__":
    main()
