"""Privacy, and what may be asserted."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.identity import Privacy, check_identities
from twisted_sip.message.name_addr import NameAddr


def test_privacy() -> None:
    found = Privacy.parse("Header ; user, id;critical;;USER")
    assert found.values == ("header", "user", "id", "critical")
    assert found.id and found.critical and not found.none
    assert "user" in found and "session" not in found
    assert str(found) == "header;user;id;critical"
    assert Privacy.parse(str(found)) == found == Privacy(["id", "critical", "user", "header"])
    assert hash(found) == hash(Privacy(["id", "critical", "user", "header"]))
    assert found != "x"
    assert Privacy.parse("none").none
    assert repr(Privacy(["none"])) == "<Privacy none>"
    for text in ("", ";", "a b"):
        with pytest.raises(RemoteProtocolError, match="Malformed Privacy header field"):
            Privacy.parse(text)
    for values in ([], ["a b"], ["a\r\n"]):
        with pytest.raises(LocalProtocolError):
            Privacy(values)


def test_identities() -> None:
    sip = NameAddr.parse('"Cullen" <sip:fluffy@cisco.com>')
    tel = NameAddr.parse("tel:+14085264000")
    check_identities([])
    check_identities([sip, tel])
    for bad in ([sip, sip], [tel, tel], [NameAddr.parse("<http://a>")], [sip, NameAddr.parse("<sips:a@b>")]):
        with pytest.raises(RemoteProtocolError, match="P-Preferred-Identity"):
            check_identities(bad, "P-Preferred-Identity")
