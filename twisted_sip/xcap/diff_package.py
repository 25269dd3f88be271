"""The event package ``xcap-diff``: who keeps copies of documents hears when they change (RFC 5874, 5875).

The body of a SUBSCRIBE is a resource list whose entries are URIs relative to the XCAP root: of documents, of elements
and attributes in them, or, with a slash at the end, of whole directories. Without a body every document of the watcher
is meant. Watchers are told of documents that XCAP would let them read, and of no others.

What changed in a document is never told, only that it did: between two NOTIFYs there may be several versions, and of
those the last one is told with the one that was told before (section 6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.documents import resource_lists, xcap_diff
from twisted_sip.documents.xcap_diff import AttributeDiff, DocumentDiff, ElementDiff, XCAPDiff
from twisted_sip.errors import DocumentError, SIPError
from twisted_sip.interfaces.documents import Document, DocumentChange, IDocumentStore
from twisted_sip.interfaces.event_package import (
    Authorization,
    IEventPackage,
    Notification,
    NotifierHost,
    PackageSubscription,
)
from twisted_sip.xcap import node_edits
from twisted_sip.xcap.selectors import (
    DocumentSelector,
    SelectorError,
    Target,
    canonical_xui,
    decode,
    encode_node,
    parse_bindings,
    parse_node,
    parse_target,
)
from twisted_sip.xcap.source_tree import Attribute, Node, read_tree
from twisted_sip.xcap.usage import Client, Usages

#: The most entries of one subscription.
MOST_ENTRIES = 100
#: The most bytes of one element that a NOTIFY carries; of longer ones it tells that they are there.
ELEMENT_SIZE = 16_384

HasUser = Callable[[str], "bool | Deferred[bool] | Awaitable[bool]"]


@attrs.frozen(slots=True)
class Home:
    """All documents of a user: those of one application usage, or of all.

    :ivar auid: the usage, empty for all.
    """

    auid: str


#: What an entry asks for.
Wanted = Home | Target


@implementer(IEventPackage)
class XCAPDiffPackage:
    """Tells the owners of documents when these change.

    :param store: where the documents are.
    :param usages: the application usages that are served.
    :param root: the XCAP root URI.
    :param has_user: tells whether there is a user with an address-of-record.
    """

    event = "xcap-diff"
    default_expires = 3600
    content_types = (xcap_diff.MEDIA_TYPE,)
    min_interval = 1.0

    def __init__(self, store: IDocumentStore, usages: Usages, root: str, has_user: HasUser = lambda aor: True) -> None:
        self._store = store
        self._usages = usages
        self.root = root.rstrip("/")
        self._has_user = has_user
        self._host: NotifierHost | None = None
        self._stop = store.observe(self._changed)

    def attached(self, host: NotifierHost) -> None:
        self._host = host

    def close(self) -> None:
        """Stop listening to the store."""
        self._stop()

    def has_resource(self, resource: str) -> bool | Deferred[bool] | Awaitable[bool]:
        return self._has_user(resource)

    def authorize(self, subscription: PackageSubscription) -> Authorization:
        if subscription.watcher != subscription.resource:
            return Authorization(state="terminated", reason="rejected", status=403)
        content_type, body = subscription.body
        if body and content_type.partition(";")[0].strip().lower() != resource_lists.MEDIA_TYPE:
            return Authorization(state="terminated", reason="rejected", status=415)
        try:
            self._wanted(subscription)
        except (DocumentError, SelectorError):
            return Authorization(state="terminated", reason="rejected", status=400)
        return Authorization()

    def full_state_due(self, subscription: PackageSubscription) -> None:
        subscription.memory.pop("told", None)

    def subscriptions_changed(self, subscriptions: Iterable[PackageSubscription]) -> None:
        """Nobody is told about watchers."""

    # -- what is wanted -----------------------------------------------------------------

    def _wanted(self, subscription: PackageSubscription) -> list[Wanted]:
        """Return what a subscription is about.

        :raises DocumentError: its body is no resource list, or too long.
        :raises SelectorError: an entry is no XCAP URI of this root.
        """
        body = subscription.body[1]
        if not body:
            return [Home("")]
        uris = resource_lists.parse(body).uris()
        if len(uris) > MOST_ENTRIES:
            raise DocumentError(f"more than {MOST_ENTRIES} entries", too_large=True)
        return [self._entry(uri, subscription.watcher) for uri in uris]

    def _entry(self, uri: str, watcher: str) -> Wanted:
        base = urlsplit(self.root)
        for root in (self.root, base.path):
            # Absolute URIs are taken too, where they are ours.
            if root and uri.startswith(f"{root}/"):
                uri = uri[len(root) + 1 :]
                break
        path, _, query = uri.partition("?")
        segments = path.split("/")
        if segments[-1] == "" and "~~" not in segments:
            parts = [decode(segment) for segment in segments[:-1]]
            if len(parts) > 2 and (parts[1] != "users" or canonical_xui(parts[2]) != watcher or len(parts) > 3):
                raise SelectorError("a directory that nobody tells of")
            return Home(parts[0] if parts else "")
        return parse_target(segments, query)

    def _is_about(self, wanted: Wanted, document: Document) -> bool:
        if isinstance(wanted, Home):
            return wanted.auid in ("", document.auid)
        selector = wanted.document
        return (selector.auid, selector.owner, selector.name) == (document.auid, document.owner, document.name)

    def _changed(self, change: DocumentChange) -> None:
        document = change.after or change.before
        if self._host is None or document is None:
            return
        # Documents of a user interest the user; those of the global tree whoever asked for them.
        for subscription in self._host.subscriptions(self.event, document.owner or None):
            try:
                wanted = self._wanted(subscription)
            except SIPError:
                continue
            if any(self._is_about(each, document) and (document.owner or isinstance(each, Target)) for each in wanted):
                self._host.notify(subscription)

    # -- what is told ------------------------------------------------------------------------

    async def notification(self, subscription: PackageSubscription) -> Notification:
        if subscription.state != "active":
            return Notification()
        told: dict[str, str] | None = subscription.memory.get("told")
        now = await self._state(subscription)
        diffs: list[DocumentDiff | ElementDiff | AttributeDiff] = []
        for sel, (etag, content) in now.items():
            before = None if told is None else told.get(sel, "")
            if isinstance(content, DocumentDiff):
                if before != etag:
                    diffs.append(attrs.evolve(content, previous_etag=before or ""))
            elif before is None or before != etag:
                diffs.append(content)
        for sel, before in (told or {}).items():
            if sel not in now and not before.startswith(("=", "-")):
                diffs.append(DocumentDiff(sel=sel, previous_etag=before))
        subscription.memory["told"] = {sel: etag for sel, (etag, _) in now.items() if etag}
        body = xcap_diff.build(XCAPDiff(xcap_root=f"{self.root}/", diffs=tuple(diffs)))
        return Notification(content_type=xcap_diff.MEDIA_TYPE, body=body)

    async def _state(self, subscription: PackageSubscription) -> dict[str, tuple[str, Any]]:
        """Return what there is of what is wanted: selector -> (what it is known by, what to tell of it)."""
        state: dict[str, tuple[str, Any]] = {}
        client = Client(user=subscription.watcher)
        for wanted in self._wanted(subscription):
            if isinstance(wanted, Home):
                for auid in (wanted.auid,) if wanted.auid else self._usages.auids:
                    if self._usages.get(auid) is not None:
                        for document in await _value(self._store.names(auid, subscription.watcher)):
                            self._add_document(state, document)
                continue
            usage = self._usages.get(wanted.document.auid)
            if usage is None or not usage.may(client, wanted.document, False):
                continue
            selector = wanted.document
            found = await _value(self._store.get(selector.auid, selector.owner, selector.name))
            if wanted.node is not None:
                self._add_node(state, wanted, usage.namespace, found)
            elif found is not None:
                self._add_document(state, found)
        return state

    @staticmethod
    def _add_document(state: dict[str, tuple[str, Any]], document: Document) -> None:
        sel = DocumentSelector(auid=document.auid, owner=document.owner, name=document.name).path
        state[sel] = (document.etag, DocumentDiff(sel=sel, new_etag=document.etag))

    @staticmethod
    def _add_node(state: dict[str, tuple[str, Any]], wanted: Target, namespace: str, document: Document | None) -> None:
        assert wanted.node is not None
        sel = f"{wanted.document.path}/~~/{encode_node(wanted.node)}"
        sel += f"?{wanted.query}" if wanted.query else ""
        try:
            selector = parse_node(wanted.node, namespace, parse_bindings(wanted.query))
            text = "" if document is None else document.content.decode("utf-8-sig")
        except (SelectorError, UnicodeDecodeError):
            return
        found = node_edits.find(read_tree(text), selector) if text else None
        if isinstance(found, Attribute):
            state[sel] = (f"={found.value}", AttributeDiff(sel=sel, value=found.value))
        elif isinstance(found, Node):
            content = text[found.start : found.end]
            shown = content.encode() if len(content) <= ELEMENT_SIZE else b""
            # Longer ones are known by the version of their document.
            known = content if shown or document is None else document.etag
            namespaces = tuple(found.bindings().items())
            state[sel] = (f"={known}", ElementDiff(sel=sel, content=shown, namespaces=namespaces))
        elif selector.attribute is not None:
            state[sel] = ("-", AttributeDiff(sel=sel, exists=False))
        else:
            state[sel] = ("-", ElementDiff(sel=sel, exists=False))


async def _value(found: Any) -> Any:
    return await found if isinstance(found, Deferred) else found
