"""Which header fields of one leg the other one gets (RFC 7092 section 3.1).

What routes, names dialogs, authenticates or tells of software is never passed on: each leg has its own. Of the rest
only what is allowed by name goes through, so that nothing leaks that nobody has thought of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value, is_token
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.header_names import canonical

#: What is passed on unless a policy says something else: what people say to people.
PASSED = (
    "accept-language",
    "alert-info",
    "answer-mode",
    "call-info",
    "error-info",
    "geolocation",
    "geolocation-routing",
    "organization",
    "priority",
    "privacy",
    "reason",
    "reply-to",
    "resource-priority",
    "retry-after",
    "subject",
    "user-to-user",
)

#: What belongs to one leg and cannot be passed on, nor set, whatever a policy says.
OWN = frozenset(
    (
        "accept",
        "accept-encoding",
        "allow",
        "allow-events",
        "authentication-info",
        "authorization",
        "call-id",
        "contact",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-type",
        "cseq",
        "event",
        "from",
        "join",
        "max-breadth",
        "max-forwards",
        "mime-version",
        "min-se",
        "path",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-require",
        "rack",
        "record-route",
        "recv-info",
        "refer-to",
        "replaces",
        "require",
        "route",
        "rseq",
        "service-route",
        "session-expires",
        "sip-etag",
        "sip-if-match",
        "supported",
        "target-dialog",
        "to",
        "unsupported",
        "via",
        "www-authenticate",
    )
)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(canonical(value.strip()) for value in values))


def _may_be_named(instance: object, attribute: attrs.Attribute[tuple[str, ...]], names: tuple[str, ...]) -> None:
    for name in names:
        if not is_token(name):
            raise LocalProtocolError(f"{name!r} is no name of a header field")
        if name in OWN:
            raise LocalProtocolError(f"{name} belongs to one leg and is not passed on")


@attrs.frozen(slots=True, kw_only=True)
class HeaderPolicy:
    """What passes from one leg to the other.

    :ivar passed: the header fields that pass, by name.
    :ivar set: header fields that every INVITE to a callee gets, in place of the caller's.
    """

    passed: tuple[str, ...] = attrs.field(default=PASSED, converter=_names, validator=_may_be_named)
    set: Mapping[str, str] = attrs.field(factory=dict)
    _passed: frozenset[str] = attrs.field(init=False, repr=False, eq=False)

    @_passed.default
    def _the_passed(self) -> frozenset[str]:
        return frozenset(self.passed)

    def __attrs_post_init__(self) -> None:
        _may_be_named(self, attrs.fields(HeaderPolicy).passed, _names(self.set))
        for value in self.set.values():
            check_value(value)

    @classmethod
    def build(
        cls, *, add: Iterable[str] = (), remove: Iterable[str] = (), set: Mapping[str, str] | None = None
    ) -> HeaderPolicy:
        """Return the usual policy with *add* passed on too, and without *remove*.

        :raises LocalProtocolError: a name that may not be there.
        """
        gone = _names(remove)
        passed = [name for name in (*PASSED, *_names(add)) if name not in gone]
        return cls(passed=tuple(passed), set=dict(set or {}))

    def fields(self, headers: HeaderMap) -> list[tuple[str, str]]:
        """Return what passes of *headers*, in the order of the policy."""
        passed = self._passed
        if passed.isdisjoint(headers.names):
            return []
        return [(name, value) for name in self.passed for value in headers.all(name)]

    def invite_fields(self, headers: HeaderMap) -> list[tuple[str, str]]:
        """Return what an INVITE to a callee gets, made of *headers* of the caller's."""
        if not self.set and self._passed.isdisjoint(headers.names):
            return []
        found = self.fields(headers)
        if self.set:
            fixed = {canonical(name): value for name, value in self.set.items()}
            found = [field for field in found if field[0] not in fixed] + list(fixed.items())
        return found
