"""The application usages that a server serves by default.

RFC 5025 section 9 (pres-rules), RFC 4826 sections 3.4 and 4.4 (resource-lists, rls-services), RFC 4827
(pidf-manipulation), RFC 4825 section 12 (xcap-caps), and two of OMA's that clients ask for: the same presence rules
under another name, and a directory of a user's documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from lxml import etree
from twisted.internet.defer import Deferred

from twisted_sip.documents import common_policy, pres_rules, resource_lists, rls_services, xcap_caps
from twisted_sip.documents.xcap_caps import XCAPCapabilities
from twisted_sip.documents.xcap_error import Conflict, Exists
from twisted_sip.documents.xml import Element, parse_xml, serialize
from twisted_sip.errors import DocumentError
from twisted_sip.interfaces.documents import Document, IDocumentStore
from twisted_sip.storage.service_index import INDEX, ServiceIndex
from twisted_sip.xcap.list_constraints import check_lists, is_absolute_http, path_of
from twisted_sip.xcap.node_edits import ConflictError
from twisted_sip.xcap.selectors import DocumentSelector, SelectorError, canonical_xui, encode_node
from twisted_sip.xcap.usage import ApplicationUsage, Client, Settle, Usages

PIDF_NAMESPACE = "urn:ietf:params:xml:ns:pidf"
DIRECTORY_NAMESPACE = "urn:oma:xml:xdm:xcap-directory"

#: The most services of one document: their URIs are kept in memory.
MOST_SERVICES = 100

#: Asked whether a URI is somebody else's already: a user, a service elsewhere.
IsTaken = Callable[[str], "bool | Awaitable[bool]"]


class PresRules(ApplicationUsage):
    """Presence authorisation rules (RFC 5025 section 9)."""

    auid = "pres-rules"
    # RFC 5025 section 9.3; elements of common policy need a prefix in selectors.
    namespace = pres_rules.NAMESPACE
    content_type = common_policy.MEDIA_TYPE
    schemas = (common_policy.NAMESPACE, pres_rules.NAMESPACE)

    def validate(self, root: Element) -> None:
        super().validate(root)
        if root.tag != f"{{{common_policy.NAMESPACE}}}ruleset":
            raise ConflictError("schema-validation-error", "the root element is no ruleset")


class OMAPresRules(PresRules):
    """The same under the name, and with the default namespace, that OMA gave it."""

    auid = "org.openmobilealliance.pres-rules"
    namespace = common_policy.NAMESPACE


class ResourceLists(ApplicationUsage):
    """Resource lists (RFC 4826 section 3.4)."""

    auid = "resource-lists"
    namespace = resource_lists.NAMESPACE
    content_type = resource_lists.MEDIA_TYPE
    schemas = (resource_lists.NAMESPACE,)

    def constraints(self, selector: DocumentSelector, root: Element, xcap_root: str) -> None:
        check_lists(root)


class PIDFManipulation(ApplicationUsage):
    """Presence that a user sets for as long as it stands (RFC 4827)."""

    auid = "pidf-manipulation"
    namespace = PIDF_NAMESPACE
    content_type = "application/pidf+xml"
    schemas = (
        PIDF_NAMESPACE,
        "urn:ietf:params:xml:ns:pidf:data-model",
        "urn:ietf:params:xml:ns:pidf:rpid",
        "urn:ietf:params:xml:ns:pidf:cipid",
    )

    def is_document(self, selector: DocumentSelector) -> bool:
        # Section 9: one document for each user, under this name.
        return bool(selector.owner) and selector.name == "index"


class RLSServices(ApplicationUsage):
    """List services, and the index of those of all users (RFC 4826 section 4.4).

    :param index: the URIs of all services of the store.
    :param is_taken: tells whether a URI is that of a user or of anything else that is no list service.
    """

    auid = "rls-services"
    namespace = rls_services.NAMESPACE
    content_type = rls_services.MEDIA_TYPE
    schemas = (rls_services.NAMESPACE, resource_lists.NAMESPACE)

    def __init__(self, index: ServiceIndex, is_taken: IsTaken = lambda uri: False) -> None:
        self.index = index
        self._is_taken = is_taken

    def is_document(self, selector: DocumentSelector) -> bool:
        return bool(selector.owner) or selector.name == INDEX

    def may(self, client: Client, selector: DocumentSelector, writes: bool) -> bool:
        # Section 4.4.9: the index tells of everybody, so it is for trusted elements alone.
        return client.trusted or (bool(selector.owner) and client.user == selector.owner)

    def read_only(self, selector: DocumentSelector) -> bool:
        return not selector.owner

    async def make(self, store: IDocumentStore, selector: DocumentSelector, root: str) -> Document:
        # Section 4.4.8: the services of the documents called index of all users, as they are now.
        found = store.every(self.auid)
        documents: Sequence[Document] = (await found) if isinstance(found, Deferred) else found
        union = etree.Element(f"{{{self.namespace}}}rls-services", nsmap=_default(self.namespace))
        for document in documents:
            if document.owner and document.name == INDEX:
                try:
                    each = parse_xml(document.content, limit=len(document.content), elements=1 << 30)
                except DocumentError:
                    continue
                union.extend(each.iterchildren(f"{{{self.namespace}}}service"))
        return _made(selector, serialize(union))

    async def constraints(self, selector: DocumentSelector, root: Element, xcap_root: str) -> Settle:
        check_lists(root)
        services = list(root.iterchildren(f"{{{self.namespace}}}service"))
        if len(services) > MOST_SERVICES:
            raise ConflictError("constraint-failure", f"a document has at most {MOST_SERVICES} services")
        for element in root.iterfind(f"{{{self.namespace}}}service/{{{self.namespace}}}resource-list"):
            check_reference("".join((element.text or "").split()), selector, xcap_root)
        await self.index.ready()
        place = (selector.owner, selector.name)
        uris = [element.get("uri", "").strip() for element in services]
        # Claimed before anything is waited for: of two who want the same URI at once, one gets it.
        taken = {uri for uri in uris if uris.count(uri) > 1 or self.index.taken(uri, place)}
        settle = self.index.claim(uris, place)
        try:
            for uri in uris:
                if uri not in taken and await self._taken_elsewhere(uri):
                    taken.add(uri)
            if taken:
                exists = [
                    Exists(encode_node(f"{path_of(element)}/@uri"), await self._alternatives(uri, place))
                    for element, uri in zip(services, uris, strict=True)
                    if uri in taken
                ]
                raise ConflictError(
                    "", conflict=Conflict("uniqueness-failure", "the URI is taken", "", tuple(exists[:10]))
                )
        except BaseException:
            settle()
            raise
        return settle

    async def _taken_elsewhere(self, uri: str) -> bool:
        answer = self._is_taken(uri)
        return answer if isinstance(answer, bool) else await answer

    async def _alternatives(self, uri: str, place: tuple[str, str]) -> tuple[str, ...]:
        """Return a URI like *uri* that is free (RFC 4825 section 8.2.5), if one is found at once."""
        user, at, host = uri.partition("@")
        for number in range(2, 6):
            other = f"{user}-{number}{at}{host}"
            if at and not self.index.taken(other, place) and not await self._taken_elsewhere(other):
                return (other,)
        return ()


def check_reference(uri: str, selector: DocumentSelector, xcap_root: str) -> None:
    """Refuse a <resource-list> that leads elsewhere than to the user's own lists (RFC 4826 section 4.4.5).

    :raises ConflictError: constraint-failure.
    """
    if not is_absolute_http(uri):
        raise ConflictError("constraint-failure", "a resource-list is an absolute HTTP URI")
    path = urlsplit(uri).path
    base = urlsplit(xcap_root).path.rstrip("/")
    if not path.startswith(f"{base}/resource-lists/users/"):
        raise ConflictError("constraint-failure", "a resource-list is in the resource-lists of this server")
    user = path.removeprefix(f"{base}/resource-lists/users/").partition("/")[0]
    try:
        owner = canonical_xui(unquote(user))
    except SelectorError:
        owner = ""
    if owner != selector.owner:
        raise ConflictError("constraint-failure", "a resource-list is one of the same user")


class XCAPCaps(ApplicationUsage):
    """What this server can do (RFC 4825 section 12).

    :param usages: the usages of the server.
    """

    auid = xcap_caps.AUID
    namespace = xcap_caps.NAMESPACE
    content_type = xcap_caps.MEDIA_TYPE
    capabilities = (xcap_caps.NAMESPACE,)

    def __init__(self, usages: Usages) -> None:
        self._usages = usages

    def is_document(self, selector: DocumentSelector) -> bool:
        return not selector.owner and selector.name == "index"

    def read_only(self, selector: DocumentSelector) -> bool:
        return True

    def make(self, store: IDocumentStore, selector: DocumentSelector, root: str) -> Document:
        capabilities = XCAPCapabilities(auids=self._usages.auids, namespaces=self._usages.namespaces)
        return _made(selector, xcap_caps.build(capabilities))


class Directory(ApplicationUsage):
    """What documents a user has, as OMA's clients ask for it: ``directory.xml``.

    :param usages: the usages of the server.
    """

    auid = "org.openmobilealliance.xcap-directory"
    namespace = DIRECTORY_NAMESPACE
    content_type = "application/vnd.oma.xcap-directory+xml"
    capabilities = (DIRECTORY_NAMESPACE,)

    def __init__(self, usages: Usages) -> None:
        self._usages = usages

    def is_document(self, selector: DocumentSelector) -> bool:
        return bool(selector.owner) and selector.name == "directory.xml"

    def read_only(self, selector: DocumentSelector) -> bool:
        return True

    async def make(self, store: IDocumentStore, selector: DocumentSelector, root: str) -> Document:
        directory = etree.Element(f"{{{self.namespace}}}xcap-directory", nsmap=_default(self.namespace))
        for auid in self._usages.auids:
            found = store.names(auid, selector.owner)
            documents: Sequence[Document] = (await found) if isinstance(found, Deferred) else found
            if not documents:
                continue
            folder = etree.SubElement(directory, f"{{{self.namespace}}}folder", auid=auid)
            for document in documents:
                path = DocumentSelector(auid=auid, owner=document.owner, name=document.name).path
                entry = etree.SubElement(folder, f"{{{self.namespace}}}entry", uri=f"{root}/{path}")
                entry.set("etag", document.etag)
                changed = datetime.fromtimestamp(document.changed_at, UTC)
                entry.set("last-modified", changed.strftime("%Y-%m-%dT%H:%M:%SZ"))
                entry.set("size", str(len(document.content)))
        return _made(selector, serialize(directory))


def _default(namespace: str) -> Any:
    return {None: namespace}


def _made(selector: DocumentSelector, content: bytes) -> Document:
    """Return a document that is made on demand: its entity-tag is that of its content."""
    etag = hashlib.sha256(content).hexdigest()[:24]
    return Document(auid=selector.auid, owner=selector.owner, name=selector.name, etag=etag, content=content)


def default_usages(index: ServiceIndex, is_taken: IsTaken = lambda uri: False) -> Usages:
    """Return all of these.

    :param index: the index of the document store that the server uses.
    :param is_taken: tells whether a URI is somebody else's already, besides list services.
    """
    usages = Usages((PresRules(), OMAPresRules(), ResourceLists(), RLSServices(index, is_taken), PIDFManipulation()))
    usages.add(XCAPCaps(usages))
    usages.add(Directory(usages))
    return usages
