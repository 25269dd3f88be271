"""What a PUBLISH leaves behind: full state, whether it came whole or as a difference (RFC 3903 section 4, 5262)."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from twisted_sip.documents import pidf, pidf_diff
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.xml_selector import PatchError
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.publication import Publication
from twisted_sip.presence.composition import published
from twisted_sip.presence.publish_request import PublishRefused, PublishRequest

#: The media types that a PUBLISH may have.
PUBLISHED_TYPES: Final = (pidf.MEDIA_TYPE, pidf_diff.MEDIA_TYPE)


def full_state(asked: PublishRequest, known: Publication | None, limit: int) -> tuple[str, bytes]:
    """Return the media type and the document that is published from now on.

    :param known: the publication that is refreshed, modified or removed.
    :param limit: the most bytes of it.
    :raises PublishRefused: the body is no presence document, does not fit what it changes, or is too long.
    """
    if not asked.body:
        # A refresh or a removal; a first publication has a body.
        return ("", b"") if known is None else (known.content_type, known.body)
    try:
        if asked.content_type == pidf.MEDIA_TYPE:
            presence = published(asked.body, limit)
            mended = _without_unknown_states(presence)
            return asked.content_type, asked.body if mended is presence else mended.to_xml()
        base = None if known is None else published(known.body, len(known.body))
        presence, _ = pidf_diff.patched(asked.body, base, limit=limit)
        return pidf.MEDIA_TYPE, presence.to_xml()
    except PatchError as error:
        raise PublishRefused(400, f"Partial presence does not fit: {reason_phrase(str(error))}") from error
    except DocumentError as error:
        status, key = (413, "presence.max_body") if error.too_large else (400, "")
        raise PublishRefused(status, reason_phrase(error.reason), key=key) from error


def _without_unknown_states(presence: Presence) -> Presence:
    """Return *presence* without <basic> elements that are neither open nor closed (RFC 3863 section 4.1.4).

    Some phones say ``unknown`` before they have registered, and some watchers then show nothing at all.
    """
    if presence.states_known:
        return presence
    root = deepcopy(presence.root)
    for basic in list(root.iterfind(f"{pidf.TUPLE}/{pidf.STATUS}/{pidf.BASIC}")):
        status = basic.getparent()
        if status is not None and (basic.text or "").strip().lower() not in pidf.STATES:
            status.remove(basic)
    return Presence.of(root)


def same_components(one: bytes, other: bytes) -> bool:
    """Tell whether two published documents have the same entity, tuples, persons and devices, by their identifiers."""
    if one == other:
        return True
    try:
        documents = [published(body, len(body)) for body in (one, other)]
    except DocumentError:
        return False
    found = [
        sorted((str(child.tag), child.get("id", "")) for child in presence.root.iterchildren("*"))
        for presence in documents
    ]
    return documents[0].entity == documents[1].entity and any(id for _, id in found[0]) and found[0] == found[1]


def reason_phrase(text: str) -> str:
    """Return *text* as a reason phrase can have it."""
    return "".join(char if " " <= char <= "~" else " " for char in text)[:120]
