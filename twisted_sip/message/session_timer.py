"""Session-Expires and Min-SE (RFC 4028 sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.numeric_fields import SecondsWithParams
from twisted_sip.message.parameterized import Parameters, parameter

#: No session interval is shorter, in seconds (RFC 4028 section 4).
SHORTEST_INTERVAL = 90

Refresher = Literal["uac", "uas"]


class _SessionInterval(SecondsWithParams):
    __slots__ = ()

    def __init__(self, seconds: int, params: Parameters = ()) -> None:
        """Make a value to send.

        :raises LocalProtocolError: less than 90 seconds, or a parameter that cannot be sent.
        """
        super().__init__(seconds, params)
        if seconds < SHORTEST_INTERVAL:
            raise LocalProtocolError(f"{self.header} is {SHORTEST_INTERVAL} seconds at least, not {seconds}")


class SessionExpires(_SessionInterval):
    """Session-Expires (RFC 4028 section 4)."""

    __slots__ = ()

    header = "Session-Expires"

    @classmethod
    def build(
        cls, seconds: int, refresher: Refresher | None = None, params: Iterable[tuple[str, str | None]] = ()
    ) -> SessionExpires:
        """Return a value to send.

        :raises LocalProtocolError: less than 90 seconds, or a parameter that cannot be sent.
        """
        return cls(seconds, [("refresher", refresher), *params] if refresher else params)

    @property
    def refresher(self) -> Refresher | None:
        """Who refreshes, None if that is not said (or said in a word that RFC 4028 does not know)."""
        value = parameter(self.params, "refresher").lower()
        if value == "uac":
            return "uac"
        return "uas" if value == "uas" else None


class MinSE(_SessionInterval):
    """Min-SE (RFC 4028 section 5)."""

    __slots__ = ()

    header = "Min-SE"
