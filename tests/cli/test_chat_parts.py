"""The parts of the chat that know no network: keys, lines, typing, bodies, the screen's lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from twisted_sip.cli.chat_editor import Editor, KeyReader
from twisted_sip.cli.chat_lines import LineReader, LineView
from twisted_sip.cli.chat_messages import enveloped, notification_body, read, text_body
from twisted_sip.cli.chat_screen import Transcript
from twisted_sip.cli.chat_session import Line
from twisted_sip.cli.chat_typing import Composer, PeerComposing
from twisted_sip.documents.imdn import Category
from twisted_sip.documents.iscomposing import IsComposing
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.builders import build_request
from twisted_sip.message.request import Request
from twisted_sip.transaction.timers import TimerQueue


def typed(text: bytes) -> Editor:
    editor = Editor()
    for key in KeyReader().keys(text):
        editor.press(key)
    return editor


@pytest.mark.parametrize(
    ("keys", "text", "cursor"),
    [
        (b"hello", "hello", 5),
        ("Gr\u00fc\u00dfe".encode(), "Gr\u00fc\u00dfe", 5),
        (b"helo\x1b[Dl", "hello", 4),
        (b"ello\x01h", "hello", 1),
        (b"\x1b[Hx\x1b[Fy\x1bOHz", "zxy", 1),
        (b"abc\x1b[D\x1b[D\x1b[3~", "ac", 1),
        (b"abc\x1b[C\x7f\x08", "a", 1),
        (b"one two\x17three", "one three", 9),
        (b"abc\x02\x02\x0b", "a", 1),
        (b"abc\x02\x15", "c", 0),
        (b"a\x1b[1;5Ab\x1bxc\x00\x1b[99~", "abc", 3),
        (b"ab\x02\x06c", "abc", 3),
    ],
)
def test_editing(keys: bytes, text: str, cursor: int) -> None:
    editor = typed(keys)
    assert (editor.text, editor.cursor) == (text, cursor)


def test_keys_that_come_in_pieces() -> None:
    reader = KeyReader()
    assert [reader.keys(bytes([byte])) for byte in "\u00fc".encode()] == [[], ["\u00fc"]]
    assert [key for byte in b"\x1b[D\r" for key in reader.keys(bytes([byte]))] == ["left", "enter"]
    assert reader.keys(b"\x1b[" + b"0" * 20) == []
    assert reader.keys(b"a") == ["a"]


def test_a_line_is_bounded_and_taken_whole() -> None:
    editor = typed(b"x" * 5000)
    assert editor.take() == "x" * 4000
    assert (editor.text, editor.cursor) == ("", 0)
    assert not editor.press("backspace")


class Told:
    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.states: list[Any] = []

    def states_now(self) -> list[Any]:
        states, self.states = self.states, []
        return states


def test_what_is_told_of_our_typing() -> None:
    told = Told()
    composer = Composer(told.timers, lambda composing: told.states.append(composing.active))
    composer.cleared()
    composer.typed()
    composer.typed()
    assert told.states_now() == [True]
    for _ in range(7):
        told.clock.advance(10)
        composer.typed()
    # RFC 3994 section 3.2: told again after the refresh interval.
    assert told.states_now() == [True]
    told.clock.advance(15)
    assert told.states_now() == [False]
    composer.typed()
    composer.sent()
    # A message says it by itself.
    told.clock.advance(1000)
    assert told.states_now() == [True]
    composer.typed()
    composer.cleared()
    assert told.states_now() == [True, False]
    assert not told.timers.pending


def test_what_is_known_of_the_typing_of_the_peer() -> None:
    told = Told()
    peer = PeerComposing(told.timers, lambda active: told.states.append(active))
    peer.received(IsComposing(active=False))
    peer.received(IsComposing(active=True))
    told.clock.advance(100)
    peer.received(IsComposing(active=True, refresh=60))
    assert told.states_now() == [True]
    told.clock.advance(59)
    assert told.states_now() == []
    told.clock.advance(1)
    assert told.states_now() == [False]
    peer.received(IsComposing(active=True))
    peer.received(IsComposing(active=False))
    peer.idle()
    assert told.states_now() == [True, False]


def message(body: bytes, content_type: str = "", **fields: str) -> Request:
    headers = [*fields.items(), *([("content-type", content_type)] if content_type else [])]
    return build_request(
        "MESSAGE", "sip:b@example.com", from_="<sip:a@example.com>;tag=1", to="<sip:b@example.com>", call_id="c",
        cseq=1, headers=headers, body=body,
    )  # fmt: skip


def test_texts() -> None:
    body = text_body("Gr\u00fc\u00dfe")
    received = read(message(body.data, body.content_type, date="Sat, 13 Nov 2010 23:29:00 GMT"))
    assert received is not None
    assert (received.text, received.sent_at, received.asked) == ("Gr\u00fc\u00dfe", 1289690940.0, None)
    latin = read(message(b"Gr\xfc\xdfe", "text/plain;charset=latin1", date="nonsense"))
    assert latin is not None
    assert (latin.text, latin.sent_at) == ("Gr\u00fc\u00dfe", None)
    bare = read(message(b"\xff"))
    odd = read(message(b"a", "text/plain;charset=nonsense"))
    assert bare is not None and odd is not None
    assert (bare.text, odd.text) == ("\ufffd", "a")


def test_an_envelope_and_its_notifications() -> None:
    body = enveloped("hello", "sip:a@example.com", "sip:b@example.com", "id1", 1289690940.0)
    received = read(message(body.data, body.content_type))
    assert received is not None
    assert (received.text, received.sent_at) == ("hello", 1289690940.0)
    for category, status in ((Category.DELIVERY, "delivered"), (Category.DISPLAY, "displayed")):
        told = notification_body(received, category, status, "id2", 1289690950.0)
        assert told is not None
        back = read(message(told.data, told.content_type))
        assert back is not None and back.notification is not None
        assert (back.notification.message_id, back.notification.category) == ("id1", category)
        assert back.notification.status == status
        assert notification_body(back, category, status, "id3", 0.0) is None


def test_notifications_that_nobody_can_be_told() -> None:
    body = enveloped("hello", "sip:a@example.com", "sip:b@example.com", "id1", 0.0).data
    by_way = body.replace(b"imdn.Message-ID:", b"imdn.IMDN-Record-Route: <sip:x@example.com>\r\nimdn.Message-ID:")
    only_failures = body.replace(b"positive-delivery, ", b"").replace(b", display", b"")
    for changed in (by_way, only_failures):
        assert changed != body
        received = read(message(changed, "message/cpim"))
        assert received is not None and received.text == "hello"
        assert notification_body(received, Category.DISPLAY, "displayed", "id2", 0.0) is None


def test_bodies_that_are_nothing_here() -> None:
    assert read(message(b"x", "text/html")) is None
    inner = b"hello"
    for _ in range(6):
        inner = b"From: <sip:a@example.com>\r\n\r\nContent-Type: message/cpim\r\n\r\n" + inner
    assert read(message(inner, "message/cpim")) is None
    for kind in ("message/cpim", "message/imdn+xml", "application/im-iscomposing+xml"):
        with pytest.raises(RemoteProtocolError) as caught:
            read(message(b"nonsense", kind))
        assert caught.value.status == 400


class Saying:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.waiting: list[Deferred[Line]] = []
        self.paused: list[bool] = []
        self.reader = LineReader(self.say, self.paused.append)

    def say(self, text: str) -> Deferred[Line]:
        self.said.append(text)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def answer(self) -> None:
        self.waiting.pop(0).callback(Line("", 0.0, ""))


def test_lines_are_said_one_after_the_other() -> None:
    saying = Saying()
    for byte in "one\r\n\n  \ntwo\u00fc\nthree".encode():
        saying.reader.received(bytes([byte]))
    assert saying.said == ["one"]
    saying.reader.ended()
    saying.answer()
    saying.answer()
    assert saying.said == ["one", "two\u00fc", "three"]
    assert not saying.reader.done.called
    saying.answer()
    assert saying.reader.done.called


def test_nothing_at_all_to_say() -> None:
    saying = Saying()
    saying.reader.ended()
    assert saying.reader.done.called


def test_quit_is_the_last_line() -> None:
    saying = Saying()
    saying.reader.received(b"one\n/quit\ntwo\n")
    saying.answer()
    assert saying.said == ["one"]
    assert saying.reader.done.called


def test_no_more_is_read_than_can_be_said() -> None:
    saying = Saying()
    saying.reader.received(b"x\n" * 50)
    assert saying.paused == [True]
    while saying.waiting:
        saying.answer()
    assert saying.paused == [True, False]
    saying.reader.received(b"y" * 70000)
    assert saying.said[-1] == "y" * 70000


def test_what_a_pipe_sees(capsys: pytest.CaptureFixture[str]) -> None:
    view = LineView("bob@example.com", as_json=False)
    view.heard("bob@example.com", "a\nb\x1b[2J", 0.0)
    line = Line("x" * 50, 0.0, "id")
    view.said(line)
    for mark in ("sent", "delivered"):
        line.mark = mark
        view.marked(line)
    line.mark, line.reason = "failed", "480 Gone"
    view.marked(line)
    view.typing(True)
    view.notice("oh")
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [part.partition("bob")[2] for part in lines[:2]] == ["@example.com: a", "@example.com: b\ufffd[2J"]
    assert [part.partition(" ")[2] for part in lines[2:]] == ["-- delivered: " + "x" * 39 + "\u2026"]
    assert told.err.splitlines() == [
        "twisted-sip: not sent: " + "x" * 39 + "\u2026 (480 Gone)", "twisted-sip: oh"
    ]  # fmt: skip
    assert view.failed == 1


def test_what_a_program_sees(capsys: pytest.CaptureFixture[str]) -> None:
    view = LineView("bob@example.com", as_json=True)
    line = Line("hi", 1.0, "id")
    view.said(line)
    line.mark = "sent"
    view.marked(line)
    view.heard("bob@example.com", "a\nb", 2.0)
    view.typing(True)
    found = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in found] == ["said", "mark", "message", "typing"]
    assert found[2]["text"] == "a\nb"


def test_a_reader_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    view = LineView("bob@example.com", as_json=False)
    monkeypatch.setattr("sys.stdout", Gone())
    view.heard("bob@example.com", "a", 0.0)
    view.heard("bob@example.com", "b", 0.0)
    assert view.over.called


def shown(transcript: Transcript, width: int = 60) -> list[str]:
    return [row.plain for row in reversed(list(transcript.rows(width)))]


def test_the_transcript() -> None:
    transcript = Transcript("alice")
    line = Line("one two three four five six seven eight nine ten", 0.0, "id")
    transcript.add(0.0, "bob", "hi\x07")
    transcript.add(0.0, "alice", line.text, line)
    transcript.add(0.0, "", "not registered any more: 503")
    rows = shown(transcript)
    assert rows[0].endswith(" bob  hi\ufffd")
    assert all(len(row) <= 60 for row in rows)
    assert len(rows) > 3
    assert " ".join(" ".join(rows).split()).endswith("ten \u2026 " + rows[-1].strip())
    line.mark, line.reason = "failed", "480 Gone"
    assert "\u2717 480 Gone" in " ".join(shown(transcript, 200))
    assert shown(transcript, 10)


def test_the_transcript_without_unicode() -> None:
    transcript = Transcript("alice", utf=False)
    line = Line("hi", 0.0, "id", "displayed")
    transcript.add(0.0, "alice", line.text, line)
    assert shown(transcript)[0].endswith("alice  hi  ++ displayed")


def test_the_transcript_is_bounded() -> None:
    transcript = Transcript("alice")
    for number in range(1200):
        transcript.add(0.0, "bob", str(number))
    assert len(shown(transcript)) == 1000
