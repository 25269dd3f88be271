"""Where the stream of a session is: the sockets of one version of IP, and what goes with them.

RFC 3264 section 8.3.1: a later offer may name another address, of the other version as well; then the stream moves, and
goes back if that comes to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

import attrs

from twisted_sip.media.audio_stream import AudioStream, StreamTerms
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.stream_extension import StreamExtension
from twisted_sip.sdp.media_description import MediaDescription

if TYPE_CHECKING:
    from twisted_sip.media.plane import MediaPlane


@attrs.frozen(slots=True)
class StreamPlace:
    """A place that a stream has left.

    :ivar plane: whose sockets it had.
    :ivar stream: the stream there, which is silent; None if it had none yet.
    :ivar extensions: what took part there.
    """

    plane: MediaPlane
    stream: AudioStream | None
    extensions: list[StreamExtension]

    def rest(self) -> None:
        """Send nothing from there; keep the ports."""
        if self.stream is not None:
            self.stream.agree(StreamTerms(ptime=self.plane.settings.ptime))

    def close(self) -> None:
        """Let go of it."""
        for extension in self.extensions:
            extension.close()
        if self.stream is not None:
            self.stream.close()


def address_elsewhere(plane: MediaPlane, offered: MediaDescription) -> str:
    """Return the address that *offered* names, if sockets of *plane* cannot send there; empty if they can."""
    if offered.has_no_address or not offered.port:
        return ""
    try:
        address = ip_address(offered.address)
    except ValueError:
        return ""
    return offered.address if (address.version == 6) != (":" in plane.settings.host) else ""


class MovingStream:
    """What a session has at a place, and how it moves; a part of SessionExchange."""

    settings: MediaSettings
    other_plane: Callable[[str], MediaPlane | None] | None
    _plane: MediaPlane
    _stream: AudioStream | None
    _extensions: list[StreamExtension]
    _left: StreamPlace | None

    def _follow(self, offered: MediaDescription) -> None:
        """Move to where *offered* can be reached from. What ICE has found out is not given up for that."""
        address = address_elsewhere(self._plane, offered)
        plane = self.other_plane(address) if address and self.other_plane and self.settings.ice == "off" else None
        if plane is not None:
            left = StreamPlace(self._plane, self._stream, self._extensions)
            left.rest()
            self._stream = None
            self._be_at(plane)
            self._extensions = self._make_extensions()
            self._left = left

    def _go_back(self) -> None:
        """What the stream has moved for has come to nothing."""
        left, self._left = self._left, None
        if left is None:
            return
        StreamPlace(self._plane, self._stream, self._extensions).close()
        self._stream, self._extensions = left.stream, left.extensions
        self._be_at(left.plane)
        self._agree_again()

    def _stay(self) -> None:
        """The stream does not go back any more."""
        left, self._left = self._left, None
        if left is not None:
            left.close()

    def _be_at(self, plane: MediaPlane) -> None:
        self._plane = plane
        self.settings = plane.settings

    def _make_extensions(self) -> list[StreamExtension]:
        raise NotImplementedError

    def _agree_again(self) -> None:
        raise NotImplementedError
