"""The seam to SRTP (RFC 3711): what turns packets into protected ones and back, whoever agreed on the keys."""

from __future__ import annotations

from typing import Protocol


class Protection(Protocol):
    """Protects what goes out and opens what comes in. None stands for a packet that is to be dropped.

    Nothing raises: a packet that is forged, replayed or comes before there are keys is None, and counted here.
    """

    def protect_rtp(self, data: bytes) -> bytes | None:
        """Return an RTP packet as it goes onto the wire."""
        ...

    def unprotect_rtp(self, data: bytes) -> bytes | None:
        """Return an RTP packet that came from the wire."""
        ...

    def protect_rtcp(self, data: bytes) -> bytes | None:
        """Return an RTCP compound as it goes onto the wire."""
        ...

    def unprotect_rtcp(self, data: bytes) -> bytes | None:
        """Return an RTCP compound that came from the wire."""
        ...
