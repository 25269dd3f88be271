"""What strangers ask at the beginning of a soak, so that bounded caches are full and hide no growth."""

from __future__ import annotations

import contextlib
import random
import socket
import time

from soak_phone import DOMAIN

#: More than what parsers keep of any kind of text.
NAMES = 5000
#: Requests per second.
PACE = 400


def request(number: int, here: int, tag: int) -> bytes:
    """Return a request whose names, addresses and lines no other has.

    They are as long as those of phones: what is kept must not grow when it is replaced by what is kept of those.

    :param here: the port that the answer comes to.
    """
    who = f"filling-{number:020d}"
    instance = f'+sip.instance="<urn:uuid:00000000-0000-1000-8000-{number:012x}>"'
    return (
        f"OPTIONS sip:{who}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{1 + number};rport;branch=z9hG4bK{tag:x}\r\nMax-Forwards: 70\r\n"
        f'From: "Filling {number}" <sip:{who}@elsewhere.test>;tag=f{tag:x}\r\nTo: <sip:{who}@{DOMAIN}>\r\n'
        f"Call-ID: filling-{tag:x}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:{who}@127.0.0.1:{here};ob>;{instance}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def fill(port: int, lots: random.Random, names: int = NAMES, pace: float = PACE) -> int:
    """Send *names* requests to *port* at that pace, and return how many were answered."""
    answers = 0
    with socket.socket(type=socket.SOCK_DGRAM) as asker:
        asker.bind(("127.0.0.1", 0))
        asker.setblocking(False)
        here = asker.getsockname()[1]
        began = time.monotonic()
        for number in range(names):
            with contextlib.suppress(OSError):
                asker.sendto(request(number, here, lots.getrandbits(48)), ("127.0.0.1", port))
            time.sleep(max(0.0, began + number / pace - time.monotonic()))
            with contextlib.suppress(BlockingIOError):
                while asker.recv(65535):
                    answers += 1
        asker.settimeout(1.0)
        with contextlib.suppress(TimeoutError):
            while answers < names and asker.recv(65535):
                answers += 1
    return answers
