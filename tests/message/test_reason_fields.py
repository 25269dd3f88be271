"""Reason and Warning."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.reason_fields import Reason, SIPWarning


def test_reason() -> None:
    found = Reason.parse('SIP ;cause=200 ;text="Call completed elsewhere"')
    assert (found.protocol, found.cause, found.text) == ("SIP", 200, "Call completed elsewhere")
    built = Reason.build("SIP", 200, "Call completed elsewhere")
    assert str(built) == 'SIP;cause=200;text="Call completed elsewhere"'
    assert built == found
    assert str(Reason.build("Q.850", text="Bye", params=[("x", "y")])) == 'Q.850;x=y;text="Bye"'
    assert str(Reason.build("SIP")) == "SIP"
    bare = Reason.parse("q.850;cause=x")
    assert (bare.protocol, bare.cause, bare.text) == ("Q.850", None, "")
    for protocol, cause, text in (("a b", 1, ""), ("SIP", -1, ""), ("SIP", 1, "\r\n")):
        with pytest.raises(LocalProtocolError):
            Reason.build(protocol, cause, text)
    with pytest.raises(RemoteProtocolError, match="Malformed Reason header field"):
        Reason.parse("")


def test_warning() -> None:
    found = SIPWarning.parse('307 \tisi.edu:5060  "Session \\"p\\" not\tunderstood" ')
    assert (found.code, found.agent, found.text) == (307, "isi.edu:5060", 'Session "p" not\tunderstood')
    assert str(found) == '307 isi.edu:5060 "Session \\"p\\" not\tunderstood"'
    assert SIPWarning.parse(str(found)) == found
    assert hash(SIPWarning.parse(str(found))) == hash(found)
    assert found != "x"
    assert repr(SIPWarning(399, "a", "b")) == '<Warning 399 a "b">'


@pytest.mark.parametrize(
    "text",
    [
        "",
        '1812 overture "In Progress"',  # RFC 4475 section 3.1.2.5
        '099 a "b"',
        "399 a b",
        '399 "b"',
        '399 a "b',
        '399 a "b" c',
        '399 a,b "c"',
        '399 a "\0"',
        '\u0663\u0669\u0669 a "b"',
    ],
)
def test_malformed_warning(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Warning header field"):
        SIPWarning.parse(text)


@pytest.mark.parametrize(("code", "agent", "text"), [(99, "a", ""), (1000, "a", ""), (399, "", ""), (399, "a b", "")])
def test_warning_that_cannot_be_sent(code: int, agent: str, text: str) -> None:
    with pytest.raises(LocalProtocolError):
        SIPWarning(code, agent, text)


def test_a_long_warning_without_end_costs_one_pass() -> None:
    with pytest.raises(RemoteProtocolError):
        SIPWarning.parse('399 a "' + "\\" * 100_001)
