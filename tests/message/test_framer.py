"""Streams: whole, byte by byte, with trailing data; what ends a stream and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message import framer as framer_module
from twisted_sip.message.framer import PING, StreamFramer
from twisted_sip.message.limits import MessageLimits

FIELDS = (
    "Via: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {}\r\nCSeq: 1 MESSAGE\r\n"
)


def message(call_id: str, body: str = "", length: str | None = None) -> bytes:
    size = str(len(body)) if length is None else length
    line = f"Content-Length: {size}\r\n" if size else ""
    return f"MESSAGE sip:a@b SIP/2.0\r\n{FIELDS.format(call_id)}{line}\r\n{body}".encode()


def labels(events: list[object]) -> list[object]:
    return [
        event if event is PING else event.reason if isinstance(event, RemoteProtocolError) else event.call_id  # type: ignore[attr-defined]
        for event in events
    ]


def test_whole_and_byte_by_byte_give_the_same() -> None:
    stream = b"\r\n\r\n" + message("1", "hello\r\n\r\nthere") + message("2") + b"\r\n\r\n" + message("3", "x") + b"\r\n"
    whole = labels(StreamFramer().feed(stream))
    assert whole == [PING, "1", "2", PING, "3"]
    framer = StreamFramer()
    single = [event for place in range(len(stream)) for event in framer.feed(stream[place : place + 1])]
    assert labels(single) == whole
    assert not framer.in_message


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    stream = message("1", "body") + b"\r\n\r\n" + message("2")
    framer, events, place = StreamFramer(), [], 0
    for cut in cuts:
        events += framer.feed(stream[place : place + cut])
        place += cut
    events += framer.feed(stream[place:])
    assert labels(events) == ["1", PING, "2"]


@pytest.mark.parametrize("body", ["", "hello\r\n\r\nthere"])
def test_the_usual_messages_take_the_short_way(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(framer_module, "parse_head", None)
        framer = StreamFramer()
        assert labels(framer.feed(message("1", body)) + framer.feed(message("2", body))) == ["1", "2"]
    # However many come at once.
    framer = StreamFramer()
    assert len(framer.feed(message("1", body) * 100)) == 100 and not framer.in_message


def test_a_message_in_the_making_is_seen() -> None:
    framer = StreamFramer()
    assert framer.feed(b"MESSAGE sip") == [] and framer.in_message and framer.buffered == 11
    framer = StreamFramer()
    framer.feed(message("1", "", "5"))
    assert framer.in_message
    assert labels(framer.feed(b"12345rest")) == ["1"]
    assert framer.buffered == 4


@pytest.mark.parametrize("length", ["", "-1", "x", "1e3", "99999999999999999"])
def test_without_a_usable_length_the_stream_is_over(length: str) -> None:
    framer = StreamFramer()
    events = framer.feed(message("0") + message("1", "abc", length) + message("2"))
    assert labels(events)[0] == "0" and len(events) == 2
    error = events[1]
    assert isinstance(error, RemoteProtocolError) and error.fatal and "Content-Length" in error.reason
    assert error.message.call_id == "1"
    assert framer.failed and framer.feed(message("3")) == [] and framer.buffered == 0


def test_a_faulty_message_of_known_length_does_not_end_the_stream() -> None:
    framer = StreamFramer()
    bad = message("1", "abc").replace(b"1 MESSAGE", b"1 INVITE")
    worse = message("2", "abc").replace(b"MESSAGE sip:a@b SIP/2.0", b"MESSAGE sip:a@b SIP/4.0")
    events = framer.feed(bad + worse + message("3"))
    assert [getattr(event, "status", None) for event in events[:2]] == [400, 505]
    assert not any(event.fatal for event in events[:2])  # type: ignore[union-attr]
    assert labels(events)[2] == "3"


def test_limits_end_the_stream() -> None:
    limits = MessageLimits(message=400, head=300)
    for stream in (message("1", "", "5000"), message("1").replace(b"Via", b"X: " + b"y" * 400 + b"\r\nVia")):
        framer = StreamFramer(limits)
        (error,) = framer.feed(stream)
        assert isinstance(error, RemoteProtocolError) and error.status == 513 and error.fatal
    framer = StreamFramer(limits)
    (error,) = framer.feed(b"x" * 304)
    assert isinstance(error, RemoteProtocolError) and error.fatal
    (error,) = StreamFramer(limits).feed(b"SIP/2.0 xyz\r\n\r\n")
    assert isinstance(error, RemoteProtocolError) and error.fatal


@given(st.binary(max_size=400))
def test_no_bytes_raise(data: bytes) -> None:
    framer = StreamFramer(MessageLimits(message=300, head=200))
    framer.feed(data)
    framer.feed(b"\r\n\r\n" + data)
    assert framer.buffered <= 700
