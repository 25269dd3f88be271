"""Subscriptions on their way to the store and back (interfaces.subscription)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.dialog.dialog import Dialog
from twisted_sip.dialog.notifier import ACTIVE, PENDING
from twisted_sip.dialog.rates import Rates
from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.events.hosted import HostedPackage, HostedSubscription
from twisted_sip.events.rates import RateControl
from twisted_sip.interfaces.subscription import ISubscriptionStore, SubscriptionChange, SubscriptionRecord
from twisted_sip.message.parameterized import make_params

if TYPE_CHECKING:
    from twisted_sip.events.delivery import Delivery

_log = Logger()


def record_of(subscription: HostedSubscription, cseq_limit: int) -> SubscriptionRecord:
    """Return what is to be kept of *subscription*.

    :param cseq_limit: no CSeq and no version reaches it before the next record is in the store.
    """
    options: dict[str, Any] = {}
    if subscription.event_params:
        options["params"] = subscription.event_params
    if subscription.supported:
        options["supported"] = subscription.supported
    if subscription.condition:
        options["condition"] = subscription.condition
    if subscription.instance:
        options["instance"] = subscription.instance
    if subscription.authenticated:
        options["authenticated"] = True
    if subscription.source:
        options["source"] = subscription.source
    if subscription.rates is not None:
        options["rates"] = subscription.rates.rates.params()
    content_type, body = subscription.body
    if body:
        options["body"] = (content_type, base64.b64encode(body).decode("ascii"))
    return SubscriptionRecord(
        key=subscription.id,
        event=subscription.hosted.key,
        event_id=subscription.event_id,
        resource=subscription.resource,
        watcher=subscription.watcher,
        state=subscription.state,
        expires_at=subscription.expires_at,
        created_at=subscription.created_at,
        dialog=json.dumps(subscription.dialog.snapshot()),
        cseq_limit=cseq_limit,
        flow=subscription.flow,
        accept=subscription.accept,
        options=json.dumps(options),
    )


def dialog_of(record: SubscriptionRecord) -> Dialog:
    """Return the dialog of *record*; its next request has the number ``cseq_limit``.

    :raises LocalProtocolError: the record is damaged.
    """
    try:
        state = json.loads(record.dialog)
    except ValueError as error:
        raise LocalProtocolError(f"no dialog: {error}") from error
    if not isinstance(state, dict):
        raise LocalProtocolError("no dialog")
    dialog = Dialog.restore(state)
    dialog.local_cseq = record.cseq_limit - 1
    return dialog


def restore(
    record: SubscriptionRecord, dialog: Dialog, hosted: HostedPackage, delivery: Delivery, now: float
) -> HostedSubscription:
    """Return the subscription of *record*.

    :raises LocalProtocolError: the record is damaged.
    """
    made = HostedSubscription(
        delivery,
        hosted,
        dialog,
        id=record.key,
        event_id=record.event_id,
        resource=record.resource,
        watcher=record.watcher,
        created_at=record.created_at,
        expires_at=record.expires_at,
    )
    if record.state not in (ACTIVE, PENDING):
        raise LocalProtocolError(f"no state: {record.state}")
    made.state = ACTIVE if record.state == ACTIVE else PENDING
    made.cseq_limit = made.kept_limit = made.version = record.cseq_limit
    made.flow = record.flow
    made.accept = record.accept or hosted.default_accept
    made.stored = True
    try:
        options = json.loads(record.options)
        made.event_params = tuple((str(name), str(value)) for name, value in options.get("params", ()))
        made.supported = tuple(map(str, options.get("supported", ())))
        made.condition = str(options.get("condition", ""))
        made.instance = str(options.get("instance", ""))
        made.authenticated = bool(options.get("authenticated", False))
        made.source = str(options.get("source", ""))
        # What is known of it from before the restart is enough.
        made.heard = True
        content_type, body = options.get("body", ("", ""))
        made.body = (str(content_type), base64.b64decode(body))
        rates = Rates.of(make_params((str(name), str(value)) for name, value in options.get("rates", ())))
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise LocalProtocolError(f"no options: {error}") from error
    if rates:
        made.rates = RateControl(rates, now, remaining=record.expires_at - now, most=delivery.settings.max_min_rate)
    return made


class SubscriptionRecords:
    """The store, for subscriptions."""

    def __init__(self, store: ISubscriptionStore) -> None:
        self._store = store

    def load(self) -> Any:
        """Return the records of the store, or a Deferred."""
        return self._store.load()

    def keep(self, subscriptions: Iterable[HostedSubscription], cseq_limit: int) -> Deferred[None]:
        """Store *subscriptions* with this limit, all or none; fires with None, or fails with StoreError."""
        records: list[SubscriptionRecord] = []
        for subscription in subscriptions:
            subscription.stored = True
            # A limit that is on its way there must not be taken back by another reason to write.
            subscription.kept_limit = kept = max(cseq_limit, subscription.kept_limit)
            records.append(record_of(subscription, kept))
        made: Deferred[None] = self._store.commit(SubscriptionChange(tuple(records)))
        return made

    def forget(self, keys: Sequence[str]) -> Deferred[None]:
        """Drop the records with *keys*; fires with None, or fails with StoreError."""
        made: Deferred[None] = self._store.commit(SubscriptionChange((), tuple(keys)))
        return made


def not_stored(failure: Failure) -> None:
    """Log that a change did not reach the store: what is there is older then than what is in memory, and after a
    restart the watcher is asked about anew."""
    failure.trap(StoreError)
    _log.error("a subscription was not stored: {reason}", reason=str(failure.value))
