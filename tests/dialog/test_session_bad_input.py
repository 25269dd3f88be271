"""Messages that were damaged on their way: nothing is raised, nothing is left (every seed is a call of its own)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.parser import parse_message
from twisted_sip.message.response import Response

from .test_session_any_sequence import Play

#: What stands in header fields of those who lie.
VALUES = {
    "allow": ["", "INVITE,,", "UPDATE"],
    "contact": ["*", "<tel:1>", "<<>", "", "<sip:x>,<sip:y>"],
    "content-disposition": ["session", "?", ";"],
    "content-encoding": ["gzip"],
    "content-type": ["?", "multipart/mixed", "text/plain", "multipart/mixed;boundary=a"],
    "cseq": ["4294967295 INVITE", "x", "0 UPDATE", "5 BYE"],
    "expires": ["x", "0", "99999999999"],
    "from": ["<<>", "<sip:a>;tag=q"],
    "info-package": ["", "a,b"],
    "min-se": ["9999999999", "0", "x", "4294967295"],
    "rack": ["", "1 1 INVITE", "x"],
    "reason": ["?;", "SIP;cause=x"],
    "record-route": ["<tel:1>", "x"],
    "recv-info": ["a,,b;;", "?"],
    "require": ["100rel", "foo", "", "timer,,;"],
    "retry-after": ["x", "0", "99999999999"],
    "rseq": ["0", "x", "4294967295"],
    "session-expires": ["0", "x", "4294967295;refresher=uac", "1;refresher=uas", "90;refresher=zz"],
    "supported": ["100rel,timer", ""],
    "to": ["<<>", '"x', "<sip:a>", "<sip:a>;tag=zz"],
}
STATUSES = (183, 199, 200, 202, 300, 422, 481, 491, 500, 699)


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Return *data* with a header field or two, or the status, changed."""
    message: Any = parse_message(data)
    for _ in range(chance.choice((1, 1, 2))):
        name = chance.choice(list(VALUES))
        deed = chance.choice((message.headers.append, message.headers.set, None))
        if deed is None:
            message.headers.remove(name)
        else:
            deed(name, chance.choice(VALUES[name]))
    if isinstance(message, Response) and chance.random() < 0.1:
        message.status = chance.choice(STATUSES)
    made: bytes = message.to_bytes()
    try:
        parse_message(made)
    except RemoteProtocolError:
        return data
    return made


@pytest.mark.parametrize("chunk", range(6))
def test_nothing_is_raised_and_nothing_is_left(chunk: int) -> None:
    for seed in range(chunk * 25, chunk * 25 + 25):
        play = Play(seed, loss=0.05, longest=0.3)
        chance = random.Random(f"{seed} damage")
        carry = play.link.carry

        def damaging(sender: str, target: str, data: bytes, chance: Any = chance, carry: Any = carry) -> None:
            carry(sender, target, damaged(chance, data) if chance.random() < 0.25 else data)

        play.link.carry = damaging  # type: ignore[method-assign]
        play.run(30.0)
        for end in play.ends:
            end.manual.clear()
            play.answer(end)
            for session in end.sessions:
                session.close()
        play.attempt.close()
        play.link.loss = 1.0
        play.link.advance(700.0, 1.0)
        for end in play.ends:
            assert end.settled(), f"seed {seed}"
