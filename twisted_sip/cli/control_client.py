"""Asks a running server through its control socket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from twisted_sip.cli.output import Failed
from twisted_sip.tap.control import SOCKET_NAME, open_way

#: Seconds that a server may take to answer.
_PATIENCE = 10.0


class NoServer(Failed):
    """No server runs with the state directory."""


class ControlClient:
    """One connection to the server that runs with *state_dir*.

    :raises NoServer: none does.
    :raises Failed: its socket may not be opened.
    """

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / SOCKET_NAME
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
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
        self._lines: BinaryIO = self._socket.makefile("rb")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return the result of *command*.

        :raises Failed: the server says why it cannot do it, or does not answer.
        """
        answer = self._send(command, arguments)
        return answer.get("result")

    def follow(self, command: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield what *command* reports until the server stops: objects with ``event`` or ``skipped``."""
        self._send(command, arguments)
        self._socket.settimeout(None)
        for line in self._lines:
            yield json.loads(line)

    def _send(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        request = json.dumps({"command": command, **arguments}).encode("utf-8") + b"\n"
        try:
            self._socket.sendall(request)
            line = self._lines.readline()
        except TimeoutError as error:
            raise Failed(f"the server did not answer within {_PATIENCE:.0f} s") from error
        except OSError as error:
            raise Failed(f"the server went away ({(error.strerror or str(error)).lower()})") from error
        if not line:
            raise Failed("the server went away")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            raise Failed(str(answer.get("error", "the server gave no reason")))
        return answer

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
