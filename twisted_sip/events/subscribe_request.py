"""What a SUBSCRIBE asks for, checked as far as that goes without asking the package.

RFC 6665 sections 3.1, 4.2.1.1 and 4.2.1.4; RFC 3261 sections 8.2.2.3 (Require) and 8.2.3 (bodies); RFC 5839 section
5.2; RFC 6446 section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol, cast

from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import SIPError
from twisted_sip.events.conditional import condition_of
from twisted_sip.message.event_fields import Event
from twisted_sip.message.grammar import split_list
from twisted_sip.message.limits import SHORT
from twisted_sip.message.media_types import MediaRange, MediaType
from twisted_sip.message.request import Request

#: No interval of an hour or more is too brief (RFC 6665 section 4.2.1.1).
_NEVER_BRIEF = 3600

_NO_BODY = ("", b"")
_NO_RATES = Rates()


class SubscribeRefused(SIPError):
    """A SUBSCRIBE that is answered with *status* and changes nothing.

    :ivar status: the status of the response.
    :ivar reason: its reason phrase, empty for the usual one.
    :ivar headers: its further header fields, (name, value).
    :ivar key: the key of the configuration that caused it, empty where none did.
    """

    def __init__(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = (), *, key: str = ""
    ) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)
        self.key = key


class Terms(Protocol):
    """What is served, and on which terms."""

    @property
    def default_expires(self) -> int: ...
    @property
    def min_expires(self) -> int: ...
    @property
    def max_expires(self) -> int: ...
    @property
    def content_types(self) -> tuple[str, ...]: ...
    @property
    def body_types(self) -> tuple[str, ...] | None: ...
    @property
    def refresh_body_types(self) -> tuple[str, ...] | None: ...
    @property
    def option_tags(self) -> frozenset[str]: ...
    @property
    def required_options(self) -> tuple[str, ...]: ...
    @property
    def required_types(self) -> tuple[str, ...]: ...


class SubscribeRequest:
    """A SUBSCRIBE that was read.

    :ivar event: its Event.
    :ivar expires: the granted seconds; 0 fetches or unsubscribes.
    :ivar accept: media types in the order of preference, None where it has no Accept.
    :ivar supported: the option tags of Supported and Require.
    :ivar body: content type and body, ("", b"") without one.
    :ivar condition: Suppress-If-Match, or empty.
    :ivar rates: the rates that it asks for.
    """

    __slots__ = ("accept", "body", "condition", "event", "expires", "rates", "supported")

    def __init__(self, request: Request, event: Event, terms: Terms) -> None:
        """Read *request*.

        :raises SubscribeRefused: 406, 415, 420, 421, 423.
        :raises RemoteProtocolError: a header field is malformed.
        """
        headers = request.headers.names
        self.event = event
        self.supported = _option_tags(request, terms.option_tags) if _HAS_TAGS.intersection(headers) else ()
        within = bool(request.to.tag)
        missing = [tag for tag in terms.required_options if tag not in self.supported]
        if missing and not within:
            # RFC 3261 section 21.4.15.
            raise SubscribeRefused(421, headers=(("require", ", ".join(missing)),))
        self.body = _NO_BODY
        if request.body:
            self.body = _body(request, terms.refresh_body_types if within else terms.body_types)
        self.expires = _expires(request, terms)
        self.accept: tuple[str, ...] | None = None
        if "accept" in headers:
            text = ", ".join(request.headers.all("accept"))
            # Long ones are read anew each time: what is remembered must not grow with what peers send.
            read = _accepted if len(text) <= SHORT else _accepted.__wrapped__
            accept, fits = read(text, terms.content_types, terms.required_types)
            if not fits:
                # RFC 6665 section 4.1.2.1.
                types = (*terms.required_types, *terms.content_types)
                raise SubscribeRefused(406, headers=(("accept", ", ".join(types)),))
            self.accept = accept
        self.condition = condition_of(request)
        self.rates = Rates.of(event.params) if event.params else _NO_RATES

    @property
    def event_params(self) -> tuple[tuple[str, str], ...]:
        """The parameters of Event, (name, value)."""
        params = self.event.params
        return tuple((name, value or "") for name, value in params.items()) if params else ()


_HAS_TAGS = frozenset(("require", "supported"))


def _option_tags(request: Request, known: frozenset[str]) -> tuple[str, ...]:
    required: Sequence[str] = request.typed("require")
    unknown = [tag for tag in required if tag.lower() not in known]
    if unknown:
        # RFC 3261 section 8.2.2.3.
        raise SubscribeRefused(420, headers=(("unsupported", ", ".join(unknown)),))
    tags = (*request.typed("supported"), *required)
    return _shared(tags) if sum(map(len, tags)) <= SHORT else _shared.__wrapped__(tags)


@lru_cache(maxsize=1024)
def _shared(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return *tags* without doubles: one tuple for all who say the same."""
    return tuple(dict.fromkeys(tag.lower() for tag in tags))


def _body(request: Request, known: tuple[str, ...] | None) -> tuple[str, bytes]:
    """Return content type and body, nothing where the body may be left aside (RFC 3261 section 8.2.3)."""
    media_type: MediaType | None = request.typed("content-type")
    optional = "content-disposition" in request.headers.names and not request.typed("content-disposition").required
    codings = [coding for coding in request.typed("content-encoding") if coding.lower() != "identity"]
    if media_type is None or codings or (known is not None and media_type.key not in known):
        if optional:
            return _NO_BODY
        if codings:
            raise SubscribeRefused(415, headers=(("accept-encoding", "identity"),))
        raise SubscribeRefused(415, headers=(("accept", ", ".join(known or ())),))
    return request.headers.first("content-type") or "", request.body


def _expires(request: Request, terms: Terms) -> int:
    asked = request.expires
    if asked is None:
        # RFC 6665 section 3.1.1.
        return min(terms.default_expires, terms.max_expires)
    if 0 < asked < min(terms.min_expires, _NEVER_BRIEF):
        least = str(min(terms.min_expires, _NEVER_BRIEF))
        raise SubscribeRefused(423, headers=(("min-expires", least),), key="events.min_expires")
    return min(asked, terms.max_expires)


@lru_cache(maxsize=1024)
def _accepted(
    text: str, content_types: tuple[str, ...], required: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], bool]:
    """Return the media types in an Accept, best first, and whether one of *content_types*, and all that are *required*,
    are among them.

    Wildcards stand for those of them that they match.

    :raises RemoteProtocolError: it is malformed.
    """
    ranges = [cast(MediaRange, MediaRange.parse(part)) for part in split_list(text)]
    made = [MediaType.parse(name) for name in (*content_types, *required)]
    # What is named with q=0 is not wanted, though a wildcard would match it (RFC 3261 section 20.1).
    unwanted = {found.key for found in ranges if found.q == 0}
    accept: dict[str, None] = {}
    for found in sorted(ranges, key=lambda range: -range.q):
        if found.q == 0:
            continue
        if found.subtype == "*":
            matching = [one.key for one in made if found.matches(one)]
        else:
            matching = [found.key]
        accept.update(dict.fromkeys(key for key in matching if key not in unwanted))
    fits = any(name in accept for name in content_types) and all(name in accept for name in required)
    return tuple(accept), fits
