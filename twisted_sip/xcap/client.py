"""An XCAP client (RFC 4825 section 7): documents, elements and attributes of one user, over HTTP with digest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import attrs
import treq
from hyperlink import EncodedURL
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.documents import xcap_caps, xcap_error
from twisted_sip.documents.xcap_caps import XCAPCapabilities
from twisted_sip.documents.xcap_error import Conflict
from twisted_sip.errors import DocumentError, LocalProtocolError, SIPError
from twisted_sip.interfaces.credentials import ALGORITHMS
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.storage.http_answer import body_of
from twisted_sip.xcap.selectors import DocumentSelector, SelectorError, canonical_xui, encode_node
from twisted_sip.xcap.server import ATTRIBUTE_TYPE, ELEMENT_TYPE
from twisted_sip.xcap.source_tree import attribute_value

#: The most bytes of an answer that are read.
ANSWER_LIMIT = 2 << 20

_NO_ANSWER = (
    ConnectError,
    ConnectingCancelledError,
    CancelledError,
    TimeoutError,
    ResponseFailed,
    ResponseNeverReceived,
)

#: Where one challenge ends and the next begins.
_CHALLENGES = re.compile(r",\s*(?=[A-Za-z][\w-]*\s+[\w-]+\s*=)")


class XCAPError(SIPError):
    """A server did not do what it was asked for.

    :ivar status: the HTTP status, 0 where there was no answer.
    :ivar conflict: what a 409 told, None without.
    """

    def __init__(self, reason: str, *, status: int = 0, conflict: Conflict | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.conflict = conflict


class XCAPNotFound(XCAPError):
    """There is no such document or node (404)."""


class XCAPConflict(XCAPError):
    """The document would not be right (409); ``conflict`` tells why, where the server does."""


class XCAPChanged(XCAPError):
    """Somebody else has changed the document meanwhile, or it is there already (412)."""


class XCAPRefused(XCAPError):
    """The password is wrong, or the document is somebody else's (401, 403)."""


_ERRORS: dict[int, type[XCAPError]] = {
    401: XCAPRefused, 403: XCAPRefused, 404: XCAPNotFound, 409: XCAPConflict, 412: XCAPChanged
}  # fmt: skip


@attrs.frozen(slots=True, kw_only=True)
class Fetched:
    """What was read.

    :ivar content: the document, the element, or the attribute with its quotes.
    :ivar etag: the entity-tag of the document, empty if the server gave none.
    :ivar content_type: its media type.
    """

    content: bytes
    etag: str = ""
    content_type: str = ""


