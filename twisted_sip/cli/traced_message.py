"""One message of a trace as the terminal shows it: who sent it to whom, and what it is in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from twisted_sip.message.header_names import canonical


@attrs.frozen(slots=True)
class Traced:
    """A message as the control socket gave it, read as far as people want to see.

    :ivar time: seconds since the epoch.
    :ivar sent: True if the server sent it.
    :ivar transport: ``UDP``, ``TCP``, ``TLS``.
    :ivar local: the server's end.
    :ivar remote: the peer's end.
    :ivar text: the whole message, credentials masked.
    :ivar start_line: its first line.
    :ivar fields: canonical name -> the first value of each header field.
    """

    time: float
    sent: bool
    transport: str
    local: str
    remote: str
    text: str
    start_line: str
    fields: Mapping[str, str]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Traced:
        """Read *message*, an object of the control socket."""
        text = str(message["text"])
        head = text.partition("\r\n\r\n")[0]
        # Folded lines are one (RFC 3261 section 7.3.1).
        start_line, *lines = head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(canonical(name.strip(" \t")), value.strip(" \t"))
        return cls(
            float(message["time"]),
            bool(message["sent"]),
            str(message["transport"]),
            str(message["local"]),
            str(message["remote"]),
            text,
            plain(start_line),
            fields,
        )

    @property
    def is_response(self) -> bool:
        """True for a response."""
        return self.start_line.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        word = self.start_line[8:11]
        return int(word) if self.is_response and word.isascii() and word.isdigit() else 0

    @property
    def cseq(self) -> tuple[str, str]:
        """The number and the method in the CSeq header field, as texts."""
        number, _, method = self.fields.get("cseq", "").partition(" ")
        return plain(number), plain(method.strip(" \t"))

    @property
    def peer(self) -> tuple[str, str]:
        """What makes a participant: its address and its transport."""
        return self.remote, self.transport

    @property
    def has_session(self) -> bool:
        """True if it carries a session description (an offer or an answer)."""
        return self.fields.get("content-type", "").lower().startswith("application/sdp")

    def user(self, field: str) -> str:
        """Return the user part of the URI in the header field *field* (``from``, ``to``), empty if there is none."""
        value = self.fields.get(field, "")
        uri = value.partition("<")[2].partition(">")[0] or value.partition(";")[0]
        rest = uri.partition(":")[2]
        return plain(rest.partition("@")[0].partition(":")[0]) if "@" in rest else ""

    def labels(self) -> list[str]:
        """Return what to write on its arrow, the fullest first."""
        number, method = self.cseq
        offer = " SDP" if self.has_session else ""
        if self.is_response:
            phrase = self.start_line[8:]
            return [
                f"{phrase}{offer} ({method} {number})",
                f"{phrase} ({method} {number})",
                f"{self.status}{offer} ({method} {number})",
                f"{phrase} ({number})",
                f"{self.status} ({method})",
                f"{self.status} ({number})",
                str(self.status),
            ]
        name = self.start_line.partition(" ")[0]
        return [f"{name} {number}{offer}", f"{name} {number}", name]

    @property
    def colour(self) -> str:
        """The rich style of its arrow."""
        if not self.is_response:
            return "bold"
        return {1: "yellow", 2: "green", 3: "cyan"}.get(self.status // 100, "red")

    def line(self) -> str:
        """Return it as one line, for lists and for following."""
        clock = datetime.fromtimestamp(self.time).strftime("%H:%M:%S.%f")[:-3]
        arrow = "->" if self.sent else "<-"
        number, method = self.cseq
        what = self.start_line.removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0")
        reference = f" ({method} {number})" if self.is_response else f" ({number})"
        return f"{clock} {arrow} {self.remote} {self.transport.lower():<3}  {what}{reference}"


def plain(text: str) -> str:
    """Return *text* with every character that could steer a terminal made visible."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)
