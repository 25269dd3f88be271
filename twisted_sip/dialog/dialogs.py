"""The dialogs of one element and the usages that share them (RFC 3261 section 12, RFC 5057, RFC 6665 section 4.5.2).

A dialog lives while a usage of it lives. A usage is an INVITE session, or a subscription at one of its two sides; who
owns it gives it a deadline of its own, so that no entry here lasts for ever.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, Protocol

from twisted_sip.dialog.dialog import Dialog, DialogID
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.event_fields import Event
from twisted_sip.message.request import Request


class Effect(enum.Enum):
    """What a failure response to a request within a dialog destroys (RFC 5057 section 5.1)."""

    TRANSACTION = "transaction"
    USAGE = "usage"
    DIALOG = "dialog"


_DESTROYS_USAGE = frozenset((405, 480, 481, 489, 501))
_DESTROYS_DIALOG = frozenset((404, 410, 416, 482, 483, 484, 485, 502, 604))
#: The methods of an INVITE session (RFC 5057 section 5.3).
_OF_INVITE = frozenset(("INVITE", "UPDATE", "PRACK", "ACK", "BYE", "INFO"))


def effect_of(status: int, method: str) -> Effect:
    """Return what a response with *status* to a request of *method* within a dialog destroys.

    RFC 5057 section 5.1, table 1, with its notes 3, 4, 8 and 12. A timeout counts as 408: it destroys the usage
    (section 5.2), but of a SUBSCRIBE, where Timer N decides (RFC 6665 section 4.1.2.2).
    """
    if method == "CANCEL":
        return Effect.TRANSACTION
    if status in _DESTROYS_DIALOG:
        # RFC 6665 section 4.1.2.2 names what ends a subscription when it is refreshed, and not 502.
        return Effect.TRANSACTION if status == 502 and method == "SUBSCRIBE" else Effect.DIALOG
    if status == 408:
        return Effect.TRANSACTION if method == "SUBSCRIBE" or not _is_integral(method) else Effect.USAGE
    if status in _DESTROYS_USAGE and _is_integral(method):
        if status == 489 and method not in ("SUBSCRIBE", "NOTIFY"):
            return Effect.TRANSACTION
        if status in (405, 501) and method == "INFO":
            return Effect.TRANSACTION
        return Effect.USAGE
    return Effect.TRANSACTION


def _is_integral(method: str) -> bool:
    """Tell whether requests of *method* belong to a usage."""
    return method in _OF_INVITE or method in ("SUBSCRIBE", "NOTIFY", "REFER")


_new = tuple.__new__


class UsageKey(NamedTuple):
    """What tells the usages of one dialog apart (RFC 5057 section 5.3).

    :ivar kind: ``invite``, ``subscriber`` (NOTIFYs come to us) or ``notifier`` (they come from us).
    :ivar event: the event type of a subscription.
    :ivar event_id: the id parameter of Event, or empty.
    """

    kind: str
    event: str = ""
    event_id: str = ""


#: The one INVITE session that a dialog can have.
INVITE_USAGE = UsageKey("invite")


def subscriber_usage(event: Event) -> UsageKey:
    """Return the key of our subscription to *event* of the peer."""
    return UsageKey("subscriber", *event.match_key)


def notifier_usage(event: Event) -> UsageKey:
    """Return the key of the peer's subscription to *event* of ours."""
    return UsageKey("notifier", *event.match_key)


def dialog_id_of(request: Request) -> DialogID:
    """Return the ID of the dialog to which a *request* that came in belongs (RFC 3261 section 12.2.2).

    Its local tag is empty for a request outside of any dialog.

    :raises RemoteProtocolError: From, To or Call-ID is missing or malformed.
    """
    known = request.headers.parsed.get
    to, sender = known("to") or request.to, known("from") or request.from_
    # As DialogID() does, without the call.
    return _new(DialogID, (known("call-id") or request.call_id, to.tag, sender.tag))


