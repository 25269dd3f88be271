"""What references in resource lists lead to, within this server (RFC 4826 sections 3.1 and 4.5; RFC 4825 section 6).

A reference is followed into the documents of the list's own user and into the global tree, as that user could read
them; never by HTTP, so a list cannot make this server ask others.
"""

from __future__ import annotations

import re
from copy import deepcopy
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred

from twisted_sip.documents.resource_lists import ELEMENT_LIMIT, NAMESPACE, Entry, ResourceList, read_list
from twisted_sip.documents.xml import Element, parse_xml
from twisted_sip.errors import DocumentError, RemoteProtocolError
from twisted_sip.interfaces.documents import Document, IDocumentStore
from twisted_sip.message.uri import SIPURI, parse_uri

AUID = "resource-lists"
_SEPARATOR = "~~"
#: The most steps of a node selector.
_STEP_LIMIT = 64
#: Documents kept parsed.
_MOST_PARSED = 32

_STEP = re.compile(
    r"""(?:[\w.\-]+:)?(?P<name>[\w.\-]+|\*)
        (?:\[(?P<position>[0-9]{1,9})\])?
        (?:\[@(?P<attribute>[\w.\-]+)=(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')\])?""",
    re.VERBOSE,
)


class ReferenceToNothing(DocumentError):
    """A reference within this server to a document, or an element, that is not there."""


class References:
    """Follows references for one server.

    :param documents: the documents of its users, None where there are none.
    :param path: the path of its XCAP root: ``/xcap-root``.
    """

    def __init__(self, documents: IDocumentStore | None, path: str) -> None:
        self._documents = documents
        self._path = path.rstrip("/")
        # A list may lead to many nodes of one document.
        self._parsed: dict[tuple[str, str], tuple[str, Element]] = {}

    async def list_at(self, owner: str, uri: str) -> ResourceList:
        """Return the <list> that the absolute HTTP *uri* leads to: of an <external>, of a <resource-list>.

        :param owner: the canonical address-of-record of the user whose list refers to it.
        :raises DocumentError: it leads to none, or elsewhere.
        :raises StoreError: the documents cannot be read.
        """
        try:
            parts = urlsplit("".join(uri.split()))
        except ValueError:
            raise DocumentError("a reference that is no URI") from None
        if parts.scheme not in ("http", "https") or not parts.path.startswith(f"{self._path}/"):
            raise DocumentError("a reference to another server")
        element = await self._element(owner, parts.path[len(self._path) + 1 :])
        if element.tag != f"{{{NAMESPACE}}}list":
            raise DocumentError("a reference to what is no list")
        return read_list(element)

    async def entry_at(self, owner: str, ref: str) -> Entry:
        """Return the <entry> that *ref*, relative to the XCAP root, leads to.

        :raises DocumentError: it leads to none, or elsewhere.
        :raises StoreError: the documents cannot be read.
        """
        element = await self._element(owner, ref.partition("?")[0].lstrip("/"))
        uri = (element.get("uri") or "").strip()
        if element.tag != f"{{{NAMESPACE}}}entry" or not uri:
            raise DocumentError("a reference to what is no entry")
        holder = read_list(_wrapped(element))
        entry = holder.members[0]
        assert isinstance(entry, Entry)
        return entry

    async def _element(self, owner: str, selector: str) -> Element:
        place, mark, node = selector.partition(f"/{_SEPARATOR}/")
        segments = [unquote(segment) for segment in place.split("/")]
        if not mark or len(segments) < 3 or segments[0] != AUID:
            raise DocumentError("a reference to no node of a resource list")
        if segments[1] == "users" and len(segments) > 3 and _canonical(segments[2]) == owner and owner:
            home, name = owner, "/".join(segments[3:])
        elif segments[1] == "global":
            home, name = "", "/".join(segments[2:])
        else:
            raise DocumentError("a reference to the lists of somebody else")
        document = None
        if self._documents is not None:
            found = self._documents.get(AUID, home, name)
            document = (await found) if isinstance(found, Deferred) else found
        if document is None:
            raise ReferenceToNothing("a reference to a document that is not there")
        return _selected(self._root(document), unquote(node))

    def _root(self, document: Document) -> Element:
        place = (document.owner, document.name)
        known = self._parsed.get(place)
        if known is not None and known[0] == document.etag:
            return known[1]
        root = parse_xml(
            document.content, root=(NAMESPACE, "resource-lists"), limit=len(document.content), elements=ELEMENT_LIMIT
        )
        if len(self._parsed) >= _MOST_PARSED:
            self._parsed.clear()
        self._parsed[place] = (document.etag, root)
        return root


def _canonical(xui: str) -> str:
    try:
        uri = parse_uri(xui if ":" in xui.partition("@")[0] else f"sip:{xui}")
    except RemoteProtocolError:
        return ""
    return uri.address_of_record if isinstance(uri, SIPURI) else ""


def _wrapped(entry: Element) -> Element:
    holder: Element = entry.makeelement(f"{{{NAMESPACE}}}list", {}, {})
    holder.append(deepcopy(entry))
    return holder


def _selected(root: Element, node: str) -> Element:
    """Return the one element below *root* that the node selector selects (RFC 4825 section 6.3)."""
    steps = _steps(node)
    level: list[Element] = [root]
    for number, step in enumerate(steps):
        found = _STEP.fullmatch(step)
        if found is None:
            raise DocumentError("a reference with a selector that is not understood")
        candidates = level if number == 0 else list(level[0].iterchildren("*"))
        name = found["name"]
        level = [each for each in candidates if name == "*" or each.tag == f"{{{NAMESPACE}}}{name}"]
        if found["position"] is not None:
            position = int(found["position"])
            level = level[position - 1 : position] if position else []
        if found["attribute"] is not None:
            value = found["double"] if found["double"] is not None else found["single"]
            level = [each for each in level if each.get(found["attribute"]) == value]
        if len(level) != 1:
            # Section 6.3: a selector selects exactly one.
            raise ReferenceToNothing("a reference to an element that is not there")
    return level[0]


def _steps(node: str) -> list[str]:
    steps, quoted = [""], ""
    for char in node:
        if not quoted and char == "/":
            steps.append("")
            if len(steps) > _STEP_LIMIT:
                raise DocumentError("a reference with too many steps")
            continue
        if quoted:
            quoted = "" if char == quoted else quoted
        elif char in "\"'":
            quoted = char
        steps[-1] += char
    return steps
