"""SIP, SIPS and absolute URIs (RFC 3261 sections 19.1 and 25.1; RFC 4475 and RFC 5118 where they touch URIs)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.absolute_uri import AbsoluteURI
from twisted_sip.message.escapes import escape_parameter, escape_user, unescape
from twisted_sip.message.grammar import Params
from twisted_sip.message.tel_uri import TelURI
from twisted_sip.message.uri import SIPURI, parse_uri


@pytest.mark.parametrize(
    ("text", "user", "password", "host", "port", "params", "headers"),
    [
        # section 19.1.3
        ("sip:alice@atlanta.com", "alice", None, "atlanta.com", None, "", ""),
        (
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "alice",
            "secretword",
            "atlanta.com",
            None,
            ";transport=tcp",
            "",
        ),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "alice",
            None,
            "atlanta.com",
            None,
            "",
            "subject=project%20x&priority=urgent",
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "+1-212-555-1212",
            "1234",
            "gateway.com",
            None,
            ";user=phone",
            "",
        ),
        ("sips:1212@gateway.com", "1212", None, "gateway.com", None, "", ""),
        ("sip:alice@192.0.2.4", "alice", None, "192.0.2.4", None, "", ""),
        (
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            None,
            None,
            "atlanta.com",
            None,
            ";method=REGISTER",
            "to=alice%40atlanta.com",
        ),
        ("sip:alice;day=tuesday@atlanta.com", "alice;day=tuesday", None, "atlanta.com", None, "", ""),
        # RFC 4475
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", None, "example.com", None, "", ""),
        (
            "sip:vivekg@chair-dnrc.example.com;unknownparam",
            "vivekg",
            None,
            "chair-dnrc.example.com",
            None,
            ";unknownparam",
            "",
        ),
        ("sip:sips%3Auser%40example.com@example.net", "sips%3Auser%40example.com", None, "example.net", None, "", ""),
        ("sip:null-%00-null@example.com", "null-%00-null", None, "example.com", None, "", ""),
        (
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
            "example.com",
            None,
            "",
            "",
        ),
        # RFC 5118
        ("sip:[2001:db8::10]", None, None, "[2001:db8::10]", None, "", ""),
        ("sip:[2001:db8::10:5070]", None, None, "[2001:db8::10:5070]", None, "", ""),
        ("sip:[2001:db8::10]:5070", None, None, "[2001:db8::10]", 5070, "", ""),
        ("sip:user@[2001:db8:::192.0.2.1]", "user", None, "[2001:db8:::192.0.2.1]", None, "", ""),
        ("SIP:Alice@Host:05060;LR", "Alice", None, "Host", 5060, ";LR", ""),
        ("sip:alice:@host", "alice", "", "host", None, "", ""),
        ("sip:*21#@host", "*21#", None, "host", None, "", ""),
        ("sip:bob@host?Replaces=1@x;to-tag=a&b=", "bob", None, "host", None, "", "Replaces=1@x;to-tag=a&b="),
        ("sip:bob@host;gr=urn:uuid:f81d;x=[a]/&+$;y=", "bob", None, "host", None, ";gr=urn:uuid:f81d;x=[a]/&+$;y=", ""),
    ],
)
def test_parts(
    text: str, user: str | None, password: str | None, host: str, port: int | None, params: str, headers: str
) -> None:
    uri = SIPURI.parse(text)
    assert (uri.user, uri.password, uri.host, uri.port, uri.headers) == (user, password, host, port, headers)
    assert str(uri.params) == params
    assert uri.scheme == text.partition(":")[0].lower()
    assert uri.secure == text.startswith("sips")
    assert str(uri) == text
    assert str(uri.replace()).lower() == text.lower().replace(":05060", ":5060")
    assert parse_uri(text) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip",
        "sip:@host",
        "sip:a@",
        "sip:a@b@c",
        "sip:a@host:",
        "sip:a@host:x",
        "sip:a@host:65536",
        "sip:a b@host",
        "sip:a@host; lr",
        "sip:a@host;;lr",
        "sip:a@host;",
        "sip:a@host;=x",
        "sip:a@host?",
        "sip:a@[::1",
        # RFC 4475 section 3.1.2.7; RFC 5118 section 4.2
        "<sip:user@example.com>",
        "sip:2001:db8::10",
        "sip:a@[1::2::3]",
        "sip:a@444.555.666.777",
        "sip:a@host\r\nX: y",
        "sip:a%@host",
        "sip:a%4@host",
        "sip:a%zz@host",
        "sip:a@host;x=%4",
        "sip:a@host?x=%",
        "sip:a<b@host",
        'sip:a"b@host',
        "sip:jürgen@host",
        "sip:a@höst",
        "sip:a@host;x=\0",
        "sip:a\0@host",
        "sip:a:b:c@host",
        "sip:a@host/x",
        "sips :a@b",
        "sip:a@host;x=a,b",
        "sip:a@host ",
        " sip:a@host",
        "sip:a@host:" + "9" * 5000,
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(text)
    assert caught.value.status == 400
    with pytest.raises(RemoteProtocolError):
        SIPURI.parse(text)


def test_parameters_with_a_meaning() -> None:
    uri = SIPURI.parse("sip:+1234@h;Transport=TCP;LR;maddr=239.255.255.1;ttl=15;method=INVITE;user=Phone")
    assert uri.transport == "tcp"
    assert uri.lr
    assert uri.maddr == "239.255.255.1"
    assert uri.ttl == 15
    assert uri.method == "INVITE"
    assert uri.is_phone


def test_parameters_that_are_absent() -> None:
    uri = SIPURI.parse("sip:h")
    assert (uri.transport, uri.lr, uri.maddr, uri.ttl, uri.method, uri.is_phone) == ("", False, "", None, "", False)
    assert uri.params == Params()
    assert not SIPURI.parse("sip:h;transport=udp").lr


@pytest.mark.parametrize("ttl", ["256", "x", "-1", "%D9%A3", "9" * 5000])
def test_malformed_ttl(ttl: str) -> None:
    with pytest.raises(RemoteProtocolError):
        _ = SIPURI.parse(f"sip:h;ttl={ttl}").ttl


def test_escaped_parameters_mean_what_they_escape() -> None:
    # RFC 4475 section 3.1.1.3; unescaping happens once
    uri = SIPURI.parse("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31;tr%61nsport=%74cp")
    assert uri.lr
    assert unescape(uri.params.get("name") or "") == "value%41"
    assert uri.transport == "tcp"
    assert str(uri.params.without("lr").with_("NAME", "x")) == ";n%61me=x;tr%61nsport=%74cp"


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("sips:Alice:pw@AtLanTa.CoM:5061;user=phone;x?subject=y", "sip:Alice@atlanta.com"),
        ("sip:%75se%72@example.com", "sip:user@example.com"),
        ("sip:I%20have%20spaces@example.net", "sip:I%20have%20spaces@example.net"),
        ("sip:sips%3auser%40example.com@example.net", "sip:sips%3Auser%40example.com@example.net"),
        ("sip:a%3Bb%2Fc@h", "sip:a;b/c@h"),
        ("sip:a%2541@h", "sip:a%2541@h"),
        ("sip:null-%00-null@example.com", "sip:null-%00-null@example.com"),
        ("sip:[2001:DB8:0::1]", "sip:[2001:db8::1]"),
    ],
)
def test_address_of_record(text: str, aor: str) -> None:
    # section 10.3 step 5
    assert SIPURI.parse(text).address_of_record == aor
    assert SIPURI.parse(aor).address_of_record == aor


def test_building() -> None:
    assert str(SIPURI("host")) == "sip:host"
    assert (
        str(SIPURI("[::1]", "bob", 5060, [("transport", "tcp"), ("lr", None)])) == "sip:bob@[::1]:5060;transport=tcp;lr"
    )
    made = SIPURI("h", "u", scheme="sips", password="p", headers="a=b", params=Params([("x", "y")]))
    assert str(made) == "sips:u:p@h;x=y?a=b"
    assert repr(made) == "<SIPURI sips:u:p@h;x=y?a=b>"


def test_replacing() -> None:
    uri = SIPURI.parse("sip:bob@h:5060;transport=tcp;method=INVITE?a=b")
    assert str(uri.replace(headers="", params=uri.params.without("method"))) == "sip:bob@h:5060;transport=tcp"
    assert str(uri.replace(user=None, port=None, host="[::1]", scheme="sips", params=[], headers="")) == "sips:[::1]"
    assert str(uri.replace(password="x", params=())) == "sip:bob:x@h:5060?a=b"
    assert str(uri) == "sip:bob@h:5060;transport=tcp;method=INVITE?a=b"


@pytest.mark.parametrize(
    "part",
    [
        {"user": "a@b"},
        {"user": "a:b"},
        {"user": "a b"},
        {"user": ""},
        {"host": "h;x=1"},
        {"host": "h:1"},
        {"host": "h?x=y"},
        {"host": ""},
        {"port": 65536},
        {"port": -1},
        {"scheme": "tel"},
        {"scheme": "SIP"},
        {"params": [("a", "b;c")]},
        {"params": [("a", "b?c")]},
        {"params": [("a", "b\r\nX: y")]},
        {"headers": "a\r\nX: y"},
    ],
)
def test_parts_that_would_not_read_back_are_refused(part: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        SIPURI.parse("sip:alice@example.net").replace(**part)  # type: ignore[typeddict-item]


def test_escaping_for_the_caller() -> None:
    assert escape_user("jörg m:1;x") == "j%C3%B6rg%20m%3A1;x"
    assert escape_user("alice") == "alice"
    assert escape_user("\udcff") == "%FF"
    assert escape_parameter("a;b=c") == "a%3Bb%3Dc"
    assert unescape("j%C3%B6rg%20%FF%zz") == "jörg \udcff%zz"
    assert unescape("plain") == "plain"


def test_text_equality_and_hash() -> None:
    one, other = SIPURI.parse("sip:a@h"), SIPURI.parse("sip:a@h")
    assert one == other
    assert hash(one) == hash(other)
    assert one != SIPURI.parse("sip:a@H")
    assert one != "sip:a@h"


@pytest.mark.parametrize(
    "text",
    # RFC 4475 sections 3.3.2 to 3.3.4
    [
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
        "isbn:2983792873",
        "name:John_Smith",
        "http://www.example.com/?a=b#c",
        "urn:service:sos",
        "mailto:a@b",
    ],
)
def test_other_schemes_are_kept_as_they_are(text: str) -> None:
    uri = parse_uri(text)
    assert isinstance(uri, AbsoluteURI)
    assert str(uri) == text
    assert uri.scheme == text.partition(":")[0].lower()
    assert uri.opaque == text.partition(":")[2]
    assert uri == AbsoluteURI.parse(text)
    assert hash(uri) == hash(AbsoluteURI(text))
    assert repr(uri) == f"<AbsoluteURI {text}>"
    assert uri != text


@pytest.mark.parametrize("text", ["plain", ":x", "1a:b", "a:", "a:b c", "a:<b>", 'a:"', "a:\n", "é:x", "a b:c", "*"])
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uri(text)


def test_kinds() -> None:
    assert isinstance(parse_uri("TEL:+1"), TelURI)
    assert isinstance(parse_uri("SIPS:h"), SIPURI)
    assert isinstance(parse_uri("sipx:h"), AbsoluteURI)
    assert isinstance(parse_uri("telx:h"), AbsoluteURI)
