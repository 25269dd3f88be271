"""What an XCAP server does, HTTP left out (RFC 4825 section 8).

One document is changed at a time by reading it, changing its text, checking the result and putting it in place of the
version that was read. Where somebody else was faster, all of it is done anew; a condition that named the old version
then fails by itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.auth.random_text import random_texts
from twisted_sip.documents import xcap_error
from twisted_sip.documents.xcap_error import Conflict
from twisted_sip.documents.xml import Element, parse_xml
from twisted_sip.errors import DocumentConflict, DocumentError, QuotaExceeded, StoreError, StoreFull
from twisted_sip.interfaces.documents import Document, IDocumentStore
from twisted_sip.xcap import node_edits
from twisted_sip.xcap.node_edits import ELEMENT_LIMIT, ConflictError, MissingParent
from twisted_sip.xcap.preconditions import Preconditions
from twisted_sip.xcap.selectors import (
    PCHAR,
    NodeSelector,
    SelectorError,
    Target,
    encode_node,
    parse_bindings,
    parse_node,
)
from twisted_sip.xcap.usage import ApplicationUsage, Client, Settle, Usages

ELEMENT_TYPE = "application/xcap-el+xml"
ATTRIBUTE_TYPE = "application/xcap-att+xml"
NAMESPACE_TYPE = "application/xcap-ns+xml"

METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
_READ_METHODS = ("GET", "HEAD", "OPTIONS")

#: How often a change is tried while others change the same document.
_TRIES = 5

_DECLARED_ENCODING = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([^"']*)["']""")

_T = TypeVar("_T")


@attrs.frozen(slots=True, kw_only=True)
class Ask:
    """A request.

    :ivar method: GET, HEAD, PUT or DELETE.
    :ivar target: what it is about.
    :ivar client: who asks.
    :ivar content_type: the media type of the body, in lower case, without parameters.
    :ivar charset: the charset parameter, in lower case, or empty.
    :ivar body: the body.
    :ivar too_large: the body was too long to be kept.
    :ivar conditions: If-Match and If-None-Match.
    """

    method: str
    target: Target
    client: Client
    content_type: str = ""
    charset: str = ""
    body: bytes = b""
    too_large: bool = False
    conditions: Preconditions = attrs.field(factory=Preconditions)


@attrs.frozen(slots=True, kw_only=True)
class Reply:
    """An answer.

    :ivar status: the HTTP status.
    :ivar etag: the entity-tag of the document, or empty.
    :ivar content_type: the media type of the body, or empty.
    :ivar body: the body.
    :ivar allow: the methods for Allow, or none.
    :ivar retry_after: seconds for Retry-After, 0 for none.
    """

    status: int
    etag: str = ""
    content_type: str = ""
    body: bytes = b""
    allow: tuple[str, ...] = ()
    retry_after: int = 0


def reply_to_conflict(conflict: Conflict) -> Reply:
    """Return the 409 that tells of *conflict* (section 11)."""
    return Reply(status=409, content_type=xcap_error.MEDIA_TYPE, body=xcap_error.build(conflict))


def text_reply(status: int, text: str, **fields: Any) -> Reply:
    """Return an answer that says *text*."""
    return Reply(status=status, content_type="text/plain;charset=utf-8", body=f"{text}\n".encode(), **fields)


