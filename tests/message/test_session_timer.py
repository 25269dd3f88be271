"""Session-Expires and Min-SE."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.session_timer import MinSE, SessionExpires


def test_session_expires() -> None:
    found = SessionExpires.parse("4000 ; Refresher=UAC")
    assert (found.seconds, found.refresher) == (4000, "uac")
    assert str(SessionExpires.build(1800, "uas", [("x", None)])) == "1800;refresher=uas;x"
    assert SessionExpires.parse("1800;refresher=uas").refresher == "uas"
    assert SessionExpires.parse("1800;refresher=me").refresher is None
    assert SessionExpires.build(90).refresher is None
    assert SessionExpires.parse("1800") == SessionExpires(1800)
    assert SessionExpires.parse("1800") != MinSE(1800)


def test_what_is_too_short_is_read_but_not_sent() -> None:
    assert MinSE.parse("60;a=b").seconds == 60
    for make in (SessionExpires, MinSE):
        with pytest.raises(LocalProtocolError, match="90"):
            make(89)


def test_malformed() -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Session-Expires header field"):
        SessionExpires.parse("soon")
    with pytest.raises(RemoteProtocolError, match="Malformed Session-Expires header field"):
        SessionExpires.parse("90;;")
    with pytest.raises(RemoteProtocolError, match="Malformed Min-SE header field"):
        MinSE.parse("")
