"""Text and numbers of messages as XML can hold them (XML 1.0 section 2.2), and back."""

from __future__ import annotations

import re

from lxml import etree

from twisted_sip.documents.xml import Element
from twisted_sip.errors import DocumentError

# All that is no Char of XML: most control characters, surrogates (bytes that were no UTF-8), and two more.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fit(text: str) -> str:
    """Return *text* with what XML cannot hold replaced by U+FFFD."""
    return _UNFIT.sub("\ufffd", text)


def required(element: Element, name: str) -> str:
    """Return the attribute *name* of *element*.

    :raises DocumentError: there is none.
    """
    value = element.get(name)
    if value is None:
        raise DocumentError(f"XML {etree.QName(element).localname} has no attribute {name}")
    return value


def number(text: str | None) -> int | None:
    """Return the unsigned number that *text* is, None where it is none."""
    if text is None:
        return None
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def read_version(root: Element) -> tuple[int, bool]:
    """Return the attribute ``version`` of *root*, and whether its ``state`` is ``full``.

    :raises DocumentError: one is missing or malformed.
    """
    version, state = number(required(root, "version")), required(root, "state")
    if version is None or state not in ("full", "partial"):
        raise DocumentError(f"XML {etree.QName(root).localname} has a malformed version or state")
    return version, state == "full"
