"""Selectors and edits without a server: the insertions of RFC 4825 section 8.2.3, and corners."""

from __future__ import annotations

import pytest

from twisted_sip.errors import DocumentError
from twisted_sip.xcap.node_edits import ConflictError, delete_node, fetch, put_attribute, put_element
from twisted_sip.xcap.preconditions import EntityTags, Preconditions
from twisted_sip.xcap.selectors import (
    DocumentSelector,
    NodeSelector,
    SelectorError,
    canonical_xui,
    parse_bindings,
    parse_node,
    parse_target,
)
from twisted_sip.xcap.source_tree import attribute_value, read_tree

DOCUMENT = """<?xml version="1.0"?>
   <root>
    <el1 att="first"/>
    <el1 att="second"/>
    <!-- comment -->
    <el2 att="first"/>
   </root>"""


def selector(text: str, query: str = "") -> NodeSelector:
    return parse_node(text, "", parse_bindings(query))


@pytest.mark.parametrize(
    ("text", "element", "after", "white"),
    [
        ('root/el1[@att="third"]', '<el1 att="third"/>', '<el1 att="second"/>', ""),
        ('root/el1[3][@att="third"]', '<el1 att="third"/>', '<el1 att="second"/>', ""),
        ('root/*[3][@att="third"]', '<el1 att="third"/>', '<el1 att="second"/>', ""),
        ("root/el3", '<el3 att="first"/>', '<el2 att="first"/>', "\n   "),
        ("root/el3[1]", '<el3 att="first"/>', '<el2 att="first"/>', "\n   "),
        ('root/*[@att="new"]', '<el1 att="new"/>', '<el2 att="first"/>', "\n   "),
        ('root/el2[@att="2"]', '<el2 att="2"/>', '<el2 att="first"/>', ""),
        ('root/el2[2][@att="2"]', '<el2 att="2"/>', '<el2 att="first"/>', ""),
        ('root/*[2][@att="2"]', '<el2 att="2"/>', '<el1 att="first"/>', ""),
        ('root/el2[1][@att="2"]', '<el2 att="2"/>', "<!-- comment -->", "\n    "),
        ('root/*[1][@att="0"]', '<el1 att="0"/>', "<root>", "\n    "),
    ],
)
def test_where_an_element_goes(text: str, element: str, after: str, white: str) -> None:
    edit = put_element(DOCUMENT, selector(text), element)
    assert edit.created
    assert edit.text == DOCUMENT.replace(after + white, after + white + element, 1)
    assert fetch(edit.text, selector(text)) == element
    again = put_element(edit.text, selector(text), element)
    assert (again.text, again.created) == (edit.text, False)


@pytest.mark.parametrize(
    "text", ['root/el1[9][@att="9"]', 'root/*[9][@att="9"]', 'root/el1[0][@att="9"]', "root/el1", "other"]
)
def test_where_an_element_cannot_go(text: str) -> None:
    with pytest.raises(ConflictError) as refused:
        put_element(DOCUMENT, selector(text), '<el1 att="9"/>')
    assert refused.value.conflict.condition == "cannot-insert"


def test_an_element_without_content_gets_some() -> None:
    edit = put_element("<a><b c='d' /><e/></a>", selector("a/b/x"), "<x/>")
    assert edit.text == "<a><b c='d'><x/></b><e/></a>"
    edit = put_element("<a></a>", selector("a/*"), "<x/>")
    assert edit.text == "<a><x/></a>"


def test_the_root_can_be_replaced() -> None:
    edit = put_element("<!-- x --><a><b/></a>", selector("a"), " <a>new</a>\n")
    assert edit.text == "<!-- x --><a>new</a>" and not edit.created


def test_several_elements_are_no_target() -> None:
    with pytest.raises(ConflictError, match="several"):
        put_element(DOCUMENT, selector("root/el1"), "<el1/>")


def test_what_is_beyond_a_limit_says_so() -> None:
    deep = "<x>" * 64 + "</x>" * 64
    with pytest.raises(DocumentError):
        put_element("<a/>", selector("a/x"), deep)
    with pytest.raises(DocumentError):
        put_element("<a/>", selector("a/x"), f"<x>{deep}</x>")


def test_attributes_in_namespaces() -> None:
    query = "xmlns(p=urn:p)"
    made = put_attribute("<a/>", selector("a/@p:b", query), '"1"')
    assert (made.text, made.created) == ('<a xmlns:p="urn:p" p:b="1"/>', True)
    made = put_attribute(made.text, selector("a/@p:b", query), "'2'")
    assert (made.text, made.created) == ("<a xmlns:p=\"urn:p\" p:b='2'/>", False)
    other = '<a xmlns:q="urn:p" xmlns:p="urn:other"/>'
    assert put_attribute(other, selector("a/@p:b", query), '"1"').text.startswith('<a q:b="1"')
    taken = '<a xmlns:p="urn:other"/>'
    assert put_attribute(taken, selector("a/@p:b", query), '"1"').text.startswith('<a xmlns:p_="urn:p" p_:b="1"')
    assert put_attribute("<a/>", selector("a/@xml:lang"), '"en"').text == '<a xml:lang="en"/>'
    assert (
        put_attribute('<a xmlns:p="urn:p"/>', selector("a/@p:b", query), '"1"').text == '<a p:b="1" xmlns:p="urn:p"/>'
    )
    deleted = delete_node(made.text, selector("a/@p:b", query))
    assert deleted is not None and deleted.text == '<a xmlns:p="urn:p"/>'
    # Declarations are no attributes (section 6.3).
    for text in ("a/@xmlns", "a[@xmlns='urn:d']"):
        assert fetch('<a xmlns="urn:d"/>', parse_node(text, "urn:d", {})) is None
    with pytest.raises(ConflictError):
        put_attribute("<a/>", selector("a/@xmlns"), '"urn:x"')
    # An attribute in a namespace is another than one without.
    assert fetch('<a b="1"/>', selector("a/@p:b", query)) is None


