"""Subscriptions as a notifier keeps them over restarts, and the store for them (RFC 6665)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

#: The state of a subscription that ran out before somebody had decided about it (RFC 3857 section 4.7.1). Packages that
#: have such watchers put their records into the store.
WAITING: Final = "waiting"


@attrs.frozen(slots=True, kw_only=True)
class SubscriptionRecord:
    """One subscription at the notifier, with all that is needed to go on after a restart.

    :ivar key: what makes it itself: dialog and event id; unique.
    :ivar event: the event type: ``presence``, ``presence.winfo``.
    :ivar event_id: the id parameter of Event (RFC 6665 section 8.2.1), or empty.
    :ivar resource: the canonical URI subscribed to.
    :ivar watcher: the canonical URI of who watches.
    :ivar state: ``active``, ``pending`` or :data:`WAITING`.
    :ivar expires_at: end of life, seconds since the epoch.
    :ivar created_at: seconds since the epoch.
    :ivar dialog: the dialog as :meth:`twisted_sip.dialog.dialog.Dialog.snapshot` gives it, JSON text; empty of those
        who wait.
    :ivar cseq_limit: no NOTIFY has had a CSeq number, and no document a version, from this one on: where to go on after
        a restart, so that a NOTIFY needs no write of its own.
    :ivar flow: the token of the flow by which the SUBSCRIBE came, or empty.
    :ivar accept: the media types that the watcher takes.
    :ivar options: what else the watcher asked for (rates, option tags, entity-tag), JSON text.
    """

    key: str
    event: str
    resource: str
    watcher: str
    state: str
    expires_at: float
    created_at: float
    dialog: str
    cseq_limit: int
    event_id: str = ""
    flow: str = ""
    accept: tuple[str, ...] = ()
    options: str = "{}"


@attrs.frozen(slots=True)
class SubscriptionChange:
    """An atomic change of what is kept.

    :ivar put: records to add or replace, by key.
    :ivar remove: keys of records to drop.
    """

    put: tuple[SubscriptionRecord, ...] = ()
    remove: tuple[str, ...] = ()


class ISubscriptionStore(Interface):
    """Makes subscriptions outlive the process; what is current is in the memory of the notifier.

    Every implementation passes ``twisted_sip.testing.subscription_contract``.
    """

    def load() -> Sequence[SubscriptionRecord] | Deferred[Sequence[SubscriptionRecord]]:
        """Return every unexpired record, in the order in which they were first made; asked once, at the start.

        :raises StoreError: the store cannot be read.
        """

    def commit(change: SubscriptionChange) -> Deferred[None]:
        """Make *change* durable, all or nothing, in the order of the calls; fires with None, or StoreError."""

    def close() -> Deferred[None]:
        """Flush and release what is held; fires with None."""
