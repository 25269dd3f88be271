"""What becomes of the user part on its way: digits taken off, a prefix, templates (RFC 3261 section 16.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.escapes import USER_CHARACTERS, escape_user
from twisted_sip.message.uri import URI, parse_uri

if TYPE_CHECKING:
    from twisted_sip.proxy.static_routes import StaticRoute

_ESCAPED = re.compile(r"(%[0-9A-Fa-f]{2})")
#: A field of a template.
FIELD = re.compile(r"\{(\w+)\}")
#: What may be filled in where a host or its parameters stand.
_HOST_TEXT = re.compile(r"[A-Za-z0-9.\-_\[\]:+]*").fullmatch

#: Fields of every template beside the groups of the patterns: the user as rewritten, and what was asked for.
FIELDS = ("user", "host", "dialled")


def user_text(text: str) -> str:
    """Return *text* as it may stand in a user part: what must be escaped is, what is escaped already stays."""
    if USER_CHARACTERS.issuperset(text):
        return text
    parts = _ESCAPED.split(text)
    return "".join([part if place % 2 else escape_user(part) for place, part in enumerate(parts)])


class Template:
    """A text with fields in braces.

    :ivar fields: their names.
    """

    __slots__ = ("_parts", "_user_ends", "fields")

    def __init__(self, text: str) -> None:
        # Texts and names of fields in turn.
        self._parts = FIELD.split(text)
        self.fields = tuple(self._parts[1::2])
        # Fields before this part stand in the user part.
        self._user_ends = next((place for place, part in enumerate(self._parts) if not place % 2 and "@" in part), 0)

    def user(self, values: Mapping[str, str]) -> str:
        """Return the text as a user part."""
        return user_text("".join([values[part] if place % 2 else part for place, part in enumerate(self._parts)]))

    def uri(self, values: Mapping[str, str]) -> URI:
        """Return the text as a URI, *values* filled in.

        :raises RemoteProtocolError: it would be none, or what is filled in would make another host of it.
        """
        made = []
        for place, part in enumerate(self._parts):
            if not place % 2:
                made.append(part)
            elif place < self._user_ends:
                made.append(user_text(values[part]))
            elif _HOST_TEXT(values[part]):
                made.append(values[part])
            else:
                raise RemoteProtocolError("Not Found", status=404)
        return parse_uri("".join(made))


class Rewriting:
    """The rewriting of one route.

    :param route: the route.
    """

    __slots__ = ("_add", "_any", "_prefix", "_strip", "_template")

    def __init__(self, route: StaticRoute) -> None:
        self._template = Template(route.rewrite) if route.rewrite else None
        self._strip = route.strip
        self._prefix = route.strip_prefix
        self._add = route.add_prefix
        self._any = bool(route.rewrite or route.strip or route.strip_prefix or route.add_prefix)

    def user(self, user: str, values: Mapping[str, str]) -> str:
        """Return what becomes of *user*, as it may stand in a URI.

        :param values: the fields of templates.
        """
        if not self._any:
            return user_text(user)
        if self._template is not None:
            return self._template.user(values)
        if self._strip:
            user = user[self._strip :]
        if self._prefix:
            user = user.removeprefix(self._prefix)
        return user_text(self._add + user)
