"""Addresses in header fields (RFC 3261 section 20.10; RFC 4475 where it touches them)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import Params, parse_params
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.uri import SIPURI, parse_uri


@pytest.mark.parametrize(
    ("text", "display_name", "uri", "params", "tag"),
    [
        ("<sip:alice@atlanta.com>;tag=88sja8x", "", "sip:alice@atlanta.com", ";tag=88sja8x", "88sja8x"),
        (
            '"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s',
            "A. G. Bell",
            "sip:agb@bell-telephone.com",
            ";tag=a48s",
            "a48s",
        ),
        (
            "sip:+12125551212@server.phone2net.com;tag=887s",
            "",
            "sip:+12125551212@server.phone2net.com",
            ";tag=887s",
            "887s",
        ),
        (
            "Anonymous <sip:c8oqz84zk7z@privacy.org>;x;TAG=hyh8",
            "Anonymous",
            "sip:c8oqz84zk7z@privacy.org",
            ";x;TAG=hyh8",
            "hyh8",
        ),
        ("Mr  Watson\t<sip:w@h;lr>", "Mr Watson", "sip:w@h;lr", "", ""),
        # RFC 4475 section 3.1.1.1
        (
            "sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
            "",
            "sip:vivekg@chair-dnrc.example.com",
            ";tag=1918181833n",
            "1918181833n",
        ),
        (
            '"J Rosenberg \\\\\\""       <sip:jdrosen@example.com> ; tag = 98asjd8',
            'J Rosenberg \\"',
            "sip:jdrosen@example.com",
            ";tag=98asjd8",
            "98asjd8",
        ),
        (
            '"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam = newvalue ; secondparam ; q = 0.33',
            'Quoted string ""',
            "sip:jdrosen@example.com",
            ";newparam=newvalue;secondparam;q=0.33",
            "",
        ),
        # section 3.1.1.2
        (
            "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>"
            ";fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
            "token1~` token2'+_ token3*%!.-",
            "sip:mundane@example.com",
            ";fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
            "_token~1'+`*%!-.",
        ),
        (
            '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
            "BEL:\x07 NUL:\x00 DEL:\x7f",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
            "",
            "",
        ),
        # section 3.1.1.5: no escapes in display names
        (
            '"%Z%45" <sip:resource@example.com>;tag=f232jadfj23',
            "%Z%45",
            "sip:resource@example.com",
            ";tag=f232jadfj23",
            "f232jadfj23",
        ),
        # section 3.1.1.6
        ("caller<sip:caller@example.com>;tag=323", "caller", "sip:caller@example.com", ";tag=323", "323"),
        ('"caller"<sip:caller@example.com>;tag=323', "caller", "sip:caller@example.com", ";tag=323", "323"),
        # section 3.3.4
        ("isbn:2983792873", "", "isbn:2983792873", "", ""),
        ("<http://www.example.com>;tag=3234233", "", "http://www.example.com", ";tag=3234233", "3234233"),
        ("<tel:+1-201-555-0123;ext=1>", "", "tel:+1-201-555-0123;ext=1", "", ""),
        ("tel:+1-201-555-0123;tag=1", "", "tel:+1-201-555-0123", ";tag=1", "1"),
        # section 3.1.2.13 must be in brackets, and here it is
        (
            "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
            "",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "",
            "",
        ),
        ('sip:a@b;x="<sip:c@d>";tag=1', "", "sip:a@b", ';x="<sip:c@d>";tag=1', "1"),
        ('sip:a@b;x="y;tag=no"', "", "sip:a@b", ';x="y;tag=no"', ""),
        ('<sip:a@b>;+sip.instance="<urn:uuid:00>";tag=1', "", "sip:a@b", ';+sip.instance="<urn:uuid:00>";tag=1', "1"),
        ('<sip:a@b>;x="y>z"', "", "sip:a@b", ';x="y>z"', ""),
        ('"<sip:fake@x>" <sip:real@y>', "<sip:fake@x>", "sip:real@y", "", ""),
        ('  "" <sip:a@b>', "", "sip:a@b", "", ""),
        (" <sip:a@b> ", "", "sip:a@b", "", ""),
        ("Jürgen <sip:a@b>", "Jürgen", "sip:a@b", "", ""),
        ('"\udcff\udc00" <sip:a@b>', "\udcff\udc00", "sip:a@b", "", ""),
        ("<sip:a@b>;tag", "", "sip:a@b", ";tag", ""),
        ("<sip:a@b> ;tag", "", "sip:a@b", ";tag", ""),
    ],
)
def test_parts(text: str, display_name: str, uri: str, params: str, tag: str) -> None:
    address = NameAddr.parse(text)
    assert str(address) == text
    assert address.tag == tag
    assert address.display_name == display_name
    assert address.uri_text == uri
    assert address.uri == parse_uri(uri)
    assert address.uri is address.uri
    assert str(address.params) == params
    assert address.tag == tag
    assert address == NameAddr.parse(text)
    assert hash(address) == hash(NameAddr.parse(text))
    assert address != text
    assert repr(address) == f"<NameAddr {text}>"


def test_parameters_of_an_address_without_brackets_are_the_fields() -> None:
    address = NameAddr.parse("sip:alice@atlanta.com;transport=tcp;tag=1")
    assert isinstance(address.uri, SIPURI)
    assert address.uri.transport == ""
    assert address.params.get("transport") == "tcp"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "*",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "foo",
        "foo <sip:a@b",
        "<sip:a@b> x",
        "<sip:a@b>, <sip:c@d>",
        # RFC 4475 section 3.1.2.6
        '"Mr. J. User <sip:j.user@example.com>',
        '"Mr J. User <sip:j.user@example.com> <sip:realj@example.net>',
        # section 3.1.2.15
        "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
        "Watson, Thomas <sip:t.watson@example.org>",
        "a:b <sip:c@d>",
        # section 3.1.2.14
        '"Watson, Thomas" < sip:t.watson@example.org >',
        # section 3.1.2.13
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        "sip:a,b@c",
        # section 3.1.2.1
        '"Joe" <sip:joe@example.org>;;;;',
        "<sip:a@b>;",
        "sip:a@b;",
        "<sip:a@b>; ;tag=1",
        "sip:a@b;;tag=1",
        '"a" x <sip:a@b>',
        '"a" sip:a@b',
        '"a"',
        'x "a" <sip:a@b>',
        '<sip:a@b>;x="open',
        "<sip:a@b>;tag=a b",
        "a(b) <sip:c@d>",
        "<sip:a@b\r\nX: y>",
        '"a\r\nX: y" <sip:a@b>',
        "<sip:a@b>;x=y\r\nX: y",
        "a\nb <sip:a@b>",
        "<sip:a@b>\n;tag=1",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        NameAddr.parse(text)
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["<sip:>", "<sip:a@b@c>", "<<sip:a@b>>", "<foo>", "<sip:a@b;;x>", "<sip:a\tb@c>"])
def test_a_malformed_uri_is_found_when_asked_for(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        _ = NameAddr.parse(text).uri


def test_build() -> None:
    address = NameAddr.build("sip:bob@h;lr", 'Bob "B" \\', [("tag", "1"), ("lr", None)])
    assert str(address) == '"Bob \\"B\\" \\\\" <sip:bob@h;lr>;tag=1;lr'
    assert address.display_name == 'Bob "B" \\'
    assert address.tag == "1"
    assert str(NameAddr.build(SIPURI("h"))) == "<sip:h>"
    assert str(NameAddr.build(parse_uri("tel:+1"), params=parse_params("q=0.5"))) == "<tel:+1>;q=0.5"
    assert NameAddr.build("sip:h", "Jürgen").display_name == "Jürgen"


@pytest.mark.parametrize(
    ("uri", "display_name", "params"),
    [
        ("sip:a@b>", "", []),
        ("sip:a b", "", []),
        ("sip:h\r\nX: y", "", []),
        ("", "", []),
        ("sip:h", "a\r\nb", []),
        ("sip:h", "a\0b", []),
        ("sip:h", "", [("tag", "a;b")]),
        ("sip:h", "", [("t g", "a")]),
    ],
)
def test_build_refuses_what_would_not_read_back(uri: str, display_name: str, params: list[tuple[str, str]]) -> None:
    with pytest.raises(LocalProtocolError):
        NameAddr.build(uri, display_name, params)
    with pytest.raises(LocalProtocolError):
        NameAddr.build(uri, display_name, Params(params))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<sip:a@b>", "<sip:a@b>;tag=x"),
        ("sip:a@b", "<sip:a@b>;tag=x"),
        ("sip:a@b;y=z", "<sip:a@b>;y=z;tag=x"),
        ("sip:a@b;Tag=1;y=z", "<sip:a@b>;Tag=x;y=z"),
        ('"A \\" B"<sip:a@b>', '"A \\" B" <sip:a@b>;tag=x'),
        ("A B  <sip:a@b> ; y = z", "A B <sip:a@b>;y=z;tag=x"),
    ],
)
def test_with_a_tag(before: str, after: str) -> None:
    address = NameAddr.parse(before)
    changed = address.with_("tag", "x")
    assert str(changed) == after
    assert str(address) == before
    assert NameAddr.parse(after).params == changed.params
    assert changed.uri == address.uri
    assert changed.display_name == address.display_name
    assert "tag" not in changed.without("tag").params
    assert changed.without("absent") is changed


def test_with_another_uri() -> None:
    address = NameAddr.parse("Bob <sip:a@b>;q=1").with_uri("sip:c@d")
    assert str(address) == "Bob <sip:c@d>;q=1"
    assert address.uri == parse_uri("sip:c@d")
    with pytest.raises(LocalProtocolError):
        address.with_uri("sip:c d")
    with pytest.raises(LocalProtocolError):
        address.with_("tag", "a b")


@pytest.mark.parametrize(
    ("text", "untagged"),
    [
        ('"A" <sip:a@b>;tag=1', '"A" <sip:a@b>'),
        ("<sip:a@b>;tag=1;x=2", "<sip:a@b>;x=2"),
        ("<sip:a@b>", "<sip:a@b>"),
    ],
)
def test_the_text_without_the_tag(text: str, untagged: str) -> None:
    assert NameAddr.parse(text).untagged == untagged
    plain = NameAddr.parse(untagged)
    if not plain.has_params:
        assert plain.tagged("5").untagged == untagged
        assert plain.tagged("5").without("tag") is plain
    with pytest.raises(RemoteProtocolError):
        _ = NameAddr.parse(text.replace("sip:a@b", "sip:")).untagged
