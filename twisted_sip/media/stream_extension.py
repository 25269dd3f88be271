"""The seam for what takes part in offers and answers of a stream beside codecs and ports: keys for SRTP, DTLS, ICE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from twisted_sip.sdp.attributes import Attribute
    from twisted_sip.sdp.local_stream import LocalStream
    from twisted_sip.sdp.media_description import MediaDescription


class StreamExtension(Protocol):
    """One for each session and kind of extension. It finds the sockets at ``session.port``, once there are any.

    ``protocols`` are those of media descriptions that it makes possible: ``RTP/SAVP``. ``session_attributes`` are what
    it has to say for the whole session.
    """

    protocols: tuple[str, ...]
    session_attributes: tuple[Attribute, ...]

    def prepare(self, stream: LocalStream, offered: MediaDescription | None) -> LocalStream | Deferred[LocalStream]:
        """Return *stream* with what this has to say.

        :param offered: what the peer offers, None if this is for an offer of ours.
        :raises MediaRefused: the offer cannot be accepted.
        """
        ...

    def agreed(self, local: MediaDescription, remote: MediaDescription, *, offered: bool) -> None:
        """Both descriptions of the stream are known; *offered* says that the offer was ours. Also after a rollback.

        :raises MediaRefused: the peer's answer cannot be accepted.
        """
        ...

    def close(self) -> None:
        """The session is over. Harmless when repeated."""
        ...
