"""Application usages: what kinds of documents an XCAP server keeps, and by which rules (RFC 4825 section 5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from twisted_sip.documents.xml import Element
from twisted_sip.interfaces.documents import Document, IDocumentStore
from twisted_sip.xcap.selectors import DocumentSelector
from twisted_sip.xcap.validation import validator

#: Called when a change that was let pass has been made, or has failed.
Settle = Callable[[], None]


@attrs.frozen(slots=True, kw_only=True)
class Client:
    """Who asks.

    :ivar user: the canonical address-of-record that was proved.
    :ivar trusted: explicitly provisioned for more than its own documents (section 5.7).
    """

    user: str
    trusted: bool = False


class ApplicationUsage:
    """One application usage. Subclasses change what differs: names, rules, documents that are made on demand.

    :ivar auid: its name (section 5.1).
    :ivar namespace: the default document namespace (section 5.2).
    :ivar content_type: the media type of its documents.
    :ivar schemas: the namespaces whose schemas its documents follow; empty: any well-formed document will do.
    :ivar capabilities: namespaces to list in xcap-caps beside those (section 12).
    """

    auid = ""
    namespace = ""
    content_type = ""
    schemas: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()

    def is_document(self, selector: DocumentSelector) -> bool:
        """Tell whether there may be a document of this name (naming conventions, section 5.5)."""
        return True

    def may(self, client: Client, selector: DocumentSelector, writes: bool) -> bool:
        """Tell whether *client* may read or write a document (section 5.7): the owner both, the global tree everybody
        reads and trusted users write."""
        if client.trusted:
            return True
        if selector.owner:
            return client.user == selector.owner
        return not writes

    def read_only(self, selector: DocumentSelector) -> bool:
        """Tell whether nobody at all may write this document: the server makes it itself."""
        return False

    def make(
        self, store: IDocumentStore, selector: DocumentSelector, root: str
    ) -> Document | Awaitable[Document | None] | None:
        """Return a document that the server makes itself, None where there is none; asked where :meth:`read_only`.

        :param root: the XCAP root URI.
        """
        return None

    def validate(self, root: Element) -> None:
        """Refuse a document that does not follow the schemas (section 8.2.5).

        :raises ConflictError: schema-validation-error.
        """
        if self.schemas:
            validator(*self.schemas).check(root)

    def constraints(
        self, selector: DocumentSelector, root: Element, xcap_root: str
    ) -> Settle | Awaitable[Settle | None] | None:
        """Refuse a document that breaks a rule beyond the schemas (section 5.3).

        :param xcap_root: the XCAP root URI.
        :return: what to call when the document has been written, or has not.
        :raises ConflictError: uniqueness-failure or constraint-failure (raised, or what is awaited fails with it).
        """
        return None


class Usages:
    """The application usages of a server, by their names."""

    def __init__(self, usages: Sequence[ApplicationUsage]) -> None:
        self._usages = {usage.auid: usage for usage in usages}

    def __getitem__(self, auid: str) -> ApplicationUsage:
        return self._usages[auid]

    def get(self, auid: str) -> ApplicationUsage | None:
        """Return the usage called *auid*, None if it is not served."""
        return self._usages.get(auid)

    def add(self, usage: ApplicationUsage) -> None:
        """Serve *usage* too."""
        self._usages[usage.auid] = usage

    @property
    def auids(self) -> tuple[str, ...]:
        """The names of all usages."""
        return tuple(self._usages)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that the server can validate (section 12)."""
        found: dict[str, None] = {}
        for usage in self._usages.values():
            found.update(dict.fromkeys((*usage.schemas, *usage.capabilities)))
        return tuple(found)
