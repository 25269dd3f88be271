"""Strangers fill the caches: no text of theirs comes twice, and there are more of them than are kept."""

from __future__ import annotations

import gc
import random
import socket
import threading

from soak_filling import NAMES, fill, request

from twisted_sip.message.kept import Kept
from twisted_sip.message.ordinary import read_ordinary
from twisted_sip.message.parser import DEFAULT_LIMITS


def test_no_text_comes_twice() -> None:
    lots = random.Random(1)
    lines: set[str] = set()
    for number in (0, 1, NAMES - 1):
        message = read_ordinary(request(number, 5062, lots.getrandbits(48)), DEFAULT_LIMITS)
        assert message is not None
        own = {line for line in message.headers.lines if line.partition(":")[0] in ("Via", "From", "To", "Contact")}
        assert len(own) == 4 and not own & lines
        lines |= own


def test_there_are_more_than_are_kept() -> None:
    assert max(kept._most for kept in gc.get_objects() if isinstance(kept, Kept)) < NAMES


def test_all_are_asked_and_the_answers_counted() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        heard: list[bytes] = []

        def answer() -> None:
            while len(heard) < 20:
                data, source = server.recvfrom(65535)
                heard.append(data)
                server.sendto(b"x", source)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert fill(server.getsockname()[1], random.Random(1), names=20, pace=10_000) == 20
        thread.join(10)
        assert len(set(heard)) == 20