class XCAPServer:
    """Reads and changes documents.

    :param store: where the documents are.
    :param usages: the application usages to serve.
    :param root: the XCAP root URI, without a slash at the end.
    :param now: gives seconds since the epoch.
    :param document_limit: the most bytes of one document.
    :param random_text: makes entity-tags.
    """

    def __init__(
        self,
        store: IDocumentStore,
        usages: Usages,
        *,
        root: str,
        now: Callable[[], float],
        document_limit: int = 262_144,
        random_text: Callable[[], str] | None = None,
    ) -> None:
        self.store = store
        self.usages = usages
        self.root = root.rstrip("/")
        self.document_limit = document_limit
        self._now = now
        self._random_text = random_text or random_texts()

    async def answer(self, ask: Ask) -> Reply:
        """Return the answer to *ask*, whose client has been authenticated; never fails for what a client sent."""
        selector = ask.target.document
        usage = self.usages.get(selector.auid)
        if usage is None:
            return text_reply(404, "no such application usage")
        writes = ask.method in ("PUT", "DELETE")
        if not usage.is_document(selector):
            return text_reply(404, "no such document in this application usage")
        if writes and usage.read_only(selector):
            return text_reply(405, "this can be read, and nothing else", allow=_READ_METHODS)
        if not usage.may(ask.client, selector, writes):
            return text_reply(403, "this document is somebody else's")
        try:
            node = self._node(ask, usage)
            if writes and node is not None and node.namespaces:
                # Sections 8.2 and 8.4: namespace bindings can be read alone.
                return text_reply(405, "this can be read, and nothing else", allow=_READ_METHODS)
            if not writes:
                return await self._get(ask, usage, node)
            return await self._change(ask, usage, node)
        except ConflictError as error:
            return reply_to_conflict(error.conflict)
        except SelectorError as error:
            return text_reply(error.status, error.reason)
        except DocumentError as error:
            # Beyond a limit; what is wrong otherwise is a conflict (section 8.2.2).
            return text_reply(413, error.reason)
        except QuotaExceeded as error:
            return reply_to_conflict(Conflict("constraint-failure", f"quota: {error}"))
        except StoreFull as error:
            return text_reply(503, str(error), retry_after=10)
        except DocumentConflict:
            return text_reply(503, "others keep changing this document", retry_after=1)

    def allowed(self, target: Target) -> tuple[str, ...]:
        """Return the methods for what *target* names, none where there is no such application usage."""
        usage = self.usages.get(target.document.auid)
        if usage is None:
            return ()
        bindings = target.node is not None and target.node.endswith("/namespace::*")
        return _READ_METHODS if bindings or usage.read_only(target.document) else METHODS

    @staticmethod
    def _node(ask: Ask, usage: ApplicationUsage) -> NodeSelector | None:
        if ask.target.node is None:
            return None
        return parse_node(ask.target.node, usage.namespace, parse_bindings(ask.target.query))

    async def _document(self, ask: Ask, usage: ApplicationUsage) -> Document | None:
        selector = ask.target.document
        if usage.read_only(selector):
            return await _value(usage.make(self.store, selector, self.root))
        return await _value(self.store.get(selector.auid, selector.owner, selector.name))

    # -- reading (section 8.3) -----------------------------------------------------

    async def _get(self, ask: Ask, usage: ApplicationUsage, node: NodeSelector | None) -> Reply:
        document = await self._document(ask, usage)
        if document is None:
            return text_reply(404, "no such document")
        content_type, body = usage.content_type, document.content
        if node is not None:
            found = node_edits.fetch(_text(document), node)
            if found is None:
                return text_reply(404, "no such node")
            body = found.encode()
            content_type = ELEMENT_TYPE
            if node.attribute is not None:
                content_type = ATTRIBUTE_TYPE
            elif node.namespaces:
                content_type = NAMESPACE_TYPE
        failed = ask.conditions.fail(document.etag, True)
        if failed:
            return Reply(status=failed, etag=document.etag)
        return Reply(status=200, etag=document.etag, content_type=content_type, body=body)

    # -- changing (sections 8.2 and 8.4) ------------------------------------------

    async def _change(self, ask: Ask, usage: ApplicationUsage, node: NodeSelector | None) -> Reply:
        if ask.method == "PUT":
            self._check_body(ask, usage, node)
        tries = 0
        while True:
            before = await self._document(ask, usage)
            if node is not None and before is None:
                if ask.method == "DELETE":
                    return text_reply(404, "no such document")
                raise ConflictError(
                    "", conflict=Conflict("no-parent", "there is no such document", f"{self.root}/{_home(ask)}")
                )
            if failed := ask.conditions.fail("" if before is None else before.etag, False):
                return Reply(status=failed, etag="" if before is None else before.etag)
            if before is None and ask.method == "DELETE":
                return text_reply(404, "no such document")
            if before is None:
                await self._check_directory(ask)
            try:
                return await self._try(ask, usage, node, before)
            except DocumentConflict:
                tries += 1
                if tries == _TRIES:
                    raise

    async def _check_directory(self, ask: Ask) -> None:
        """Refuse a new document in a directory that is not there, or with the name of one (sections 6.2 and 8.2.1).

        Directories come from elsewhere: there is one where a document is in it.
        """
        selector = ask.target.document
        directory, slash, _ = selector.name.rpartition("/")
        documents = await _value(self.store.names(selector.auid, selector.owner))
        if slash and not any(each.name.startswith(f"{directory}/") for each in documents):
            home = selector.path.removesuffix(quote(selector.name, safe=PCHAR + "/"))
            ancestor = f"{self.root}/{home}".rstrip("/")
            raise ConflictError("", conflict=Conflict("no-parent", "there is no such directory", ancestor))
        if any(each.name.startswith(f"{selector.name}/") for each in documents):
            raise ConflictError("constraint-failure", "there is a directory of this name")

    async def _try(
        self, ask: Ask, usage: ApplicationUsage, node: NodeSelector | None, before: Document | None
    ) -> Reply:
        if node is None and ask.method == "DELETE":
            assert before is not None
            await self.store.delete(before)
            return Reply(status=200)
        content, created = ask.body, before is None
        if node is not None:
            assert before is not None
            edit = self._edited(ask, node, _text(before))
            if edit is None:
                return text_reply(404, "no such node")
            content, created = edit.text.encode(), edit.created
        settle = await self._checked(ask, usage, content)
        try:
            made = Document(
                auid=ask.target.document.auid,
                owner=ask.target.document.owner,
                name=ask.target.document.name,
                etag=self._random_text(),
                content=content,
                changed_at=self._now(),
            )
            await self.store.put(made, "" if before is None else before.etag)
        finally:
            if settle is not None:
                settle()
        return Reply(status=201 if created else 200, etag=made.etag)

    def _edited(self, ask: Ask, node: NodeSelector, text: str) -> node_edits.Edit | None:
        if ask.method == "DELETE":
            return node_edits.delete_node(text, node)
        body = _decoded(ask)
        try:
            if node.attribute is not None:
                return node_edits.put_attribute(text, node, body)
            return node_edits.put_element(text, node, body)
        except MissingParent as error:
            # Section 11.1: the closest parent that would be a point of insertion.
            ancestor = f"{self.root}/{ask.target.document.path}"
            if error.found:
                steps = "/".join(encode_node(step.source) for step in node.steps[: error.found])
                ancestor += f"/~~/{steps}" + (f"?{ask.target.query}" if ask.target.query else "")
            raise ConflictError("", conflict=Conflict("no-parent", error.conflict.phrase, ancestor)) from None

    def _check_body(self, ask: Ask, usage: ApplicationUsage, node: NodeSelector | None) -> None:
        """Refuse a body of the wrong type, size or encoding (section 8.2.2)."""
        expected = usage.content_type
        if node is not None:
            expected = ELEMENT_TYPE if node.attribute is None else ATTRIBUTE_TYPE
        if ask.content_type != expected:
            raise SelectorError(f"the body has to be {expected}", status=415)
        if ask.too_large or len(ask.body) > self.document_limit:
            raise DocumentError(f"a document has at most {self.document_limit} bytes", too_large=True)
        _decoded(ask)

    async def _checked(self, ask: Ask, usage: ApplicationUsage, content: bytes) -> Settle | None:
        """Refuse a document that may not be (section 8.2.5)."""
        root = self._parsed(content)
        usage.validate(root)
        return await _value(usage.constraints(ask.target.document, root, self.root))

    def _parsed(self, content: bytes) -> Element:
        try:
            return parse_xml(content, limit=self.document_limit, elements=ELEMENT_LIMIT)
        except DocumentError as error:
            if error.too_large:
                raise
            declares = "document type declaration" in error.reason
            raise ConflictError("constraint-failure" if declares else "not-well-formed", error.reason) from None


