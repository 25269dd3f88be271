"""Every torture message against a server that runs, over UDP and over TCP, with and without authentication.

After each one the server still answers, has logged no failure, and holds nothing once all deadlines have passed.
"""

from __future__ import annotations

import pytest
from torture_server import LONG, Answer, Rig
from verdicts import VERDICTS, Verdict

ALL = [pytest.param(verdict, id=verdict.name) for verdict in VERDICTS]
#: After this time what a stream should answer is answered, and nothing has timed out.
SOON = 2.0
USERS = {"nobody": "secret"}


def check(answers: list[Answer], forwarded: bool, expected: str) -> None:
    """Compare *answers* with what the table expects."""
    words = expected.split(",")[0]
    assert forwarded == ("forwarded" in words)
    wanted = [] if words == "none" else words.replace(" forwarded", "").split(" + ")
    assert len(answers) == len(wanted), answers
    for answer, want in zip(answers, wanted, strict=True):
        status, _, reason = want.partition(" ")
        assert answer.status == int(status), answer
        assert reason in answer.reason


def uri_of(data: bytes) -> str:
    return data.split(b"\r\n", 1)[0].decode().split(" ")[1]


@pytest.mark.parametrize("verdict", ALL)
@pytest.mark.parametrize("required", [False, True], ids=["trusted", "auth"])
def test_over_udp(verdict: Verdict, required: bool) -> None:
    with Rig(USERS if required else None) as rig:
        if not required:
            rig.register(uri_of(verdict.data))
        answers = rig.datagram(verdict.data)
        check(answers, bool(rig.callee.requests), verdict.auth_udp if required else verdict.udp)
        rig.alive()
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}


@pytest.mark.parametrize("verdict", ALL)
@pytest.mark.parametrize("required", [False, True], ids=["trusted", "auth"])
def test_over_tcp(verdict: Verdict, required: bool) -> None:
    expected = verdict.auth_tcp if required else verdict.tcp
    with Rig(USERS if required else None) as rig:
        if not required:
            rig.register(uri_of(verdict.data))
        answers, peer = rig.stream(verdict.data, SOON)
        check(answers, bool(rig.callee.requests), expected)
        assert peer.closed == expected.endswith("closed")
        rig.alive()
        if expected.endswith("waits"):
            rig.network.advance(LONG)
            assert peer.closed
        elif not peer.closed:
            # What follows in the stream is a message of its own.
            rig.alive_over(peer)
        rig.network.advance(8000)
        assert rig.server.leftovers() == {}


@pytest.mark.parametrize("verdict", [verdict for verdict in ALL if "waits" in verdict.values[0].tcp])  # type: ignore[union-attr]
def test_what_a_stream_waits_for_is_taken_from_what_follows(verdict: Verdict) -> None:
    """The next message is swallowed or refused; the connection is closed or its boundaries are found again."""
    with Rig() as rig:
        _, peer = rig.stream(verdict.data, SOON)
        for count in range(50):
            peer.send(f"OPTIONS sip:example.com SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.99;branch=z9hG4bKn{count}\n"
                      f"Max-Forwards: 70\nFrom: <sip:t@elsewhere.example>;tag=n\nTo: <sip:example.com>\n"
                      f"Call-ID: n{count}\nCSeq: 1 OPTIONS\n")  # fmt: skip
        rig.network.advance(LONG)
        assert peer.closed or any(getattr(message, "call_id", "") == "n49" for message in peer.messages)
        rig.alive()
