"""How a notifier behaves (RFC 6665 section 4.2)."""

from __future__ import annotations

from typing import Final

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.ranges import above, at_least, between
from twisted_sip.message.grammar import is_token

#: In seconds.
_YEAR: Final = 31_536_000


@attrs.frozen(slots=True, kw_only=True)
class NotifierSettings:
    """An immutable snapshot; LocalProtocolError where a value is out of range.

    :ivar min_expires: seconds; a SUBSCRIBE for less is answered 423, unless it is for an hour or more (section
        4.2.1.1).
    :ivar max_expires: seconds; who asks for more gets this.
    :ivar max_subscriptions: the most subscriptions at a time; further ones are answered 503. Those of watchers in other
        domains, who have proved nothing, are not among them.
    :ivar max_per_watcher: the most subscriptions of one watcher; a program may watch everybody.
    :ivar max_per_resource: the most subscriptions to one resource.
    :ivar max_foreign: the most subscriptions of watchers who have proved nothing: a share of their own, so that others
        find room whatever they do.
    :ivar max_foreign_per_resource: the most of these to one resource.
    :ivar max_foreign_per_source: the most of these that come from one host, or from one /64 of IPv6.
    :ivar max_foreign_expires: seconds; who has proved nothing and asks for more gets this.
    :ivar retry_after: seconds, told to those who are answered 503.
    :ivar notify_rate: NOTIFYs per second over all watchers, for news and ends; the NOTIFY that follows a SUBSCRIBE does
        not wait.
    :ivar notify_burst: how many may leave at once after a quiet time.
    :ivar notify_few: news for no more watchers than these do not wait: what brings them comes at a rate of its own.
    :ivar max_min_rate: NOTIFYs per second that one watcher may ask for without news (RFC 6446 section 6.3).
    :ivar answer_timeout: seconds that a package may take to say what to tell.
    :ivar cseq_block: how many CSeq numbers are reserved in the store at a time.
    :ivar contact_user: the user part of the Contact, by which requests in our dialogs are known.
    """

    min_expires: int = attrs.field(default=60, validator=between(0, _YEAR))
    max_expires: int = attrs.field(default=86_400, validator=between(1, _YEAR))
    max_subscriptions: int = attrs.field(default=100_000, validator=between(1, 10_000_000))
    max_per_watcher: int = attrs.field(default=10_000, validator=at_least(1))
    max_per_resource: int = attrs.field(default=20_000, validator=at_least(1))
    max_foreign: int = attrs.field(default=2_000, validator=between(0, 10_000_000))
    max_foreign_per_resource: int = attrs.field(default=100, validator=at_least(0))
    max_foreign_per_source: int = attrs.field(default=50, validator=at_least(0))
    max_foreign_expires: int = attrs.field(default=3_600, validator=between(1, _YEAR))
    retry_after: int = attrs.field(default=60, validator=between(0, 86_400))
    notify_rate: float = attrs.field(default=2_000.0, validator=above(0, 1_000_000))
    notify_burst: int = attrs.field(default=500, validator=between(1, 1_000_000))
    notify_few: int = attrs.field(default=8, validator=between(0, 10_000))
    max_min_rate: float = attrs.field(default=1.0, validator=between(0, 1_000))
    answer_timeout: float = attrs.field(default=10.0, validator=above(0, 600))
    cseq_block: int = attrs.field(default=4096, validator=between(1, 1 << 20))
    contact_user: str = "notifier"

    def __attrs_post_init__(self) -> None:
        if self.min_expires > self.max_expires:
            raise LocalProtocolError(
                f"min_expires: {self.min_expires} is more than max_expires, write {self.max_expires} or less"
            )
        if not is_token(self.contact_user):
            raise LocalProtocolError(f'contact_user: "{self.contact_user}" is not a user part, write one word')

    @property
    def max_dialogs(self) -> int:
        """How many dialogs there may be for all of these."""
        return self.max_subscriptions + self.max_foreign

    def granted(self, seconds: int, *, foreign: bool) -> int:
        """Return how long a subscription lasts that was to last *seconds*: strangers get less (section 4.2.1.1)."""
        return min(seconds, max(self.max_foreign_expires, self.min_expires)) if foreign else seconds
