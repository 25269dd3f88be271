"""What a notifier takes over of other settings while it runs (see tap.reload)."""

from __future__ import annotations

from twisted_sip.events.notifier import Notifier
from twisted_sip.events.notifier_settings import NotifierSettings

#: What it takes at its start alone: the name in Contacts that peers have, and how numbers were reserved.
FIXED_EVENTS = ("events.contact_user", "events.cseq_block")


def configure_notifier(notifier: Notifier, settings: NotifierSettings) -> None:
    """Give *notifier* other *settings*; what was granted stays granted."""
    notifier.settings = notifier.delivery.settings = settings
    notifier.delivery.queue.rate = settings.notify_rate
    notifier.delivery.queue.burst = settings.notify_burst
    notifier.dialogs.limit = settings.max_dialogs
    for hosted in notifier.packages.values():
        hosted.min_expires, hosted.max_expires = settings.min_expires, settings.max_expires
