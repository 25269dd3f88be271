"""History-Info."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.history import HistoryEntry, format_index, parse_index


def test_entry() -> None:
    found = HistoryEntry.parse("<sip:bob@biloxi.example.com?Reason=SIP%3Bcause%3D302>;index=1.1.2;mp=1.1;x=y")
    assert found.index == (1, 1, 2)
    assert found.target == ("mp", (1, 1))
    assert HistoryEntry.parse(str(found)) == found
    assert hash(HistoryEntry.parse(str(found))) == hash(found)
    assert found != "x"
    bare = HistoryEntry.parse("<tel:+1>")
    assert (bare.index, bare.target) == ((), None)


def test_build() -> None:
    made = HistoryEntry.build("sip:a@b", (1, 1), "rc", (1,), display_name="A", params=[("x", "y z")])
    assert str(made) == '"A" <sip:a@b>;index=1.1;rc=1;x="y z"'
    assert repr(HistoryEntry.build("sip:a@b", (1,))) == "<HistoryEntry <sip:a@b>;index=1>"
    for index in ((), (-1,)):
        with pytest.raises(LocalProtocolError):
            HistoryEntry.build("sip:a@b", index)
    with pytest.raises(LocalProtocolError):
        HistoryEntry.build("sip:a@b", (1, 1), "np")


@pytest.mark.parametrize("params", [";index=", ";index=1.", ";index=x", ";index=1;rc", ";index=1;np=\u0661", ";index"])
def test_malformed(params: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed History-Info header field"):
        HistoryEntry.parse(f"<sip:a@b>{params}")


def test_index() -> None:
    assert parse_index("1.01.3") == (1, 1, 3)
    assert format_index((1, 1, 3)) == "1.1.3"
    with pytest.raises(RemoteProtocolError):
        parse_index("1." + "9" * 10)
