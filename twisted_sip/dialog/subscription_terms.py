"""What a subscriber asks for in its SUBSCRIBEs, and when to ask again once it is over (RFC 6665 sections 4.1.2, 4.1.3).

Entity-tags as in RFC 5839, rates as in RFC 6446.
"""

from __future__ import annotations

import attrs

from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.event_fields import Event
from twisted_sip.message.message import Message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

#: The longest time that a Min-Expires may make us subscribe for, in seconds: a week.
MOST_MIN_EXPIRES = 604_800

#: Seconds until the next try where the notifier asks for patience without saying for how long.
DEFAULT_PATIENCE = 60.0

#: Responses that say nothing about the next try: the network or the notifier is in trouble.
TRANSIENT = frozenset((408, 430, 480, 486, 500, 502, 503, 504, 600))


@attrs.frozen(slots=True, kw_only=True)
class SubscriptionTerms:
    """What every SUBSCRIBE of a subscription says.

    :ivar event: event type, id and further parameters, without rates.
    :ivar expires: seconds.
    :ivar headers: further header fields, Accept and Supported above all.
    :ivar rates: how often to be notified (RFC 6446).
    :ivar conditional: refresh and unsubscribe without a NOTIFY if the state has not changed, where the notifier has
        entity-tags (RFC 5839 sections 5.6 and 5.7).
    """

    event: Event
    expires: int = 3600
    headers: tuple[tuple[str, str], ...] = ()
    rates: Rates = attrs.field(factory=Rates)
    conditional: bool = False

    def unsupported(self, notify: Request) -> list[str]:
        """Return the option tags that *notify* requires and we have not said to support (RFC 3261 section 8.2.2.3).

        :raises RemoteProtocolError: Require is malformed.
        """
        if "require" not in notify.headers:
            return []
        told = ",".join(value for name, value in self.headers if name.lower() in ("supported", "k"))
        supported = {tag.strip(" \t").lower() for tag in told.split(",")}
        return [tag for tag in notify.typed("require") if tag.lower() not in supported]

    def event_field(self) -> str:
        """Return the value of Event, rates included."""
        event = self.event
        params = [item for item in event.params.items() if item[0].lower() not in _RATE_NAMES]
        return str(Event(event.token, [*params, *self.rates.params()]))

    def fields(self, expires: int, etag: str = "") -> list[tuple[str, str]]:
        """Return the header fields of a SUBSCRIBE.

        :param expires: seconds; 0 fetches or unsubscribes.
        :param etag: no NOTIFY, or none with a body, while the state has this entity-tag (RFC 5839 section 5.2).
        """
        made = [("event", self.event_field()), ("expires", str(expires)), *self.headers]
        if etag:
            made.append(("suppress-if-match", etag))
        return made


_RATE_NAMES = frozenset(("max-rate", "min-rate", "adaptive-min-rate"))


def refresh_delay(expires: float) -> int:
    """Return after how many seconds to refresh what lasts for *expires* seconds: whole ones, 1 at least.

    A tenth of the time is left, but enough for a request that has to be sent again.
    """
    return max(1, int(expires - min(expires / 2, max(37.0, expires / 10))))


def min_expires_of(response: Response, asked: int) -> int | None:
    """Return for how long a 423 wants us to ask (RFC 3261 section 21.4.17), None if there is no sense in it.

    :param asked: what we had asked for.
    """
    try:
        wanted: int | None = response.typed("min-expires")
    except RemoteProtocolError:
        return None
    return wanted if wanted is not None and asked < wanted <= MOST_MIN_EXPIRES else None


def expires_granted(response: Response, asked: int) -> int:
    """Return for how many seconds a 2xx grants what was *asked* for; never longer (RFC 6665 section 4.1.2.1)."""
    try:
        granted = response.expires
    except RemoteProtocolError:
        granted = None
    return asked if granted is None else min(asked, granted)


def etag_of(message: Message) -> str:
    """Return the entity-tag of a NOTIFY (RFC 5839 section 5.3) or of a response to PUBLISH (RFC 3903 section 11.3.1),
    empty if there is none that could be sent back."""
    try:
        return message.typed("sip-etag") or ""
    except RemoteProtocolError:
        return ""


def retry_after_of(response: Response) -> int | None:
    """Return the seconds of Retry-After, None where it is missing or malformed (RFC 3261 section 20.33)."""
    try:
        value = response.typed("retry-after")
    except RemoteProtocolError:
        return None
    return None if value is None else int(value.seconds)


def resubscription_delay(reason: str, retry_after: int | None) -> float | None:
    """Return after how many seconds to subscribe anew when a NOTIFY has ended a subscription (RFC 6665 section 4.1.3).

    :param reason: the reason of Subscription-State, in lower case; empty without one.
    :param retry_after: its retry-after in seconds, None without one.
    :return: None for never.
    """
    if reason in ("rejected", "noresource", "invariant"):
        return None
    if reason in ("deactivated", "timeout"):
        return 0.0
    if retry_after is not None:
        return float(retry_after)
    # An immediate new try after "giveup" would most likely be pending again.
    return DEFAULT_PATIENCE if reason in ("probation", "giveup") else 0.0


def retry_delay(status: int, retry_after: int | None) -> float | None:
    """Return after how many seconds to subscribe anew when a SUBSCRIBE was answered with *status*, None for never.

    :param status: 408 for Timer N and for a timeout, 503 where no server could be reached.
    :param retry_after: Retry-After in seconds, None without one.
    """
    if status == 481:
        # The notifier has lost the subscription, as in a restart.
        return 0.0
    if status not in TRANSIENT:
        return None
    return 0.0 if retry_after is None else float(retry_after)