def usage_key_of(request: Request) -> UsageKey | None:
    """Return the usage to which a *request* that came in belongs, None if to none (RFC 5057 section 5.3).

    :raises RemoteProtocolError: a SUBSCRIBE or NOTIFY has no Event (status 489, RFC 6665 section 8.3.2) or a malformed
        one.
    """
    method = request.method
    if method in _OF_INVITE:
        return INVITE_USAGE
    if method not in ("SUBSCRIBE", "NOTIFY"):
        return None
    event = request.typed("event")
    if event is None:
        raise RemoteProtocolError("Missing Event header field", status=489, header="Event")
    return subscriber_usage(event) if method == "NOTIFY" else notifier_usage(event)


class Usage(Protocol):
    """One usage of a dialog."""

    def dialog_destroyed(self, status: int) -> None:
        """The dialog is gone, and so is this usage: another one of it, or this one, had a response with *status*."""


class _Entry(NamedTuple):
    dialog: Dialog
    usages: dict[UsageKey, Usage]


class Dialogs:
    """Dialogs by their ID, and their usages."""

    def __init__(self, limit: int = 100_000, usage_limit: int = 16) -> None:
        """Make an empty table.

        :param limit: the most dialogs at a time.
        :param usage_limit: the most usages of one dialog.
        """
        self.limit = limit
        self.usage_limit = usage_limit
        self._entries: dict[DialogID, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id: object) -> bool:
        return id in self._entries

    def get(self, id: DialogID) -> Dialog | None:
        """Return the dialog with *id*, None if there is none."""
        entry = self._entries.get(id)
        return None if entry is None else entry.dialog

    def usage(self, id: DialogID, key: UsageKey) -> Usage | None:
        """Return a usage of the dialog with *id*, None if there is none."""
        entry = self._entries.get(id)
        return None if entry is None else entry.usages.get(key)

    def usages(self, id: DialogID) -> dict[UsageKey, Usage]:
        """Return the usages of the dialog with *id*: a copy, empty where there is no such dialog."""
        entry = self._entries.get(id)
        return {} if entry is None else dict(entry.usages)

    def add(self, dialog: Dialog, key: UsageKey, usage: Usage) -> bool:
        """Add *usage*, and *dialog* if it is a new one.

        :return: False where a limit does not allow it; nothing has changed then.
        :raises LocalProtocolError: another dialog has the same ID, or the dialog such a usage.
        """
        id = dialog.id
        entry = self._entries.get(id)
        if entry is None:
            if len(self._entries) >= self.limit:
                return False
            self._entries[id] = _new(_Entry, (dialog, {key: usage}))
            return True
        if entry.dialog is not dialog:
            raise LocalProtocolError(f"another dialog is known as {dialog.id}")
        if key in entry.usages:
            raise LocalProtocolError(f"the dialog has a usage {key}")
        if len(entry.usages) >= self.usage_limit:
            return False
        entry.usages[key] = usage
        return True

    def end_usage(self, id: DialogID, key: UsageKey) -> bool:
        """Take a usage off, and the dialog with its last one (RFC 6665 section 4.5.2). Harmless if it is not there.

        :return: True if the dialog is gone.
        """
        entry = self._entries.get(id)
        if entry is None:
            return True
        entry.usages.pop(key, None)
        if entry.usages:
            return False
        del self._entries[id]
        return True

    def response_received(self, id: DialogID, key: UsageKey | None, method: str, status: int) -> Effect:
        """Do what a response with *status* to a request of *method* within the dialog asks for (RFC 5057 section 5).

        Every usage that it destroys is told.

        :param key: the usage to which the request belongs, None if to none.
        :param status: 408 for a timeout as well (section 5.2).
        :return: what was destroyed.
        """
        effect = effect_of(status, method)
        if effect is Effect.DIALOG:
            self.destroy(id, status)
        elif effect is Effect.USAGE and key is not None:
            usage = self.usage(id, key)
            self.end_usage(id, key)
            if usage is not None:
                usage.dialog_destroyed(status)
        return effect

    def destroy(self, id: DialogID, status: int) -> None:
        """Drop a dialog, and tell every usage of it; *status* is the response that says so, 0 if none does."""
        entry = self._entries.pop(id, None)
        if entry is not None:
            for usage in list(entry.usages.values()):
                usage.dialog_destroyed(status)
