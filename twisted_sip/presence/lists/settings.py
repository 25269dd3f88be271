"""What an operator may decide about lists (RFC 4662, 5367)."""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError


def _positive(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise LocalProtocolError(f"{attribute.name}: {value} must be 1 or more")


def _not_negative(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value < 0:
        raise LocalProtocolError(f"{attribute.name}: {value} must be 0 or more")


@attrs.frozen(slots=True, kw_only=True)
class ListSettings:
    """One snapshot.

    :ivar max_resources: the most resources of a subscription, those of lists in its list included.
    :ivar max_depth: how deep lists may stand in lists: below one another in a document, and by lists whose URIs are
        entries; also how deep the body from a list elsewhere may be nested.
    :ivar max_references: the most references (entry-ref, external) that are followed for one list.
    :ivar max_body: bytes of one NOTIFY, more or less: what does not fit follows in the next one.
    :ivar max_part: the most bytes that a notifier elsewhere may tell of one resource.
    :ivar max_request_body: the most bytes of a list in a SUBSCRIBE.
    :ivar gather: seconds that changes are gathered before a NOTIFY tells of them together.
    :ivar ad_hoc_user: the user part of the URI that takes lists in the body (RFC 5367), in each of our domains; empty
        for none.
    :ivar remote: subscribe to resources in other domains.
    :ivar remote_lists: let resources elsewhere be lists themselves (RFC 4662 section 4).
    :ivar max_back_ends: the most subscriptions to resources elsewhere.
    :ivar max_back_ends_per_watcher: the same for one watcher.
    :ivar back_end_expires: seconds that these are asked for at a time.
    """

    max_resources: int = attrs.field(default=500, validator=_positive)
    max_depth: int = attrs.field(default=4, validator=_positive)
    max_references: int = attrs.field(default=50, validator=_not_negative)
    max_body: int = attrs.field(default=49_152, validator=_positive)
    max_part: int = attrs.field(default=65_536, validator=_positive)
    max_request_body: int = attrs.field(default=65_536, validator=_positive)
    gather: float = attrs.field(default=0.2, validator=_not_negative)
    ad_hoc_user: str = "rls"
    remote: bool = True
    remote_lists: bool = True
    max_back_ends: int = attrs.field(default=5_000, validator=_not_negative)
    max_back_ends_per_watcher: int = attrs.field(default=200, validator=_not_negative)
    back_end_expires: int = attrs.field(default=3600, validator=_positive)
