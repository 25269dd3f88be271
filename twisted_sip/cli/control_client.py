"""Asks a running server through its control socket."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted_sip.cli.output import Failed
from twisted_sip.tap.control import SOCKET_NAME, open_way

#: Seconds that a server may take to answer.
PATIENCE = 10.0

#: Commands of a server that serves presence and messages.
_PRESENCE = frozenset({"presence", "presence-list", "presence-follow", "watchers", "messages", "messages-purge"})


class NoServer(Failed):
    """No server runs with the state directory."""


class NoAnswer(Failed):
    """The server that runs does not answer."""


class ControlClient:
    """One connection to the server that runs with *state_dir*.

    :raises NoServer: none does.
    :raises Failed: its socket may not be opened.
    """

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / SOCKET_NAME
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        directory = -1
        try:
            way, directory = open_way(state_dir)
            self._socket.connect(way)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            self._socket.close()
            raise NoServer(
                f"no server runs with the state directory {state_dir}; name another with --state-dir or --config"
            ) from error
        except OSError as error:
            self._socket.close()
            raise Failed(f"{path}: {(error.strerror or str(error)).lower()}") from error
        finally:
            if directory >= 0:
                os.close(directory)
        self._read = bytearray()

    def ask(self, command: str, *, patience: float | None = None, **arguments: Any) -> Any:
        """Return the result of *command*.

        :param patience: seconds that it may take, None for the usual ones.
        :raises NoAnswer: the server does not answer.
        :raises Failed: it says why it cannot do it.
        """
        answer = self._send(command, arguments, PATIENCE if patience is None else patience)
        return answer.get("result")

    def follow(self, command: str, *, tick: float | None = None, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Give *command*, and return what it reports until the server stops: objects with ``event`` or ``skipped``.

        :param tick: an empty object stands for so many seconds in which nothing was reported.
        :raises Failed: the server says why it cannot do it, or does not answer.
        """
        self._send(command, arguments, PATIENCE)
        self._socket.settimeout(None)
        return self._reports(tick)

    def _reports(self, tick: float | None) -> Iterator[dict[str, Any]]:
        while True:
            if b"\n" not in self._read and tick is not None and not select.select([self._socket], [], [], tick)[0]:
                yield {}
                continue
            try:
                line = self._line()
            except OSError:
                return
            if not line:
                return
            yield json.loads(line)

    def _send(self, command: str, arguments: dict[str, Any], patience: float) -> dict[str, Any]:
        request = json.dumps({"command": command, **arguments}).encode("utf-8") + b"\n"
        self._socket.settimeout(patience)
        try:
            self._socket.sendall(request)
            line = self._line()
        except TimeoutError as error:
            raise NoAnswer(f"the server did not answer within {patience:.0f} s") from error
        except OSError as error:
            raise Failed(f"the server went away ({(error.strerror or str(error)).lower()})") from error
        if not line:
            raise Failed("the server went away")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            reason = str(answer.get("error", "the server gave no reason"))
            if reason.startswith("unknown command"):
                reason = (
                    "the server that runs cannot tell: it serves no presence (twistd sip-presence, or "
                    "sip-proxy --presence), or is of another version"
                    if command in _PRESENCE
                    else "the server that runs cannot tell: it is of another kind, or of another version"
                )
            raise Failed(reason)
        return answer

    def _line(self) -> bytes:
        """Return the next line, empty at the end."""
        searched = 0
        while (end := self._read.find(b"\n", searched)) < 0:
            searched = len(self._read)
            more = self._socket.recv(65536)
            if not more:
                return b""
            self._read += more
        line = bytes(self._read[: end + 1])
        del self._read[: end + 1]
        return line

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
