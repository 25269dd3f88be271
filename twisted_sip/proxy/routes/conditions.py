"""Whether a route is for a request: its method, whom it asks for, who sends it, header fields, and the time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from twisted_sip.interfaces.call_policy import Hours
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.header_names import CANONICAL
from twisted_sip.message.uri import SIPURI, TelURI, parse_uri
from twisted_sip.proxy.routes.dialled import Dialled
from twisted_sip.proxy.routes.patterns import wildcard_regex

if TYPE_CHECKING:
    from twisted_sip.proxy.static_routes import StaticRoute

#: Regular expressions are asked about users up to this long: those of operators may be slow for long ones.
_MOST_CHARS = 256

#: What the groups of a pattern have matched, by number and name.
Groups = dict[str, str]


class Conditions:
    """The conditions of one route, made ready.

    :param route: the route; its patterns were checked.
    :param now: seconds since the epoch.
    """

    __slots__ = ("_caller", "_headers", "_host", "_hours", "_method", "_now", "_regex", "_user", "_zone")

    def __init__(self, route: StaticRoute, now: Callable[[], float]) -> None:
        self._method = _ready(route.method)
        self._user = _ready(route.user)
        self._host = _ready(route.host.lower())
        self._caller = _ready(route.caller.lower())
        self._regex = re.compile(route.user_matches).fullmatch if route.user_matches else None
        self._headers = [
            (CANONICAL[name], re.compile(wildcard_regex(pattern.lower())).match)
            for name, pattern in route.headers.items()
        ]
        self._hours = [Hours.parse(text) for text in route.hours]
        self._zone = ZoneInfo(route.time_zone)
        self._now = now

    @staticmethod
    def pattern(text: str) -> re.Pattern[str]:
        """Return what matches the pattern *text*.

        :raises re.error: it is none.
        """
        return re.compile(wildcard_regex(text))

    @staticmethod
    def groups_of(route: StaticRoute) -> list[str]:
        """Return the numbers and names by which templates refer to what the patterns of *route* match."""
        found = re.compile(route.user_matches or wildcard_regex(route.user))
        return [*[str(place + 1) for place in range(found.groups)], *found.groupindex]

    def asks_for(self, method: str, dialled: Dialled) -> Groups | None:
        """Return what the patterns on *method* and *dialled* have matched, None if they do not fit."""
        if self._method is not None and self._method(method) is None:
            return None
        if self._host is not None and self._host(dialled.host.lower()) is None:
            return None
        groups: Groups = {}
        if self._user is not None:
            found = self._user(dialled.user)
            if found is None:
                return None
            groups = _groups(found)
        if self._regex is not None:
            found = self._regex(dialled.user) if len(dialled.user) <= _MOST_CHARS else None
            if found is None:
                return None
            groups = _groups(found)
        return groups

    def fits(self, incoming: IncomingRequest, dialled: Dialled) -> Groups | None:
        """Return what the patterns have matched, by number and name, None if the route is not for *incoming*."""
        groups = self.asks_for(incoming.request.method, dialled)
        if groups is None:
            return None
        if self._caller is not None and self._caller(caller_of(incoming).lower()) is None:
            return None
        headers = incoming.request.headers
        for name, match in self._headers:
            if not any(match(value.lower()) for value in headers.all(name)):
                return None
        return None if self._hours and not self._open() else groups

    def _open(self) -> bool:
        there = datetime.fromtimestamp(self._now(), self._zone)
        minute = 60 * there.hour + there.minute
        return any(hours.include(there.weekday(), minute) for hours in self._hours)


def caller_of(incoming: IncomingRequest) -> str:
    """Return who sends *incoming*, as ``user@host`` or a number: who was proved, else what From claims."""
    uri = parse_uri(incoming.user) if incoming.user else incoming.request.from_.uri
    if isinstance(uri, TelURI):
        return uri.digits
    return f"{uri.user or ''}@{uri.host}" if isinstance(uri, SIPURI) else str(uri)


def _ready(pattern: str) -> Callable[[str], re.Match[str] | None] | None:
    """Return what matches *pattern*, None if everything does and nothing of it is to be kept."""
    return None if pattern == "*" else re.compile(wildcard_regex(pattern)).match


def _groups(found: re.Match[str]) -> Groups:
    groups = {str(place + 1): value or "" for place, value in enumerate(found.groups())}
    return groups | {name: value or "" for name, value in found.groupdict().items()}