class XCAPClient:
    """Reads and changes documents of one user.

    :param root: the XCAP root URI: ``https://xcap.example.com/xcap-root``.
    :param aor: the address-of-record of the user.
    :param user: the user name for digest, None for the user part of *aor*.
    :param password: the password.
    :param ha1s: in place of a password: realm -> algorithm -> HA1.
    :param realms: the realms that may be answered; None: the domain of *aor* alone.
    :param algorithms: the digest algorithms that may be used.
    :param timeout: seconds until an answer is given up.
    :param request: ``treq.request``, or what behaves like it.
    :param clock: what times answers that have begun, None for the reactor that treq uses.
    :raises LocalProtocolError: the root is no http or https URI, *aor* is no SIP URI of a user.
    """

    def __init__(
        self,
        root: str,
        aor: str,
        user: str | None = None,
        password: str | None = None,
        *,
        ha1s: Mapping[str, Mapping[str, str]] | None = None,
        realms: Iterable[str] | None = None,
        algorithms: Iterable[str] = ALGORITHMS,
        timeout: float = 30.0,
        request: Callable[..., Deferred[Any]] = treq.request,
        clock: IReactorTime | None = None,
    ) -> None:
        parts = urlsplit(root)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise LocalProtocolError(f"{root!r} is no XCAP root: http or https, without a query (RFC 4825 section 6.1)")
        try:
            self.aor = canonical_xui(aor)
        except SelectorError as error:
            raise LocalProtocolError(f"{aor!r} is no address-of-record") from error
        self.root = root.rstrip("/")
        name, _, domain = self.aor.removeprefix("sip:").rpartition("@")
        self._digest: DigestClient | None = None
        if password is not None or ha1s is not None:
            self._digest = DigestClient(
                name if user is None else user,
                password,
                ha1s=ha1s,
                realms=(domain,) if realms is None and ha1s is None else realms,
                algorithms=algorithms,
            )
        self._timeout = timeout
        self._request = request
        if clock is None:
            from twisted.internet import reactor

            clock = cast(IReactorTime, reactor)
        self._clock = clock

    # -- documents (sections 7.1 to 7.3) ----------------------------------------------

    async def get_document(self, auid: str, name: str = "index", *, shared: bool = False, etag: str = "") -> Fetched:
        """Return a document.

        :param shared: that of the global tree, not of the user.
        :param etag: a version that is known: then XCAPError with status 304 if it is still the one.
        :raises XCAPError: it cannot be had; XCAPNotFound if it is not there.
        """
        return await self._fetch(self._document(auid, name, shared), etag)

    async def put_document(
        self,
        auid: str,
        content: bytes,
        content_type: str,
        name: str = "index",
        *,
        etag: str = "",
        create: bool = False,
    ) -> str:
        """Make or replace a document; return its entity-tag.

        :param etag: the version that it has to replace.
        :param create: only if there is none yet.
        :raises XCAPError: it was not done; XCAPChanged where a condition does not hold.
        """
        url = self._document(auid, name)
        return (await self._change("PUT", url, content, content_type, etag, create)).etag

    async def delete_document(self, auid: str, name: str = "index", *, etag: str = "") -> None:
        """Delete a document, of version *etag* if that is given.

        :raises XCAPError: it was not done.
        """
        await self._change("DELETE", self._document(auid, name), etag=etag)

    # -- elements (sections 7.4 to 7.6) -------------------------------------------------

    async def get_element(
        self, auid: str, node: str, name: str = "index", *, namespaces: Mapping[str, str] | None = None
    ) -> Fetched:
        """Return the element at the node selector *node*: ``resource-lists/list[@name="friends"]``.

        :param namespaces: the prefixes in *node*.
        :raises XCAPError: it cannot be had; XCAPNotFound if it is not there.
        """
        return await self._fetch(self._node(auid, name, node, namespaces))

    async def put_element(
        self,
        auid: str,
        node: str,
        element: bytes,
        name: str = "index",
        *,
        namespaces: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> str:
        """Put *element* at the node selector *node*, or replace what is there; return the document's entity-tag.

        :raises XCAPError: it was not done; XCAPConflict where *node* would not select *element*.
        """
        url = self._node(auid, name, node, namespaces)
        return (await self._change("PUT", url, element, ELEMENT_TYPE, etag)).etag

    async def delete_element(
        self,
        auid: str,
        node: str,
        name: str = "index",
        *,
        namespaces: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> str:
        """Delete the element at the node selector *node*; return the document's entity-tag.

        :raises XCAPError: it was not done.
        """
        return (await self._change("DELETE", self._node(auid, name, node, namespaces), etag=etag)).etag

    # -- attributes (sections 7.7 to 7.9) -------------------------------------------------

    async def get_attribute(
        self, auid: str, node: str, name: str = "index", *, namespaces: Mapping[str, str] | None = None
    ) -> str:
        """Return the value of the attribute at *node*: ``resource-lists/list[1]/@name``.

        :raises XCAPError: it cannot be had; XCAPNotFound if it is not there.
        """
        fetched = await self._fetch(self._node(auid, name, node, namespaces))
        try:
            literal = fetched.content.decode().strip()
            if len(literal) < 2 or literal[0] not in "\"'" or literal[-1] != literal[0]:
                raise ValueError("no quotes")
            return attribute_value(literal)
        except ValueError as error:
            raise XCAPError(f"{self.root}: the answer is no attribute value", status=200) from error

    async def put_attribute(
        self,
        auid: str,
        node: str,
        value: str,
        name: str = "index",
        *,
        namespaces: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> str:
        """Set the attribute at *node* to *value*; return the document's entity-tag.

        :raises XCAPError: it was not done.
        """
        escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        url = self._node(auid, name, node, namespaces)
        return (await self._change("PUT", url, f'"{escaped}"'.encode(), ATTRIBUTE_TYPE, etag)).etag

    #: An attribute is deleted like an element (section 7.8).
    delete_attribute = delete_element

    async def capabilities(self) -> XCAPCapabilities:
        """Return what the server can do (section 12).

        :raises XCAPError: it does not say.
        """
        fetched = await self.get_document(xcap_caps.AUID, shared=True)
        try:
            return xcap_caps.parse(fetched.content)
        except DocumentError as error:
            raise XCAPError(f"{self.root}: {error.reason}", status=200) from error

    # -- URIs -----------------------------------------------------------------------------

    def _document(self, auid: str, name: str, shared: bool = False) -> str:
        return f"{self.root}/{DocumentSelector(auid=auid, owner='' if shared else self.aor, name=name).path}"

    def _node(self, auid: str, name: str, node: str, namespaces: Mapping[str, str] | None) -> str:
        query = "".join(f"xmlns({prefix}={_pointer(uri)})" for prefix, uri in (namespaces or {}).items())
        path = f"{self._document(auid, name)}/~~/{encode_node(node)}"
        return f"{path}?{encode_node(query)}" if query else path

    # -- HTTP -----------------------------------------------------------------------------

    async def _fetch(self, url: str, etag: str = "") -> Fetched:
        return await self._exchange("GET", url, headers={"If-None-Match": _quoted(etag)} if etag else {})

    async def _change(
        self, method: str, url: str, body: bytes = b"", content_type: str = "", etag: str = "", create: bool = False
    ) -> Fetched:
        headers: dict[str, str] = {}
        if content_type:
            headers["Content-Type"] = content_type
        if etag:
            headers["If-Match"] = _quoted(etag)
        if create:
            headers["If-None-Match"] = "*"
        return await self._exchange(method, url, body, headers)

    async def _exchange(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> Fetched:
        """Send a request, answer challenges, and return what a 2xx has."""
        # As treq will write it, or the server would compare the digest with another URI.
        parsed = EncodedURL.from_text(url).to_uri()
        target = urlsplit(parsed.to_text())
        uri = target.path + (f"?{target.query}" if target.query else "")
        signed = Request.from_parts(method, uri, HeaderMap(), body)
        if self._digest is not None:
            signed = self._digest.preauthorize(signed)
        for _ in range(3):
            status, answer, content = await self._send(method, parsed, body, headers, signed)
            if 200 <= status < 300:
                return Fetched(
                    content=content, etag=_unquoted(answer.first("etag") or ""), content_type=_media_type(answer)
                )
            challenged = Response.from_parts(status, "", answer, b"") if status == 401 else None
            again = self._digest.authorize(signed, challenged) if self._digest and challenged else None
            if again is None:
                break
            signed = again
        raise _error(self.root, status, answer, content)

    async def _send(
        self, method: str, url: EncodedURL, body: bytes, headers: Mapping[str, str], signed: Request
    ) -> tuple[int, HeaderMap, bytes]:
        fields = dict(headers)
        authorization = signed.headers.all("authorization")
        if authorization:
            fields["Authorization"] = authorization[0]
        try:
            response = await self._request(
                method,
                url,
                headers=fields,
                data=body or None,
                timeout=self._timeout,
                allow_redirects=False,
                unbuffered=True,
            )
            # An answer may have no end.
            content = await body_of(response, ANSWER_LIMIT, whole=True).addTimeout(self._timeout, self._clock)
        except _NO_ANSWER as error:
            raise XCAPError(f"{self.root}: no answer: {error or type(error).__name__}") from error
        if len(content) > ANSWER_LIMIT:
            raise XCAPError(f"{self.root}: the answer is too long", status=response.code)
        answer = HeaderMap()
        for name in (b"www-authenticate", b"etag", b"content-type"):
            for value in response.headers.getRawHeaders(name, []):
                text = "".join(char for char in value.decode("utf-8", "surrogateescape") if char >= " " or char == "\t")
                # HTTP lets several challenges share a line (RFC 9110 section 11.6.1), SIP does not.
                for part in _CHALLENGES.split(text) if name == b"www-authenticate" else (text,):
                    answer.append(name.decode(), part)
        return response.code, answer, content


def _pointer(text: str) -> str:
    """Return *text* as the data of a pointer part: parentheses and circumflexes escaped."""
    return text.replace("^", "^^").replace("(", "^(").replace(")", "^)")


def _quoted(etag: str) -> str:
    if '"' in etag or any(ord(char) < 33 or ord(char) == 127 for char in etag):
        raise LocalProtocolError(f"{etag!r} is no entity-tag")
    return f'"{etag}"'


def _unquoted(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"')


def _media_type(answer: HeaderMap) -> str:
    return (answer.first("content-type") or "").partition(";")[0].strip().lower()


def _error(root: str, status: int, answer: HeaderMap, content: bytes) -> XCAPError:
    conflict: Conflict | None = None
    if status == 409 and _media_type(answer) == xcap_error.MEDIA_TYPE:
        try:
            conflict = xcap_error.parse(content)
        except DocumentError:
            conflict = None
    reason = f"{root}: answered {status}"
    if conflict is not None:
        reason += f": {conflict.condition} {conflict.phrase}".rstrip()
    return _ERRORS.get(status, XCAPError)(reason, status=status, conflict=conflict)


__all__ = [
    "ANY_REALM", "Fetched", "XCAPChanged", "XCAPClient", "XCAPConflict", "XCAPError", "XCAPNotFound", "XCAPRefused"
]  # fmt: skip
