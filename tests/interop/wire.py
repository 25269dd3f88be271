"""Requests written by hand, for what no phone would send."""

from __future__ import annotations

import itertools
import re
import socket
import time
from types import TracebackType

_numbers = itertools.count(1)


class Wire:
    """A UDP socket that speaks SIP badly on purpose.

    :ivar port: its own port.
    """

    def __init__(self, server_port: int, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._server = ("127.0.0.1", server_port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, text: str) -> None:
        self._socket.sendto(text.encode(), self._server)

    def request(
        self,
        method: str,
        uri: str,
        from_: str,
        to: str,
        *fields: str,
        to_tag: str = "",
        branch: str = "",
        call_id: str = "",
    ) -> str:
        """Send a request and return its Call-ID."""
        number = next(_numbers)
        call_id = call_id or f"{self.port}-{number}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch={branch or f'z9hG4bK{self.port}{number}'};rport",
            "Max-Forwards: 70",
            f"From: <{from_}>;tag=f{number}",
            f"To: <{to}>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {call_id}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:x@{self.host}:{self.port}>",
            *fields,
            "Content-Length: 0",
        ]
        self.send("\r\n".join([*lines, "", ""]))
        return call_id

    def receive(self, patience: float) -> str:
        """Return the next message, empty if there is none within *patience* seconds."""
        self._socket.settimeout(patience)
        try:
            return self._socket.recv(65535).decode(errors="replace")
        except TimeoutError:
            return ""

    def status(self, patience: float = 5.0) -> int:
        """Return the status of the next final response, 0 if none comes."""
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            found = re.match(r"SIP/2\.0 ([2-6]\d\d)", self.receive(left))
            if found:
                return int(found[1])
        return 0