def _decoded(ask: Ask) -> str:
    """Return the body as text.

    :raises ConflictError: not-utf-8 (sections 5.3 and 8.2.2).
    """
    declared = _DECLARED_ENCODING.match(ask.body)
    encoding = declared[1].decode("ascii", "replace").lower() if declared else "utf-8"
    if encoding not in ("utf-8", "utf8", "us-ascii", "ascii") or ask.charset not in ("", "utf-8", "us-ascii"):
        raise ConflictError("not-utf-8", "documents are UTF-8")
    if b"\0" in ask.body:
        # UTF-16 without a mark would pass for UTF-8.
        raise ConflictError("not-utf-8", "the body is not UTF-8")
    try:
        return ask.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConflictError("not-utf-8", "the body is not UTF-8") from None


def _text(document: Document) -> str:
    try:
        return document.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise StoreError(f"{document.auid}/{document.owner}/{document.name} is not UTF-8") from None


def _home(ask: Ask) -> str:
    return ask.target.document.path.rpartition("/")[0]


async def _value(found: _T | Deferred[_T] | Awaitable[_T]) -> _T:
    """Return *found*, which may have to be waited for."""
    if isinstance(found, Deferred) or inspect.isawaitable(found):
        waited: _T = await found
        return waited
    return found
