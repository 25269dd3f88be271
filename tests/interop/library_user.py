"""Drives `user_process.py`: a user of the library in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processes import PATIENCE, Program, wait_for
from server import Server


class LibraryUser:
    """A user who watches, and keeps documents by XCAP.

    :param root: the XCAP root.
    """

    def __init__(
        self, directory: Path, user: str, password: str, server: Server, root: str, *, transport: str = "udp"
    ) -> None:
        self.aor = f"sip:{user}@{server.domain}"
        self._directory = directory / f"library-{user}"
        self._directory.mkdir()
        certificate = server.state / "self-signed-certificate.pem"
        program = Path(__file__).parent / "user_process.py"
        command = [sys.executable, program, self.aor, password, server.uri(transport), transport, root, certificate]
        self.program = Program(command, directory=self._directory, environment=server.environment)
        self.program.wait_for('"ready"')

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Everything it has told so far."""
        return [json.loads(line) for line in self.program.lines if line.startswith("{")]

    def of(self, uri: str, event: str) -> list[dict[str, Any]]:
        """Return the NOTIFYs about *event* of *uri*."""
        return [each for each in self.heard if each.get("told") == uri and each["event"] == event]

    def wait(self, what: Callable[[list[dict[str, Any]]], Any], patience: float = PATIENCE) -> Any:
        """Wait until *what* is true of everything it has told."""
        return wait_for(lambda: what(self.heard), lambda: self.program.text[-6000:], patience)

    def watch(self, uri: str, event: str = "presence") -> None:
        self.program.write(f"watch {uri} {event}\n")

    def unwatch(self, uri: str, event: str = "presence") -> None:
        self.program.write(f"unwatch {uri} {event}\n")

    def put(self, auid: str, media_type: str, document: str) -> dict[str, Any]:
        """Keep a document; return what came of it."""
        path = self._directory / "document"
        path.write_text(document)
        before = len([each for each in self.heard if "put" in each])
        self.program.write(f"put {auid} {media_type} {path}\n")
        found: list[dict[str, Any]] = self.wait(lambda heard: [each for each in heard if "put" in each][before:])
        return found[0]

    def stop(self) -> None:
        self.program.stop()
