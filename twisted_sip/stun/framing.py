"""STUN and ChannelData messages over a stream: where one ends (RFC 8489 section 6.2.2, RFC 8656 section 12.5)."""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError


class STUNFramer:
    """Cuts what a TCP or TLS connection brings into messages. At most one message, 65,555 octets, is held.

    After an error the connection must be closed: where the next message begins is not known.
    """

    def __init__(self) -> None:
        self._held = b""

    @property
    def held(self) -> int:
        """How many octets wait for the rest of their message."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came and return the messages that are complete, ChannelData without its padding.

        :raises RemoteProtocolError: neither STUN nor ChannelData; ``fatal`` is set.
        """
        held = self._held + data
        place = 0
        found = []
        while len(held) - place >= 4:
            first = held[place]
            length = int.from_bytes(held[place + 2 : place + 4], "big")
            if first < 4:
                size = padded = 20 + length
            elif 64 <= first <= 79:
                size = 4 + length
                padded = size + (-size % 4)
            else:
                self._held = b""
                raise RemoteProtocolError("neither STUN nor ChannelData on a stream", fatal=True)
            if len(held) - place < padded:
                break
            found.append(held[place : place + size])
            place += padded
        self._held = held[place:]
        return found
