"""The formats in which watchers are told presence, and the choice among them (RFC 3856 section 6.7, RFC 5263).

What is the same for several watchers is made once: a format of a document, and the difference between two documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from twisted_sip.documents import legacy_pidf, pidf, pidf_diff
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.pidf_diff import HeldPresence, pidf_full
from twisted_sip.interfaces.event_package import Notification, PackageSubscription

#: The media types that can be made, the default first (RFC 3856 section 6.5).
CONTENT_TYPES: Final = (
    pidf.MEDIA_TYPE,
    pidf_diff.MEDIA_TYPE,
    legacy_pidf.XPIDF_MEDIA_TYPE,
    legacy_pidf.CPIM_MEDIA_TYPE,
)
# Where the package notes what a watcher of partial presence holds.
_HELD: Final = "presence.held"
#: Where the entity-tag of a document is kept, among what is made of it once.
ETAG: Final = "etag"

_LEGACY: Final[dict[str, Callable[[Presence], bytes]]] = {
    legacy_pidf.XPIDF_MEDIA_TYPE: legacy_pidf.to_xpidf,
    legacy_pidf.CPIM_MEDIA_TYPE: legacy_pidf.to_cpim_pidf,
}


def chosen_format(accept: Sequence[str]) -> str | None:
    """Return the media type for a watcher that takes *accept*, in the order of its preference; None if there is none.

    ``*/*`` and ``application/*`` take the default (RFC 3261 section 20.1).
    """
    for media_type in accept:
        media_type = media_type.lower()
        if media_type in CONTENT_TYPES:
            return media_type
        if media_type in ("*/*", "application/*"):
            return pidf.MEDIA_TYPE
    return None if accept else pidf.MEDIA_TYPE


def formatted(presence: Presence, subscription: PackageSubscription) -> Notification:
    """Return the body that tells the watcher *presence*, in the format that it likes best of those that it takes.

    A watcher of partial presence gets the full document first and whenever it is due, else the difference to what it
    was told last.
    """
    accept = subscription.accept
    media_type = pidf.MEDIA_TYPE
    memory = subscription.memory
    variants = presence.variants
    if not accept or accept[0] == media_type:
        known = variants.get(media_type)
        if type(known) is Notification and _HELD not in memory:
            # What the watcher before has been told, too.
            return known
    else:
        media_type = chosen_format(accept) or media_type
    if media_type == pidf_diff.MEDIA_TYPE:
        return Notification(content_type=media_type, body=_partial(presence, subscription), etag=etag_of(presence))
    # RFC 5263 section 4.4: partial presence begins with a full document after any other format.
    memory.pop(_HELD, None)
    made = variants.get(media_type)
    if not isinstance(made, Notification):
        if media_type == pidf.MEDIA_TYPE:
            made = Notification(content_type=media_type, body=presence.to_xml(), etag=etag_of(presence))
        else:
            made = Notification(content_type=media_type, body=_LEGACY[media_type](presence))
        variants[media_type] = made
    return made


def etag_of(presence: Presence) -> str:
    """Return an entity-tag that does not depend on which part of the state is told (RFC 5839); made once."""
    etag = presence.variants.get(ETAG)
    if not isinstance(etag, str):
        etag = presence.variants[ETAG] = hashlib.blake2b(presence.to_xml(), digest_size=12).hexdigest()
    return etag


def _partial(presence: Presence, subscription: PackageSubscription) -> bytes:
    # RFC 5263 section 4.4: the first is 1.
    version = subscription.next_version() + 1
    held = subscription.memory.get(_HELD)
    if isinstance(held, HeldPresence):
        return held.update(presence, version)
    subscription.memory[_HELD] = HeldPresence(presence)
    return pidf_full(presence, version)


def full_state_due(subscription: PackageSubscription) -> None:
    """The watcher may lack what it was told last: the next document is a full one."""
    subscription.memory.pop(_HELD, None)
