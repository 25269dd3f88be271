"""Values that several formats share: notes in a language, points in time, URIs that are the same.

Dates are those of RFC 3339 as RFC 3863 section 4.1.7 has them, and dateTime of XML Schema as RFC 4479 section 5.1 does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import attrs
from lxml import etree

from twisted_sip.documents.xml import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import parse_uri

# Most control characters, surrogates (bytes that were no UTF-8), and two more.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: The name of the attribute ``xml:lang``.
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@attrs.frozen(slots=True)
class Note:
    """A text for people.

    :ivar text: what it says.
    :ivar lang: its language tag, empty where it is not told.
    """

    text: str
    lang: str = ""


def fit(text: str) -> str:
    """Return *text* with what XML cannot hold (XML 1.0 section 2.2) replaced by U+FFFD."""
    return _UNFIT.sub("\ufffd", text)


def text_of(element: Element | None) -> str:
    """Return the text of *element*, stripped; empty where it is missing."""
    return "" if element is None or element.text is None else element.text.strip()


def read_notes(parent: Element, name: str) -> tuple[Note, ...]:
    """Return the texts of the children called *name* (``{namespace}note``), in order."""
    return tuple([Note(text_of(child), child.get(LANG, "")) for child in parent.iterchildren(name)])


def add_note(parent: Element, name: str, note: Note) -> None:
    """Append *note* as a child called *name*."""
    child = etree.SubElement(parent, name)
    child.text = fit(note.text)
    if note.lang:
        child.set(LANG, note.lang)


def parse_time(text: str | None) -> datetime | None:
    """Return the point in time that *text* tells, None where it tells none; without a zone it is UTC."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def format_time(seconds: float) -> str:
    """Return the text for *seconds* since the epoch: ``2024-05-05T10:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def same_uri(first: str, second: str) -> bool:
    """Tell whether two URIs are equivalent by the rules of their scheme; texts that are no URIs must be the same."""
    if first == second:
        return True
    if first[:4].lower() == second[:4].lower() == "urn:":
        # The namespace of a URN means the same in any case, and so does a UUID.
        return _urn(first) == _urn(second)
    try:
        return parse_uri(first).equivalent(parse_uri(second))
    except RemoteProtocolError:
        return False


def _urn(text: str) -> tuple[str, str]:
    namespace, _, rest = text[4:].partition(":")
    namespace = namespace.lower()
    return namespace, rest.lower() if namespace == "uuid" else rest
