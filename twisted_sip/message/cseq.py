"""The CSeq header field (RFC 3261 section 20.16)."""

from __future__ import annotations

from typing import NamedTuple

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.grammar import is_token
from twisted_sip.message.header_map import line_value
from twisted_sip.message.hosts import printable
from twisted_sip.message.limits import SHORT

_LIMIT = 2**32
#: Lines that many clients send have numbers below this one; those of others do not come again.
_USUAL = 1000
_MOST_KEPT = 4096


class CSeq(NamedTuple):
    """A sequence number and the method it counts.

    :ivar number: 0 to 2**32 - 1.
    :ivar method: the method, case-sensitive.
    """

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Parse ``4711 INVITE``.

        :raises RemoteProtocolError: malformed, or the number takes more than 32 bits (section 20.16).
        """
        digits, _, method = text.partition(" ")
        if not (digits.isdigit() and digits.isascii() and is_token(method)):
            words = text.replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if len(words) != 2:
                raise RemoteProtocolError("Malformed CSeq header field", header="CSeq")
            digits, method = words
            if not (digits.isdigit() and digits.isascii() and is_token(method)):
                raise RemoteProtocolError(f"Malformed CSeq header field: {printable(text)}", header="CSeq")
        if len(digits) > 10:
            digits = digits.lstrip("0") or "0"
            if len(digits) > 10:
                raise RemoteProtocolError("CSeq number out of range", header="CSeq")
        number = int(digits)
        if number >= _LIMIT:
            raise RemoteProtocolError("CSeq number out of range", header="CSeq")
        return cls(number, method)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


_kept: dict[str, CSeq] = {}


def cseq_in(line: str) -> CSeq:
    """Return the value of a CSeq *line*.

    :raises RemoteProtocolError: as :meth:`CSeq.parse`.
    """
    cseq = _kept.get(line)
    if cseq is None:
        cseq = CSeq.parse(line_value(line))
        if cseq.number < _USUAL and len(line) <= SHORT:
            if len(_kept) >= _MOST_KEPT:
                _kept.clear()
            _kept[line] = cseq
    return cseq
