"""What the services of presence and messages take over of other settings while they run (see tap.reload)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.messaging.settings import MessagingSettings
from twisted_sip.storage.document_quota import DocumentQuota
from twisted_sip.storage.message_table import MessageLimits
from twisted_sip.tap.notifier_reload import FIXED_EVENTS, configure_notifier

if TYPE_CHECKING:
    from twisted_sip.tap.configuration import Configuration
    from twisted_sip.tap.presence_part import PresencePart

#: Sections that the part reads, and what it takes at its start alone: who is registered where, URIs that clients
#: were told, and numbers that were reserved.
SECTIONS = ("presence", "lists", "messaging", "events", "xcap")
FIXED = ("presence.outbound_proxy", "xcap.enabled", "xcap.path", *FIXED_EVENTS)


def message_limits(settings: MessagingSettings) -> MessageLimits:
    """Return how much the store of messages keeps."""
    return MessageLimits(
        per_user=settings.max_per_user,
        bytes_per_user=settings.max_bytes_per_user,
        messages=settings.max_messages,
        bytes=settings.max_bytes,
    )


def document_quota(configuration: Configuration) -> DocumentQuota:
    """Return how much one user may keep in the store of documents."""
    return DocumentQuota(configuration.xcap.max_documents, configuration.xcap.max_bytes)


def put_in_place(part: PresencePart, configuration: Configuration) -> None:
    """Give the services of *part* the settings in *configuration*; what was granted stays granted."""
    presence, messaging, notifier = part.presence, part.messaging, part.notifier
    required = configuration.auth.required
    if presence is not None:
        presence.settings = configuration.presence
        presence.authenticated = required
    if messaging is not None:
        messaging.settings = configuration.messaging
        messaging.authenticated = required
    if part.lists is not None:
        part.lists.settings = configuration.lists
    if part.messages is not None:
        part.messages.limits = message_limits(configuration.messaging)
    if part.documents is not None:
        part.documents.quota = document_quota(configuration)
    if notifier is not None:
        configure_notifier(notifier, configuration.events)