def test_what_is_in_scope_comes_from_all_around() -> None:
    text = '<a xmlns="urn:d" xmlns:x="urn:x&amp;"><b xmlns="" xmlns:y="urn:y"><c/></b></a>'
    found = fetch(text, parse_node("d:a/b/c/namespace::*", "", {"d": "urn:d"}))
    assert found == '<c xmlns:x="urn:x&amp;" xmlns:y="urn:y"/>'
    inner = put_element(text, parse_node("d:a/b/x:n", "", {"d": "urn:d", "x": "urn:x&"}), "<x:n/>")
    assert "<c/><x:n/></b>" in inner.text


def test_positions_in_a_document_with_everything() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?><?pi <a> ?><!-- <a> --><a b='1>"' c="&lt;&#65;&#x42;&quot;
&apos;"><![CDATA[<b/>]]><b/ ></a>""".replace("/ >", "/>")
    root = read_tree(text)
    assert [(each.local, each.value) for each in root.attributes] == [("b", '1>"'), ("c", "<AB\" '")]
    assert [text[child.start : child.end] for child in root.children] == ["<b/>"]
    assert root.attribute("", "none") is None
    for literal in ('"&#xD800;"', '"&#1;"', '"&#x110000;"'):
        with pytest.raises(ValueError, match="no character"):
            attribute_value(literal)


def test_document_selectors() -> None:
    path = "resource-lists/users/sip:joe@example.com/index/~~/a/b/~~/c"
    target = parse_target(path.split("/"), "xmlns(a=b)")
    assert target.document == DocumentSelector(auid="resource-lists", owner="sip:joe@example.com", name="index")
    assert (target.node, target.query) == ("a/b/~~/c", "xmlns(a=b)")
    assert target.document.path == "resource-lists/users/sip:joe@example.com/index"
    assert parse_target(["a", "global", "b", "c"]).document.path == "a/global/b/c"
    odd = DocumentSelector(auid="a", owner="sip:j?o/e@example.com", name="x y/z")
    assert odd.path == "a/users/sip:j%3Fo%2Fe@example.com/x%20y/z"
    assert parse_target(odd.path.split("/")).document == odd
    assert canonical_xui("SIP:Joe@EXAMPLE.com") == "sip:Joe@example.com"


@pytest.mark.parametrize(
    ("query", "bindings"),
    [
        ("", {}),
        ("xmlns(a=urn:a)", {"a": "urn:a"}),
        ("xmlns(a=urn:a)%20xmlns(%20b%20=%20urn:b%20)", {"a": "urn:a", "b": "urn:b"}),
        ("xpointer(/a/b[(1)])xmlns(a=u^(^)^^)", {"a": "u()^"}),
        ("x:y(a)", {}),
    ],
)
def test_bindings(query: str, bindings: dict[str, str]) -> None:
    found = parse_bindings(query)
    assert found.pop("xml") == "http://www.w3.org/XML/1998/namespace"
    assert found == bindings


@pytest.mark.parametrize("query", ["xmlns(a=b", "xmlns", "xmlns(1=b)", "(a)", "xmlns(a=b))", "xmlns(a=^", "%ff"])
def test_queries_that_are_wrong(query: str) -> None:
    with pytest.raises(SelectorError):
        parse_bindings(query)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("*", EntityTags(any=True)),
        ('"a"', EntityTags(strong=frozenset("a"))),
        (' "a" , W/"b","" ', EntityTags(strong=frozenset(("a", "")), weak=frozenset("b"))),
        ("bare-1.2", EntityTags(strong=frozenset(("bare-1.2",)))),
        ("", None),
        ('"a" "b"', None),
        ("two words", None),
        ('"a", b', None),
    ],
)
def test_entity_tags(text: str, tags: EntityTags | None) -> None:
    assert EntityTags.parse(text) == tags


@pytest.mark.parametrize(
    ("match", "none", "etag", "reads", "status"),
    [
        (None, None, "1", False, 0),
        ('"1"', None, "1", False, 0),
        ('W/"1"', None, "1", False, 412),
        ("*", None, "1", False, 0),
        ("*", None, "", False, 412),
        (None, '"1"', "1", True, 304),
        (None, 'W/"1"', "1", True, 304),
        (None, '"1"', "1", False, 412),
        (None, "*", "1", False, 412),
        (None, "*", "", False, 0),
        ('"2"', '"1"', "1", True, 412),
    ],
)
def test_conditions(match: str | None, none: str | None, etag: str, reads: bool, status: int) -> None:
    conditions = Preconditions(
        match=None if match is None else EntityTags.parse(match),
        none_match=None if none is None else EntityTags.parse(none),
    )
    assert conditions.fail(etag, reads) == status
