"""Groups of media descriptions: ``a=group`` and ``a=mid`` (RFC 5888, BUNDLE of RFC 8843)."""

from __future__ import annotations

import attrs

from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.lines import check_token

BUNDLE = "BUNDLE"
LIP_SYNC = "LS"


@attrs.frozen(slots=True)
class Group:
    """Media descriptions that belong together (RFC 5888 section 5).

    :ivar semantics: what for: ``LS``, ``FID``, ``BUNDLE`` ...
    :ivar mids: the ``mid`` of each.
    """

    semantics: str
    mids: tuple[str, ...] = ()

    @classmethod
    def build(cls, semantics: str, *mids: str) -> Group:
        """Return a group to send.

        :raises LocalProtocolError: a word is no token.
        """
        for word in (semantics, *mids):
            check_token(word, "word of a group")
        return cls(semantics, mids)

    @classmethod
    def parse(cls, value: str) -> Group | None:
        """Return the value of a group attribute, None where it names no semantics."""
        words = value.split()
        return cls(words[0], tuple(words[1:])) if words else None

    @property
    def attribute(self) -> Attribute:
        """The attribute that says so."""
        return Attribute("group", str(self))

    def __str__(self) -> str:
        return " ".join([self.semantics, *self.mids])
