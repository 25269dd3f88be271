"""How many documents, and how many bytes of them, one user may keep in a document store (RFC 4825 section 14)."""

from __future__ import annotations

import attrs

from twisted_sip.errors import QuotaExceeded
from twisted_sip.interfaces.documents import Document


@attrs.frozen(slots=True)
class DocumentQuota:
    """What one user may have, over all application usages; the global tree has no quota.

    :ivar documents: the most documents.
    :ivar octets: the most bytes of all documents together.
    """

    documents: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    octets: int = attrs.field(default=2_000_000, validator=attrs.validators.ge(1))

    def check(self, document: Document, before: Document | None, count: int, size: int) -> None:
        """Refuse *document* where its user would have too much; what grows nothing is never refused.

        :param before: the version that it replaces.
        :param count: the documents that the user has, *before* among them.
        :param size: the bytes of those.
        :raises QuotaExceeded: there would be too many, or too much.
        """
        if not document.owner:
            return
        if before is None and count >= self.documents:
            raise QuotaExceeded(f"{document.owner} has {count} documents, the most allowed")
        grown = len(document.content) - (0 if before is None else len(before.content))
        if grown > 0 and size + grown > self.octets:
            raise QuotaExceeded(f"{document.owner} would have more than {self.octets} bytes of documents")
