"""The control socket: a UNIX socket in the state directory, mode 0600, through which ``twisted-sip`` asks a server.

A request is one line of JSON, ``{"command": "trace", "call_id": "..."}``; the answer is one line, ``{"ok": true,
"result": ...}`` or ``{"ok": false, "error": "..."}``. A command that goes on (following the trace) is answered with
``{"ok": true, "stream": true}`` and then one line ``{"event": ...}`` for each thing that happens until the connection
ends; where the reader is too slow events are left out and ``{"skipped": n}`` says how many. What is asked while a long
answer is written is answered after it.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sip.tap.control_rows import Rows, RowWriter
from twisted_sip.tap.startup import StartFailure, os_error_words

_log = Logger()

#: The name of the socket in the state directory.
SOCKET_NAME = "control.sock"

#: A UNIX socket has room for this many bytes of path. Longer ones are taken through an open directory.
_PATH_BYTES = 107
_DESCRIPTORS = "/proc/self/fd"

#: What one connection may ask; a request is a short line.
_MAX_REQUEST = 65536


class CommandError(Exception):
    """A command cannot be done; the text says why, to the one who gave it."""


@attrs.frozen(slots=True)
class Stream:
    """The result of a command that goes on.

    :ivar start: is given the function that sends one event and returns the one that ends it.
    """

    start: Callable[[Callable[[Any], None]], Callable[[], None]]


#: A command is given the request and returns what JSON can say, Rows, a Stream, or a Deferred of one of them.
Command = Callable[[Mapping[str, Any]], Any]


@implementer(IPushProducer)
class ControlProtocol(LineOnlyReceiver):
    """One connection of somebody who asks.

    :param commands: command name -> command.
    :param clock: gives turns for long answers.
    """

    delimiter = b"\n"
    MAX_LENGTH = _MAX_REQUEST

    def __init__(self, commands: Mapping[str, Command], clock: IReactorTime) -> None:
        self._commands = commands
        self._clock = clock
        self._rows: RowWriter | None = None
        self._later: deque[Mapping[str, Any] | Rows] = deque()
        self._ends: list[Callable[[], None]] = []
        self._paused = False
        self._skipped = 0

    @property
    def _wire(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        """Learn when the reader is too slow."""
        self._wire.registerProducer(self, True)

    def lineReceived(self, line: bytes) -> None:
        """Do one command."""
        try:
            request = json.loads(line)
            name = request["command"]
            command = self._commands[name]
        except (ValueError, TypeError):
            self._answer({"ok": False, "error": "a request is a JSON object with the key command"})
            return
        except KeyError as error:
            known = ", ".join(sorted(self._commands))
            self._answer({"ok": False, "error": f"unknown command {error}, known are {known}"})
            return
        done: Deferred[Any] = maybeDeferred(command, request)
        done.addCallback(self._done).addErrback(self._failed)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a request that does not end."""
        self._answer({"ok": False, "error": "the request is too long"})
        self._wire.loseConnection()

    def _done(self, result: Any) -> None:
        if isinstance(result, Stream):
            self._answer({"ok": True, "stream": True})
            self._ends.append(result.start(self._event))
        else:
            self._answer(result if isinstance(result, Rows) else {"ok": True, "result": result})

    def _failed(self, failure: Failure) -> None:
        if failure.check(CommandError) is None:
            _log.failure("a control command failed", failure)
        self._answer({"ok": False, "error": failure.getErrorMessage()})

    def _event(self, event: Any) -> None:
        if self._paused or self._rows is not None:
            self._skipped += 1
            return
        self._answer({"event": event})

    def _answer(self, answer: Mapping[str, Any] | Rows) -> None:
        if self._rows is not None:
            self._later.append(answer)
        elif isinstance(answer, Rows):
            # Who asks for much waits for it: no more questions are read meanwhile.
            self._wire.pauseProducing()
            self._rows = RowWriter(answer, self._clock, self._wire.write, self._told)
            if not self._paused:
                self._rows.go_on()
        else:
            self._wire.write(json.dumps(answer).encode("utf-8") + b"\n")

    def _told(self, whole: bool) -> None:
        """A long answer has ended."""
        self._rows = None
        if not whole:
            self._wire.loseConnection()
            return
        while self._later and self._rows is None:
            self._answer(self._later.popleft())
        if self._rows is None:
            self._wire.resumeProducing()
            self._tell_skipped()

    def pauseProducing(self) -> None:
        """Leave events out, and long answers where they are, until the reader has caught up."""
        self._paused = True
        if self._rows is not None:
            self._rows.pause()

    def resumeProducing(self) -> None:
        """Go on with events, and say how many were left out."""
        self._paused = False
        if self._rows is not None:
            self._rows.go_on()
        else:
            self._tell_skipped()

    def _tell_skipped(self) -> None:
        if self._skipped and not self._paused:
            skipped, self._skipped = self._skipped, 0
            self._answer({"skipped": skipped})

    def stopProducing(self) -> None:
        """The connection is about to end; :meth:`connectionLost` cleans up."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End what was followed, and what was being told."""
        self._later.clear()
        if self._rows is not None:
            self._rows.stop()
        ends, self._ends = self._ends, []
        for end in ends:
            end()
        if reason.check(ConnectionDone) is None:
            _log.debug("control connection lost: {reason}", reason=reason.getErrorMessage())


