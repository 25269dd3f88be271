"""The control socket: one line in, one line out, streams that end, and nothing a client sends breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_sip.auth.bans import Bans
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.trace import Trace
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.tap.control import ControlProtocol, ControlSocket, Stream
from twisted_sip.tap.control_commands import ban_commands, contact_commands, trace_commands
from twisted_sip.tap.control_rows import ROWS_AT_A_TIME, Rows, sifted


class ControlCase(SynchronousTestCase):
    """A connection with commands to try."""

    def setUp(self) -> None:
        self.commands: dict[str, Any] = {}
        self.transport = StringTransport()
        self.clock = Clock()
        self.protocol = ControlProtocol(self.commands, self.clock)
        self.protocol.makeConnection(self.transport)

    def answers(self) -> list[dict[str, Any]]:
        lines = self.transport.value().splitlines()
        self.transport.clear()
        return [json.loads(line) for line in lines]

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.protocol.dataReceived(json.dumps({"command": command, **arguments}).encode() + b"\n")
        (answer,) = self.answers()
        return answer


class ProtocolTests(ControlCase):
    def test_a_result(self) -> None:
        self.commands["add"] = lambda request: request["a"] + request["b"]
        self.assertEqual(self.ask("add", a=1, b=2), {"ok": True, "result": 3})

    def test_a_result_that_comes_later(self) -> None:
        later: Deferred[int] = Deferred()
        self.commands["later"] = lambda request: later
        self.protocol.dataReceived(b'{"command": "later"}\n')
        self.assertEqual(self.answers(), [])
        later.callback(5)
        self.assertEqual(self.answers(), [{"ok": True, "result": 5}])

    def test_byte_by_byte(self) -> None:
        self.commands["x"] = lambda request: 1
        for octet in b'{"command": "x"}\n{"command": "x"}\n':
            self.protocol.dataReceived(bytes([octet]))
        self.assertEqual(self.answers(), [{"ok": True, "result": 1}] * 2)

    def test_what_is_no_request(self) -> None:
        for line in (b"", b"x", b"[]", b"5", b'{"command": []}', b"\xff"):
            self.protocol.dataReceived(line + b"\n")
            (answer,) = self.answers()
            self.assertFalse(answer["ok"])
        self.assertIn("unknown command", self.ask("nonsense")["error"])

    def test_a_request_without_end(self) -> None:
        self.protocol.dataReceived(b"x" * 70000)
        self.assertFalse(self.answers()[0]["ok"])
        self.assertTrue(self.transport.disconnecting)

    def test_a_command_that_fails(self) -> None:
        def fail(request: Any) -> None:
            raise RuntimeError("broken")

        self.commands["fail"] = fail
        self.assertEqual(self.ask("fail"), {"ok": False, "error": "broken"})
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_stream_ends_with_the_connection(self) -> None:
        ended: list[bool] = []
        senders: list[Callable[[Any], None]] = []

        def start(send: Callable[[Any], None]) -> Callable[[], None]:
            senders.append(send)
            return lambda: ended.append(True)

        self.commands["follow"] = lambda request: Stream(start)
        self.assertEqual(self.ask("follow"), {"ok": True, "stream": True})
        senders[0]({"n": 1})
        self.assertEqual(self.answers(), [{"event": {"n": 1}}])
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(ended, [True])

    def test_a_slow_reader_is_told_what_it_missed(self) -> None:
        senders: list[Callable[[Any], None]] = []

        def start(send: Callable[[Any], None]) -> Callable[[], None]:
            senders.append(send)
            return lambda: None

        self.commands["follow"] = lambda request: Stream(start)
        self.ask("follow")
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        for number in range(3):
            senders[0](number)
        self.assertEqual(self.answers(), [])
        self.transport.producer.resumeProducing()
        senders[0](3)
        self.assertEqual(self.answers(), [{"skipped": 3}, {"event": 3}])


class RowsTests(ControlCase):
    """Long answers: bit by bit, and nothing else in between."""

    def setUp(self) -> None:
        super().setUp()
        self.made = 0
        self.commands |= {"many": self.many, "one": lambda request: 1}

    def many(self, request: Any) -> Rows:
        def rows() -> Iterator[int]:
            for number in range(request["count"]):
                self.made += 1
                yield number

        return Rows(rows())

    def give(self, *commands: str) -> None:
        for command in commands:
            line = json.dumps({"command": command, "count": 10 * ROWS_AT_A_TIME})
            self.protocol.dataReceived(line.encode() + b"\n")

    def turns(self) -> None:
        """Let the reactor turn until there is nothing left to do."""
        self.clock.advance(0)

    def test_few_are_told_at_once(self) -> None:
        for count in (0, 1, 2, ROWS_AT_A_TIME - 1):
            self.assertEqual(self.ask("many", count=count), {"ok": True, "result": list(range(count))})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_take_many_turns(self) -> None:
        self.give("many")
        self.assertEqual(self.made, ROWS_AT_A_TIME)
        self.turns()
        self.assertEqual(self.answers(), [{"ok": True, "result": list(range(10 * ROWS_AT_A_TIME))}])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_brings_nothing_is_work_too(self) -> None:
        looked: list[int] = []

        def row(number: int) -> int | None:
            looked.append(number)
            return None if number % 500 else number

        self.commands["some"] = lambda request: Rows(sifted(range(5000), row))
        self.give("some")
        self.assertLess(len(looked), 1500)
        self.turns()
        self.assertEqual(self.answers(), [{"ok": True, "result": list(range(0, 5000, 500))}])

    def test_what_is_asked_meanwhile_is_answered_after_it(self) -> None:
        later: Deferred[int] = Deferred()
        self.commands["later"] = lambda request: later
        self.give("later", "many", "one", "many", "one")
        later.callback(2)
        self.turns()
        many = list(range(10 * ROWS_AT_A_TIME))
        self.assertEqual([answer["result"] for answer in self.answers()], [many, 1, many, 1, 2])
        self.assertEqual(self.transport.producerState, "producing")

    def test_a_slow_reader_holds_it_up(self) -> None:
        self.give("many")
        self.assertEqual(self.transport.producerState, "paused")
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        self.turns()
        self.assertEqual(self.made, ROWS_AT_A_TIME)
        self.transport.producer.resumeProducing()
        self.assertEqual(self.made, 2 * ROWS_AT_A_TIME)
        self.turns()
        self.assertEqual(len(self.answers()[0]["result"]), 10 * ROWS_AT_A_TIME)

    def test_it_does_not_begin_for_a_reader_who_is_behind(self) -> None:
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        self.give("many")
        self.assertEqual(self.made, 0)
        self.transport.producer.resumeProducing()
        self.turns()
        self.assertEqual(len(self.answers()[0]["result"]), 10 * ROWS_AT_A_TIME)

    def test_events_meanwhile_are_left_out(self) -> None:
        senders: list[Callable[[Any], None]] = []

        def start(send: Callable[[Any], None]) -> Callable[[], None]:
            senders.append(send)
            return lambda: None

        self.commands["follow"] = lambda request: Stream(start)
        self.ask("follow")
        self.give("many")
        senders[0]("left out")
        self.turns()
        senders[0]("told")
        self.assertEqual(self.answers()[1:], [{"skipped": 1}, {"event": "told"}])

    def test_one_that_fails_has_no_end(self) -> None:
        def rows() -> Iterator[int]:
            yield from range(2 * ROWS_AT_A_TIME)
            raise RuntimeError("broken")

        self.commands["broken"] = lambda request: Rows(rows())
        self.give("broken")
        self.turns()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.value().endswith(b"\n"))

    def test_who_goes_away_is_told_no_more(self) -> None:
        self.give("many", "many")
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.turns()
        self.assertEqual(self.made, ROWS_AT_A_TIME)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CommandTests(ControlCase):
    def test_no_trace(self) -> None:
        self.commands |= trace_commands(None)
        self.assertIn("the trace is off", self.ask("trace-list")["error"])

    def test_an_empty_trace(self) -> None:
        self.commands |= trace_commands(Trace(lambda: 0.0))
        self.assertEqual(self.ask("trace-list")["result"], [])
        self.assertIn("no call x", self.ask("trace", call_id="x")["error"])
        self.assertIn("no call is in the trace", self.ask("trace", last=True)["error"])
        self.assertIn("not a text", self.ask("trace", call_id=5)["error"])
        self.assertIn("not a whole number", self.ask("trace-list", count="5")["error"])

    def test_contacts(self) -> None:
        clock = Clock()
        store = MemoryLocationStore(clock)
        for user, q in (("bob", 500), ("alice", 1000), ("bob", 900)):
            aor = f"sip:{user}@example.com"
            contact = f"sip:{user}@192.0.2.{q % 7}"
            binding = Binding(aor=aor, key=contact, contact=contact, call_id="c", cseq=1, expires_at=90.0, q=q)
            self.successResultOf(store.commit(LocationChange(aor, put=(binding,))))
        self.commands |= contact_commands(store, clock.seconds)
        clock.advance(30)
        listed = self.ask("contacts")["result"]
        self.assertEqual(
            sorted((one["aor"], -one["q"], one["expires_in"]) for one in listed),
            [
                ("sip:alice@example.com", -1000, 60),
                ("sip:bob@example.com", -900, 60),
                ("sip:bob@example.com", -500, 60),
            ],
        )
        self.assertEqual(len(self.ask("contacts", aor="sip:bob@example.com")["result"]), 2)
        self.assertEqual(self.ask("contacts", aor="sip:carol@example.com")["result"], [])
        self.successResultOf(store.close())

    def test_bans(self) -> None:
        clock = Clock()
        bans = Bans(AuthSettings(ban_failures=1, ban_time=60), clock.seconds)
        self.commands |= ban_commands(bans, clock.seconds)
        self.assertEqual(self.ask("bans-list")["result"], [])
        bans.failed("192.0.2.9", "alice", "x")
        clock.advance(10)
        self.assertEqual(
            self.ask("bans-list")["result"], [{"source": "192.0.2.9", "user": "alice", "failures": 1, "ends_in": 50}]
        )
        self.assertEqual(self.ask("bans-lift", source="192.0.2.9", user="bob")["result"], {"lifted": 0})
        self.assertEqual(self.ask("bans-lift", source="192.0.2.9")["result"], {"lifted": 1})
        self.assertFalse(bans.banned("192.0.2.9", "alice"))
        self.assertIn("missing", self.ask("bans-lift")["error"])


class UnixReactor(Clock):
    """As much of a reactor as the socket needs."""

    def __init__(self) -> None:
        super().__init__()
        self.listened: list[tuple[str, int, bool]] = []
        self.stopped = 0

    def listenUNIX(self, address: str, factory: Any, mode: int, wantPID: bool) -> UnixReactor:
        self.listened.append((address, mode, wantPID))
        self.factory = factory
        return self

    def stopListening(self) -> None:
        self.stopped += 1


class SocketTests(SynchronousTestCase):
    def test_only_its_owner_may_connect_and_stopping_closes_everything(self) -> None:
        reactor = UnixReactor()
        service = ControlSocket(reactor, Path("/state"), {"x": lambda request: 1})
        service.startService()
        self.assertEqual(reactor.listened, [("/state/control.sock", 0o600, True)])
        protocol = reactor.factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(b'{"command": "x"}\n')
        self.assertEqual(transport.value(), b'{"ok": true, "result": 1}\n')
        self.successResultOf(service.stopService())
        self.assertEqual(reactor.stopped, 1)
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
