"""Event and Subscription-State (RFC 6665 sections 8.2.1 and 8.2.3, which replace those of RFC 3265)."""

from __future__ import annotations

from typing import ClassVar

from twisted_sip.message.numeric_fields import parse_delta_seconds
from twisted_sip.message.parameterized import TokenWithParams, parameter, refuse


class Event(TokenWithParams):
    """Event: a package, its templates, and an id (RFC 6665 section 8.2.1). Compared byte by byte."""

    __slots__ = ()

    header: ClassVar[str] = "Event"
    case_sensitive = True

    @classmethod
    def _is_legal(cls, token: str) -> bool:
        return super()._is_legal(token) and "" not in token.split(".")

    @property
    def package(self) -> str:
        """The event package without templates: ``presence`` of ``presence.winfo``."""
        return self.token.partition(".")[0]

    @property
    def templates(self) -> tuple[str, ...]:
        """The event templates: ``winfo`` of ``presence.winfo``."""
        return tuple(self.token.split(".")[1:])

    @property
    def id(self) -> str:
        """The id parameter, empty if there is none."""
        return parameter(self.params, "id")

    @property
    def match_key(self) -> tuple[str, str]:
        """What tells subscriptions of one dialog apart (RFC 6665 section 4.5.1): event type and id alone."""
        return self.token, self.id


class SubscriptionState(TokenWithParams):
    """Subscription-State (RFC 6665 section 8.2.3): ``active``, ``pending``, ``terminated`` or something new."""

    __slots__ = ()

    header: ClassVar[str] = "Subscription-State"

    def _check_params(self) -> None:
        for name in ("expires", "retry-after"):
            if name in self.params and self._seconds(name) is None:
                refuse(self.header, f"no number in {name}")

    def _seconds(self, name: str) -> int | None:
        text = parameter(self.params, name)
        return parse_delta_seconds(text, self.header) if text else None

    @property
    def state(self) -> str:
        """The state in lower case."""
        return self.key

    @property
    def terminated(self) -> bool:
        """True if the subscription is over."""
        return self.key == "terminated"

    @property
    def expires(self) -> int | None:
        """For how many seconds the subscription lasts, None if that is not said."""
        return self._seconds("expires")

    @property
    def retry_after(self) -> int | None:
        """After how many seconds to try again, None if that is not said."""
        return self._seconds("retry-after")

    @property
    def reason(self) -> str:
        """Why it ended, in lower case (``timeout``, ``rejected``, ...); empty if that is not said."""
        return parameter(self.params, "reason").lower()
