"""Header fields as lines: order, spelling and bytes stay, typed values follow changes."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.header_map import HeaderMap, Lines, line_value
from twisted_sip.message.parser import parse_message
from twisted_sip.message.request import Request


def fields() -> HeaderMap:
    return HeaderMap(
        [("via", "SIP/2.0/UDP a;branch=z9hG4bK1"), ("v", "SIP/2.0/UDP b"), ("X-Thing", "one"), ("to", "<sip:a@b>")]
    )


def test_names_are_canonical_and_compact_forms_expanded() -> None:
    headers = fields()
    assert headers.names == ["via", "via", "x-thing", "to"]
    assert headers.lines[1] == "Via: SIP/2.0/UDP b"
    assert list(headers)[2] == ("X-Thing", "one")
    assert "via" in headers and "from" not in headers
    assert len(headers) == 4
    assert headers == fields()
    assert "X-Thing" in repr(headers)


def test_first_all_and_elements() -> None:
    headers = HeaderMap(
        [("allow", "INVITE, ACK"), ("allow", "BYE"), ("allow", ""), ("contact", '"a, b" <sip:x>, <sip:y>')]
    )
    assert headers.first("allow") == "INVITE, ACK"
    assert headers.first("subject") is None
    assert headers.all("allow") == ["INVITE, ACK", "BYE", ""]
    assert headers.all("subject") == []
    assert headers.elements("allow") == ["INVITE", "ACK", "BYE"]
    assert headers.elements("contact") == ['"a, b" <sip:x>', "<sip:y>"]
    assert headers.count("allow") == 3


def test_set_keeps_the_place_of_the_first_and_drops_the_others() -> None:
    headers = fields()
    headers.set("via", "SIP/2.0/TCP c")
    assert headers.names == ["via", "x-thing", "to"]
    assert headers.first("via") == "SIP/2.0/TCP c"
    headers.set("subject", "new")
    assert headers.names[-1] == "subject"


def test_remove_and_first_elements() -> None:
    headers = HeaderMap([("route", "<sip:a;lr>, <sip:b;lr>"), ("route", "<sip:c;lr>")])
    headers.remove_first_element("route")
    assert headers.elements("route") == ["<sip:b;lr>", "<sip:c;lr>"]
    headers.remove_first_element("route")
    assert headers.elements("route") == ["<sip:c;lr>"]
    headers.remove_first_element("route")
    assert "route" not in headers
    headers.remove_first_element("route")
    headers.replace_first_element("route", "<sip:d;lr>")
    assert headers.elements("route") == ["<sip:d;lr>"]
    headers.set("route", "<sip:a;lr>, <sip:b;lr>")
    headers.replace_first_element("route", "<sip:z;lr>")
    assert headers.elements("route") == ["<sip:z;lr>", "<sip:b;lr>"]
    headers.remove("route")
    headers.remove("route")
    assert len(headers) == 0


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2", "SIP/2.0/UDP b;branch=2"),
        ("SIP/2.0/UDP a;branch=1,SIP/2.0/UDP b, SIP/2.0/UDP c", "SIP/2.0/UDP b, SIP/2.0/UDP c"),
        ('SIP/2.0/UDP a;x="," , SIP/2.0/UDP b', "SIP/2.0/UDP b"),
        (", SIP/2.0/UDP a, SIP/2.0/UDP b", "SIP/2.0/UDP b"),
        ("SIP/2.0/UDP a, ,", None),
        ("SIP/2.0/UDP a\r\n , SIP/2.0/UDP b,\r\n SIP/2.0/UDP c", "SIP/2.0/UDP b, SIP/2.0/UDP c"),
        ("<sip:a,b@c;lr>, <sip:d;lr>", "<sip:d;lr>"),
        ("SIP/2.0/UDP [::1], SIP/2.0/UDP [::2]", "SIP/2.0/UDP [::2]"),
    ],
)
def test_the_first_of_several_values_in_a_line_is_taken_off(value: str, rest: str | None) -> None:
    headers = HeaderMap.from_lines(["via"], [f"Via: {value}"])
    headers.remove_first_element("via")
    assert headers.lines == ([] if rest is None else [f"Via: {rest}"])


def test_copies_are_independent() -> None:
    headers = fields()
    other = headers.copy()
    other.append("subject", "x")
    other.remove("to")
    assert "subject" not in headers and "to" in headers


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "x\r\nVia: SIP/2.0/UDP evil"])
def test_line_ends_and_nul_never_get_in(value: str) -> None:
    headers = HeaderMap()
    for change in (headers.append, headers.prepend, headers.set, headers.replace_first_element):
        with pytest.raises(LocalProtocolError):
            change("subject", value)
    with pytest.raises(LocalProtocolError):
        headers.append("bad name", "x")
    assert len(headers) == 0


def test_folded_values_are_unfolded_when_read_and_kept_as_written() -> None:
    assert line_value("Subject: one\r\n  two\r\n\tthree") == "one two three"
    raw = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nSubject: one\r\n  two\r\n"
    raw += b"f: <sip:a@b>;tag=1\r\nt: <sip:a@b>\r\ni: 1\r\nCSeq: 1 OPTIONS\r\nl: 0\r\n\r\n"
    message = parse_message(raw)
    assert message.headers.first("subject") == "one two"
    assert message.to_bytes() == raw


def test_typed_values_follow_changes() -> None:
    request = Request("INVITE", "sip:a@b", [("via", "SIP/2.0/UDP one;branch=z9hG4bKa"), ("to", "<sip:a@b>;tag=x")])
    assert request.top_via.host == "one"
    request.headers.prepend("via", "SIP/2.0/TCP two;branch=z9hG4bKb")
    assert request.top_via.host == "two"
    request.headers.remove_first_element("via")
    assert request.top_via.host == "one"
    assert request.to.tag == "x"
    request.headers.set("to", "<sip:a@b>;tag=y")
    assert request.to.tag == "y"


def test_typed_access_names_the_header_field_at_fault() -> None:
    request = Request("INVITE", "sip:a@b", [("expires", "soon"), ("date", "a"), ("date", "b"), ("from", "<sip:")])
    with pytest.raises(RemoteProtocolError) as caught:
        _ = request.expires
    assert caught.value.header == "Expires" and caught.value.status == 400
    with pytest.raises(RemoteProtocolError, match="More than one Date"):
        request.typed("date")
    with pytest.raises(RemoteProtocolError, match="From"):
        _ = request.from_
    with pytest.raises(RemoteProtocolError, match="Missing Call-ID"):
        _ = request.call_id
    assert request.typed("subject") is None
    assert request.typed("x-unknown") is None
    assert request.typed("route") == []
    assert request.max_forwards is None
    assert request.contacts == [] and not request.contact_star


def test_lines_that_are_ready() -> None:
    ready = Lines.made([("k", "timer"), ("X-More", "1")])
    assert ready == (("supported", "x-more"), ("Supported: timer", "X-More: 1"))
    headers = fields()
    request = Request.from_parts("OPTIONS", "sip:a@b", headers, b"")
    assert request.to.uri_text == "sip:a@b"
    headers.add(Lines.made([("to", "<sip:c@d>")]))
    headers.add(ready)
    assert headers.lines[-3:] == ["To: <sip:c@d>", "Supported: timer", "X-More: 1"]
    assert headers.count("to") == 2
    assert "to" not in headers.parsed
    with pytest.raises(LocalProtocolError):
        Lines.made([("subject", "a\r\nb")])