def open_way(state_dir: Path) -> tuple[str, int]:
    """Return a path of the control socket in *state_dir* that a UNIX socket has room for.

    :returns: the path, and the descriptor that must stay open while it is used, -1 if there is none.
    :raises OSError: *state_dir* cannot be opened.
    """
    path = os.fspath(state_dir / SOCKET_NAME)
    if len(os.fsencode(path)) <= _PATH_BYTES or not os.path.isdir(_DESCRIPTORS):
        return path, -1
    descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    return f"{_DESCRIPTORS}/{descriptor}/{SOCKET_NAME}", descriptor


class ControlSocket(Service):
    """Listens on the control socket while it runs.

    :param reactor: provides IReactorUNIX.
    :param state_dir: the directory for the socket.
    :param commands: command name -> command; may be added to at any time.
    """

    def __init__(self, reactor: Any, state_dir: Path, commands: dict[str, Command]) -> None:
        self.commands = commands
        self._reactor = reactor
        self._state_dir = state_dir
        self._path = state_dir / SOCKET_NAME
        self._directory = -1
        self._port: IListeningPort | None = None
        self._connections: set[Protocol] = set()

    def startService(self) -> None:
        """Make the socket.

        :raises StartFailure: it cannot be made.
        """
        super().startService()  # type: ignore[no-untyped-call]
        factory = _ControlFactory(self.commands, self._connections, self._reactor)
        # Only its owner may get at the state directory, so nobody else gets in before the mode is set.
        try:
            path, self._directory = open_way(self._state_dir)
            self._port = self._reactor.listenUNIX(path, factory, mode=0o600, wantPID=True)
        except (CannotListenError, OSError) as error:
            self._close_directory()
            reason = os_error_words(error.socketError if isinstance(error, CannotListenError) else error)
            raise StartFailure(
                f"{self._path}: the control socket cannot be made ({reason}), choose another --state-dir"
            ) from error

    def stopService(self) -> Deferred[None]:
        """Close the socket and its connections.

        :returns: fires with None when the socket is gone.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        for connection in list(self._connections):
            assert connection.transport is not None
            connection.transport.loseConnection()
        done: Deferred[Any] = succeed(None) if port is None else maybeDeferred(cast(Any, port).stopListening)
        return done.addBoth(self._close_directory)

    def _close_directory(self, result: Any = None) -> Any:
        descriptor, self._directory = self._directory, -1
        if descriptor >= 0:
            os.close(descriptor)
        return result


class _Connection(ControlProtocol):
    """One of the connections of a socket, which closes them at its end."""

    def __init__(self, commands: Mapping[str, Command], connections: set[Protocol], clock: IReactorTime) -> None:
        super().__init__(commands, clock)
        self._connections = connections

    def connectionMade(self) -> None:
        self._connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connections.discard(self)
        super().connectionLost(reason)


class _ControlFactory(Factory):
    noisy = False

    def __init__(self, commands: Mapping[str, Command], connections: set[Protocol], clock: IReactorTime) -> None:
        self._commands = commands
        self._connections = connections
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _Connection(self._commands, self._connections, self._clock)
