"""RSeq and RAck: provisional responses that are acknowledged (RFC 3262 section 7)."""

from __future__ import annotations

from typing import NamedTuple

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import is_token
from twisted_sip.message.numeric_fields import parse_number
from twisted_sip.message.parameterized import refuse

#: The greatest response number (RFC 3262 section 7.1).
MAX_RSEQ = (1 << 32) - 1
#: The greatest number of a CSeq (RFC 3261 section 8.1.1.5).
MAX_CSEQ = (1 << 31) - 1


def parse_rseq(text: str) -> int:
    """Return the response number of an RSeq: 1 to 2**32-1 (RFC 3262 section 7.1).

    :raises RemoteProtocolError: it is none.
    """
    number = parse_number(text, "RSeq", MAX_RSEQ)
    if number == 0:
        refuse("RSeq", "0")
    return number


class RAck(NamedTuple):
    """RAck (RFC 3262 section 7.2): which response a PRACK acknowledges.

    :ivar rseq: the RSeq of the response.
    :ivar cseq: the CSeq number of the response.
    :ivar method: its method, case-sensitive.
    """

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed or a number is out of range.
        """
        words = [word for word in text.replace("\t", " ").split(" ") if word]
        if len(words) != 3 or not is_token(words[2]):
            refuse("RAck", "two numbers and a method are required")
        return cls(parse_number(words[0], "RAck", MAX_RSEQ), parse_number(words[1], "RAck", MAX_CSEQ), words[2])

    @classmethod
    def build(cls, rseq: int, cseq: int, method: str) -> RAck:
        """Return a value to send.

        :raises LocalProtocolError: a number is out of range, or *method* is no token.
        """
        if not 0 < rseq <= MAX_RSEQ or not 0 <= cseq <= MAX_CSEQ or not is_token(method):
            raise LocalProtocolError(f"{rseq} {cseq} {method!r} is no RAck")
        return cls(rseq, cseq, method)

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"
