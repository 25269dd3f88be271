"""Who is typing: ``application/im-iscomposing+xml`` (RFC 3994)."""

from __future__ import annotations

import attrs
from lxml import etree

from twisted_sip.documents.cpim import format_date_time, parse_date_time
from twisted_sip.documents.xml import parse_xml, serialize
from twisted_sip.errors import DocumentError

MEDIA_TYPE = "application/im-iscomposing+xml"
NAMESPACE = "urn:ietf:params:xml:ns:im-iscomposing"

#: Seconds after which a sender who names no refresh interval counts as idle (section 3.3).
DEFAULT_REFRESH = 120
#: Seconds without activity after which a sender says that it is idle (section 3.2).
IDLE_TIMEOUT = 15
#: The least seconds between two refreshes of the active state (section 3.2).
MIN_REFRESH = 60

_MOST = 1 << 31


@attrs.frozen(slots=True, kw_only=True)
class IsComposing:
    """A status message.

    :ivar active: True while something is composed; states that are not known count as idle (section 3.5).
    :ivar last_active: when something was last added, in seconds since the epoch, None where that is not said.
    :ivar content_type: what is composed: ``text/plain`` or a type alone, or empty.
    :ivar refresh: seconds until the next refresh is due, None where none will come.
    """

    active: bool
    last_active: float | None = None
    content_type: str = ""
    refresh: int | None = None

    def active_until(self, received_at: float) -> float:
        """Return when the sender counts as idle if nothing more is heard (section 3.3).

        :param received_at: when this came, on whatever scale the result is to be.
        """
        if not self.active:
            return received_at
        return received_at + (DEFAULT_REFRESH if self.refresh is None else self.refresh)

    def to_bytes(self) -> bytes:
        """Return the document."""
        root = etree.Element(f"{{{NAMESPACE}}}isComposing", nsmap={None: NAMESPACE})  # type: ignore[dict-item]
        fields = [("state", "active" if self.active else "idle")]
        if self.last_active is not None:
            fields.append(("lastactive", format_date_time(self.last_active)))
        if self.content_type:
            fields.append(("contenttype", self.content_type))
        if self.refresh is not None:
            fields.append(("refresh", str(self.refresh)))
        for name, text in fields:
            etree.SubElement(root, f"{{{NAMESPACE}}}{name}").text = text
        return serialize(root)


def parse_iscomposing(body: bytes) -> IsComposing:
    """Return the status message in *body*. Optional parts that cannot be read count as missing.

    :raises DocumentError: it is none, or has no state.
    """
    root = parse_xml(body, root=(NAMESPACE, "isComposing"), elements=256)

    def text(name: str) -> str:
        found = root.find(f"{{{NAMESPACE}}}{name}")
        return "" if found is None else (found.text or "").strip()

    state = text("state")
    if not state:
        raise DocumentError("isComposing has no state")
    refresh = text("refresh")
    number = int(refresh) if refresh.isascii() and refresh.isdigit() and len(refresh) < 11 else 0
    return IsComposing(
        active=state == "active",
        last_active=parse_date_time(text("lastactive")),
        content_type=text("contenttype"),
        refresh=min(number, _MOST) or None,
    )
