"""What an operator may decide about registrations (RFC 3261 section 10.3 and its extensions)."""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value


def _positive(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise LocalProtocolError(f"{attribute.name}: {value} must be 1 or more")


def _not_negative(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise LocalProtocolError(f"{attribute.name}: {value} must be 0 or more")


def _routes(instance: Any, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for route in value:
        check_value(route)


@attrs.frozen(slots=True, kw_only=True)
class RegistrarSettings:
    """One snapshot of the registrar's settings; swapped whole.

    :ivar default_expires: seconds granted to who asks for no time (RFC 3261 section 10.3 step 7).
    :ivar min_expires: who asks for less is refused with 423; a request for an hour or more never is.
    :ivar max_expires: who asks for more gets this.
    :ivar max_contacts: how many bindings one address-of-record may have; more are refused with 403.
    :ivar gruu: give public GRUUs to those who support them (RFC 5627).
    :ivar outbound: bind to instance and reg-id (RFC 5626); off, reg-id is ignored and ``Require: outbound`` refused.
    :ivar flow_timer: seconds within which a keep-alive is expected on a stream (RFC 5626 section 4.4), told in
        Flow-Timer; 0 leaves it out. For a datagram flow it is 29 at most, so that bindings of NATs survive.
    :ivar service_route: Service-Route values for every 200, topmost first (RFC 3608).
    :ivar path_without_support: take a Path though the client does not say that it supports it, instead of 420
        (RFC 3327 section 5.3).
    :ivar local_contacts: let contacts point to our own domains; a client can make requests go in circles with them.
    """

    default_expires: int = attrs.field(default=3600, validator=_positive)
    min_expires: int = attrs.field(default=60, validator=_not_negative)
    max_expires: int = attrs.field(default=7200, validator=_positive)
    max_contacts: int = attrs.field(default=10, validator=_positive)
    gruu: bool = True
    outbound: bool = True
    flow_timer: int = attrs.field(default=120, validator=_not_negative)
    service_route: tuple[str, ...] = attrs.field(default=(), validator=_routes)
    path_without_support: bool = False
    local_contacts: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.min_expires <= self.max_expires:
            raise LocalProtocolError(
                f"min_expires: {self.min_expires} is more than max_expires, write {self.max_expires} or less"
            )
