"""The trace: bounded in every direction, cheap, and what it shows carries no secret."""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sip.element.trace import Trace, TracedMessage
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import UDP, TransportKind
from twisted_sip.message.parser import parse_message


@attrs.frozen
class FakeFlow:
    """As much of a flow as the trace looks at."""

    kind: TransportKind
    local: Address
    remote: Address


def data(call_id: str, method: str = "OPTIONS", body: bytes = b"") -> bytes:
    return (
        f"{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCall-ID: {call_id}\r\n"
        f"From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCSeq: 1 {method}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


FLOW = FakeFlow(UDP, Address("192.0.2.1", 5060), Address("2001:db8::2", 5062))


def record(trace: Trace, call_id: str, method: str = "OPTIONS", sent: bool = False, body: bytes = b"") -> None:
    octets = data(call_id, method, body)
    (trace.sent if sent else trace.seen)(parse_message(octets), octets, FLOW)  # type: ignore[arg-type]


class TraceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.trace = Trace(self.clock.seconds, max_calls=3, max_messages=4, max_bytes=5000)

    def test_messages_of_a_call_in_order(self) -> None:
        record(self.trace, "one", "INVITE")
        self.clock.advance(0.5)
        record(self.trace, "other")
        record(self.trace, "one", "BYE", sent=True)
        first, second = self.trace.call("one")
        self.assertEqual((first.time, first.sent, first.transport), (1000.0, False, "UDP"))
        self.assertEqual((first.local, first.remote), ("192.0.2.1:5060", "[2001:db8::2]:5062"))
        self.assertEqual(first.text, data("one", "INVITE").decode())
        self.assertEqual((second.time, second.sent), (1000.5, True))
        self.assertEqual(self.trace.call("none"), [])

    def test_the_oldest_call_goes_first(self) -> None:
        for call_id in ("a", "b", "c", "a", "d"):
            record(self.trace, call_id)
        self.assertEqual(len(self.trace), 3)
        self.assertEqual([call.call_id for call in self.trace.calls()], ["d", "c", "b"])
        self.assertEqual(self.trace.call("a"), [])

    def test_a_call_has_its_fill(self) -> None:
        for _ in range(7):
            record(self.trace, "a")
        self.assertEqual(len(self.trace.call("a")), 4)
        (summary,) = self.trace.calls()
        self.assertEqual((summary.messages, summary.left_out), (4, 3))
        self.assertEqual(summary.start_line, "OPTIONS sip:bob@example.com SIP/2.0")

    def test_bytes_are_bounded_and_counted(self) -> None:
        for call_id in ("a", "b", "c"):
            record(self.trace, call_id, body=b"x" * 2000)
        self.assertLessEqual(self.trace.size, 5000)
        self.assertEqual([call.call_id for call in self.trace.calls()], ["c", "b"])
        for number in range(20):
            record(self.trace, str(number))
        self.assertEqual(self.trace.size, sum(call[0] for call in self.trace._calls.values()))

    def test_a_message_without_call_id_is_kept_too(self) -> None:
        message = parse_message(data("x"))
        message.headers.remove("call-id")
        self.trace.seen(message, message.to_bytes(), FLOW)  # type: ignore[arg-type]
        self.assertEqual(len(self.trace.call("")), 1)

    def test_followers_hear_until_they_end(self) -> None:
        heard: list[tuple[str, TracedMessage]] = []
        end = self.trace.follow(lambda call_id, message: heard.append((call_id, message)))
        for _ in range(6):
            record(self.trace, "a")
        self.assertEqual([call_id for call_id, _ in heard], ["a"] * 6)
        end()
        record(self.trace, "b")
        self.assertEqual(len(heard), 6)
        self.assertEqual(self.trace.counts()["followers"], 0)

    def test_a_follower_that_fails_stops_nothing(self) -> None:
        heard: list[str] = []

        def fail(call_id: str, message: TracedMessage) -> None:
            raise RuntimeError("no")

        self.trace.follow(fail)
        self.trace.follow(lambda call_id, message: heard.append(call_id))
        record(self.trace, "a")
        record(self.trace, "b")
        self.assertEqual(heard, ["a", "b"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_calls_are_found_by_their_beginning(self) -> None:
        for call_id in ("abc", "abd", "x"):
            record(self.trace, call_id)
        self.assertEqual(list(self.trace.find("ab")), ["abd", "abc"])


def test_what_is_shown_carries_no_credentials() -> None:
    trace = Trace(lambda: 0.0)
    octets = data("a", "REGISTER").replace(
        b"CSeq:", b'Authorization: Digest username="alice", nonce="N0", response="R0"\r\nCSeq:'
    )
    trace.seen(parse_message(octets), octets, FLOW)  # type: ignore[arg-type]
    heard: list[TracedMessage] = []
    trace.follow(lambda call_id, message: heard.append(message))
    trace.seen(parse_message(octets), octets, FLOW)  # type: ignore[arg-type]
    for message in (*trace.call("a"), *heard):
        assert "N0" not in message.text
        assert "R0" not in message.text
        assert 'username="alice"' in message.text
