"""What a registration asks for, what a registrar grants, and how long to wait after a failure.

RFC 3261 section 10.2, RFC 3327 (Path), RFC 3608 (Service-Route), RFC 5626 section 4 (Outbound), RFC 5627 section 4.2
(GRUU).
"""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.gruu import instance_key
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.registration_fields import ContactParam
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, parse_uri

#: The most outbound proxies of one registration (RFC 5626 section 4.2.1: up to four).
MOST_FLOWS = 4
#: The most values of Service-Route or Path that are taken.
_MOST_ROUTES = 16


def _seconds(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value <= 0:
        raise LocalProtocolError(f"{attribute.name}: {value} must be more than 0 seconds")


@attrs.frozen(slots=True, kw_only=True)
class RegistrationSettings:
    """How registrations are kept up. Times are in seconds.

    :ivar expires: for how long to register.
    :ivar outbound: ask for Outbound (RFC 5626): the server sends requests down the flow by which we registered.
    :ivar keep_alive: ``outbound``: where the server has agreed to it; ``always``: it is known to answer keep-alives;
        ``never``.
    :ivar retry: try again after a failure; otherwise the first one is the end.
    :ivar base_all_failed: RFC 5626 section 4.5, base-time if all flows have failed.
    :ivar base_not_all_failed: the same if one is left.
    :ivar longest_wait: max-time of that section.
    :ivar farewell: for the registrar to take our leave.
    """

    expires: int = attrs.field(default=3600, validator=_seconds)
    outbound: bool = True
    keep_alive: str = attrs.field(default="outbound", validator=attrs.validators.in_(("outbound", "always", "never")))
    retry: bool = True
    base_all_failed: float = attrs.field(default=30.0, validator=_seconds)
    base_not_all_failed: float = attrs.field(default=90.0, validator=_seconds)
    longest_wait: float = attrs.field(default=1800.0, validator=_seconds)
    farewell: float = attrs.field(default=5.0, validator=_seconds)

    def wait_after(self, failures: int, *, all_failed: bool, chance: float) -> float:
        """Return after how many seconds to form a flow anew (RFC 5626 section 4.5).

        :param failures: consecutive failures, the last one included.
        :param all_failed: no other flow is left.
        :param chance: a random number from 0 to 1.
        """
        base = self.base_all_failed if all_failed else self.base_not_all_failed
        upper = min(self.longest_wait, base * 2.0 ** min(failures, 16))
        return upper * (0.5 + 0.5 * chance)


@attrs.frozen(slots=True, kw_only=True)
class Grant:
    """What a 2xx to a REGISTER grants.

    :ivar expires: seconds for which our contact is bound.
    :ivar service_route: Route values for requests of this address-of-record, in order (RFC 3608 section 6.1).
    :ivar path: by which way requests come (RFC 3327).
    :ivar outbound: Outbound was applied (RFC 5626 section 4.2.1).
    :ivar flow_timer: seconds within which the server wants keep-alives, None where it has not said.
    :ivar pub_gruu: our public GRUU, empty without one (RFC 5627 section 4.2).
    :ivar temp_gruu: a temporary GRUU, empty without one.
    """

    expires: int
    service_route: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    outbound: bool = False
    flow_timer: int | None = None
    pub_gruu: str = ""
    temp_gruu: str = ""

    @classmethod
    def read(cls, response: Response, contact: str, *, instance: str, reg_id: int, asked: int) -> Grant:
        """Return what *response*, a 2xx, grants.

        What is malformed in it counts as not there: the registration stands all the same.

        :param contact: our Contact URI as we have registered it.
        :param instance: our instance-id, and *reg_id* of the flow, 0 without Outbound.
        :param asked: the seconds that we have asked for.
        """
        ours = _our_contact(response, contact, instance, reg_id)
        expires: int | None = ours.expires if ours is not None else None
        if expires is None:
            try:
                expires = response.expires
            except RemoteProtocolError:
                expires = None
        try:
            flow_timer = response.typed("flow-timer")
        except RemoteProtocolError:
            flow_timer = None
        return cls(
            # Never longer than we have asked for: a refresh that is too early does no harm.
            expires=asked if expires is None else min(asked, expires),
            service_route=_routes(response, "service-route"),
            path=_routes(response, "path"),
            outbound="outbound" in [tag.lower() for tag in response.headers.elements("require")],
            flow_timer=flow_timer or None,
            pub_gruu=_gruu(ours.pub_gruu) if ours is not None else "",
            temp_gruu=_gruu(ours.temp_gruu) if ours is not None else "",
        )


def _our_contact(response: Response, contact: str, instance: str, reg_id: int) -> ContactParam | None:
    """Return our binding among those that *response* lists, None if it lists none of ours.

    A registrar without Outbound may list our instance-id and no reg-id, and the Contact as it reaches it (RFC 3261
    section 10.3, RFC 5627 section 5.2).
    """
    uri = parse_uri(contact)
    by_instance: ContactParam | None = None
    for text in response.headers.elements("contact"):
        try:
            listed = ContactParam.parse(text)
            if listed.address is None:
                continue
            if listed.instance and instance_key(listed.instance) == instance_key(instance):
                if reg_id and listed.reg_id == reg_id:
                    return listed
                if reg_id and listed.reg_id is not None:
                    continue
                if listed.reg_id is None:
                    by_instance = by_instance or listed
            found = listed.address.uri
        except RemoteProtocolError:
            continue
        if isinstance(found, SIPURI) and isinstance(uri, SIPURI) and found.user == uri.user:
            if found.equivalent(uri) or found.text == uri.text:
                return listed
    return by_instance


def _routes(response: Response, name: str) -> tuple[str, ...]:
    values = response.headers.elements(name)[:_MOST_ROUTES]
    for value in values:
        try:
            if not isinstance(NameAddr.parse(value).uri, SIPURI):
                return ()
        except RemoteProtocolError:
            return ()
    return tuple(values)


def _gruu(text: str) -> str:
    """Return *text* if it is a URI that may be a Contact of ours."""
    if not text:
        return ""
    try:
        return text if isinstance(parse_uri(text), SIPURI) else ""
    except RemoteProtocolError:
        return ""
