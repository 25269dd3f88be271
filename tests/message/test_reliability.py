"""RSeq and RAck."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.reliability import RAck, parse_rseq


def test_rseq() -> None:
    assert parse_rseq("988789") == 988789
    assert parse_rseq("4294967295") == 4294967295
    for text in ("0", "4294967296", "", "x"):
        with pytest.raises(RemoteProtocolError, match="Malformed RSeq header field"):
            parse_rseq(text)


def test_rack() -> None:
    found = RAck.parse(" 776656\t1  INVITE ")
    assert found == RAck(776656, 1, "INVITE")
    assert str(found) == "776656 1 INVITE"
    assert RAck.build(776656, 1, "INVITE") == found
    for text in ("", "1 2", "1 2 a b", "x 1 INVITE", "1 2147483648 INVITE", "1 2 IN/VITE"):
        with pytest.raises(RemoteProtocolError, match="Malformed RAck header field"):
            RAck.parse(text)
    for rseq, cseq, method in ((0, 1, "A"), (1, -1, "A"), (1, 1 << 31, "A"), (1, 1, "A\r\n")):
        with pytest.raises(LocalProtocolError):
            RAck.build(rseq, cseq, method)
