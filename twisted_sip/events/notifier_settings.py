"""How a notifier behaves (RFC 6665 section 4.2)."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, kw_only=True)
class NotifierSettings:
    """An immutable snapshot.

    :ivar min_expires: seconds; a SUBSCRIBE for less is answered 423, unless it is for an hour or more (section
        4.2.1.1).
    :ivar max_expires: seconds; who asks for more gets this.
    :ivar max_subscriptions: the most subscriptions at a time; further ones are answered 503.
    :ivar max_per_watcher: the most subscriptions of one watcher; a program may watch everybody.
    :ivar max_per_resource: the most subscriptions to one resource.
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

    min_expires: int = 60
    max_expires: int = 86_400
    max_subscriptions: int = 100_000
    max_per_watcher: int = 10_000
    max_per_resource: int = 20_000
    retry_after: int = 60
    notify_rate: float = 2_000.0
    notify_burst: int = 500
    notify_few: int = 8
    max_min_rate: float = 1.0
    answer_timeout: float = 10.0
    cseq_block: int = 4096
    contact_user: str = "notifier"
