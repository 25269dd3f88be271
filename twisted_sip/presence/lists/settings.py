"""What an operator may decide about lists (RFC 4662, 5367)."""

from __future__ import annotations

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.ranges import between
from twisted_sip.message.grammar import is_token


@attrs.frozen(slots=True, kw_only=True)
class ListSettings:
    """One snapshot; LocalProtocolError where a value is out of range.

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

    max_resources: int = attrs.field(default=500, validator=between(1, 10_000))
    max_depth: int = attrs.field(default=4, validator=between(1, 32))
    max_references: int = attrs.field(default=50, validator=between(0, 1_000))
    max_body: int = attrs.field(default=49_152, validator=between(1, 1 << 20))
    max_part: int = attrs.field(default=65_536, validator=between(1, 1 << 20))
    max_request_body: int = attrs.field(default=65_536, validator=between(1, 1 << 20))
    gather: float = attrs.field(default=0.2, validator=between(0, 60))
    ad_hoc_user: str = "rls"
    remote: bool = True
    remote_lists: bool = True
    max_back_ends: int = attrs.field(default=5_000, validator=between(0, 1_000_000))
    max_back_ends_per_watcher: int = attrs.field(default=200, validator=between(0, 100_000))
    back_end_expires: int = attrs.field(default=3600, validator=between(1, 86_400))

    def __attrs_post_init__(self) -> None:
        if self.ad_hoc_user and not is_token(self.ad_hoc_user):
            raise LocalProtocolError(f'ad_hoc_user: "{self.ad_hoc_user}" is not a user part, write one word or nothing')
