"""The torture messages at the parser: as one datagram, and as a stream fed whole and byte by byte."""

from __future__ import annotations

import pytest
from torture_server import via_port
from verdicts import MESSAGES, VERDICTS, Verdict

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.framer import PING, StreamFramer
from twisted_sip.message.parser import check_all, parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

ALL = [pytest.param(verdict, id=verdict.name) for verdict in VERDICTS]


def said(error: RemoteProtocolError, expected: str) -> bool:
    status, _, words = expected.partition(" ")
    if status == "dropped":
        return words in error.reason and not isinstance(error.message, Request)
    return error.status == int(status) and words in error.reason


def test_every_message_has_a_row() -> None:
    files = {f"{path.parent.name}/{path.stem}" for path in MESSAGES.glob("rfc*/*.dat")}
    rows = [verdict.message for verdict in VERDICTS]
    assert sorted(rows) == sorted(files)
    assert len([row for row in rows if row.startswith("rfc4475/")]) == 49
    assert len([row for row in rows if row.startswith("rfc5118/")]) == 12


def test_where_the_answer_goes() -> None:
    ports = {verdict.name: via_port(verdict.data) for verdict in VERDICTS}
    assert {name: port for name, port in ports.items() if port != 5060} == {
        "mpart01": 5070,
        "quotbal": 5050,
        "mult-ip-in-header": 6050,
        "ipv4-mapped-ipv6": 19823,
    }


@pytest.mark.parametrize("verdict", ALL)
def test_at_the_parser(verdict: Verdict) -> None:
    data = verdict.data
    if verdict.parser != "ok":
        with pytest.raises(RemoteProtocolError) as raised:
            parse_message(data)
        assert said(raised.value, verdict.parser), raised.value
        assert verdict.full == verdict.parser
        return
    message = parse_message(data)
    if verdict.full == "ok":
        check_all(message)
    else:
        with pytest.raises(RemoteProtocolError) as raised:
            check_all(message)
        assert said(raised.value, verdict.full), raised.value
    head, blank, body = data.partition(b"\r\n\r\n")
    # Untouched lines go out as they came; Content-Length is what the body has.
    out = message.to_bytes()
    assert out.endswith(message.body)
    assert body.startswith(message.body)
    new = [line for line in out.partition(blank)[0].split(b"\r\n") if line not in head.split(b"\r\n")]
    assert all(line.startswith(b"Content-Length: ") for line in new)
    assert parse_message(out).to_bytes() == out


@pytest.mark.parametrize("verdict", ALL)
def test_in_a_stream(verdict: Verdict) -> None:
    data = verdict.data

    def feed(pieces: list[bytes]) -> tuple[list[tuple[object, ...]], bool, bool]:
        framer = StreamFramer()
        events: list[tuple[object, ...]] = []
        for piece in pieces:
            for event in framer.feed(piece):
                if isinstance(event, RemoteProtocolError):
                    events.append((event.status, event.reason, event.fatal))
                else:
                    events.append(("ping",) if event is PING else (event.to_bytes(),))  # type: ignore[union-attr]
        return events, framer.in_message, framer.failed

    whole = feed([data])
    assert whole == feed([data[place : place + 1] for place in range(len(data))])
    events, waiting, failed = whole
    assert failed == ("closed" in verdict.tcp)
    assert waiting == ("waits" in verdict.tcp)
    if verdict.tcp.startswith("none, waits"):
        assert not events
    elif verdict.parser != "ok" or verdict.tcp.endswith("closed"):
        assert any(len(event) == 3 for event in events)
    else:
        assert len(events) == 1 and len(events[0]) == 1


def test_responses_keep_their_reason_phrase() -> None:
    by_name = {verdict.name: verdict for verdict in VERDICTS}
    response = parse_message(by_name["unreason"].data)
    assert isinstance(response, Response)
    assert response.reason.startswith("= 2**3 * 5**2 но сто")
    response = parse_message(by_name["noreason"].data)
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (100, "")
    assert response.to_bytes().startswith(b"SIP/2.0 100 \r\n")
